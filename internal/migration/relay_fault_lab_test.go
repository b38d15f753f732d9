package migration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// relayedMove is a slow move from alpha to beta through the relay. Each of then is called once, in turn, when
// so many more bytes of memory have been copied.
func relayedMove(t *testing.T, l *lab.Lab, g *lab.Guest, options Options, then ...func()) (Outcome, error) {
	t.Helper()
	options.Transport, options.BandwidthMiBPerSecond = TransportRelay, 24
	next, calls := uint64(8<<20), then
	var running sync.WaitGroup
	o, err := labFleet(t, l, relayHosts(l, "root")).Migrate(labtest.Context(t, 2*time.Minute), Request{
		Guest: GuestRef{Name: g.Name}, Host: "beta", Options: options,
		Watch: func(p Progress) {
			if len(calls) > 0 && p.MemoryProcessedBytes != nil && *p.MemoryProcessedBytes > next {
				call := calls[0]
				calls, next = calls[1:], *p.MemoryProcessedBytes+16<<20
				running.Go(call)
			}
		},
	})
	running.Wait()
	if len(calls) > 0 {
		t.Errorf("%d of %d faults never came", len(calls), len(then))
	}
	return o, err
}

func TestRelaySurvivesResetConnections(t *testing.T) {
	l := labtest.Lab(t)
	beta := l.Host("beta")
	for _, c := range []Options{
		{Acknowledge: AcknowledgeWindow, Control: ControlController, ParallelConnections: 3},
		{Acknowledge: AcknowledgeEach, Control: ControlPeerToPeer},
	} {
		t.Run(fmt.Sprintf("%s_%s", c.Acknowledge, c.Control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
			reset := func() {
				mustBeNobody(t, l)
				if n, err := beta.ResetConnections(labtest.Context(t, 20*time.Second), "sport", ">=", ":49152", "and", "sport", "<=", ":49215"); err != nil || n == 0 {
					t.Errorf("%d connections reset: %v", n, err)
				}
			}
			o, err := relayedMove(t, l, g, c, reset, reset)
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustLeaveNoRelay(t, l)
			if n := *o.Result.Reconnects; n < 2 {
				t.Errorf("reconnects %d", n)
			}
			mustKeepTo(t, o.Result, 24)
		})
	}
}

// TestRelayIsResumedInTheSwitchover resets every TCP connection between the relays while the guest stands still. There
// are seconds left for that moment, and the guest arrives.
func TestRelayIsResumedInTheSwitchover(t *testing.T) {
	l := labtest.Lab(t)
	slowLink(t, l, 80)
	for _, c := range []struct {
		name        string
		options     Options
		connections int
	}{
		{"controller", Options{Control: ControlController, ParallelConnections: 2}, 2},
		{"peer_to_peer", Options{Control: ControlPeerToPeer}, 2}, // the memory's and the daemons'
	} {
		t.Run(c.name, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: 1, Disk: true, NIC: true})
			c.options.Transport, c.options.MaxDowntimeMS = TransportRelay, 4000
			var once sync.Once
			var fault sync.WaitGroup
			reset := func() {
				ports := []string{"sport", ">=", ":49152", "and", "sport", "<=", ":49215"}
				n, err := l.Host("beta").ResetConnections(labtest.Context(t, 20*time.Second), ports...)
				if err != nil || n < c.connections {
					t.Errorf("%d connections reset: %v", n, err)
				}
			}
			o, err := labFleet(t, l, relayHosts(l, "root")).Migrate(labtest.Context(t, 2*time.Minute), Request{
				Guest: GuestRef{Name: g.Name}, Host: "beta", Options: c.options,
				Watch: func(p Progress) {
					if p.Step == StepSwitch {
						once.Do(func() { fault.Go(reset) })
					}
				},
			})
			fault.Wait()
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustLeaveNoRelay(t, l)
			if n := *o.Result.Reconnects; n < 1 {
				t.Errorf("reconnects %d: the switchover was over before its connections were reset", n)
			}
		})
	}
}

