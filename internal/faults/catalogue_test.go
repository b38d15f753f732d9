package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// fault is one thing that breaks.
type fault struct {
	name string
	// moments at which it is tried; nil for early, late and switchover.
	moments []moment
	// of says for which ways there is such a fault; nil for all.
	of func(way) bool
	// setUp is called before the guest starts, do at the moment, mend, where the usual does not do, afterwards.
	setUp, do, mend func(*scene) error
	// overSSH: the controller reaches the daemons by SSH whatever the transport is. copies: a local disk is copied.
	overSSH, copies bool
	// on says where the guest may be when all has come to its end; nil for either host. "none" stands for paused or gone.
	on []string
	// loss is why the guest cannot survive; "" when it must.
	loss string
	// stops is why the guest may stand still until the next run; nil, or "", when it must not.
	stops func(way, moment) string
	// twice says why two copies may run, which the next run must leave to a person; nil, or "", when they must not.
	twice func(way) string
	// harm says why the guest's disk may have failed it where it has moved to; nil, or "", when it must not.
	harm func(way, moment) string
}

const (
	source      = "alpha"
	destination = "beta"
	none        = "none"
	abortByHand = "abort by virsh"
)

func relayed(w way) bool { return w.transport == migration.TransportRelay }

// between are the reasons for which a guest may be found paused: nobody is there who knows of both halves.
const (
	nobodyDrives = "between perform and finish only the controller knows of both halves, and it is dead"
	daemonGone   = "a daemon that was killed in the switchover cannot tell what became of its half, and libvirt leaves such a guest paused"
)

func always(reason string) func(way, moment) string {
	return func(way, moment) string { return reason }
}

// whileDeaf is what a lost link means to a switchover that no relay carries.
func whileDeaf(w way, m moment) string {
	if relayed(w) || m.name != switchover.name {
		return ""
	}
	return deaf
}

const deaf = "the source's QEMU listens to nobody while it waits for the network, which TCP tries less and less often"

// pkill kills processes of a host by their command line.
func pkill(h *lab.Host, s *scene, pattern string) error {
	_, err := h.Exec(s.ctx(), "pkill", "--signal", "KILL", "--full", pattern)
	return err
}

var faults = []fault{
	{name: "controller killed", do: func(s *scene) error { s.killed = true; return s.ctl.signal(os.Kill) }, stops: always(nobodyDrives)},
	{name: "ctrl-c", do: func(s *scene) error { return s.ctl.signal(syscall.SIGINT) }},
	{name: "time-out of the caller", do: func(s *scene) error { _, err := s.ctl.stdin.Write([]byte("time-out\n")); return err }},
	{name: "source libvirtd killed", do: func(s *scene) error { return s.alpha.KillDaemon(s.ctx()) }, stops: always(daemonGone)},
	{name: "source libvirtd restarted", do: func(s *scene) error { return s.alpha.RestartDaemon(s.ctx()) }, stops: always(daemonGone)},
	{name: "destination libvirtd killed", do: func(s *scene) error { return s.beta.KillDaemon(s.ctx()) }, stops: always(daemonGone)},
	{name: "destination libvirtd restarted", do: func(s *scene) error { return s.beta.RestartDaemon(s.ctx()) }, stops: always(daemonGone)},
	{name: "destination QEMU killed", do: func(s *scene) error { return s.guest.KillQEMU(s.beta) }},
	{name: "source QEMU killed", do: func(s *scene) error { return s.guest.KillQEMU(s.alpha) }, on: []string{none, destination},
		loss: "before the switchover is complete the source's QEMU is the guest"},
	{name: "link cut for 10 s", do: func(s *scene) error { return errors.Join(cut(s), healLater(s, 10*time.Second)) }, stops: whileDeaf},
	{name: "link cut", do: cut, stops: whileDeaf},
	{name: "destination cut off", do: func(s *scene) error { return s.beta.Cut(s.ctx()) }, stops: always("the controller cannot know whether the guest was started on a host that it does not reach")},
	{name: "one-way loss", do: func(s *scene) error { return s.beta.DropFrom(s.ctx(), s.alpha.Address) }, stops: whileDeaf},
	{name: "one-way loss of the replies", do: func(s *scene) error { return s.alpha.DropFrom(s.ctx(), s.beta.Address) }, stops: whileDeaf},
	{name: "source relay killed", of: relayed, do: func(s *scene) error { return pkill(s.alpha, s, "below-supervisor") }},
	{name: "destination relay killed", of: relayed, do: func(s *scene) error { return pkill(s.beta, s, "below-supervisor") }},
	{name: "destination out of memory", do: starve, moments: []moment{early, late}, on: []string{source}},
	{name: "destination's disk full", moments: []moment{beforeCopy}, of: func(w way) bool { return w.transport != migration.TransportTunnel }, copies: true,
		setUp: smallImages, do: fillImages, mend: emptyImages, on: []string{source}},
	{name: "destination loses the shared disk", do: func(s *scene) error { return s.beta.LoseDisks(s.ctx()) }, moments: []moment{early, late}, harm: unseen},
	{name: "guest powers off", do: func(s *scene) error { return s.guest.PowerOff(s.ctx()) }, mend: poweredOff, moments: []moment{early, late}, on: []string{none},
		loss: "the guest switched itself off"},
	{name: "guest is paused", do: func(s *scene) error { _, err := s.alpha.Virsh(s.ctx(), "suspend", s.guest.Name); return err }, moments: []moment{early, late}},
	{name: "two controllers at once", do: func(s *scene) error {
		s.others = append(s.others, startController(s.t, s.order))
		return nil
	}, on: []string{destination}},
	{name: abortByHand, do: func(s *scene) error {
		_, err := s.alpha.Virsh(s.ctx(), "domjobabort", s.guest.Name)
		if err != nil && strings.Contains(err.Error(), "no job is active") { // it has just ended
			return nil
		}
		return err
	}},
	{name: "destination stalls", do: func(s *scene) error { return s.guest.FreezeQEMU(s.beta) }, on: []string{source}},
	{name: "destination libvirtd stalls", do: func(s *scene) error { return s.beta.FreezeDaemon() }, stops: always("the controller cannot know whether the guest was started on a host that does not answer"), twice: resumed},
	{name: "SSH dies and comes back", overSSH: true, do: func(s *scene) error {
		var broken int
		for _, h := range s.lab.Hosts {
			n, err := h.ResetConnections(s.ctx(), "sport", "=", ":22")
			if err != nil {
				return err
			}
			broken += n
		}
		if broken == 0 {
			return errors.New("there was no connection to break")
		}
		return nil
	}, stops: always(nobodyDrives)},
}

