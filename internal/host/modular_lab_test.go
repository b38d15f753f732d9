package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// Debian 12 has no modular daemons. What tells them apart from here is the name of their socket, which a
// running daemon does not notice the change of.
func TestAModularDaemonIsFoundByItsSocketsName(t *testing.T) {
	a := alpha(t)
	ctx := within(t, time.Minute)
	const modular, monolithic = "/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"
	in := func(args ...string) {
		t.Helper()
		if _, err := a.Exec(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	reached := func() {
		t.Helper()
		h := dial(t, a.SSHURI(lab.Operator))
		if f, err := h.Facts(ctx); err != nil || f.Driver != "QEMU" || f.Hostname != a.Name {
			t.Errorf("%+v, %v", f, err)
		}
	}
	in("mv", monolithic, modular)
	t.Cleanup(func() {
		ctx = within(t, time.Minute)
		in("rm", "-f", modular)
		if err := a.RestartDaemon(ctx); err != nil {
			t.Error(err)
		}
	})
	reached()
	// One that has died leaves its socket behind, and the other daemon took over.
	in("mv", modular, monolithic)
	in("python3", "-c", "import socket; socket.socket(socket.AF_UNIX).bind('"+modular+"')")
	reached()
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