// TestBrokenRelayLeavesTheGuestOnTheSource: whatever of the way is lost for good, the migration fails with the
// reason, the guest runs where it was, and nothing is left.
func TestBrokenRelayLeavesTheGuestOnTheSource(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	kill := func(h *lab.Host, pattern string) func(*lab.Guest) func() {
		return func(*lab.Guest) func() {
			return func() {
				mustExec(t, labtest.Context(t, 20*time.Second), h, "pkill", "--signal", "KILL", "--full", pattern)
			}
		}
	}
	for _, c := range []struct {
		name    string
		control Control
		fault   func(*lab.Guest) func()
		says    string
	}{
		{"source_relay_killed", ControlController, kill(alpha, "below-supervisor"), "the relay ended"},
		{"destination_relay_killed", ControlPeerToPeer, kill(beta, "below-supervisor"), "the relay ended"},
		{"source_supervisor_killed", ControlPeerToPeer, kill(alpha, "/proc/self/fd/3 serve"), "relay"},
		{"destination_qemu_killed", ControlController, func(g *lab.Guest) func() {
			return func() {
				if err := g.KillQEMU(beta); err != nil {
					t.Error(err)
				}
			}
		}, "destination: "},
		{"link_cut_for_good", ControlController, func(*lab.Guest) func() {
			return func() { // between the hosts only: the controller reaches both
				if err := beta.DropFrom(labtest.Context(t, 20*time.Second), alpha.Address); err != nil {
					t.Error(err)
				}
			}
		}, "connection between the relays broke"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
			t.Cleanup(func() { _ = beta.Heal(context.WithoutCancel(t.Context())) })
			_, err := relayedMove(t, l, g, Options{Control: c.control, ReconnectSeconds: 3}, c.fault(g))
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "on alpha") {
				t.Errorf("error %v", err)
			}
			t.Logf("%v", err)
			labtest.MustRun(t, g, "alpha")
			if err := beta.Heal(labtest.Context(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			// the next run sweeps what a killed supervisor could not, and moves the guest
			if _, err := labFleet(t, l, relayHosts(l, "root")).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportRelay}}); err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustLeaveNoRelay(t, l)
		})
	}
}

func TestKilledControllerLeavesNoRelay(t *testing.T) {
	l := labtest.Lab(t)
	for _, c := range []struct {
		control Control
		user    string
		on      string
	}{
		{ControlController, "root", "alpha"},
		{ControlPeerToPeer, lab.Operator, "beta"},
	} {
		t.Run(string(c.control), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
			hosts := map[string]HostConfig{}
			relayHosts(l, c.user)(hosts)
			child := startChild(t, childOrder{Hosts: hosts, Guest: g.Name, Host: "beta", Options: Options{Control: c.control, Transport: TransportRelay, BandwidthMiBPerSecond: 48}, Stop: "step copy"})
			child.await(t, "step copy")
			child.kill()
			for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(500 * time.Millisecond) {
				err := labtest.RunsBeside(labtest.Context(t, time.Minute), l, g, c.on)
				if err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
			if c.user == "root" {
				mustLeaveNoRelay(t, l)
			}
			// the records, and what libvirt made for a relay without root, the next run takes away
			if _, err := labFleet(t, l, relayHosts(l, c.user)).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "alpha", Options: Options{Transport: TransportRelay}}); err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "alpha")
			mustLeaveNoRelay(t, l)
			mustLeaveNoPool(t, l)
		})
	}
}

func TestCancelledRelayLeavesNothing(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
	ctx, cancel := context.WithCancel(labtest.Context(t, time.Minute))
	defer cancel()
	_, err := labFleet(t, l, relayHosts(l, "root")).Migrate(ctx, Request{
		Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{BandwidthMiBPerSecond: 16},
		Watch: func(p Progress) {
			if p.Step == StepCopy {
				cancel()
			}
		},
	})
	if err == nil || !strings.Contains(err.Error(), "cancel") {
		t.Errorf("error %v", err)
	}
	labtest.MustRun(t, g, "alpha")
	mustLeaveNoRelay(t, l)
}
