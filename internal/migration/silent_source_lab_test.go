package migration

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// quietAfterFinish is a source that does not answer any more once its guest has left, and never hears confirm.
type quietAfterFinish struct {
	daemon
	quiet *atomic.Bool
}

func (d quietAfterFinish) answer() error {
	if d.quiet.Load() {
		return &host.Error{Host: "alpha", Err: host.ErrUnreachable}
	}
	return nil
}

func (d quietAfterFinish) Domains(ctx context.Context) ([]host.DomainID, error) {
	if err := d.answer(); err != nil {
		return nil, err
	}
	return d.daemon.Domains(ctx)
}

func (d quietAfterFinish) Lookup(ctx context.Context, uuid string) (host.DomainID, error) {
	if err := d.answer(); err != nil {
		return host.DomainID{}, err
	}
	return d.daemon.Lookup(ctx, uuid)
}

func (d quietAfterFinish) Session(ctx context.Context) (session, error) {
	s, err := d.daemon.Session(ctx)
	return unconfirmed{s, d.quiet}, err
}

type unconfirmed struct {
	session
	quiet *atomic.Bool
}

func (s unconfirmed) Confirm(context.Context, host.DomainID, host.Params, []byte, host.Flags, bool) error {
	s.quiet.Store(true)
	return &host.Error{Host: "alpha", Err: host.ErrUnreachable}
}

// TestAMoveWhoseSourceFallsSilentIsNoSuccess: the guest runs on beta, and nobody can say that alpha let it go.
func TestAMoveWhoseSourceFallsSilentIsNoSuccess(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 32, Disk: true, NIC: true, Autostart: true})
	f := labFleet(t, l)
	quiet := new(atomic.Bool)
	dial := f.members["alpha"].dial
	f.members["alpha"].dial = func(ctx context.Context) (daemon, error) {
		d, err := dial(ctx)
		return quietAfterFinish{d, quiet}, err
	}
	ctx := labtest.Context(t, 2*time.Minute)
	o, err := f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Control: ControlController}})
	var e *Error
	if !errors.Is(err, ErrHostSilent) || !errors.As(err, &e) || e.Host != "beta" || e.Phase != PhaseVerify {
		t.Fatalf("outcome %+v, error %v", o, err)
	}
	t.Log(err)
	next := labFleet(t, l)
	beta, _, err := next.members["beta"].reach(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []host.Form{host.FormLive, host.FormConfig} {
		if m, err := readMove(ctx, beta, g.UUID, form); err != nil || m == nil || m.Role != journal.Arrived {
			t.Errorf("form %d: the arrival is not written down: %+v, %v", form, m, err)
		}
	}
	_ = f.Close()
	if o, err := next.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}); err != nil || o.Moved || !o.Changed {
		t.Errorf("the next run: %+v, %v", o, err)
	}
	labtest.MustRun(t, g, "beta")
	mustKeep(t, l, g, "beta", true, true)
	for _, form := range []host.Form{host.FormLive, host.FormConfig} {
		if m, err := readMove(ctx, beta, g.UUID, form); err != nil || m != nil {
			t.Errorf("form %d: a record is left: %+v, %v", form, m, err)
		}
	}
}
