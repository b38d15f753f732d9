package faults

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// way is one kind of migration.
type way struct {
	transport migration.Transport
	control   migration.Control
}

func (w way) String() string { return string(w.transport) + "_" + string(w.control) }

// ways are all kinds that are encrypted.
var ways = []way{
	{migration.TransportTLS, migration.ControlController},
	{migration.TransportTLS, migration.ControlPeerToPeer},
	{migration.TransportTunnel, migration.ControlPeerToPeer},
	{migration.TransportRelay, migration.ControlController},
	{migration.TransportRelay, migration.ControlPeerToPeer},
}

// moment is when a fault happens, told by what the controller reports.
type moment struct {
	name, event string
	fits        func(report) bool
}

const fillMiB = 96

var (
	beforeCopy = moment{"before the copy", "step perform", func(r report) bool { return r.Step == migration.StepPerform }}
	early      = moment{"early copy", "4 MiB processed", func(r report) bool { return r.Processed >= 4<<20 }}
	late       = moment{"late copy", "72 MiB processed", func(r report) bool { return r.Processed >= fillMiB<<20*3/4 }}
	switchover = moment{"switchover", "the source's CPUs stopped", func(r report) bool { return r.Step == migration.StepSwitch }}
)

// linkMegabits makes a copy last some seconds, and a switchover up to downtimeMS.
const (
	linkMegabits = 300
	downtimeMS   = 1000
)

// scene is one row being played.
type scene struct {
	t     *testing.T
	lab   *lab.Lab
	guest *lab.Guest
	way   way
	ctl   *controller
	// others are further controllers that a fault started.
	others []*controller
	// killed says that the controller was, so that it says nothing in the end.
	killed bool
	// reason is why the guest may stand still until the next run; "" when it must not.
	reason string
	// twice says that two copies ran, for a reason that is named.
	twice bool
	// harmed says that the guest's disk may have failed it.
	harmed bool
	alpha  *lab.Host
	beta   *lab.Host
	order  order
	before []lab.Snapshot
}

func (s *scene) ctx() context.Context { return labtest.Context(s.t, time.Minute) }

// hosts is the configuration of the lab's hosts as a user would write it. The relay needs logins.
func hosts(l *lab.Lab, kind lab.Kind) map[string]migration.HostConfig {
	hosts := map[string]migration.HostConfig{}
	for _, h := range l.Hosts {
		hosts[h.Name] = migration.HostConfig{URI: h.URI(kind), MigrationAddress: h.MigrationAddress(), TLSDestination: h.TLSName(), PeerURI: h.PeerURI(lab.TLS)}
	}
	return hosts
}

