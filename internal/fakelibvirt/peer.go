package fakelibvirt

import (
	"time"

	libvirt "github.com/digitalocean/go-libvirt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// peerTime is what a call between two daemons takes where nobody holds it.
const peerTime = 5 * time.Millisecond

// drive makes the five calls, the other daemon's among them, as the source's daemon does with peer-to-peer migrations
// (qemuMigrationSrcPerformPeer2Peer3). The end of the client's connection does not end it.
func (d *Daemon) drive(c *client, a libvirt.DomainMigratePerform3ParamsArgs) error {
	if len(a.Dconnuri) != 1 {
		return fail(libvirt.ErrInvalidArg, "invalid argument: no destination")
	}
	to := d.world.daemons[hostOf(a.Dconnuri[0])]
	if to == nil || to.down {
		return fail(libvirt.ErrSystemError, "unable to connect to server at '%s': Connection refused", a.Dconnuri[0])
	}
	dom, err := c.freeActive(a.Dom)
	if err != nil {
		return err
	}
	flags := host.Flags(a.Flags)
	job, here := &job{peer: true, paused: dom.live.state.Paused(), flags: flags}, dom.live
	dom.job = job
	if job.paused {
		flags |= host.FlagPaused
	}
	end := func(err error) error {
		if dom.job == job {
			dom.job = nil
		}
		return err
	}
	self := &client{daemon: to, name: "the daemon of " + d.name}
	w := d.world
	if w.own(d, "prepare on "+to.name, peerTime) != Deliver || job.abort || dom.live != here {
		return end(fail(libvirt.ErrOperationAborted, "operation aborted: migration out: canceled by client"))
	}
	if _, err := to.awaitIncoming(self, here.description); err != nil {
		return end(err)
	}
	if err := dom.send(to); err != nil {
		if t := to.domains[dom.uuid]; t != nil && t.job != nil && t.job.owner == self {
			_ = t.arrive(flags, true)
		}
		return end(err)
	}
	job.phase = phasePerformed
	verdict := w.own(d, "finish on "+to.name, peerTime)
	lost := fail(libvirt.ErrSystemError, "Cannot recv data: Connection reset by peer")
	if there := to.domains[dom.uuid]; verdict != Lose && there != nil {
		lost = there.arrive(flags, false)
	}
	if verdict == LoseReply {
		lost = fail(libvirt.ErrSystemError, "Cannot recv data: Connection reset by peer")
	}
	if dom.job != job { // its host went down meanwhile
		return failed("domain is not running")
	}
	// libvirt takes a finish without an answer for one that failed, and lets the source go on
	w.driving = true
	dom.leave(flags, lost != nil)
	w.driving = false
	return lost
}
