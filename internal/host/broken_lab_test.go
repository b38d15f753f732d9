package host_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

func TestAKilledDaemonEndsCallsAndIsDialledAgainOnceItIsBack(t *testing.T) {
	a := alpha(t)
	ctx := within(t, 2*time.Minute)
	for _, kind := range lab.Kinds {
		h := dial(t, a.URI(kind))
		s, err := h.Session(ctx)
		if err != nil {
			t.Fatal(kind, err)
		}
		if err := a.KillDaemon(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Lost():
		case <-ctx.Done():
			t.Fatal(kind, "the session does not notice that the daemon is gone")
		}
		if _, err := s.Perform(ctx, host.DomainID{UUID: "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"}, host.Params{}, nil, 0); !errors.Is(err, host.ErrUnreachable) {
			t.Errorf("%s: a call on the lost session: %v", kind, err)
		}
		if _, err := h.Domains(ctx); !errors.Is(err, host.ErrUnreachable) {
			t.Errorf("%s: %v is not ErrUnreachable", kind, err)
		}
		if err := a.StartDaemon(ctx); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the host is not dialled again", func() bool {
			_, err := h.Domains(ctx)
			return err == nil
		})
	}
}

func TestAFrozenDaemonCostsACallItsDeadlineAndNoMore(t *testing.T) {
	a := alpha(t)
	ctx := within(t, 2*time.Minute)
	h := dial(t, a.URI(lab.TLS))
	if err := a.FreezeDaemon(); err != nil {
		t.Fatal(err)
	}
	thaw := func() {
		if err := a.ThawDaemon(); err != nil {
			t.Error(err)
		}
	}
	defer func() { thaw() }()
	const deadline = 500 * time.Millisecond
	short, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	start := time.Now()
	_, err := h.Domains(short)
	if !errors.Is(err, host.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call to a frozen daemon: %v", err)
	}
	if d := time.Since(start); d < deadline || d > deadline+2*time.Second {
		t.Errorf("the call took %s, its deadline was %s", d, deadline)
	}
	// A new dial meets a kernel that accepts and a daemon that says nothing.
	short, cancel = context.WithTimeout(ctx, deadline)
	defer cancel()
	if _, err := host.Dial(short, config(a.URI(lab.TLS))); !errors.Is(err, host.ErrUnreachable) {
		t.Errorf("a dial to a frozen daemon: %v", err)
	}
	thaw()
	thaw = func() {}
	waitFor(t, "the thawed daemon is not reached", func() bool {
		_, err := h.Domains(ctx)
		return err == nil
	})
}

func TestAFrozenDaemonIsGivenUpWithoutACallersDeadline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the 30 s of a call's own limit")
	}
	a := alpha(t)
	h := dial(t, a.URI(lab.TCP))
	if err := a.FreezeDaemon(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.ThawDaemon(); err != nil {
			t.Error(err)
		}
	}()
	start := time.Now()
	_, err := h.Domains(context.Background())
	if d := time.Since(start); !errors.Is(err, host.ErrUnreachable) || d < 20*time.Second || d > 40*time.Second {
		t.Errorf("after %s: %v", d, err)
	}
}

func TestAHostThatIsNotThereIsUnreachable(t *testing.T) {
	a := alpha(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	_ = l.Close()
	refuses(t, "qemu+tcp://"+free+"/system", host.ErrUnreachable, "refused")
	refuses(t, "qemu+ssh://root@"+free+"/system?known_hosts="+testLab.KnownHosts(), host.ErrUnreachable, "refused")
	refuses(t, "qemu+tcp://no-such-host.invalid/system", host.ErrUnreachable, "no-such-host.invalid")
	refuses(t, "qemu+unix:///system?socket=/run/nothing/here", host.ErrUnreachable, "no libvirt daemon listens on /run/nothing/here")
	_ = a
}

func TestTheLibvirtTestDriverIsReached(t *testing.T) {
	a := alpha(t)
	h := dial(t, "test+tcp://"+a.Address.String()+"/default")
	ctx := within(t, time.Minute)
	doms, err := h.Domains(ctx)
	if err != nil || len(doms) != 1 || doms[0].Name != "test" || !doms[0].Active() {
		t.Fatal(doms, err)
	}
	f, err := h.Facts(ctx)
	if err != nil || f.Driver == "QEMU" {
		t.Errorf("%+v, %v", f, err)
	}
	d, err := h.Domain(ctx, doms[0].UUID)
	if err != nil || !d.Persistent || !d.State.Running() || d.MemoryBytes != 8<<30 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := h.XML(ctx, doms[0].UUID, false); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatal(otherwise)
		case <-tick.C:
		}
	}
}
