package observer

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/beat"
)

const boot = 0x1234

// told plays beats to a record: each is sent by a QEMU process and arrives at a time.
type told struct {
	record
	at time.Duration
}

func (t *told) beat(id int, boot uint32, seq uint64) {
	t.at += beat.Interval
	t.line(id, t.at, beat.AppendPulse(nil, beat.Pulse{Boot: boot, Seq: seq, Uptime: t.at}))
}

func (t *told) beats(id int, boot uint32, first, last uint64) {
	for seq := first; seq <= last; seq++ {
		t.beat(id, boot, seq)
	}
}

func TestAMoveIsNoFaultAndItsGapIsSeen(t *testing.T) {
	var r told
	alpha := r.connected("alpha")
	r.beats(alpha, boot, 1, 50)
	beta := r.connected("beta")
	r.at += 190 * time.Millisecond
	r.beats(beta, boot, 51, 100)
	r.closed(alpha)

	report := r.report(r.at, 0)
	if len(report.Faults) > 0 || report.Lost > 0 || report.Beats != 100 || report.Host != "beta" {
		t.Fatalf("%+v", report)
	}
	want := Gap{Length: 200 * time.Millisecond, From: 500 * time.Millisecond, FromHost: "alpha", ToHost: "beta"}
	if report.Switchover != want {
		t.Fatalf("switchover %+v, want %+v", report.Switchover, want)
	}
	if report.Gap != want {
		t.Fatalf("gap %+v, want %+v", report.Gap, want)
	}
	if later := r.report(r.at, 700*time.Millisecond); later.Gap.Length > beat.Interval {
		t.Fatalf("a gap that ended before the question's time was counted: %+v", later.Gap)
	}
	if later := r.report(r.at, 600*time.Millisecond); later.Gap != want {
		t.Fatalf("a gap that ended after the question's time was not counted whole: %+v", later.Gap)
	}
}

func TestALineTornByTheMoveIsPutTogether(t *testing.T) {
	var r told
	alpha := r.connected("alpha")
	r.beats(alpha, boot, 1, 3)
	beta := r.connected("beta")
	line := beat.AppendPulse(nil, beat.Pulse{Boot: boot, Seq: 4})
	r.rest(alpha, r.at, line[:9])
	r.line(beta, r.at, line[9:])
	r.beat(beta, boot, 5)
	if report := r.report(r.at, 0); report.Lost != 0 || report.Beats != 5 {
		t.Fatalf("%+v", report)
	}
}

func TestALongGapOfABusyMachineIsNotTakenForTheSwitchover(t *testing.T) {
	var r told
	alpha := r.connected("alpha")
	r.beats(alpha, boot, 1, 3)
	r.at += time.Second
	r.beats(alpha, boot, 4, 6)
	r.at += 90 * time.Millisecond
	r.beats(r.connected("beta"), boot, 7, 9)
	if report := r.report(r.at, 0); report.Switchover.Length != 100*time.Millisecond || report.Gap.Length != time.Second+beat.Interval {
		t.Fatalf("%+v", report)
	}
}

func TestLostBeatsAreCounted(t *testing.T) {
	var r told
	alpha := r.connected("alpha")
	r.beats(alpha, boot, 1, 3)
	r.beats(alpha, boot, 7, 9)
	if report := r.report(r.at, 0); report.Lost != 3 {
		t.Fatalf("lost %d, want 3", report.Lost)
	}
}

func TestAGapThatLastsCountsToo(t *testing.T) {
	var r told
	r.beats(r.connected("alpha"), boot, 1, 3)
	gap := r.report(r.at+time.Second, 0).Gap
	if gap.Length != time.Second || gap.ToHost != "" {
		t.Fatalf("%+v", gap)
	}
}

func TestWhatMustNeverHappenIsAFault(t *testing.T) {
	cases := map[string]struct {
		play func(r *told)
		want string
	}{
		"the guest restarted": {func(r *told) {
			r.beats(r.connected("alpha"), boot, 1, 20)
			r.beats(r.connected("beta"), boot+1, 1, 5)
		}, "the guest restarted"},
		"the guest went back to an earlier state": {func(r *told) {
			r.beats(r.connected("alpha"), boot, 1, 20)
			r.beats(r.connected("alpha"), boot, 10, 15)
		}, "went back in time"},
		"the source runs on beside the destination": {func(r *told) {
			alpha, beta := r.connected("alpha"), r.connected("beta")
			r.beats(alpha, boot, 1, 20)
			r.beats(beta, boot, 21, 25)
			r.beat(alpha, boot, 26) // a number of its own, so only the process gives it away
		}, "two copies run"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var r told
			c.play(&r)
			if faults := strings.Join(r.report(r.at, 0).Faults, "; "); !strings.Contains(faults, c.want) {
				t.Fatalf("faults: %q", faults)
			}
		})
	}
}

func TestADestinationThatDiesBeforeItTookOverIsNoFault(t *testing.T) {
	var r told
	alpha, beta := r.connected("alpha"), r.connected("beta")
	r.beats(alpha, boot, 1, 20)
	r.closed(beta)
	r.beats(alpha, boot, 21, 40)
	if report := r.report(r.at, 0); len(report.Faults) > 0 || report.Host != "alpha" {
		t.Fatalf("%+v", report)
	}
}

func TestOldBeatsAreForgottenAndTheLastKept(t *testing.T) {
	var r told
	alpha := r.connected("alpha")
	r.beats(alpha, boot, 1, keep+10)
	if len(r.arrivals) > keep || r.arrivals[len(r.arrivals)-1].seq != keep+10 {
		t.Fatalf("%d arrivals, the last %d", len(r.arrivals), r.arrivals[len(r.arrivals)-1].seq)
	}
}
