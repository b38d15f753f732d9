package migration

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMoveByEveryTransportAndControl(t *testing.T) {
	l := labtest.Lab(t)
	for _, transport := range []Transport{TransportTLS, TransportPlain, TransportAuto} {
		for _, control := range []Control{ControlController, ControlPeerToPeer} {
			t.Run(string(transport)+"_"+string(control), func(t *testing.T) {
				t.Parallel()
				g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96, DirtyMiBPerSecond: 8, Disk: true, NIC: true, Autostart: true})
				f := labFleet(t, l)
				o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
					Options: Options{Transport: transport, Control: control, AllowPlain: transport == TransportPlain}})
				if err != nil {
					t.Fatal(err)
				}
				labtest.MustRun(t, g, "beta")
				mustKeep(t, l, g, "beta", true, true)
				if !o.Moved || o.Host != "beta" || o.UUID != g.UUID {
					t.Errorf("outcome %+v", o)
				}
				text, _ := json.MarshalIndent(o.Result, "", " ")
				t.Logf("%s", text)
				if *o.Result.Encrypted != (transport != TransportPlain) || o.Result.Control != control {
					t.Errorf("encrypted %v, control %s", o.Result.Encrypted, o.Result.Control)
				}
				for figure, why := range o.Result.MissingFigures {
					// a job this short has too few samples for extremes, and QEMU no dirty rate
					if !strings.HasSuffix(figure, "_percent") && figure != "dirty_bytes_per_second" {
						t.Errorf("no %s: %s", figure, why)
					}
				}
				// a second time, by another controller, nothing is left to do
				if o, err = labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{UUID: g.UUID}, Host: "beta"}); err != nil || o.Moved || o.Changed {
					t.Errorf("a second time: outcome %+v, error %v", o, err)
				}
			})
		}
	}
}

func TestMoveKeepsATransientGuestTransient(t *testing.T) {
	l := labtest.Lab(t)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "beta", Transient: true})
			if _, err := labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "alpha", Options: Options{Control: control}}); err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "alpha")
			mustKeep(t, l, g, "alpha", false, false)
		})
	}
}

func TestMoveKeepsAPausedGuestPaused(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	ctx := labtest.Context(t, time.Minute)
	if _, err := l.Host("alpha").Virsh(ctx, "suspend", g.Name); err != nil {
		t.Fatal(err)
	}
	o, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := l.Host("beta").DomainState(ctx, g.Name); state != "paused" {
		t.Errorf("the guest is %q on beta", state)
	}
	if o.Result.DowntimeMS != nil || o.Result.MissingFigures["downtime_ms"] == "" {
		t.Errorf("a paused guest has a downtime of %v", o.Result.DowntimeMS)
	}
	if _, err := l.Host("beta").Virsh(ctx, "resume", g.Name); err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
}

