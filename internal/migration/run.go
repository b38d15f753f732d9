package migration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// run is one attempt to move one guest. The goroutine that calls do owns it and its outcome; the
// goroutines it starts observe, or make one call and hand its answer over, and have ended when do returns.
type run struct {
	fleet  *Fleet
	id     host.DomainID
	plan   Plan
	recipe recipe
	// formerDowntime is the source's limit before this run; 0 when it is not known.
	formerDowntime time.Duration
	tell           *teller
	log            hclog.Logger
	// guest is what was found of it before the attempt. replaces: the destination has a definition of it already.
	guest    host.Domain
	replaces bool
	// record is what the hosts keep of this attempt, announced says that it may be there; files is the same of files, by
	// key of host.
	record    journal.Move
	announced bool
	files     map[string]*filesRecord
	// finishSent: the destination was, or may have been, told to let the guest run. neverRan: it is proved that it did
	// not do so.
	finishSent, neverRan bool

	source, destination daemon
	src, dst            session
	moments             moments
	relays              *relays // nil for the other transports
	listening           sync.WaitGroup

	// Instants of this machine's monotonic clock; zero when they did not come.
	began, performing, performed, finishing, ran time.Time
	// clockDelta is what the destination's last cookie says of the two hosts' clocks, in milliseconds.
	clockDelta *int64
	// completed are the statistics the destination keeps of the job, nil with the reason.
	completed    *host.Job
	completedErr error
	// dirtyBytesPerSecond is the last rate QEMU told on the way: it tells none any more at the end.
	dirtyBytesPerSecond *uint64
	// diskTotal and diskProcessed are the last that the running job told: the completed one forgets them.
	diskTotal, diskProcessed *uint64
	warnings                 []string
	// steering are warnings of the goroutine that watches, and its own until it has ended.
	steering []string
	// giveUp takes the first reason to abort that comes from watching.
	giveUp chan error
	// fetching: the guest runs on the destination and fetches its memory, so that nothing can be aborted any
	// more. standing: it was paused so that the copy comes to an end.
	fetching, standing atomic.Bool
	// torn is closed when post-copy broke: then nobody may ever answer.
	torn chan struct{}
	// left: some of the guest's memory or disks was seen to have left the source.
	left atomic.Bool
	// unended: the source's daemon had not ended its part when it was no longer waited for.
	unended bool
	// sourceLost: the connection to the source's daemon broke during the attempt.
	sourceLost bool
}

// How long the engine waits for answers that have no natural length.
const (
	// abortPatience is for an aborted perform to return; after that its connection is closed. Under
	// peer_to_peer that would not end the job, so the daemons are given longer.
	abortPatience     = 15 * time.Second
	peerAbortPatience = 45 * time.Second
	// abortAnswer is for one abort to be answered by a busy daemon.
	abortAnswer = 10 * time.Second
	// finishLeast is for the destination to start the guest, however long the blackout has been.
	finishLeast = 5 * time.Second
	// arrivalPatience is for the daemons to undo a switchover that was called off, before we do.
	arrivalPatience = 3 * time.Second
	// confirmPatience is for the source to kill its QEMU.
	confirmPatience = 60 * time.Second
	// settlePatience is for the daemons to undo what a broken attempt left: their keepalive takes 30 s
	// to notice a connection that died silently.
	settlePatience = 45 * time.Second
)

// do moves the guest, and returns what both hosts say afterwards together with the figures.
func (r *run) do(ctx context.Context) (view, *Result, error) {
	err := r.connect(ctx)
	hint := again(err)
	if err == nil {
		hint = ""
		err = r.readyImages(ctx)
	}
	if err != nil {
		r.relays.end(ctx, false)
		r.closeSessions()
		r.neverRan = true
		if left := r.undo(context.WithoutCancel(ctx)); len(left) > 0 {
			hint = strings.Join(left, "; ")
		}
		return view{}, nil, &Error{Phase: PhaseRun, Guest: r.id.Name, Host: r.plan.From, GuestAt: "untouched on " + r.plan.From, Err: cause(ctx, err), Hint: hint}
	}
	if r.recipe.offline {
		return r.moveDefinition(ctx)
	}
	sourceCPU, destinationCPU := sampleCPU(ctx, r.source, cpuInterval), sampleCPU(ctx, r.destination, cpuInterval)
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { r.watchJob(watching) })
	watch.Go(func() { r.watchServers(watching) })

	r.log.Info("moving the guest", "transport", r.plan.Transport, "control", r.plan.Control, "reason", r.plan.Reason)
	var attempt error
	if r.plan.Control == ControlPeerToPeer {
		attempt = r.peerToPeer(ctx)
	} else {
		attempt = r.controller(ctx)
	}
	stopWatching()
	watch.Wait()
	r.warnings = append(r.warnings, r.steering...)
	select {
	case <-r.src.Lost():
		r.sourceLost = true
	default:
	}
	fig := figures{}
	fig.sourceCPU, fig.sourceCPUErr = sourceCPU.stop()
	fig.destinationCPU, fig.destinationCPUErr = destinationCPU.stop()
	if attempt == nil {
		r.readCompleted(context.WithoutCancel(ctx))
	}
	attempt = r.relays.explain(attempt)
	r.neverRan = r.copyNeverRan()
	// under peer_to_peer daemons that cannot be heard may be going on, and then their way must, too
	fig.relay = r.relays.end(ctx, r.plan.Control == ControlPeerToPeer && r.sourceLost)
	r.closeSessions()

	after, err := r.verify(ctx, attempt)
	if err != nil {
		r.log.Warn("the move ended in an error", "error", err)
		return view{}, nil, err
	}
	r.log.Info("the guest runs on the destination")
	return after, r.result(fig), nil
}

