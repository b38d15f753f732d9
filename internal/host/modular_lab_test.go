package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

func TestAModularDaemonIsFoundByItsOwnSocket(t *testing.T) {
	a := alpha(t)
	ctx := within(t, time.Minute)
	if _, err := a.Exec(ctx, "test", "-x", "/usr/sbin/virtqemud"); err != nil {
		t.Skip("libvirt without the modular daemon virtqemud")
	}
	if err := a.StopDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := within(t, time.Minute)
		if _, err := a.Exec(ctx, "pkill", "-F", "/run/virtqemud-test.pid"); err != nil {
			t.Error(err)
		}
		waitFor(t, "virtqemud does not end", func() bool {
			_, err := a.Exec(ctx, "test", "!", "-e", "/run/virtqemud-test.pid")
			return err == nil
		})
		if err := a.StartDaemon(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := a.Exec(ctx, "/usr/sbin/virtqemud", "--daemon", "--pid-file", "/run/virtqemud-test.pid"); err != nil {
		t.Fatal(err)
	}
	h := dial(t, a.SSHURI("root"))
	if f, err := h.Facts(ctx); err != nil || f.Driver != "QEMU" || f.Hostname != a.Name {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestADaemonThatPingsIsAnswered(t *testing.T) {
	a := alpha(t)
	ctx := within(t, time.Minute)
	const file = "/etc/libvirt/libvirtd.conf"
	before, err := a.Exec(ctx, "cat", file)
	if err != nil {
		t.Fatal(err)
	}
	configure := func(text string) {
		replace(t, a, file, []byte(text))
		if err := a.RestartDaemon(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { configure(before) })
	configure(strings.TrimSpace(before) + "\nkeepalive_interval = 1\nkeepalive_count = 1\n")
	h := dial(t, a.URI(lab.TLS))
	s, err := h.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// A daemon that pings every second and hears nothing hangs up after two.
	select {
	case <-s.Lost():
		t.Error("the daemon hung up")
	case <-time.After(5 * time.Second):
	}
	if _, err := h.Domains(ctx); err != nil {
		t.Error(err)
	}
}
