package host

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
)

// jobQuestions is how many domains are asked for their job at a time; a daemon takes five calls of one client at once.
const jobQuestions = 4

// Moving counts the guests that leave this host and those that arrive, whoever moves them. A half that an interrupted
// migration left counts for nothing: no job runs on it.
func (h *Host) Moving(ctx context.Context) (leaving, arriving int, err error) {
	domains, err := h.Domains(ctx)
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobQuestions)
	for _, d := range domains {
		if !d.Active() {
			continue
		}
		group.Go(func() error {
			job, err := h.Job(ctx, d.UUID)
			if errors.Is(err, ErrNoDomain) || Code(err) == CodeOperationInvalid { // gone, or stopped, since it was listed
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			switch job.Kind {
			case JobMigrationOut:
				leaving++
			case JobMigrationIn:
				arriving++
			}
			return err
		})
	}
	err = group.Wait()
	return leaving, arriving, err
}