// cut cuts the link between the two hosts; the controller reaches both.
func cut(s *scene) error {
	return errors.Join(s.beta.DropFrom(s.ctx(), s.alpha.Address), s.beta.DropTo(s.ctx(), s.alpha.Address))
}

// resumed says why libvirt may run a guest twice.
func resumed(w way) string {
	if w.control != migration.ControlPeerToPeer {
		return ""
	}
	return "libvirt's source daemon resumes the guest when its finish is not answered for 30 s, and a destination's daemon that only stood still carries that finish out when it goes on"
}

// unseen says why a destination that has lost a disk may get the guest.
func unseen(w way, m moment) string {
	switch {
	case !relayed(w):
		return "without an SSH login nobody looks whether the destination still reaches the server of a network disk, and QEMU starts a guest whose disk is gone"
	case m.name == late.name:
		return "the destination is asked every half second; what it loses right before the switchover it loses as if it had right after"
	}
	return ""
}

// poweredOff waits for the guest to have done what it was told to, wherever it is by then.
func poweredOff(s *scene) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) { // the pace of a poll
		if copies, err := s.copies(); err == nil && len(running(copies)) == 0 {
			return nil
		}
	}
	return errors.New("the guest did not switch itself off")
}

func healLater(s *scene, after time.Duration) error {
	var healed sync.WaitGroup
	healed.Go(func() {
		select {
		case <-s.t.Context().Done():
		case <-time.After(after): // the length of this fault
			if err := s.beta.Heal(s.ctx()); err != nil {
				s.t.Error(err)
			}
		}
	})
	s.t.Cleanup(healed.Wait)
	return nil
}

func starve(s *scene) error {
	undo, err := s.guest.StarveQEMU(s.beta)
	if errors.Is(err, lab.ErrNoMemoryLimit) {
		s.t.Skip(err)
	}
	if err == nil {
		s.t.Cleanup(func() {
			if err := undo(); err != nil {
				s.t.Error(err)
			}
		})
	}
	return err
}

const images = "/var/lib/libvirt/images"

// smallImages gives the destination a small file system for its images.
func smallImages(s *scene) error {
	_, err := s.beta.Exec(s.ctx(), "sh", "-c", "mkdir -p "+images+" && mount -t tmpfs -o size=32m none "+images)
	s.t.Cleanup(func() {
		if _, err := s.beta.Exec(context.Background(), "umount", "--lazy", images); err != nil {
			s.t.Error(err)
		}
	})
	return err
}

func fillImages(s *scene) error {
	_, err := s.beta.Exec(s.ctx(), "sh", "-c", "cat /dev/zero > "+images+"/filler || true")
	return err
}

func emptyImages(s *scene) error {
	_, err := s.beta.Exec(s.ctx(), "rm", images+"/filler")
	return err
}

// isStanding says whether a row is among those that stand for the others: of kinds of faults that no other package's
// tests have, spread over the ways and the moments.
func isStanding(f fault, m moment, w way) bool {
	return slices.Contains([]string{
		"source libvirtd restarted/early copy/tls_controller",
		"destination out of memory/late copy/relay_peer_to_peer",
		"destination loses the shared disk/early copy/relay_controller",
		"destination's disk full/before the copy/relay_controller",
		"guest is paused/late copy/tls_peer_to_peer",
		"two controllers at once/early copy/tls_controller",
		"destination stalls/switchover/relay_controller",
		"SSH dies and comes back/early copy/relay_peer_to_peer",
	}, fmt.Sprintf("%s/%s/%s", f.name, m.name, w))
}