func newScene(t *testing.T, l *lab.Lab, w way, f fault) *scene {
	t.Helper()
	s := &scene{t: t, lab: l, way: w, alpha: l.Host("alpha"), beta: l.Host("beta")}
	kind := lab.TLS
	if w.transport == migration.TransportRelay || f.overSSH {
		kind = lab.SSH
	}
	s.order = order{Hosts: hosts(l, kind), To: "beta", TimeoutSeconds: 120, Options: migration.Options{
		Transport: w.transport, Control: w.control, MaxDowntimeMS: downtimeMS, BlackoutTimeoutMS: 5000,
		Convergence: migration.Convergence{StallSeconds: 8},
	}}
	if w.transport == migration.TransportRelay {
		s.order.Options.ReconnectSeconds = 15
	}
	config := lab.GuestConfig{Host: "alpha", FillMiB: fillMiB, DirtyMiBPerSecond: 8, Disk: true, NIC: true, BeatEvery: 50 * time.Millisecond}
	if f.copies {
		config.LocalDisk = true
		s.order.Options.Storage = migration.StorageCopy
		s.order.Hosts = hosts(l, lab.SSH)
	}
	if f.setUp != nil {
		if err := f.setUp(s); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.before, err = l.Snapshot(s.ctx()); err != nil {
		t.Fatal(err)
	}
	config.Name = fmt.Sprintf("f%d", number.Add(1))
	if s.guest, err = l.StartGuest(labtest.Context(t, 2*time.Minute), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	s.order.Guest = s.guest.Name
	return s
}

// number tells the rows' guests apart.
var number atomic.Int32

// remove takes the guest away, once.
func (s *scene) remove() {
	if s.guest == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.guest.Remove(ctx); err != nil {
		s.t.Errorf("remove the guest: %v", err)
	}
	s.guest = nil
}

// mend does what a person, or a service manager, does after a fault.
func (s *scene) mend(f fault) {
	s.t.Helper()
	if f.mend != nil {
		if err := f.mend(s); err != nil {
			s.t.Error(err)
		}
	}
	for _, h := range s.lab.Hosts {
		_ = h.ThawDaemon() // it may be gone
		_ = s.guest.ThawQEMU(h)
		if err := h.Heal(s.ctx()); err != nil {
			s.t.Error(err)
		}
		if _, err := h.Virsh(s.ctx(), "version"); err != nil {
			if err := h.RestartDaemon(s.ctx()); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// copies are the hosts that have the guest, with its state in virsh's words; "" for a definition alone.
func (s *scene) copies() (map[string]string, error) {
	found := map[string]string{}
	for _, h := range s.lab.Hosts {
		state, err := h.DomainState(s.ctx(), s.guest.Name)
		if err != nil {
			return nil, err
		}
		if state != "" {
			found[h.Name] = state
		}
	}
	return found, nil
}

func running(copies map[string]string) (on []string) {
	for host, state := range copies {
		if state == "running" {
			on = append(on, host)
		}
	}
	slices.Sort(on)
	return on
}

// inMemory counts the copies that have a QEMU. A definition may be the stub that awaited the guest.
func inMemory(copies map[string]string) (n int) {
	for _, state := range copies {
		if state != "shut off" {
			n++
		}
	}
	return n
}

// settled waits until what the daemons do by themselves has come to its end: no migration job runs, and the guest runs,
// or does not change any more. It gives the copies there are then.
func (s *scene) settled() map[string]string {
	s.t.Helper()
	var last string
	var since time.Time
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(300 * time.Millisecond) { // the pace of a poll
		copies, err := s.copies()
		if err != nil && time.Now().Before(deadline) {
			continue // a domain that went away between two questions
		}
		if err != nil {
			s.t.Fatal(err)
		}
		now := fmt.Sprint(copies)
		for _, h := range s.lab.Hosts {
			job, _ := h.Virsh(s.ctx(), "domjobinfo", s.guest.Name)
			if strings.Contains(job, "Unbounded") || strings.Contains(job, "Bounded") {
				now += " a job on " + h.Name
			}
		}
		if now != last {
			last, since = now, time.Now()
		}
		still := time.Since(since)
		switch {
		case len(running(copies)) == 1 && inMemory(copies) == 1 && !strings.Contains(now, "a job") && still > 600*time.Millisecond,
			!strings.Contains(now, "a job") && still > 3*time.Second,
			still > 40*time.Second, // longer than libvirt's keepalive
			time.Now().After(deadline):
			return copies
		}
	}
}

// nextRun moves the guest as a person would after the fault: the same again.
func (s *scene) nextRun() ending {
	fleet, err := migration.NewFleet(migration.Config{Hosts: s.order.Hosts})
	if err != nil {
		s.t.Fatal(err)
	}
	defer fleet.Close()
	options := s.order.Options
	options.Convergence, options.BlackoutTimeoutMS = migration.Convergence{}, 0
	return end(fleet.Migrate(labtest.Context(s.t, 3*time.Minute), migration.Request{Guest: migration.GuestRef{Name: s.guest.Name}, Host: "beta", Options: options}))
}

// ordinary is what a move or a daemon leaves on purpose: the relay's program, process numbers, directories that
// libvirt makes when it first needs them; logins whose connection was cut, which sshd keeps until TCP gives them up; and
// the owner of the lab's kernel, which libvirt sets when a guest comes and resets when one leaves.
var ordinary = regexp.MustCompile(`/root/\.cache|process sshd: |^~ .*: file /var/lib/libvirt/boot/|/(driver|libvirtd)\.pid|file (/etc/libvirt/qemu|/etc/libvirt/storage|/var/lib/libvirt/images) \(d`)

// leftovers takes the guest away, and gives what differs then from what was there before it came. What ends by
// itself is given time.
func (s *scene) leftovers() []string {
	s.t.Helper()
	s.remove()
	left := []string{}
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		after, err := s.lab.Snapshot(s.ctx())
		if err != nil {
			s.t.Fatal(err)
		}
		left = slices.DeleteFunc(append([]string{}, lab.DiffAll(s.before, after)...), ordinary.MatchString)
		if len(left) == 0 {
			break
		}
	}
	return left
}

// unharmed asks the guest itself, again and again while it may be busy catching up.
func (s *scene) unharmed(on string) error {
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if err = labtest.Runs(s.ctx(), s.lab, s.guest, on); err == nil {
			return nil
		}
	}
	return err
}

// secondsDown is the guest's longest silence.
func (s *scene) secondsDown() float64 {
	gap, err := s.guest.LongestGap(s.ctx(), time.Time{})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.t.Log(err)
	}
	return float64(gap.Length.Milliseconds()) / 1000
}
