package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// Plan says what Migrate would do with this request, and creates nothing on any host. Blockers are in
// the plan; the error is for what kept the plan from being made.
func (f *Fleet) Plan(ctx context.Context, req Request) (Plan, error) {
	if err := f.check(req); err != nil {
		return Plan{}, err
	}
	v, err := f.locate(ctx, req.Guest, false)
	if err != nil {
		return Plan{}, err
	}
	loc, err := v.location()
	if err != nil {
		return Plan{}, err
	}
	p, err := f.planFrom(ctx, v, req)
	p.Warnings = append(loc.Warnings, p.Warnings...)
	return p, err
}

func (f *Fleet) planFrom(ctx context.Context, v view, req Request) (Plan, error) {
	stay := Plan{Name: v.id.Name, UUID: v.id.UUID, From: v.at.host(), To: v.at.host()}
	if slices.Contains(v.at.keys, req.Host) {
		stay.From, stay.To = req.Host, req.Host
	}
	interrupted := ""
	switch v.situation {
	case sitLeftover:
		interrupted = "remove what an interrupted migration left: " + describe(v.dead)
	case sitStopped:
		interrupted = fmt.Sprintf("resume the guest on %s, where an interrupted migration left it paused", v.at.host())
	case sitMoving:
		interrupted = "wait for the end of the migration that is under way: " + v.words
	}
	if stay.To == req.Host {
		stay.Recovery = interrupted
		return stay, nil
	}
	fa, err := f.inspect(ctx, v, req.Host)
	if err != nil {
		return Plan{}, err
	}
	if v.situation == sitStopped || v.situation == sitMoving {
		fa.guest.State = host.State{State: host.StateRunning} // as it will be once recovered
	}
	p := decide(req.Options, fa)
	p.Recovery = interrupted
	if req.Timeout > 0 {
		p.Timeout = req.Timeout
	}
	return p, nil
}

// check refuses a request that is wrong whatever the hosts say.
func (f *Fleet) check(req Request) error {
	fail := func(err error) error { return &Error{Phase: PhaseRequest, Guest: req.Guest.String(), Err: err} }
	if _, known := f.members[req.Host]; !known {
		return fail(fmt.Errorf("host %q is not among hosts (%s)", req.Host, strings.Join(f.keys, ", ")))
	}
	if req.Timeout < 0 {
		return fail(fmt.Errorf("the time-out is %s, but must not be negative", req.Timeout))
	}
	if err := req.Options.Validate(); err != nil {
		return fail(err)
	}
	return nil
}

// Migrate brings the guest to the wanted host: it finishes what an interrupted run left, moves the guest
// if it is elsewhere, and verifies. A cancelled context aborts the move if the switchover has not
// happened, and then verifies too.
//
// A guest that moved is always an Outcome; what went wrong after that is among its warnings. An error
// means that the guest did not move, or that nobody can tell; it is an [Error] and says where it is.
func (f *Fleet) Migrate(ctx context.Context, req Request) (Outcome, error) {
	var notes []string
	o, err := f.migrate(ctx, req, &notes)
	var e *Error
	if errors.As(err, &e) {
		e.Recovered = notes
	}
	return o, err
}

func (f *Fleet) migrate(ctx context.Context, req Request, recovered *[]string) (Outcome, error) {
	began := time.Now()
	if err := f.check(req); err != nil {
		return Outcome{}, err
	}
	if req.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, req.Timeout, timeoutError{req.Timeout})
		defer cancel()
	}
	defer f.forget(nil)
	tell := &teller{watch: req.Watch}
	tell.step(StepLocate)
	v, err := f.locate(ctx, req.Guest, true)
	if err != nil {
		return Outcome{}, err
	}
	v, notes, err := f.settle(ctx, v, req.Host)
	if err != nil {
		return Outcome{}, err
	}
	flag, err := f.handAutostartOver(ctx, v)
	if err != nil {
		return Outcome{}, err
	}
	notes = append(notes, flag...)
	*recovered = notes
	o := Outcome{Changed: len(notes) > 0}
	if slices.Contains(v.at.keys, req.Host) {
		o.Location, err = v.location()
		o.Warnings = append(notes, o.Warnings...)
		o.Host = req.Host
		return o, err
	}

	tell.step(StepInspect)
	fa, err := f.inspect(ctx, v, req.Host)
	if err != nil {
		return Outcome{}, err
	}
	tell.step(StepDecide)
	o.Plan = decide(req.Options, fa)
	if err := o.Plan.Err(); err != nil {
		return Outcome{}, err
	}
	if req.Timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Plan.Timeout, timeoutError{o.Plan.Timeout})
		defer cancel()
	}
	release, err := f.slots.take(ctx, fa.source.identity(), fa.destination.identity(), func() {
		f.log.Info("waiting: the hosts already have as many migrations as max_migrations_per_host allows", "guest", v.id.Name, "limit", f.slots.perHost)
	})
	if err != nil {
		words, at := v.where()
		return Outcome{}, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("wait for a free migration slot: %w", cause(ctx, err))}
	}
	defer release()

	r := &run{
		fleet: f, id: v.id, plan: o.Plan, recipe: o.Plan.recipe, tell: tell, maxDowntime: time.Duration(req.Options.withDefaults().MaxDowntimeMS) * time.Millisecond,
		log: f.log.With("guest", v.id.Name, "from", o.Plan.From, "to", o.Plan.To),
	}
	after, result, err := r.do(ctx)
	if err != nil {
		return Outcome{}, err
	}
	tell.step(StepDone)
	wall := time.Since(began).Milliseconds()
	result.WallMS = &wall
	result.StartedAt, result.FinishedAt = began.UTC().Truncate(time.Millisecond), time.Now().UTC().Truncate(time.Millisecond)
	loc, _ := after.location() // do has verified that it is settled
	notes = append(notes, o.Plan.Warnings...)
	notes = append(notes, r.warnings...)
	o.Location, o.Moved, o.Changed, o.Result = loc, true, true, result
	o.Host = req.Host
	o.Warnings = append(notes, loc.Warnings...)
	return o, nil
}

func (h hostFacts) identity() identity { return identity{h.UUID, h.Hostname} }

// timeoutError is the cause of a context that the request's own time-out ended.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("the time-out of %s passed", e.after) }

// cause says why a context ended, in words a person knows; err when it has not ended.
func cause(ctx context.Context, err error) error {
	var timeout timeoutError
	switch reason := context.Cause(ctx); {
	case reason == nil:
		return err
	case errors.As(reason, &timeout):
		return timeout
	case errors.Is(reason, context.DeadlineExceeded):
		return fmt.Errorf("the time given for it passed: %w", reason)
	default:
		return fmt.Errorf("cancelled: %w", reason)
	}
}
