package faults

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func TestMain(m *testing.M) {
	if os.Getenv(orderVariable) != "" {
		controllerMain()
	}
	os.Exit(labtest.RunApart(m, "faults"))
}

// TestFaults plays the rows. Their names are fault,moment,way, for go test -run.
func TestFaults(t *testing.T) {
	wanted := isStanding
	switch os.Getenv("VIRTMIGRATE_FAULTS") {
	case "all":
		wanted = func(fault, moment, way) bool { return true }
	case "missing":
		kept, err := read()
		if err != nil {
			t.Fatal(err)
		}
		wanted = func(f fault, m moment, w way) bool {
			wanted := newRow(f, m, w).key()
			return !slices.ContainsFunc(kept, func(r row) bool { return r.key() == wanted })
		}
	}
	for _, f := range faults {
		moments := f.moments
		if moments == nil {
			moments = []moment{early, late, switchover}
		}
		for _, m := range moments {
			for _, w := range ways {
				if (f.of == nil || f.of(w)) && wanted(f, m, w) {
					t.Run(fmt.Sprintf("%s,%s,%s", name(f.name), name(m.name), w), func(t *testing.T) { play(t, f, m, w) })
				}
			}
		}
	}
}

func name(words string) string { return strings.NewReplacer(" ", "_", "'", "").Replace(words) }

