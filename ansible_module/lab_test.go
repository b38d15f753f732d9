package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// labName is this package's own lab, so that it lives beside others.
const labName = "ansible"

var shared struct {
	sync.Once
	lab *lab.Lab
	err error
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
	shared.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		shared.lab, shared.err = lab.Start(ctx, lab.Config{Name: labName})
	})
	if shared.err != nil {
		t.Fatalf("start the lab: %v", shared.err)
	}
	return shared.lab
}

func closeLab() error {
	if shared.lab == nil {
		return nil
	}
	return shared.lab.Close()
}

// within bounds everything a test does on the lab.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// startGuest starts a guest that goes with the test.
func startGuest(t *testing.T, l *lab.Lab, c lab.GuestConfig) *lab.Guest {
	t.Helper()
	if c.Name == "" {
		c.Name = strings.ToLower(strings.NewReplacer("/", "-", " ", "-", "_", "-", "#", "").Replace(t.Name()))
		c.Name = strings.Trim(c.Name[max(0, len(c.Name)-40):], "-")
	}
	g, err := l.StartGuest(within(t, time.Minute), c)
	if err != nil {
		t.Fatalf("start guest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
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
