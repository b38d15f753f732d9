package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browse opens a page in a browser that nobody sees.
func browse(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium here")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(profile(t)), chromedp.WindowSize(1100, 1400))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { cancel() })
	return ctx
}

// profile is a folder for the browser's own files. Some of its processes write there for a moment after it has ended.
func profile(t *testing.T) string {
	dir, err := os.MkdirTemp("", "virtmigrate-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 50 {
			if err = os.RemoveAll(dir); err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error(err)
	})
	return dir
}

// TestPageInABrowser: the plots are there and have ink in light and in dark, nothing is complained of, and nobody is asked
// for anything.
func TestPageInABrowser(t *testing.T) {
	ctx := browse(t)
	rounds := slowing(1000, 1010, 1020)
	for _, round := range rounds {
		s := round["tls"]
		s.CPUByProgram = map[string]float64{"QEMU": 2, "libvirtd": 0.1}
		s.Course = []Point{{0, 0, 2 << 30}, {250, 100 << 20, 1 << 30}, {500, 400 << 20, 500 << 20}, {900, 800 << 20, 0}}
		round["tls"] = s
	}
	folder := t.TempDir()
	if err := Summarize(Setting{Guests: 1, GuestMiB: 2560}, map[string]string{"QEMU": "<7.2>"}, []string{"plain", "tls"}, rounds).Write(folder); err != nil {
		t.Fatal(err)
	}
	address := "file://" + filepath.Join(folder, "report.html")

	var mu sync.Mutex
	var complaints []string
	chromedp.ListenTarget(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address && !strings.HasPrefix(e.Request.URL, "data:") {
				complaints = append(complaints, "asks for "+e.Request.URL)
			}
		case *runtime.EventConsoleAPICalled:
			complaints = append(complaints, "the console says something")
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text)
		}
	})
	for _, scheme := range []string{"light", "dark"} {
		var plots int
		var ink, ground string
		var wide bool
		var picture []byte
		err := chromedp.Run(ctx, network.Enable(), log.Enable(),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Navigate(address),
			chromedp.Evaluate(`[...document.querySelectorAll("figure svg")].filter(s => s.getBoundingClientRect().height > 80 && s.querySelectorAll("path, text").length > 10).length`, &plots),
			chromedp.Evaluate(`getComputedStyle(document.querySelector("svg text")).fill`, &ink),
			chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &ground),
			chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide),
			chromedp.FullScreenshot(&picture, 100))
		if err != nil {
			t.Fatal(err)
		}
		if plots != 5 || wide {
			t.Errorf("%s: %d plots, wider than the window: %v", scheme, plots, wide)
		}
		if want := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]; ground != want || ink == ground {
			t.Errorf("%s: ink %s on %s", scheme, ink, ground)
		}
		if where := os.Getenv("BENCH_PICTURES"); where != "" {
			if err := os.WriteFile(filepath.Join(where, scheme+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(complaints) > 0 {
		t.Error(strings.Join(complaints, "\n"))
	}
}
