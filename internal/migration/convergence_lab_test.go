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

// slowLink gives the lab a link of so many Mbit/s for the time of a test.
func slowLink(t *testing.T, l *lab.Lab, megabits int) {
	t.Helper()
	if err := l.Shape(labtest.Context(t, time.Minute), megabits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Shape(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
}

// allowPostCopy skips a test where the machine's kernel does not let it be permitted.
func allowPostCopy(t *testing.T, l *lab.Lab) {
	t.Helper()
	undo, err := l.AllowPostCopy(true)
	if errors.Is(err, lab.ErrNoPostCopy) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	})
}

// TestConvergencePolicies moves a guest that writes memory faster than the link can carry it. Each policy ends
// the move in its own way.
func TestConvergencePolicies(t *testing.T) {
	l := labtest.Lab(t)
	slowLink(t, l, 400) // about 48 MB/s
	for _, c := range []struct {
		name    string
		options Options
		timeout time.Duration
		dirty   int
		on      string
		says    string // in the error, or among the warnings
		minMS   int64  // of downtime
		maxMS   int64
		whole   bool // only among all faults
	}{
		{name: "abort", whole: true, options: Options{Convergence: Convergence{TimeoutSecondsPerGiB: 8}}, dirty: 200, on: "alpha", says: "did not come to an end in 8s (timeout_seconds_per_gib)"},
		{name: "abort of a stalled copy, peer to peer", options: Options{Control: ControlPeerToPeer, Convergence: Convergence{StallSeconds: 3}}, dirty: 200, on: "alpha", whole: true, says: "came no nearer to its end for 3s (stall_seconds)"},
		{name: "suspend", whole: true, options: Options{Convergence: Convergence{TimeoutSecondsPerGiB: 6, OnTimeout: OnTimeoutSuspend}}, dirty: 200, on: "beta", says: "was paused for the rest", minMS: 500},
		{name: "suspend over tls, peer to peer", options: Options{Transport: TransportTLS, Control: ControlPeerToPeer, Convergence: Convergence{TimeoutSecondsPerGiB: 6, OnTimeout: OnTimeoutSuspend}}, dirty: 200, on: "beta", says: "was paused for the rest", minMS: 500},
		{name: "keep trying until the time-out of all", whole: true, options: Options{Convergence: Convergence{StallSeconds: 1, TimeoutSecondsPerGiB: 1, OnTimeout: OnTimeoutKeepTrying}}, timeout: 8 * time.Second, dirty: 200, on: "alpha", says: "the time-out of 8s passed"},
		{name: "a longer downtime", whole: true, options: Options{MaxDowntimeMS: 100, Convergence: Convergence{TimeoutSecondsPerGiB: 20, DowntimeSteps: 6}}, dirty: 200, on: "beta", minMS: 500},
		{name: "auto-converge", options: Options{Convergence: Convergence{TimeoutSecondsPerGiB: 60, AutoConverge: true}}, dirty: 80, on: "beta", whole: true},
		{name: "post-copy", options: Options{Convergence: Convergence{TimeoutSecondsPerGiB: 6, OnTimeout: OnTimeoutPostCopy}}, dirty: 200, on: "beta", says: "before all its memory was there", maxMS: 1200},
		{name: "post-copy, peer to peer", whole: true, options: Options{Control: ControlPeerToPeer, Convergence: Convergence{TimeoutSecondsPerGiB: 6, OnTimeout: OnTimeoutPostCopy}}, dirty: 200, on: "beta", says: "before all its memory was there", maxMS: 1200},
	} {
		t.Run(strings.NewReplacer(" ", "_", ",", "").Replace(c.name), func(t *testing.T) {
			if c.whole && !wholeSuite() {
				t.Skip("only in make test-faults")
			}
			if c.options.Convergence.OnTimeout == OnTimeoutPostCopy {
				allowPostCopy(t, l)
			}
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: c.dirty, Disk: true, NIC: true})
			if c.options.Transport == "" {
				c.options.Transport = TransportRelay
			}
			fleet := labFleet(t, l)
			if c.options.Transport == TransportRelay {
				fleet = labFleet(t, l, relayHosts(l, "root"))
			}
			since := time.Now()
			o, err := fleet.Migrate(labtest.Context(t, 3*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: c.options, Timeout: c.timeout})
			said := strings.Join(o.Warnings, "; ")
			if moved := err == nil; moved != (c.on == "beta") {
				t.Errorf("moved %v, error %v", moved, err)
			}
			if err != nil {
				said = err.Error()
				t.Log(said)
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it says %q, not %q", said, c.says)
			}
			labtest.MustRun(t, g, c.on)
			mustLeaveNoRelay(t, l)
			if o.Result == nil {
				return
			}
			t.Logf("total %d ms, copy %d ms, downtime %d ms, missing %v", *o.Result.TotalMS, *o.Result.CopyMS, *o.Result.DowntimeMS, o.Result.MissingFigures)
			if got := *o.Result.DowntimeMS; got < c.minMS || c.maxMS > 0 && got > c.maxMS {
				t.Errorf("downtime %d ms, expected %d to %d", got, c.minMS, c.maxMS)
			}
			// an emulated guest may hiccup after it started, and is never silent for less than it stood still
			if gap, err := g.SwitchoverGap(t.Context(), since); err != nil || gap.Length.Milliseconds() < *o.Result.DowntimeMS-10 {
				t.Errorf("the guest was silent for %s (%v), downtime_ms is %d", gap.Length, err, *o.Result.DowntimeMS)
			}
		})
	}
}

