package migration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// shutOffGuest is a guest that was started once and is shut off, with a disk on the network and, unless
// device is empty, another.
func shutOffGuest(t *testing.T, device string) *lab.Guest {
	t.Helper()
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, Autostart: true, Devices: device})
	if _, err := l.Host("alpha").Virsh(labtest.Context(t, time.Minute), "destroy", g.Name); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestShutOffGuestMovesItsDefinition(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	ctx := labtest.Context(t, 2*time.Minute)
	at := sharedDir(t) + "/off.raw"
	mustExec(t, ctx, alpha, "truncate", "-s", "8M", at)
	g := shutOffGuest(t, diskXML(at, "raw", "none"))
	request := Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}
	p, err := labFleet(t, l).Plan(ctx, request)
	if err != nil || p.Transport != TransportNone || len(p.Blockers) > 0 {
		t.Fatalf("plan %+v, error %v", p, err)
	}
	o, err := labFleet(t, l).Migrate(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Moved || o.Host != "beta" || !strings.HasPrefix(o.State, "shut off") {
		t.Errorf("outcome %+v", o.Location)
	}
	r := o.Result
	if r.Transport != TransportNone || r.Encrypted != nil || r.TotalMS == nil || r.WallMS == nil || r.TransferredBytes != nil || r.MissingFigures["transferred_bytes"] == "" {
		t.Errorf("result %+v", r)
	}
	mustKeep(t, l, g, "beta", true, true)
	if o, err = labFleet(t, l).Migrate(ctx, request); err != nil || o.Changed {
		t.Errorf("a second time: %+v, error %v", o, err)
	}
	if _, err := beta.Virsh(ctx, "start", g.Name); err != nil {
		t.Errorf("it does not start on beta: %v", err)
	}
	mustLeaveNoPool(t, l)
}

func TestShutOffGuestIsRefusedWithWhatDoesNotTravel(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	ctx := labtest.Context(t, 3*time.Minute)
	patience := probePatience
	probePatience = 2 * time.Second
	t.Cleanup(func() { probePatience = patience })
	refused := func(t *testing.T, g *lab.Guest, o Options, says string) {
		t.Helper()
		_, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{UUID: g.UUID}, Host: "beta", Options: o})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v does not say %q", err, says)
		}
		if state, err := alpha.DomainState(ctx, g.UUID); err != nil || state != "shut off" {
			t.Errorf("on alpha it is %q (%v)", state, err)
		}
	}
	t.Run("a disk that only its host has", func(t *testing.T) {
		at := imageDir + "off-local.raw"
		g := shutOffGuest(t, dataDisk(t, alpha, at, "raw"))
		refused(t, g, Options{}, "not on storage that both hosts share")
		refused(t, g, Options{Storage: StorageCopy}, "copies only disks of guests that run")
		mustKeep(t, l, g, "alpha", true, true)
	})
	t.Run("a saved state", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
		if _, err := alpha.Virsh(ctx, "managedsave", g.Name); err != nil {
			t.Fatal(err)
		}
		refused(t, g, Options{}, "state saved")
	})
	t.Run("a definition on the other host too", func(t *testing.T) {
		g := shutOffGuest(t, "")
		if err := defineShutOff(ctx, beta, g.Name, g.UUID); err != nil {
			t.Fatal(err)
		}
		refused(t, g, Options{}, "both")
	})
	t.Run("a silent host on which it may run", func(t *testing.T) {
		g := shutOffGuest(t, "")
		f := labFleet(t, l, func(hosts map[string]HostConfig) {
			hosts["gone"] = HostConfig{URI: "qemu+tcp://127.0.0.1:1/system", MigrationAddress: "127.0.0.1"}
		})
		_, err := f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
		if !errors.Is(err, ErrHostSilent) || !strings.Contains(err.Error(), "gone") {
			t.Errorf("error %v", err)
		}
		mustKeep(t, l, g, "alpha", true, true)
	})
}

// TestKilledMoveOfADefinition kills the controller around each call; the next run ends with one definition.
func TestKilledMoveOfADefinition(t *testing.T) {
	l := labtest.Lab(t)
	for _, point := range []string{"before define", "after define", "before undefine", "after undefine"} {
		t.Run(strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
			g := shutOffGuest(t, "")
			c := startChild(t, childOrder{Hosts: labHosts(l, lab.TLS), Guest: g.Name, Host: "beta", Stop: point})
			c.await(t, point)
			c.kill()
			if _, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}); err != nil {
				t.Fatal(err)
			}
			mustKeep(t, l, g, "beta", true, true)
		})
	}
}

// TestKilledCopyLeavesNothingAfterTheNextRun kills the controller while it copies disks; a later run that
// leaves the guest where it is tidies up, and one that moves it moves it.
func TestKilledCopyLeavesNothingAfterTheNextRun(t *testing.T) {
	l := labtest.Lab(t)
	for point, to := range map[string]string{"before begin": "alpha", "step copy": "alpha", "after perform": "beta", "after prepare": "beta"} {
		t.Run(strings.ReplaceAll(point, " ", "_")+"_then_"+to, func(t *testing.T) {
			at := imageDir + "killed-" + strings.ReplaceAll(point, " ", "-") + ".qcow2"
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, Disk: true, Devices: dataDisk(t, l.Host("alpha"), at, "qcow2")})
			before := content(t, l.Host("alpha"), at, "qcow2")
			options := Options{Storage: StorageCopy, SourceImages: SourceImagesDelete}
			slow := options
			slow.BandwidthMiBPerSecond = 16
			c := startChild(t, childOrder{Hosts: labHosts(l, lab.TLS), Guest: g.Name, Host: "beta", Options: slow, Stop: point})
			c.await(t, point)
			c.kill()
			labtest.SkipIfQEMUAborted(t, g)
			if !isThereOn(l.Host("beta"), at) {
				t.Error("nothing was made on beta: the test proves nothing")
			}
			if to == "alpha" {
				options = Options{}
			}
			o, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: to, Options: options})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("moved %v, warnings %q", o.Moved, o.Warnings)
			labtest.MustRun(t, g, to)
			if content(t, l.Host(to), at, "qcow2") != before {
				t.Error("the disk is not what it was")
			}
			for _, h := range l.Hosts {
				if there := isThereOn(h, at); there != (h.Name == to) {
					t.Errorf("the image is on %s: %v", h.Name, there)
				}
			}
			mustLeaveNoPool(t, l)
		})
	}
}

func TestCancelledCopyLeavesNothing(t *testing.T) {
	l := labtest.Lab(t)
	at := imageDir + "cancelled.raw"
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, Devices: dataDisk(t, l.Host("alpha"), at, "raw")})
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		ctx, cancel := context.WithCancel(labtest.Context(t, time.Minute))
		_, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
			Options: Options{Storage: StorageCopy, Control: control, BandwidthMiBPerSecond: 8},
			Watch: func(p Progress) {
				if p.Step == StepCopy {
					cancel()
				}
			}})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "cancel") {
			t.Errorf("%s: error %v", control, err)
		}
		labtest.MustRun(t, g, "alpha")
		if isThereOn(l.Host("beta"), at) {
			t.Errorf("%s: the image is still on beta", control)
		}
	}
	mustLeaveNoPool(t, l)
}
