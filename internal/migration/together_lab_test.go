package migration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestTwoControllersAtOnce starts two moves of one guest in two processes' worth of fleets: one moves it,
// the other finds it moved and says so.
func TestTwoControllersAtOnce(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96, NIC: true})
	fleets := []*Fleet{labFleet(t, l), labFleet(t, l)}
	ctx := labtest.Context(t, 2*time.Minute)
	outcomes, errs := make([]Outcome, 2), make([]error, 2)
	copying := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	wg.Go(func() {
		outcomes[0], errs[0] = fleets[0].Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{BandwidthMiBPerSecond: 64},
			Watch: func(p Progress) {
				if p.Step == StepCopy {
					once.Do(func() { close(copying) })
				}
			}})
		once.Do(func() { close(copying) })
	})
	<-copying
	outcomes[1], errs[1] = fleets[1].Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	wg.Wait()
	if errs[0] != nil || !outcomes[0].Moved {
		t.Errorf("the first: %+v, %v", outcomes[0], errs[0])
	}
	if errs[1] != nil || outcomes[1].Moved || !strings.Contains(strings.Join(outcomes[1].Warnings, " "), "another controller") {
		t.Errorf("the second: %+v, %v", outcomes[1], errs[1])
	}
	labtest.MustRun(t, g, "beta")
	mustKeep(t, l, g, "beta", true, false)
}

// TestTwoMachinesAtOnce lets two controllers that share no lock begin in the same moment. Whoever comes second finds the
// guest moved, or waits; neither fails, and the guest runs once.
func TestTwoMachinesAtOnce(t *testing.T) {
	l := labtest.Lab(t)
	for round := range 3 {
		g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 48, Disk: true, NIC: true, Autostart: true})
		ctx := labtest.Context(t, 3*time.Minute)
		outcomes, errs := make([]Outcome, 2), make([]error, 2)
		var wg sync.WaitGroup
		for i := range outcomes {
			f := labFleet(t, l)
			f.slots.dir = t.TempDir() + "/slots"
			wg.Go(func() {
				outcomes[i], errs[i] = f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			})
		}
		wg.Wait()
		for i := range outcomes {
			t.Logf("round %d: moved %v, warnings %q, error %v", round, outcomes[i].Moved, outcomes[i].Warnings, errs[i])
			if errs[i] != nil || outcomes[i].Host != "beta" {
				t.Errorf("controller %d: %+v, %v", i, outcomes[i], errs[i])
			}
		}
		if outcomes[0].Moved == outcomes[1].Moved {
			t.Errorf("both say that they moved it: %v, or neither", outcomes[0].Moved)
		}
		labtest.MustRun(t, g, "beta")
		mustKeep(t, l, g, "beta", true, true)
	}
}

// TestAGuestOnItsWayElsewhereIsLeftAlone asks for the source as the guest's host while somebody moves it
// away.
func TestAGuestOnItsWayElsewhereIsLeftAlone(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96})
	c := startChild(t, childOrder{Hosts: labHosts(l, lab.TLS), Guest: g.Name, Host: "beta", Options: Options{BandwidthMiBPerSecond: 24}})
	c.await(t, "step copy")
	_, err := labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "alpha"})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "alpha") {
		t.Errorf("error %v", err)
	}
	if last := c.end(); last != "end <nil>" {
		t.Errorf("the one who moved it: %s", last)
	}
	labtest.MustRun(t, g, "beta")
}

// TestNoMoreThanTwoAtATime moves three guests at once and counts how many jobs run together.
func TestNoMoreThanTwoAtATime(t *testing.T) {
	l := labtest.Lab(t)
	f := labFleet(t, l)
	ctx := labtest.Context(t, 3*time.Minute)
	var mu sync.Mutex
	active, most := map[string]bool{}, 0
	var wg sync.WaitGroup
	var guests []*lab.Guest
	for _, name := range []string{"one", "two", "three"} {
		guests = append(guests, labtest.Guest(t, lab.GuestConfig{Name: name, Host: "alpha"}))
	}
	for _, g := range guests {
		wg.Go(func() {
			_, err := f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Watch: func(p Progress) {
				mu.Lock()
				defer mu.Unlock()
				switch p.Step {
				case StepBegin:
					active[g.Name] = true
				case StepDone:
					delete(active, g.Name)
				}
				most = max(most, len(active))
			}})
			if err != nil {
				t.Errorf("%s: %v", g.Name, err)
			}
		})
	}
	wg.Wait()
	if most != 2 {
		t.Errorf("%d moves ran together, want 2", most)
	}
	for _, g := range guests {
		labtest.MustRun(t, g, "beta")
	}
}

// TestDestinationDaemonKilledInTheCopy: nobody can finish on the destination any more, so the guest must
// go on on the source at once, although its QEMU notices nothing.
func TestDestinationDaemonKilledInTheCopy(t *testing.T) {
	l := labtest.Lab(t)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 96, NIC: true})
			beta := l.Host("beta")
			ctx := labtest.Context(t, 2*time.Minute)
			var once sync.Once
			killed := make(chan error, 1)
			_, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Control: control, BandwidthMiBPerSecond: 24},
				Watch: func(p Progress) {
					if p.Step == StepCopy {
						once.Do(func() {
							killed <- errors.Join(beta.KillDaemon(ctx), beta.StartDaemon(context.WithoutCancel(ctx)))
						})
					}
				}})
			if fault := <-killed; fault != nil {
				t.Fatal(fault)
			}
			if err == nil {
				t.Error("no error")
			}
			t.Logf("error %v", err)
			// whatever that run could tell, the next one brings the guest to its host
			if _, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}); err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustKeep(t, l, g, "beta", true, false)
		})
	}
}
