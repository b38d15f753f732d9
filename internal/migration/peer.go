package migration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
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
	watching, stop := context.WithCancel(steady)
	checked := r.watchOwn(watching)
	err, aborted := r.blocking(ctx, false, func() error {
		return r.src.PerformPeerToPeer(steady, r.id, r.recipe.peerURI, params, r.recipe.flags)
	})
	stop()
	overtaken := <-checked
	_, received, resumed := r.moments.read()
	r.performing, r.performed, r.ran = received, resumed, resumed
	if r.fetching.Load() { // it ran before it was complete, and the copy lasted until now
		r.performed = time.Now()
	}
	switch {
	case r.isTorn():
		return fmt.Errorf("%w on %s", errTorn, r.plan.To)
	case err != nil && overtaken != nil:
		return overtaken
	case err != nil && aborted != nil:
		return fmt.Errorf("%w; the migration was aborted", aborted)
	case err != nil:
		return fmt.Errorf("perform on %s, towards %s: %w", r.plan.From, r.recipe.peerURI, err)
	case aborted != nil:
		r.warnings = append(r.warnings, fmt.Sprintf("%v, but the switchover had happened: the move was completed", aborted))
	}
	return nil
}

// watchOwn reads record and token back as soon as the daemons hold the two domains for the job. Where either is of another
// attempt the job is aborted. The answer comes when ctx ends at the latest.
func (r *run) watchOwn(ctx context.Context) <-chan error {
	answer := make(chan error, 1)
	r.listening.Go(func() {
		err := r.checkOwn(ctx)
		if err != nil && ctx.Err() == nil {
			select {
			case r.giveUp <- err:
			default: // it is being aborted already
			}
		}
		if !errors.Is(err, errOvertaken) {
			err = nil
		}
		answer <- err
	})
	return answer
}

// ownInterval is how often the daemons are asked whether the job has begun.
const ownInterval = 50 * time.Millisecond

func (r *run) checkOwn(ctx context.Context) error {
	source, destination := false, false
	for ctx.Err() == nil {
		if !source {
			job, err := r.source.Job(ctx, r.id.UUID)
			if source = err == nil && job.Kind == host.JobMigrationOut; source {
				if err := r.checkRecord(ctx); err != nil {
					return err
				}
			}
		}
		if source && !destination {
			there, err := r.destination.Lookup(ctx, r.id.UUID)
			if destination = err == nil && there.Active(); destination {
				return r.checkToken(ctx)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(ownInterval):
		}
	}
	return nil
}