// connect reaches both hosts, announces the attempt there, opens the sessions and prepares the source's limit of downtime.
func (r *run) connect(ctx context.Context) (err error) {
	var from, to host.Facts
	if r.source, from, err = r.fleet.members[r.plan.From].reach(ctx, true); err != nil {
		return err
	}
	if r.destination, to, err = r.fleet.members[r.plan.To].reach(ctx, true); err != nil {
		return err
	}
	r.record, r.files = r.newRecord(from, to), map[string]*filesRecord{}
	if r.recipe.offline {
		return nil // its definition carries the record
	}
	for _, d := range r.recipe.disks.copied {
		if r.recipe.disks.deleteOld && d.file() {
			if err := r.noteFile(ctx, r.plan.From, d.Path, journal.Old); err != nil {
				return err
			}
		}
	}
	// none of these needs another, and each costs a handshake or more
	var ways errgroup.Group
	ways.Go(func() error { return r.announce(ctx) })
	ways.Go(func() (err error) {
		r.src, err = r.source.Session(ctx)
		return err
	})
	ways.Go(func() (err error) {
		r.dst, err = r.destination.Session(ctx)
		return err
	})
	if r.recipe.relay != nil {
		ways.Go(func() error { return r.startRelays(ctx) })
	}
	if err := ways.Wait(); err != nil {
		return err
	}
	if r.relays != nil {
		r.moments.paused = func() {
			if !r.fetching.Load() && !r.standing.Load() {
				r.relays.pause()
			}
		}
	}
	r.listening.Go(func() { r.moments.listen(r.id.UUID, r.src.Events(), r.dst.Events(), r.tell) })
	if r.formerDowntime, err = r.source.MaxDowntime(ctx, r.id.UUID); err != nil {
		r.log.Debug("the source does not tell its downtime limit", "error", err)
	}
	return r.source.SetMaxDowntime(ctx, r.id.UUID, r.recipe.pacing.downtime)
}

// closeSessions ends both connections. Where a migration is unfinished libvirt undoes it now.
func (r *run) closeSessions() {
	for _, s := range []session{r.src, r.dst} {
		if s != nil {
			_ = s.Close() // a hard close; nothing to learn from it
		}
	}
	r.listening.Wait()
}

// blocking makes one long call in a goroutine and waits for it, aborting the job when ctx ends, the destination's
// daemon is lost or the copy is given up. It returns the call's error, and why the job was to be aborted.
//
// Once the switchover has begun nothing but its lasting too long aborts it: QEMU before 10.0 can let a guest go on
// that no longer holds its disks when it is told to abort just then, and die of it. The switchover comes to an end by
// itself, or lasts too long.
func (r *run) blocking(ctx context.Context, destinationMatters bool, call func() error) (err, aborted error) {
	returned := make(chan error, 1)
	go func() { returned <- call() }()
	done, lost := ctx.Done(), r.dst.Lost()
	if !destinationMatters {
		lost = nil
	}
	patience := abortPatience
	if r.plan.Control == ControlPeerToPeer {
		patience = peerAbortPatience
	}
	var give <-chan time.Time
	var since, last time.Time
	pulse := time.NewTicker(pulseInterval)
	defer pulse.Stop()
	for {
		why := aborted
		select {
		case err := <-returned:
			return err, aborted
		case <-give:
			r.log.Warn("the source's daemon does not answer; closing its connection")
			_ = r.src.Close() // which ends the call
			r.unended = true
			return <-returned, aborted
		case <-done:
			done, why = nil, cause(ctx, ctx.Err())
		case <-lost:
			// the source's QEMU does not notice, and would go on towards a QEMU nobody can finish
			lost, why = nil, fmt.Errorf("the connection to the daemon on %s broke", r.plan.To)
		case <-r.torn:
			r.log.Warn("post-copy broke; no longer waiting for the source's daemon")
			_ = r.src.Close() // which ends the call, and harms neither half
			return <-returned, errTorn
		case why = <-r.giveUp:
		case <-pulse.C:
		}
		late := r.blackedOut()
		switch {
		case late != nil && !errors.Is(aborted, errBlackout):
			aborted = late
		case aborted == nil && why != nil:
			aborted = why
			if r.fetching.Load() || r.switching() {
				r.log.Warn("the switchover has begun: waiting for its end", "although", why)
			}
		}
		// before QEMU has taken the job there is nothing to abort yet, hence again and again
		if aborted == nil || r.fetching.Load() || r.switching() && late == nil || time.Since(last) < abortInterval {
			continue
		}
		if give == nil {
			r.relays.hush()
			give, since = time.After(patience), time.Now()
			r.log.Info("aborting the migration", "why", aborted)
		}
		switch {
		case late == nil:
			r.abort(ctx, false)
		case time.Since(since) < arrivalPatience:
			r.callOff(ctx)
			r.endCancel(ctx)
		default:
			r.endCancel(ctx)
			r.abort(ctx, true)
		}
		last = time.Now()
	}
}
