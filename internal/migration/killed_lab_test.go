package migration

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// killPoints are the moments at which a controller may die: around each of libvirt's calls, in the copy
// and in the switchover.
var killPoints = map[Control][]string{
	ControlController: {
		"before begin", "after begin", "before prepare", "after prepare", "before perform", "step copy", "step switch",
		"after perform", "before finish", "after finish", "before confirm", "after confirm",
	},
	ControlPeerToPeer: {"before perform", "step copy", "step switch", "after perform"},
}

// TestKilledControllerLeavesAGuestThatTheNextRunBringsHome kills the controller with SIGKILL at each
// moment. The guest may be paused for a while, but is never lost and never runs twice (its heartbeat
// would show either), and the next run brings it to its host with nothing left behind.
func TestKilledControllerLeavesAGuestThatTheNextRunBringsHome(t *testing.T) {
	l := labtest.Lab(t)
	for control, points := range killPoints {
		for _, point := range points {
			t.Run(string(control)+"_"+strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
				t.Parallel()
				g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: 4, Disk: true, NIC: true, Autostart: true})
				c := startChild(t, childOrder{Hosts: labHosts(l, lab.TLS), Guest: g.Name, Host: "beta", Options: Options{Control: control}, Stop: point})
				c.await(t, point)
				c.kill()
				labtest.SkipIfQEMUAborted(t, g)
				o, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("moved %v, changed %v, warnings %q", o.Moved, o.Changed, o.Warnings)
				labtest.MustRun(t, g, "beta")
				mustKeep(t, l, g, "beta", true, true)
			})
		}
	}
}

// TestCancelBeforeTheSwitchoverLeavesTheGuestWhereItWas cancels at each moment before the switchover.
func TestCancelBeforeTheSwitchoverLeavesTheGuestWhereItWas(t *testing.T) {
	l := labtest.Lab(t)
	for control, steps := range map[Control][]Step{
		ControlController: {StepLocate, StepInspect, StepDecide, StepBegin, StepPrepare, StepPerform, StepCopy},
		ControlPeerToPeer: {StepPerform, StepCopy},
	} {
		for _, step := range steps {
			t.Run(string(control)+"_"+string(step), func(t *testing.T) {
				g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
				before, err := l.Snapshot(labtest.Context(t, time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				cancelled, took, err := cancelAt(t, l, g, control, step)
				if !cancelled {
					t.Fatalf("step %s was not reached", step)
				}
				if err == nil || !strings.Contains(err.Error(), "cancel") {
					t.Fatalf("error %v", err)
				}
				if took > 5*time.Second {
					t.Errorf("the end took %s after the cancel", took)
				}
				labtest.MustRun(t, g, "alpha")
				mustKeep(t, l, g, "alpha", true, false)
				after, err := l.Snapshot(labtest.Context(t, time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				for _, left := range lab.DiffAll(before, after) {
					t.Errorf("left behind: %s", left)
				}
			})
		}
	}
}

// cancelAt starts a move and cancels its context when it reaches a step. It returns how long the move
// took to end after that.
func cancelAt(t *testing.T, l *lab.Lab, g *lab.Guest, control Control, step Step) (reached bool, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(labtest.Context(t, time.Minute))
	defer cancel()
	var once sync.Once
	var at time.Time
	_, err = labFleet(t, l).Migrate(ctx, Request{
		Guest: GuestRef{Name: g.Name}, Host: "beta",
		// slow enough that the copy is still going on when it is cancelled
		Options: Options{Control: control, BandwidthMiBPerSecond: 16},
		Watch: func(p Progress) {
			if p.Step == step {
				once.Do(func() { at = time.Now(); cancel() })
			}
		},
	})
	return !at.IsZero(), time.Since(at), err
}
