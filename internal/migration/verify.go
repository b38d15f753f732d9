package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// verify asks both hosts for the truth, whatever the calls returned, and brings a broken attempt to a
// good end as a later run would.
func (r *run) verify(ctx context.Context, attempt error) (view, error) {
	r.tell.step(StepVerify)
	if r.plan.Control != ControlPeerToPeer || !r.sourceLost || ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
		defer cancel()
	} // else the daemons go on without us, and the request's own time bounds the wait
	known := ""
	if r.neverRan {
		known = r.record.Attempt
	}
	v, err := r.fleet.locateKnowing(ctx, GuestRef{UUID: r.id.UUID}, true, known)
	var notes []string
	if err == nil {
		v, notes, err = r.fleet.settle(ctx, v, r.plan.To, known)
	}
	if err != nil {
		return v, r.unsettled(v, attempt, err)
	}
	moved := r.arrived(v)
	switch silence, silent := v.silent[r.plan.From]; {
	case moved && silent:
		return v, r.sourceSilent(ctx, v, silence)
	case moved && attempt == nil:
	case moved && !r.isOurs(v.at):
		words, at := v.where()
		return v, &Error{Phase: PhaseRun, Guest: r.id.Name, Host: at, GuestAt: words, Err: fmt.Errorf("%w, and it has arrived: %w", errOvertaken, attempt)}
	case moved:
		r.warnings = append(r.warnings, fmt.Sprintf("the guest moved, although the attempt reported: %v", attempt))
	case !moved:
		if attempt == nil {
			attempt = errors.New("libvirt reported success, but the guest is not on the destination")
		}
		var left []string
		if v.at.is(r.plan.From) && (v.situation == sitSettled || v.situation == sitShutOff && len(v.silent) == 0) {
			left = r.undo(context.WithoutCancel(ctx))
		}
		words, at := v.where()
		hint := cmp.Or(advice(attempt), "nothing of the attempt was left behind, and the same can be run again")
		if r.unended {
			hint = fmt.Sprintf("libvirtd on %s has not ended its part of the migration yet; the next run waits for that", r.plan.From)
		}
		if len(left) > 0 {
			hint = strings.Join(left, "; ")
		}
		if silence, silent := v.silent[r.plan.To]; silent {
			hint = r.silentHint(silence)
		}
		return v, &Error{Phase: PhaseRun, Guest: r.id.Name, Host: at, GuestAt: words, Err: attempt, Hint: hint}
	}
	if r.moments.disksFailed() {
		r.warnings = append(r.warnings, fmt.Sprintf("the guest runs on %s, but QEMU reports I/O errors of its disks there: look at the way from %s to them now (virsh domblkerror, and the guest's own log)", r.plan.To, r.plan.To))
	}
	r.warnings = append(r.warnings, notes...)
	r.handOver(ctx, v)
	return v, nil
}

// isOurs says that the guest came by this attempt: its record came with it. After a failed attempt, a guest that is where it
// was to go may as well have been moved by another controller, whose figures are not ours to tell.
func (r *run) isOurs(at *sighting) bool {
	return at.move != nil && at.move.Attempt == r.record.Attempt
}

// sourceSilent is the error of a guest that runs where it was to go, while nobody can say that its source has let it go.
// The record of its arrival stays, so that any later run removes the half that the source may have.
func (r *run) sourceSilent(ctx context.Context, v view, silence error) error {
	r.noteArrival(ctx)
	words, at := v.where()
	return &Error{Phase: PhaseVerify, Guest: r.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("%w: %s, so that nobody can say that it has let the guest go: %w", ErrHostSilent, r.plan.From, silence),
		Hint: fmt.Sprintf("run the same again when %s answers: it removes the paused half that may be left there", r.plan.From)}
}

// silentHint is about a destination that does not say what it has of the guest, which goes on on the source.
func (r *run) silentHint(silence error) string {
	hint := fmt.Sprintf("%s does not answer (%v), and may have a half of the attempt: run the same again when it does", r.plan.To, silence)
	if r.plan.Control == ControlPeerToPeer {
		hint += "; libvirtd there may still carry out what the source's asked of it and start a second copy, should it only have stood still: do not let it go on, restart it, which ends that half"
	}
	return hint
}

// arrived says whether the guest is where it was to go: it alone, or its definition alone.
func (r *run) arrived(v view) bool {
	if r.recipe.offline {
		return v.situation == sitShutOff && len(v.definitions) == 1 && v.at.is(r.plan.To)
	}
	return v.situation == sitSettled && v.at.is(r.plan.To)
}

// copyNeverRan says that this process has seen for itself that the copy on the destination was never let run: it did not
// send finish, or it has seen the copy end without having started, on a stream of events without a gap.
func (r *run) copyNeverRan() bool {
	_, _, resumed := r.moments.read()
	switch {
	case !resumed.IsZero():
		return false
	case r.plan.Control != ControlPeerToPeer && !r.finishSent:
		return true
	}
	return r.moments.endedThere() && r.dst.Whole()
}

// undo takes back what was prepared for a guest that did not move. It says what is left all the same.
func (r *run) undo(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	neverRan := r.neverRan || r.announced && r.tokenProves(ctx)
	left := r.dropMade(ctx, neverRan)
	for _, rec := range r.files { // the source's images stay where they are
		rec.files.List = slices.DeleteFunc(rec.files.List, func(f journal.File) bool { return f.Kind == journal.Old })
		if err := rec.save(ctx); err != nil {
			left = append(left, fmt.Sprintf("the record of the move's files could not be brought up to date, the next run does it: %v", err))
		}
	}
	if err := r.retract(ctx, neverRan); err != nil {
		left = append(left, fmt.Sprintf("the record of the move could not be removed, the next run does it: %v", err))
	}
	if r.formerDowntime > 0 && r.formerDowntime != r.recipe.pacing.downtime {
		if err := r.source.SetMaxDowntime(ctx, r.id.UUID, r.formerDowntime); err != nil {
			r.log.Debug("the downtime limit stays as it was set", "error", err)
		}
	}
	return left
}

// unsettled is the error when verification itself could not come to an end.
func (r *run) unsettled(v view, attempt, err error) error {
	e := &Error{Phase: PhaseVerify, Guest: r.id.Name, GuestAt: "at an unknown place", Err: err,
		Hint: "run the same again: it finds out and goes on from there"}
	if _, silent := silentHost(err); silent || errors.Is(err, ErrHostSilent) {
		e.Hint = "run the same again when both hosts answer: it finds out and goes on from there"
	}
	var known *Error
	if errors.As(err, &known) {
		e.GuestAt, e.Host, e.Err = known.GuestAt, known.Host, known.Err
		if known.Hint != "" {
			e.Hint = known.Hint
		}
	}
	if v.words != "" && e.GuestAt == "" {
		e.GuestAt, e.Host = v.where()
	}
	if e.GuestAt == "" {
		e.GuestAt = fmt.Sprintf("where nobody can look just now: it was on %s, on its way to %s", r.plan.From, r.plan.To)
	}
	if attempt != nil && errors.Is(e.Err, ErrBusy) {
		e.Err, e.Hint = fmt.Errorf("%w; the two daemons have not ended it yet", attempt), "run the same again: it waits for the end of it and goes on from there"
	} else if attempt != nil {
		e.Err = fmt.Errorf("%w; then, looking for the guest: %w", attempt, e.Err)
	}
	return e
}
