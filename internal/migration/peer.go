package migration

import (
	"context"
	"fmt"
	"time"
)

// peerToPeer lets the source's libvirtd drive: it logs in to the destination's daemon and makes the five
// calls itself. The session to the destination only listens. Were the reply of the finish lost between
// the two daemons, the source's would resume the guest although it may run on the destination: verify
// finds that and names it.
func (r *run) peerToPeer(ctx context.Context) error {
	steady := context.WithoutCancel(ctx)
	params := r.recipe.params
	r.tell.step(StepPerform)
	r.began = time.Now()
	err, aborted := r.blocking(ctx, false, func() error {
		return r.src.PerformPeerToPeer(steady, r.id, r.recipe.peerURI, params, r.recipe.flags)
	})
	_, received, resumed := r.moments.read()
	r.performing, r.performed, r.ran = received, resumed, resumed
	if r.fetching.Load() { // it ran before it was complete, and the copy lasted until now
		r.performed = time.Now()
	}
	switch {
	case r.isTorn():
		return fmt.Errorf("%w on %s", errTorn, r.plan.To)
	case err != nil && aborted != nil:
		return fmt.Errorf("%w; the migration was aborted", aborted)
	case err != nil:
		return fmt.Errorf("perform on %s, towards %s: %w", r.plan.From, r.recipe.peerURI, err)
	case aborted != nil:
		r.warnings = append(r.warnings, fmt.Sprintf("%v, but the switchover had happened: the move was completed", aborted))
	}
	return nil
}
