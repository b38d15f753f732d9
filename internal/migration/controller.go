package migration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// controller drives both ends from here, with libvirt's five calls:
//
//	source                     destination
//	1 begin   (holds the job)
//	                           2 prepare (starts a QEMU that waits)
//	3 perform (copies memory, stops the guest)
//	                           4 finish  (starts the guest)
//	5 confirm (removes the source's half)
//
// Between 3 and 4 no copy runs, so nothing else is done there. After 4 was sent the source is told "cancelled" only on
// proof that the copy never ran; without, both halves are left as they are.
func (r *run) controller(ctx context.Context) error {
	steady := context.WithoutCancel(ctx) // once begun, every end has to be tidied up
	p, err := r.beginAndPrepare(ctx)
	if err != nil {
		return err
	}
	r.tell.step(StepPerform)
	token := r.watchToken(steady)
	r.performing = time.Now()
	err, aborted := r.blocking(ctx, true, func() error {
		var err error
		p.cookie, err = r.src.Perform(steady, r.id, p.params, p.cookie, r.recipe.sourceFlags())
		r.performed = time.Now()
		return err
	})
	overtaken := <-token
	switch {
	case err != nil:
		r.abandon(steady, p.finish, p.cookie)
		return whyNotPerformed(err, aborted, overtaken)
	case overtaken != nil && !r.fetching.Load(): // finish would leave no proof behind
		r.abandon(steady, p.finish, p.cookie)
		r.confirm(steady, p.params, nil, true)
		return overtaken
	}
	return r.letRun(steady, p, aborted)
}

// prepared is a migration that both daemons are ready for.
type prepared struct {
	// params are for the source, finish for the destination's last call.
	params, finish host.Params
	// cookie is what the call before gave for the next.
	cookie []byte
}

// beginAndPrepare makes the first two calls. After an error neither daemon holds anything of the migration.
func (r *run) beginAndPrepare(ctx context.Context) (prepared, error) {
	steady := context.WithoutCancel(ctx)
	p := prepared{params: r.recipe.params, finish: r.recipe.params}
	p.params.DestinationName = ""
	r.tell.step(StepBegin)
	r.began = time.Now()
	cookie, xml, err := r.src.Begin(ctx, r.id, p.params, r.recipe.sourceFlags())
	if err != nil {
		return p, fmt.Errorf("begin on %s: %w", r.plan.From, cause(ctx, err))
	}
	// formatted under the job: from now on nobody can begin another one, or change the record
	if err := r.checkBegun(ctx, xml); err != nil {
		r.confirm(steady, p.params, nil, true)
		return p, err
	}
	r.tell.step(StepPrepare)
	prepare := p.params
	prepare.DestinationXML = xml
	cookie, uri, err := r.dst.Prepare(ctx, prepare, cookie, r.recipe.destinationFlags())
	if err != nil {
		r.confirm(steady, p.params, nil, true)
		return p, fmt.Errorf("prepare on %s: %w", r.plan.To, cause(ctx, err))
	}
	if uri != "" {
		p.params.MigrateURI = uri
	}
	p.cookie = cookie
	return p, nil
}

// whyNotPerformed is the error of a copy that did not come to its end.
func whyNotPerformed(err, aborted, overtaken error) error {
	switch {
	case overtaken != nil:
		return overtaken
	case aborted != nil:
		return fmt.Errorf("%w; the migration was aborted", aborted)
	}
	return fmt.Errorf("perform: %w", err)
}

// letRun makes the last two calls. The guest stands still until the first of them is answered.
func (r *run) letRun(steady context.Context, p prepared, aborted error) error {
	finish, cancel := r.finishContext(steady)
	defer cancel()
	r.finishSent = true
	r.finishing = time.Now()
	_, finished, err := r.dst.Finish(finish, p.finish, p.cookie, r.recipe.destinationFlags(), false)
	r.ran = time.Now()
	switch {
	case err != nil && r.isTorn():
		return fmt.Errorf("%w on %s", errTorn, r.plan.To)
	case err != nil && r.fetching.Load():
		return fmt.Errorf("post-copy to %s: %w", r.plan.To, err) // verify says what there is; nothing is destroyed
	case err != nil:
		return r.finishFailed(steady, p.params, err)
	}
	if r.fetching.Load() { // it ran before it was complete, and the copy lasted until now
		_, _, resumed := r.moments.read()
		r.performed, r.ran = r.ran, resumed
	}
	r.tell.step(StepConfirm)
	if aborted != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("%v, but the switchover had happened: the move was completed", aborted))
	}
	if ms, known := clockDelta(finished); known && !r.fetching.Load() {
		r.clockDelta = &ms
	}
	var noted sync.WaitGroup
	noted.Go(func() { r.noteArrival(steady) })
	r.confirm(steady, p.params, finished, false)
	noted.Wait()
	return nil
}

