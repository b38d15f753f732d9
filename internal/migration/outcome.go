package migration

import (
	"errors"
	"fmt"
)

// Outcome is the end of a [Fleet.Migrate] that did not fail.
type Outcome struct {
	Location
	// Moved says whether the guest changed hosts in this call; Changed also counts a guest that was
	// recovered from an interrupted run.
	Moved   bool
	Changed bool
	// Plan is the decision the move was made by, with the hosts as they were found.
	Plan Plan
	// Result is nil when nothing moved.
	Result *Result
}

// mayGoOn says whether auto may try the next encrypted transport after this failure, and what went wrong
// in a few words: the guest must be settled on the source, and nothing of it may have left that host.
func (r *run) mayGoOn(o Options, failure error) (why string, again bool) {
	var e *Error
	if o.withDefaults().Transport != TransportAuto || !errors.As(failure, &e) || e.Host != r.plan.From || r.left.Load() || !r.moments.memoryBegan().IsZero() {
		return "", false
	}
	var relay relayError
	if errors.As(failure, &relay) {
		return relay.Error(), true
	}
	if stopped, _, _ := r.moments.read(); !stopped.IsZero() || !beforeMemory(e.Err) {
		return "", false
	}
	return fmt.Sprintf("its handshake failed (%v)", e.Err), true
}
