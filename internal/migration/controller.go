package migration

import (
	"context"
	"errors"
	"fmt"
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
// Between 3 and 4 no copy runs, so nothing else is done there. After 3 succeeded the source is told
// "cancelled" only when the destination was read back as not having the guest; when that cannot be
// read, both halves are left as they are.
func (r *run) controller(ctx context.Context) error {
	steady := context.WithoutCancel(ctx) // once begun, every end has to be tidied up
	params := r.recipe.params
	finishParams := params
	params.DestinationName = ""

	r.tell.step(StepBegin)
	r.began = time.Now()
	cookie, xml, err := r.src.Begin(ctx, r.id, params, r.recipe.sourceFlags())
	if err != nil {
		return fmt.Errorf("begin on %s: %w", r.plan.From, cause(ctx, err))
	}
	r.tell.step(StepPrepare)
	prepare := params
	prepare.DestinationXML = xml
	cookie, uri, err := r.dst.Prepare(ctx, prepare, cookie, r.recipe.destinationFlags())
	if err != nil {
		r.confirm(steady, params, nil, true)
		return fmt.Errorf("prepare on %s: %w", r.plan.To, cause(ctx, err))
	}
	if uri != "" {
		params.MigrateURI = uri
	}

	r.tell.step(StepPerform)
	r.performing = time.Now()
	var performed []byte
	err, aborted := r.blocking(ctx, true, func() error {
		var err error
		performed, err = r.src.Perform(steady, r.id, params, cookie, r.recipe.sourceFlags())
		r.performed = time.Now()
		return err
	})
	if err != nil {
		r.abandon(steady, finishParams, performed)
		if aborted != nil {
			return fmt.Errorf("%w; the migration was aborted", aborted)
		}
		return fmt.Errorf("perform: %w", err)
	}
	finish, cancel := r.finishContext(steady)
	defer cancel()
	r.finishing = time.Now()
	_, finished, err := r.dst.Finish(finish, finishParams, performed, r.recipe.destinationFlags(), false)
	r.ran = time.Now()
	switch {
	case err != nil && r.isTorn():
		return fmt.Errorf("%w on %s", errTorn, r.plan.To)
	case err != nil && r.fetching.Load():
		return fmt.Errorf("post-copy to %s: %w", r.plan.To, err) // verify says what there is; nothing is destroyed
	case err != nil:
		return r.finishFailed(steady, params, err)
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
	r.confirm(steady, params, finished, false)
	return nil
}

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
// unknown until it is read back.
func (r *run) finishFailed(ctx context.Context, p host.Params, failure error) error {
	failure = fmt.Errorf("finish on %s: %w", r.plan.To, failure)
	failed := time.Now()
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		state, err := r.destination.State(ctx, r.id.UUID)
		switch {
		case errors.Is(err, host.ErrNoDomain), err == nil && state.ShutOff():
			r.confirm(context.WithoutCancel(ctx), p, nil, true)
			return failure
		case err == nil && (state.Running() || state.PausedByUser()):
			r.log.Warn("finish failed, but the guest runs on the destination", "error", failure)
			r.confirm(context.WithoutCancel(ctx), p, nil, false)
			return nil
		case err == nil && time.Since(failed) > arrivalPatience:
			r.dropArrival(ctx)
		}
		r.log.Debug("waiting to learn what became of finish", "state", state, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, and %s does not say what became of the guest: both halves are left as they are", failure, r.plan.To)
		case <-time.After(300 * time.Millisecond):
		}
	}
}
