package migration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

var errLost = errors.New("the line went dead")

// losing makes a fleet whose sessions break around the call named: before it reaches the daemon, or
// after the daemon did it and before its answer comes.
func losing(f *Fleet, call string, answered bool) {
	for _, m := range f.members {
		dial := m.dial
		m.dial = func(ctx context.Context) (daemon, error) {
			d, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return losingDaemon{d, call, answered}, nil
		}
	}
}

type losingDaemon struct {
	daemon
	call     string
	answered bool
}

func (d losingDaemon) Session(ctx context.Context) (session, error) {
	s, err := d.daemon.Session(ctx)
	if err != nil {
		return nil, err
	}
	return losingSession{s, d.call, d.answered}, nil
}

type losingSession struct {
	session
	call     string
	answered bool
}

// lose reports whether this is the call to lose, after it was made or instead of it.
func (s losingSession) lose(call string, do func()) bool {
	if s.call != call {
		return false
	}
	if s.answered {
		do()
	}
	_ = s.session.Close()
	return true
}

func (s losingSession) Finish(ctx context.Context, p host.Params, c []byte, f host.Flags, cancelled bool) (host.DomainID, []byte, error) {
	if s.lose("finish", func() { _, _, _ = s.session.Finish(ctx, p, c, f, cancelled) }) {
		return host.DomainID{}, nil, errLost
	}
	return s.session.Finish(ctx, p, c, f, cancelled)
}

func (s losingSession) Confirm(ctx context.Context, dom host.DomainID, p host.Params, c []byte, f host.Flags, cancelled bool) error {
	if s.lose("confirm", func() { _ = s.session.Confirm(ctx, dom, p, c, f, cancelled) }) {
		return errLost
	}
	return s.session.Confirm(ctx, dom, p, c, f, cancelled)
}

func (s losingSession) Perform(ctx context.Context, dom host.DomainID, p host.Params, c []byte, f host.Flags) ([]byte, error) {
	if s.lose("perform", func() { _, _ = s.session.Perform(ctx, dom, p, c, f) }) {
		return nil, errLost
	}
	return s.session.Perform(ctx, dom, p, c, f)
}

// TestLostAnswers breaks the connection at the worst moments. What became of the call is read back, and
// the guest ends up running once, on one host, with nothing left on the other.
func TestLostAnswers(t *testing.T) {
	l := labtest.Lab(t)
	for _, c := range []struct {
		name     string
		call     string
		answered bool
		moved    bool
	}{
		{"perform done and its answer lost", "perform", true, false},
		{"perform never sent", "perform", false, false},
		{"finish done and its answer lost", "finish", true, true},
		{"finish never sent", "finish", false, false},
		{"confirm done and its answer lost", "confirm", true, true},
		{"confirm never sent", "confirm", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 32, DirtyMiBPerSecond: 4, Disk: true, NIC: true, Autostart: true})
			f := labFleet(t, l)
			losing(f, c.call, c.answered)
			o, err := f.Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			on := "alpha"
			if c.moved {
				on = "beta"
			}
			var e *Error
			switch {
			case c.moved && (err != nil || !o.Moved || o.Host != "beta"):
				t.Errorf("the guest moved, but the outcome is %+v, error %v", o, err)
			case !c.moved && (!errors.As(err, &e) || !errors.Is(err, errLost) || e.Host != "alpha" || !strings.Contains(e.GuestAt, "running")):
				t.Errorf("error %v", err)
			}
			labtest.MustRun(t, g, on)
			mustKeep(t, l, g, on, true, true)
		})
	}
}
