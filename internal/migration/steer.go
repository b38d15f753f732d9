package migration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// pulseInterval is how often a migration under way is asked whether its guest has stood still for too long.
const pulseInterval = 100 * time.Millisecond

// errBlackout is why a switchover was called off.
var errBlackout = errors.New("the guest stood still for too long")

// steer does what a reading of the job calls for.
func (r *run) steer(ctx context.Context, p *pace, job host.Job) {
	what, why, downtime := p.next(job.At, job)
	var err error
	switch what {
	case deedNone:
		return
	case deedRaise:
		if err := r.source.SetMaxDowntime(ctx, r.id.UUID, downtime); err != nil {
			r.log.Warn("the downtime limit could not be raised", "error", err)
			return
		}
		r.log.Info("raised the downtime limit", "because", why, "milliseconds", downtime.Milliseconds())
		return
	case deedPostCopy:
		// before the call, since nothing may be aborted from the moment that it takes effect
		r.fetching.Store(true)
		if err = r.source.StartPostCopy(ctx, r.id.UUID); err != nil {
			r.fetching.Store(false)
			why = fmt.Sprintf("%s, and post-copy did not begin: %v", why, err)
			break
		}
		r.warn("%s: the guest was let run on %s before all its memory was there", why, r.plan.To)
		return
	case deedSuspend:
		r.standing.Store(true)
		if err = r.source.Suspend(ctx, r.id.UUID); err != nil {
			r.standing.Store(false)
			why = fmt.Sprintf("%s, and the guest could not be paused: %v", why, err)
			break
		}
		r.warn("%s: the guest was paused for the rest of the copy", why)
		return
	}
	select {
	case r.giveUp <- errors.New(why):
	default: // it is being aborted already
	}
}

// warn notes what the user should know of the way.
func (r *run) warn(format string, args ...any) {
	r.steering = append(r.steering, fmt.Sprintf(format, args...))
	r.log.Warn(r.steering[len(r.steering)-1])
}

// abortInterval is how often an abort is asked for until the job has ended.
const abortInterval = 200 * time.Millisecond

// abort asks the source's daemon to end the job. In a switchover it may not answer: its QEMU does not.
func (r *run) abort(ctx context.Context, late bool) {
	answer := abortAnswer
	if late {
		answer = arrivalPatience
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answer)
	defer cancel()
	if err := r.source.Abort(ctx, r.id.UUID); err != nil {
		r.log.Debug("abort", "error", err)
	}
}

// endCancel frees a QEMU that has been told to call the migration off, by whomever, and waits: libvirt does that by
// itself when it drives and loses the other daemon. Where it does not wait nothing happens.
func (r *run) endCancel(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), arrivalPatience)
	defer cancel()
	if err := r.source.EndCancel(ctx, r.id.UUID); err == nil {
		r.log.Warn("the source's QEMU waited in calling the migration off, and was let go on")
	}
}

// switching says that the guest stands still in its switchover, and not because it was paused for the copy.
func (r *run) switching() bool {
	stopped, _, resumed := r.moments.read()
	return !stopped.IsZero() && resumed.IsZero() && !r.standing.Load()
}

// blackedOut says that the guest has stood still for longer than a switchover may last. Standing still as
// the policy wants, or for post-copy, is none.
func (r *run) blackedOut() error {
	stopped, _, resumed := r.moments.read()
	limit := r.recipe.pacing.blackout
	if stopped.IsZero() || !resumed.IsZero() || time.Since(stopped) < limit || r.recipe.paused || r.fetching.Load() || r.standing.Load() {
		return nil
	}
	return fmt.Errorf("%w in the switchover (blackout_timeout_ms %d)", errBlackout, limit.Milliseconds())
}

// callOff ends a switchover that lasts too long by taking the destination from the source's QEMU, which then takes the
// guest back: that is safer than an abort, for which it may have no ear. While finish has not been sent, the relays'
// way can be closed; else the destination's half has to go.
func (r *run) callOff(ctx context.Context) {
	if r.plan.Control == ControlController && r.relays != nil {
		r.relays.cut()
		return
	}
	r.dropArrival(ctx)
}

// destroyAnswer is for a daemon to kill a QEMU that does not listen: libvirt asks it to end for 10 s first.
const destroyAnswer = 25 * time.Second

// dropArrival destroys the copy on the destination of a guest that stood still for too long, if it has not been
// let run: it was read as still waiting right before. Only so can the source, which has all of the guest, go on
// when the destination does not answer for its half.
func (r *run) dropArrival(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyAnswer)
	defer cancel()
	state, err := r.destination.State(ctx, r.id.UUID)
	if err != nil || !state.Incoming() && !state.PausedByMigration() {
		r.log.Debug("the destination's copy is not touched", "state", state, "error", err)
		return
	}
	// the events last: a finish that is still under way may have let it run since
	if _, _, resumed := r.moments.read(); !resumed.IsZero() {
		r.log.Info("the destination's copy is not touched: it was let run in this moment")
		return
	}
	r.log.Warn("destroying the copy on the destination, which was never let run", "state", state)
	if err := r.destination.Destroy(ctx, r.id.UUID); err != nil {
		r.log.Warn("the copy on the destination could not be destroyed", "error", err)
	}
}

// finishContext bounds the destination's start of the guest by what is left of the blackout, and never by so little
// that a busy host could not. In post-copy the answer comes when all the memory has, or never when that broke.
func (r *run) finishContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.fetching.Load() {
		stopped, _, _ := r.moments.read()
		if stopped.IsZero() {
			stopped = time.Now()
		}
		return context.WithTimeout(ctx, max(finishLeast, r.recipe.pacing.blackout-time.Since(stopped)))
	}
	ctx, cancel := context.WithCancel(ctx)
	r.listening.Go(func() {
		select {
		case <-r.torn:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, cancel
}

// errTorn is why post-copy is no longer waited for.
var errTorn = errors.New("post-copy broke before all the memory had come")

// tornPatience is for the daemons to say themselves that post-copy broke.
const tornPatience = 20 * time.Second

// watchFetching asks the source whether its half has broken off. The destination's QEMU, which waits for memory, may
// answer nobody any more, and its daemon with it. since is when it was first seen, and returned.
func (r *run) watchFetching(ctx context.Context, since time.Time) time.Time {
	state, err := r.source.State(ctx, r.id.UUID)
	switch {
	case err != nil || !state.PostCopyFailed():
		return time.Time{}
	case since.IsZero():
		return time.Now()
	case time.Since(since) > tornPatience:
		if !r.isTorn() {
			close(r.torn)
		}
	}
	return since
}

func (r *run) isTorn() bool {
	select {
	case <-r.torn:
		return true
	default:
		return false
	}
}