// watchToken reads the token back beside the copy: the destination holds its domain by now. A token that is not ours
// aborts the copy. The answer always comes.
func (r *run) watchToken(ctx context.Context) <-chan error {
	answer := make(chan error, 1)
	r.listening.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, tokenPatience)
		defer cancel()
		err := r.checkToken(ctx)
		if err != nil {
			select {
			case r.giveUp <- err:
			default: // it is being aborted already
			}
		}
		answer <- err
	})
	return answer
}

// tokenPatience is for the destination to show its token.
const tokenPatience = 10 * time.Second

// abandon tells the destination that no guest will come. Its QEMU may be gone already, so that every
// answer is as good as another: what is true is read back later.
//
// No answer is another matter. libvirt asks the QEMU how it is before it ends it, and one that waits on parallel
// connections for what does not come answers nobody; libvirt then waits with it, and does not even undo the
// migration when our connection closes. Destroying the copy does not ask.
func (r *run) abandon(steady context.Context, p host.Params, cookie []byte) {
	ctx, cancel := context.WithTimeout(steady, 10*time.Second)
	defer cancel()
	_, _, err := r.dst.Finish(ctx, p, cookie, r.recipe.destinationFlags(), true)
	if err != nil {
		r.log.Debug("finish, cancelled", "answer", err)
	}
	if errors.Is(err, host.ErrUnreachable) {
		r.dropArrival(steady)
	}
}

func (r *run) confirm(ctx context.Context, p host.Params, cookie []byte, cancelled bool) {
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	if err := r.src.Confirm(ctx, r.id, p, cookie, r.recipe.sourceFlags(), cancelled); err != nil {
		// verification finds what is left on the source and removes or resumes it
		r.log.Warn("the source did not confirm", "cancelled", cancelled, "error", err)
	}
}

// finishFailed settles the worst moment: both halves are paused, and whether the destination's runs is
// unknown until it is read back. The source is let go on only on proof that the copy never ran: "not there now" is none.
func (r *run) finishFailed(ctx context.Context, p host.Params, failure error) error {
	failure = fmt.Errorf("finish on %s: %w", r.plan.To, failure)
	failed := time.Now()
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		state, err := r.destination.State(ctx, r.id.UUID)
		gone := errors.Is(err, host.ErrNoDomain) || err == nil && state.ShutOff()
		_, _, resumed := r.moments.read()
		switch {
		case err == nil && (state.Running() || state.PausedByUser()):
			r.log.Warn("finish failed, but the guest runs on the destination", "error", failure)
			r.noteArrival(ctx)
			r.confirm(context.WithoutCancel(ctx), p, nil, false)
			return nil
		case gone && !resumed.IsZero():
			return r.ranAndEnded(ctx, p, failure)
		case gone && (r.copyNeverRan() || r.tokenProves(ctx)):
			r.confirm(context.WithoutCancel(ctx), p, nil, true)
			return failure
		case gone && time.Since(failed) > arrivalPatience: // the event of its end will not come any more
			return fmt.Errorf("%w, and nothing proves that the guest did not run there: both halves are left as they are", failure)
		case !gone && err == nil && time.Since(failed) > arrivalPatience:
			r.dropArrival(ctx)
		}
		r.log.Debug("waiting to learn what became of finish", "state", state, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and %s does not say what became of the guest: both halves are left as they are", failure, r.plan.To)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ranAndEnded is about a guest that was seen to run on the destination, and is off there now. What the source has is old.
// It goes only where the destination has the guest's definition, so that it can be started there.
func (r *run) ranAndEnded(ctx context.Context, p host.Params, failure error) error {
	if there, err := r.destination.Persistent(ctx, r.id.UUID); err == nil && there {
		r.noteArrival(ctx)
		r.confirm(context.WithoutCancel(ctx), p, nil, false)
	}
	return fmt.Errorf("%w; the guest had been let run there, and ended", failure)
}