func TestUnhappyRequestsTouchNothing(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "touchy", Host: "alpha", LocalDisk: true})
	snapped := labtest.Guest(t, lab.GuestConfig{Name: "snapped", Host: "alpha", LocalDisk: true})
	ctx := labtest.Context(t, 2*time.Minute)
	alpha := l.Host("alpha")
	if _, err := alpha.Virsh(ctx, "snapshot-create-as", snapped.Name, "s1", "--disk-only"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = alpha.Virsh(context.WithoutCancel(ctx), "snapshot-delete", snapped.Name, "s1", "--metadata")
	})
	dead := func(hosts map[string]HostConfig) {
		hosts["gone"] = HostConfig{URI: "qemu+tcp://127.0.0.1:1/system", MigrationAddress: "127.0.0.1"}
	}
	for name, c := range map[string]struct {
		request Request
		change  func(map[string]HostConfig)
		is      error
		says    []string
	}{
		"unknown guest":                    {request: Request{Guest: GuestRef{Name: "nobody"}, Host: "beta"}, is: ErrNotFound},
		"unknown guest with a silent host": {request: Request{Guest: GuestRef{Name: "nobody"}, Host: "beta"}, change: dead, is: ErrHostSilent, says: []string{"gone"}},
		"silent destination":               {request: Request{Guest: GuestRef{Name: g.Name}, Host: "gone"}, change: dead, says: []string{"gone", "running (booted) on alpha"}},
		"unknown host":                     {request: Request{Guest: GuestRef{Name: g.Name}, Host: "gamma"}, says: []string{"gamma", "alpha, beta"}},
		"plain without permission":         {request: Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportPlain}}, says: []string{"allow_plain"}},
		"a local disk":                     {request: Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}, says: []string{"not on storage that both hosts share", "storage copy", "untouched on alpha"}},
		"a guest with a snapshot":          {request: Request{Guest: GuestRef{Name: snapped.Name}, Host: "beta"}, says: []string{"1 snapshots", "untouched on alpha"}},
		"no name and no uuid":              {request: Request{Host: "beta"}, says: []string{"name or its uuid"}},
		"a malformed uuid":                 {request: Request{Guest: GuestRef{UUID: "42"}, Host: "beta"}, says: []string{"not a UUID"}},
		"an absurd downtime":               {request: Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{MaxDowntimeMS: 1 << 40}}, says: []string{"max_downtime_ms"}},
		"an absurd number of connections":  {request: Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{ParallelConnections: 1000}}, says: []string{"parallel_connections"}},
		"a negative time-out":              {request: Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Timeout: -1}, says: []string{"time-out"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := labFleet(t, l, func(h map[string]HostConfig) {
				if c.change != nil {
					c.change(h)
				}
			})
			_, err := f.Migrate(ctx, c.request)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v is not %v", err, c.is)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not say %q", err, text)
				}
			}
		})
	}
	labtest.MustRun(t, g, "alpha")
}

func TestWrongCertificateNameMovesNothing(t *testing.T) {
	l := labtest.Lab(t)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
			f := labFleet(t, l, wrongName)
			_, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Control: control, Transport: TransportTLS}})
			if err == nil || !strings.Contains(err.Error(), "tls_destination") || !strings.Contains(err.Error(), "on alpha") {
				t.Errorf("error %v", err)
			}
			labtest.MustRun(t, g, "alpha")
			mustKeep(t, l, g, "alpha", true, false)
		})
	}
}

func TestTwoGuestsOfOneNameNeedTheUUID(t *testing.T) {
	l := labtest.Lab(t)
	a := labtest.Guest(t, lab.GuestConfig{Name: "twin", Host: "alpha"})
	ctx := labtest.Context(t, time.Minute)
	const other = "11111111-2222-3333-4444-555555555555"
	beta := l.Host("beta")
	if err := defineShutOff(ctx, beta, "twin", other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = beta.Virsh(context.WithoutCancel(ctx), "undefine", other) })
	f := labFleet(t, l)
	if _, err := f.Locate(ctx, GuestRef{Name: "twin"}); err == nil || !strings.Contains(err.Error(), "give uuid") {
		t.Errorf("error %v", err)
	}
	if loc, err := f.Locate(ctx, GuestRef{UUID: a.UUID}); err != nil || loc.Host != "alpha" {
		t.Errorf("location %+v, error %v", loc, err)
	}
	_, err := f.Migrate(ctx, Request{Guest: GuestRef{UUID: a.UUID}, Host: "beta"})
	if err == nil || !strings.Contains(err.Error(), "another domain named") {
		t.Errorf("error %v", err)
	}
	if err := a.Check(ctx); err != nil {
		t.Error(err)
	}
}

// defineShutOff defines a minimal domain that does not run.
func defineShutOff(ctx context.Context, h *lab.Host, name, uuid string) error {
	path := "/tmp/" + name + ".xml"
	xml := "<domain type='qemu'><name>" + name + "</name><uuid>" + uuid + "</uuid><memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os></domain>"
	if err := writeFile(h.Path(path), xml); err != nil {
		return err
	}
	_, err := h.Virsh(ctx, "define", path)
	return err
}