func play(t *testing.T, f fault, m moment, w way) {
	l := labtest.Lab(t)
	if err := l.Shape(labtest.Context(t, time.Minute), linkMegabits); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, l, w, f)
	t.Cleanup(func() { // also after a failure
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, h := range l.Hosts {
			_ = h.ThawDaemon() // it may not be frozen
			if s.guest != nil {
				_ = s.guest.ThawQEMU(h)
			}
			if err := h.Heal(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	s.ctl = startController(t, s.order)
	r := newRow(f, m, w)
	reached, early := s.ctl.until(m.fits)
	if !reached {
		t.Fatalf("the controller ended before %q: %+v", m.event, early)
	}
	if err := f.do(s); err != nil {
		t.Fatal(err)
	}
	said := s.ctl.end()
	for _, other := range s.others {
		end := other.end()
		t.Logf("the other controller: %+v", end)
		if end == nil || end.Host != "" && end.Host != destination {
			t.Errorf("the other controller says %+v", end)
		}
	}
	s.mend(f)
	copies := s.settled()
	s.judgeFault(f, m, said, copies, &r)
	if f.harm != nil && r.GuestRunningOn == destination {
		r.Exception = cmp.Or(r.Exception, f.harm(w, m))
		s.harmed = f.harm(w, m) != ""
	}
	s.judgeNextRun(&r)
	r.Passed = !t.Failed()
	t.Logf("%+v", r)
	if err := keep(r); err != nil {
		t.Error(err)
	}
}

// judgeFault looks at what is right after the fault.
func (s *scene) judgeFault(f fault, m moment, said *ending, copies map[string]string, r *row) {
	t := s.t
	t.Helper()
	on := running(copies)
	r.CopiesRunningAfterFault, r.GuestRunningOn = len(on), cmp.Or(strings.Join(on, " and "), none)
	switch {
	case said == nil && !s.killed:
		t.Error("the controller died")
	case said == nil:
		r.Outcome = "the controller was killed"
	default:
		r.Outcome = said.words()
		if said.Error != "" && !strings.Contains(said.Error, "the guest is ") {
			t.Errorf("the error does not say where the guest is: %s", said.Error)
		}
		if said.Host != "" && len(on) == 1 && on[0] != said.Host && !strings.Contains(said.Error, "paused") {
			t.Errorf("the guest runs on %s, and the controller said %q", on[0], said.words())
		}
	}
	if assertion := labtest.QEMUAborted(s.lab, s.guest); assertion != "" {
		t.Logf("QEMU said: %s", assertion)
		r.Exception = knownAbort(assertion, f, *r)
		r.ExpectedLoss = cmp.Or(r.ExpectedLoss, r.Exception)
	}
	allowed := f.on
	if allowed == nil {
		allowed = []string{source, destination}
	}
	if f.stops != nil {
		s.reason = f.stops(s.way, m)
	}
	if s.reason != "" || r.ExpectedLoss != "" || s.mayBeStuck(*r) && strings.Contains(r.Outcome, stuck) {
		allowed = append(slices.Clone(allowed), none)
	}
	if s.twice = len(on) > 1 && f.twice != nil && f.twice(s.way) != ""; s.twice {
		r.Exception = f.twice(s.way)
		return
	}
	if len(on) > 1 || !slices.Contains(allowed, r.GuestRunningOn) {
		t.Errorf("after the fault the guest is %v, which is not among %v; the controller said %q", copies, allowed, r.Outcome)
	}
}

// knownAbort names the defects of QEMU of which a guest may die here; "" for what is not known, or what nobody but we
// can have brought about.
func knownAbort(assertion string, f fault, r row) string {
	aborted := r.Control == string(migration.ControlPeerToPeer) || f.name == abortByHand
	switch {
	case strings.Contains(assertion, "yank_unregister_instance"):
		return "QEMU 7.2 aborted on an assertion of its own (yank_unregister_instance) when its migration broke off, and took the guest with it"
	case strings.Contains(assertion, "BDRV_O_INACTIVE") && r.Moment == switchover.name && aborted:
		return "QEMU before 10.0 let the guest go on without its disks when it was told in the switchover to abort, which libvirt does under peer_to_peer when the connection of the daemons breaks, and so does a person with virsh"
	}
	return ""
}

// judgeNextRun makes the next run, and looks at what is there in the end.
func (s *scene) judgeNextRun(r *row) {
	t := s.t
	t.Helper()
	lost := r.ExpectedLoss != "" && r.CopiesRunningAfterFault == 0
	next := s.nextRun()
	r.NeedsAPerson = next.Person
	t.Logf("the next run: %s %q", next.words(), next.Warnings)
	if s.mayBeStuck(*r) && strings.Contains(next.Error, stuck) {
		next = s.restarted(r)
		lost = r.ExpectedLoss != ""
	}
	for range 3 { // and the daemon answers nobody while its QEMU does not
		if s.reason != deaf || !strings.Contains(next.Error, migration.ErrHostSilent.Error()) {
			break
		}
		r.Exception = deaf + "; the run after that made it good"
		s.settled()
		next = s.nextRun()
		t.Logf("the run after that: %s %q", next.words(), next.Warnings)
	}
	after, err := s.copies()
	if err != nil {
		t.Fatal(err)
	}
	r.CopiesRunningAfterNextRun = len(running(after))
	if s.twice {
		if !next.Person || r.CopiesRunningAfterNextRun != 2 {
			t.Errorf("of a guest that runs twice the next run says %q, and leaves %v", next.words(), after)
		}
	} else if !lost {
		err := s.unharmed(destination)
		switch r.RecoveredByNextRun = err == nil; {
		case err == nil && s.harmed:
			r.Exception = "" // it had its disk back before it missed it
		case err == nil:
		case strings.HasPrefix(r.Exception, deaf) && sessionAlone.MatchString(err.Error()):
			r.RecoveredByNextRun = true
			r.Exception += "; a TCP session of the guest did not last that long"
		case s.harmed && diskAlone.MatchString(err.Error()):
			t.Logf("as the exception says: %v", err) // QEMU may tell of it only when the controller has ended
		default:
			t.Errorf("after the next run (%s): %v", next.words(), err)
		}
	} else if r.CopiesRunningAfterNextRun > 0 {
		t.Errorf("a guest that was lost runs again, on %v", running(after))
	}
	r.SecondsDown = s.secondsDown()
	r.Leftovers = s.leftovers()
	for _, left := range r.Leftovers {
		t.Errorf("left behind: %s", left)
	}
}

// stuck is part of what the error says that a person has to do.
const stuck = "restart libvirtd there"

// mayBeStuck: the source's daemon drives, and cannot be helped by us.
func (s *scene) mayBeStuck(r row) bool {
	return s.way.control == migration.ControlPeerToPeer && r.Moment == switchover.name
}

// restarted does what the error says, and runs once more. A daemon that does not come back waits for a QEMU that answers
// nobody any more, of which only the end is left.
func (s *scene) restarted(r *row) ending {
	s.t.Helper()
	r.NeedsAPerson, r.Exception = true, "libvirt 9.0's source daemon, which drove the migration, waited for ever after the destination's had gone; it was restarted, as the error says"
	if err := s.alpha.RestartDaemon(s.ctx()); err != nil {
		s.t.Fatal(err)
	}
	next := s.nextRun()
	s.t.Logf("after the restart of libvirtd: %s %q", next.words(), next.Warnings)
	if !strings.Contains(next.Error, migration.ErrHostSilent.Error()) {
		return next
	}
	r.Exception = "the source's QEMU 7.2, told by libvirt in the switchover to abort, answered nobody any more, not even a libvirtd that was started anew; it was killed, and with it the guest"
	r.ExpectedLoss = cmp.Or(r.ExpectedLoss, r.Exception)
	if err := s.guest.KillQEMU(s.alpha); err != nil {
		s.t.Fatal(err)
	}
	next = s.nextRun()
	s.t.Logf("after the end of QEMU: %s %q", next.words(), next.Warnings)
	return next
}

// sessionAlone is what a guest says that has lost nothing but patience at the other end of its TCP session.
var sessionAlone = regexp.MustCompile(`^the guest is not unharmed: .*: 0 memory errors, 0 disk errors, TCP session broken: true`)

// diskAlone is what a guest says whose disk has failed it and nothing else.
var diskAlone = regexp.MustCompile(`^the guest is not unharmed: .*: 0 memory errors, \d+ disk errors, TCP session broken: false`)