// TestBrokenPostCopyIsLeftToAPerson kills a relay while the guest runs on the destination and fetches its memory. The run
// ends and says so, and nobody touches either half any more.
func TestBrokenPostCopyIsLeftToAPerson(t *testing.T) {
	if !wholeSuite() {
		t.Skip("only in make test-faults")
	}
	l := labtest.Lab(t)
	allowPostCopy(t, l)
	slowLink(t, l, 100)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: 64, Disk: true, NIC: true})
			options := Options{Transport: TransportRelay, Control: control, Convergence: Convergence{TimeoutSecondsPerGiB: 6, OnTimeout: OnTimeoutPostCopy}}
			request := Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: options}
			var once sync.Once
			var fault sync.WaitGroup
			ctx := labtest.Context(t, time.Minute)
			request.Watch = func(p Progress) {
				if p.Step == StepSwitch {
					once.Do(func() {
						fault.Go(func() {
							for state := ""; !strings.Contains(state, "running"); {
								var err error
								if state, err = l.Host("beta").DomainState(ctx, g.Name); err != nil {
									t.Error(err)
									return
								}
							}
							mustExec(t, ctx, l.Host("alpha"), "pkill", "--signal", "KILL", "--full", "below-supervisor")
						})
					})
				}
			}
			_, err := labFleet(t, l, relayHosts(l, "root")).Migrate(labtest.Context(t, 2*time.Minute), request)
			fault.Wait()
			t.Log(err)
			for _, run := range []string{"the run itself", "the next run"} {
				if err == nil || !strings.Contains(err.Error(), "neither may be destroyed") || !strings.Contains(err.Error(), "destroy neither half") || !errors.Is(err, ErrNeedsPerson) {
					t.Errorf("%s: error %v", run, err)
				}
				for _, h := range l.Hosts {
					if state, err := h.Virsh(ctx, "domstate", "--reason", g.Name); err != nil || !strings.Contains(state, "post-copy") {
						t.Errorf("%s, %s: %s, error %v", run, h.Name, state, err)
					}
				}
				request.Watch = nil
				_, err = labFleet(t, l, relayHosts(l, "root")).Migrate(labtest.Context(t, time.Minute), request)
			}
		})
	}
}
