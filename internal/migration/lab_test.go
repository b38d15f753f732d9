package migration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// labName is this package's own lab, so that it lives beside others. Whoever runs these tests twice at
// the same time gives one run another name.
var labName = cmp.Or(os.Getenv("VIRTMIGRATE_ENGINE_LAB"), "engine")

var labOnce struct {
	sync.Once
	lab *lab.Lab
	err error
}

// guestNumber names the guests nobody cares to name.
var guestNumber atomic.Int64

func TestMain(m *testing.M) {
	if os.Getenv(childRequest) != "" {
		childMain()
	}
	os.Exit(mainWithLab(m))
}

func mainWithLab(m *testing.M) int {
	state, err := os.MkdirTemp("", "virtmigrate-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(state) }()
	// controllers of a test, the killed ones too, share a state of their own
	for _, name := range []string{"XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		if err := os.Setenv(name, state); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if labOnce.lab != nil {
		if err := labOnce.lab.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the lab:", err)
			code = 1
		}
	}
	return code
}

// needLab starts the package's lab at the first call.
func needLab(t *testing.T) *lab.Lab {
	t.Helper()
	if os.Getenv("VIRTMIGRATE_NO_LAB") != "" {
		t.Skip("VIRTMIGRATE_NO_LAB is set")
	}
	if os.Getuid() != 0 {
		t.Skip("the lab needs root")
	}
	labOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		labOnce.lab, labOnce.err = lab.Start(ctx, lab.Config{Name: labName})
	})
	if labOnce.err != nil {
		t.Fatalf("start the lab: %v", labOnce.err)
	}
	return labOnce.lab
}

// within bounds everything a test does on the lab.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// labHosts is the configuration of the lab's hosts as a user would write it.
func labHosts(l *lab.Lab, kind lab.Kind) map[string]HostConfig {
	hosts := map[string]HostConfig{}
	for _, h := range l.Hosts {
		hosts[h.Name] = HostConfig{
			URI: h.URI(kind), MigrationAddress: h.MigrationAddress(), TLSDestination: h.TLSName(),
			PeerURI: h.PeerURI(lab.TLS), AllowPlainControl: kind == lab.TCP,
		}
	}
	return hosts
}

func labFleet(t *testing.T, l *lab.Lab, change ...func(map[string]HostConfig)) *Fleet {
	t.Helper()
	hosts := labHosts(l, lab.TLS)
	for _, c := range change {
		c(hosts)
	}
	f, err := NewFleet(Config{Hosts: hosts, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// testLog shows the engine's log with a failed test only.
func testLog(t *testing.T) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: t.Output(), DisableTime: false})
}

// startGuest starts a guest that goes with the test.
func startGuest(t *testing.T, l *lab.Lab, c lab.GuestConfig) *lab.Guest {
	t.Helper()
	if c.Name == "" {
		c.Name = fmt.Sprintf("g%d", guestNumber.Add(1))
	}
	g, err := l.StartGuest(within(t, time.Minute), c)
	if err != nil {
		t.Fatalf("start guest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			for _, h := range l.Hosts {
				state, _ := h.Virsh(ctx, "domstate", "--reason", g.Name)
				t.Logf("at the end, on %s: %s", h.Name, strings.TrimSpace(state))
			}
		}
		if err := g.Remove(ctx); err != nil {
			t.Errorf("remove guest: %v", err)
		}
	})
	return g
}

// mustRun asserts that the guest runs on exactly the named host, unharmed, as virsh and the guest's own
// heartbeat tell.
func mustRun(t *testing.T, l *lab.Lab, g *lab.Guest, on string) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for _, h := range l.Hosts {
		state, err := h.DomainState(ctx, g.Name)
		if err != nil {
			t.Errorf("state on %s: %v", h.Name, err)
		}
		want := ""
		if h.Name == on {
			want = "running"
		}
		if state != want {
			t.Errorf("virsh says the guest is %q on %s, want %q", state, h.Name, want)
		}
	}
	if err := g.Check(ctx); err != nil {
		t.Errorf("the guest is not unharmed: %v", err)
	}
	if health, err := g.Health(ctx, time.Time{}); err != nil || health.Host != on {
		t.Errorf("the guest beats on %q (%v), want %s", health.Host, err, on)
	}
}

// mustKeep asserts the definition and the autostart flag on one host, and nothing on the others.
func mustKeep(t *testing.T, l *lab.Lab, g *lab.Guest, on string, persistent, autostart bool) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for _, h := range l.Hosts {
		for flag, want := range map[string]bool{"--persistent": persistent && h.Name == on, "--autostart": autostart && h.Name == on} {
			out, err := h.Virsh(ctx, "list", "--all", "--name", flag)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(strings.Fields(out), g.Name); got != want {
				t.Errorf("virsh list %s on %s: %v, want %v", flag, h.Name, got, want)
			}
		}
	}
}

func hostNamed(t *testing.T, l *lab.Lab, name string) *lab.Host {
	t.Helper()
	for _, h := range l.Hosts {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("the lab has no host %s", name)
	return nil
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
