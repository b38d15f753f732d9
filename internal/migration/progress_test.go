package migration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func number(n uint64) *uint64 { return &n }

func TestMeter(t *testing.T) {
	m := meter{guest: "web", to: "beta"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := m.line(Progress{At: at, Step: StepBegin})
	if l.Guest != "web" || l.To != "beta" || l.Step != StepBegin || l.Percent != nil || l.ExpectedEnd != nil || l.BytesPerSecond != nil {
		t.Errorf("before the copy %+v", l)
	}
	reading := func(after time.Duration, processed, remaining uint64) ProgressLine {
		return m.line(Progress{At: at.Add(after), Step: StepCopy, MemoryTotalBytes: number(600), MemoryRemainingBytes: number(remaining),
			MemoryProcessedBytes: number(processed), DiskTotalBytes: number(400), DiskRemainingBytes: number(0), DiskProcessedBytes: number(400)})
	}
	if l = reading(0, 100, 500); *l.Percent != 50 || *l.TotalBytes != 1000 || *l.RemainingBytes != 500 || l.BytesPerSecond != nil {
		t.Errorf("the first reading has no rate: %+v", l)
	}
	if l = reading(time.Second, 200, 400); *l.Percent != 60 || *l.BytesPerSecond != 100 || !l.ExpectedEnd.Equal(at.Add(5*time.Second)) {
		t.Errorf("the second: %+v, expected end %v", l, l.ExpectedEnd)
	}
	if l = reading(2*time.Second, 200, 900); *l.Percent < 0 || *l.BytesPerSecond != 70 {
		t.Errorf("a guest that writes: %+v", l)
	}
	if l = m.line(Progress{At: at, Step: StepDone}); *l.Percent != 100 || l.RemainingBytes != nil {
		t.Errorf("the end %+v", l)
	}
}

func TestProgressFileIsPrivateAndTakesNoLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir, "/dev/null", filepath.Join(dir, "no", "such")} {
		if f, err := openProgress(path); err == nil || !strings.Contains(err.Error(), "progress_file") {
			t.Errorf("%s: file %v, error %v", path, f, err)
		}
	}
	path := filepath.Join(dir, "progress")
	for range 2 { // appended, not replaced
		f, err := openProgress(path)
		if err != nil {
			t.Fatal(err)
		}
		f.write(ProgressLine{Guest: "web", Step: StepCopy})
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), `"percent":null`) {
		t.Errorf("mode %v, text %s", info.Mode(), text)
	}
}

func TestOnlyHandshakesLetAutoGoOn(t *testing.T) {
	failed := func(text string) error {
		return &Error{Phase: PhaseRun, Host: "a", GuestAt: "running on a", Err: errors.New(text)}
	}
	fresh := func() *run { return &run{plan: Plan{From: "a", To: "b"}} }
	if why, again := fresh().mayGoOn(Options{}, failed("operation failed: Certificate does not match the hostname x")); !again || !strings.Contains(why, "hostname") {
		t.Errorf("a failed handshake: %q, %v", why, again)
	}
	left, flowing, stopped := fresh(), fresh(), fresh()
	left.left.Store(true)
	flowing.moments.note(&flowing.moments.flowing, time.Now())
	stopped.moments.note(&stopped.moments.stopped, time.Now())
	handshake := failed("Certificate does not match the hostname x")
	elsewhere := &Error{Phase: PhaseVerify, Host: "", Err: errors.New("Certificate does not match the hostname x")}
	for name, c := range map[string]struct {
		run     *run
		options Options
		err     error
	}{
		"tls was asked for":           {fresh(), Options{Transport: TransportTLS}, handshake},
		"something else failed":       {fresh(), Options{}, failed("Unable to read from socket: Connection reset by peer")},
		"memory had left":             {left, Options{}, handshake},
		"the memory's copy had begun": {flowing, Options{}, handshake},
		"the guest had stopped":       {stopped, Options{}, handshake},
		"nobody knows where it is":    {fresh(), Options{}, elsewhere},
		"an error of no known kind":   {fresh(), Options{}, errors.New("Certificate does not match the hostname x")},
	} {
		if why, again := c.run.mayGoOn(c.options, c.err); again {
			t.Errorf("%s, and it goes on: %q", name, why)
		}
	}
}
