package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
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
	case sitEnded:
		interrupted = "remove what an interrupted migration left: " + describe(v.dead)
	case sitStopped:
		interrupted = fmt.Sprintf("resume the guest on %s, where an interrupted migration left it paused", v.at.host())
	case sitMoving:
		interrupted = "wait for the end of the migration that is under way: " + v.words
	}
	if (v.situation == sitSettled || v.situation == sitShutOff) && len(chores(v)) > 0 {
		interrupted = "finish what an interrupted migration left undone"
	}
	if stay.To == req.Host {
		stay.Recovery = interrupted
		return stay, nil
	}
	fa, err := f.inspect(ctx, v, req.Host, false)
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
	guest, err := req.Guest.normal()
	fail := func(err error) error { return &Error{Phase: PhaseRequest, Guest: guest.String(), Err: err} }
	if err != nil {
		return fail(err)
	}
	if _, known := f.members[req.Host]; !known {
		return fail(f.unknownHost(req.Host))
	}
	if req.Timeout < 0 || req.Timeout > MaxTimeout {
		return fail(fmt.Errorf("the time-out is %s, but must be more than nothing and at most %.0fh", req.Timeout, MaxTimeout.Hours()))
	}
	if err := req.Options.Validate(); err != nil {
		return fail(err)
	}
	return nil
}

func (f *Fleet) unknownHost(key string) error {
	return fmt.Errorf("host %q is not among hosts (%s)%s", key, strings.Join(f.keys, ", "), spelling.Guess(key, f.keys))
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
	tell, err := newTeller(req)
	if err != nil {
		return Outcome{}, &Error{Phase: PhaseRequest, Guest: req.Guest.String(), Err: err}
	}
	defer func() {
		if err := tell.close(); err != nil {
			f.log.Warn("the progress file is not complete", "error", err)
		}
	}()
	op := &operation{fleet: f, req: req, tell: tell, began: began, failed: map[Transport]string{}}
	defer op.end()
	o, err := op.bring(ctx)
	*recovered = op.notes
	if err != nil {
		return Outcome{}, err
	}
	return o, nil
}

// operation is one Migrate: as many attempts as it takes, on one transport after the other as long as auto may go on.
// After each one everything is looked at anew.
type operation struct {
	fleet *Fleet
	req   Request
	tell  *teller
	began time.Time
	// notes are what the user should know of the way, in order.
	notes []string
	// failed are the transports that were tried in vain, with what went wrong.
	failed map[Transport]string
	// held is why this process does not have the guest for itself, nil when it has; releases give back what was taken.
	held     error
	releases []func()
	slot     bool
	// overtaken counts the attempts that somebody else came before.
	overtaken int
}

func (op *operation) end() {
	for _, release := range op.releases {
		release()
	}
}

// bring makes attempts until the guest is where it was wanted, or no other attempt would help.
func (op *operation) bring(ctx context.Context) (Outcome, error) {
	guest := op.req.Guest
	for {
		op.tell.step(StepLocate)
		v, err := op.steady(ctx, guest)
		if err != nil {
			return Outcome{}, err
		}
		guest = GuestRef{UUID: v.id.UUID}
		if slices.Contains(v.at.keys, op.req.Host) {
			o := Outcome{Changed: len(op.notes) > 0}
			o.Location, err = v.location()
			o.Warnings = append(op.notes, o.Warnings...)
			o.Host = op.req.Host
			return o, err
		}
		if errors.Is(op.held, errHeld) && time.Since(op.began) < heldPatience && op.pause(ctx) {
			continue
		}
		o, again, err := op.attempt(ctx, v)
		if err == nil {
			return o, nil
		}
		if !again || ctx.Err() != nil {
			return Outcome{}, err
		}
	}
}

// steady finds the guest and brings what interrupted runs left to a good end, so that it stands still on one host.
func (op *operation) steady(ctx context.Context, guest GuestRef) (view, error) {
	f := op.fleet
	v, err := f.locate(ctx, guest, true)
	if err != nil {
		return v, err
	}
	v, notes, err := f.settle(ctx, v, op.req.Host, "")
	op.notes = append(op.notes, notes...)
	if err != nil {
		return v, err
	}
	if len(op.releases) == 0 {
		release, err := f.slots.hold(v.id.UUID)
		if op.held = err; err == nil {
			op.releases = append(op.releases, release)
		} else if !errors.Is(err, errHeld) {
			f.log.Warn("this process cannot keep others of this machine from moving the guest at the same time", "error", err)
		}
	}
	if errors.Is(op.held, errHeld) {
		return v, nil // what lies around may be the other's
	}
	before := len(op.notes)
	notes, err = f.settleLegacy(ctx, v)
	if op.notes = append(op.notes, notes...); err != nil {
		return v, err
	}
	pending := len(chores(v)) > 0
	notes, err = f.tidy(ctx, v)
	if op.notes = append(op.notes, notes...); err != nil {
		return v, err
	}
	if !pending && len(op.notes) == before {
		return v, nil
	}
	// a definition may have gone, and the guest may have, too
	if v, err = f.locate(ctx, GuestRef{UUID: v.id.UUID}, true); err != nil {
		return v, err
	}
	v, notes, err = f.settle(ctx, v, op.req.Host, "")
	op.notes = append(op.notes, notes...)
	return v, err
}

// attempt decides and runs once. again says that after this failure another attempt may help.
func (op *operation) attempt(ctx context.Context, v view) (o Outcome, again bool, err error) {
	f, req := op.fleet, op.req
	words, at := v.where()
	refuse := func(err error, hint string) (Outcome, bool, error) {
		return Outcome{}, false, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: err, Hint: hint}
	}
	op.tell.step(StepInspect)
	fa, err := f.inspect(ctx, v, req.Host, true)
	if err != nil {
		return Outcome{}, false, err
	}
	fa.failed = op.failed
	op.tell.step(StepDecide)
	plan := decide(req.Options, fa)
	switch {
	case plan.Err() != nil:
		return Outcome{}, false, plan.Err()
	case req.From != "" && !v.sameHost(v.at.host(), req.From):
		return refuse(fmt.Errorf("the guest was expected on %s", req.From), "")
	case plan.recipe.offline && len(v.silent) > 0:
		return refuse(fmt.Errorf("%w, and the guest may run there: %s", ErrHostSilent, strings.Join(silentWarnings(v.silent), "; ")),
			"a guest that is shut off is moved only when every host answers")
	case errors.Is(op.held, errHeld):
		return refuse(fmt.Errorf("%w: %w", ErrBusy, op.held), "wait for its end, then try again")
	}
	if req.Timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, op.began.Add(plan.Timeout), timeoutError{plan.Timeout})
		defer cancel()
	}
	if !op.slot {
		release, err := f.takeSlot(ctx, v, fa)
		if err != nil {
			return Outcome{}, false, err
		}
		op.slot, op.releases = true, append(op.releases, release)
	}
	r := f.newRun(v, plan, fa, op.tell)
	after, result, err := r.do(ctx)
	if err != nil {
		return Outcome{}, op.mayRepeat(ctx, r, fa, err), err
	}
	op.tell.step(StepDone)
	wall := time.Since(op.began).Milliseconds()
	result.WallMS = &wall
	result.StartedAt, result.FinishedAt = op.began.UTC().Truncate(time.Millisecond), time.Now().UTC().Truncate(time.Millisecond)
	loc, _ := after.location() // it has been verified that it is settled
	o = Outcome{Location: loc, Plan: plan, Moved: true, Changed: true, Result: result}
	o.Host = req.Host
	o.Warnings = slices.Concat(op.notes, plan.Warnings, r.warnings, loc.Warnings)
	return o, false, nil
}

// newRun is one attempt that is about to be made.
func (f *Fleet) newRun(v view, plan Plan, fa facts, tell *teller) *run {
	return &run{
		fleet: f, id: v.id, plan: plan, recipe: plan.recipe, guest: fa.guest, replaces: fa.leftover, tell: tell,
		log: f.log.With("guest", v.id.Name, "from", plan.From, "to", plan.To), giveUp: make(chan error, 1), torn: make(chan struct{}),
	}
}

// maxOvertaken is how often an attempt begins anew after another controller came before it.
const maxOvertaken = 3

// mayRepeat says whether another attempt may help after this failure, and waits where that needs time.
func (op *operation) mayRepeat(ctx context.Context, r *run, fa facts, failure error) bool {
	f := op.fleet
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(failure, errOvertaken), errors.Is(failure, errChanged):
		op.overtaken++
		f.log.Info("somebody else has come before this attempt", "guest", r.id.Name, "said", failure)
		return op.overtaken <= maxOvertaken && op.pause(ctx)
	case errors.Is(failure, host.ErrEarlierJob) && time.Since(op.began) < earlierJobPatience:
		f.log.Info("waiting: libvirt has not ended an earlier migration of this guest yet", "guest", r.id.Name)
		return op.pause(ctx)
	}
	why, again := r.mayGoOn(op.req.Options, failure)
	if !again {
		return false
	}
	op.failed[r.plan.Transport] = why
	fa.failed = op.failed
	if next := decide(op.req.Options, fa); len(next.Blockers) > 0 {
		return false // there is no other one; the first failure is what the user has to mend
	}
	op.notes = append(op.notes, fmt.Sprintf("%s was tried first, and %s before any guest memory had left; another encrypted transport was taken", r.plan.Transport, why))
	f.log.Warn("trying the next encrypted transport", "guest", r.id.Name, "after", r.plan.Transport, "because", why)
	return true
}

// heldPatience is for another process of this machine to come to an end with the same guest.
const heldPatience = 60 * time.Second

// pause waits for a while, or for less when ctx ends.
func (op *operation) pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(earlierJobPause):
		return true
	}
}

// A daemon that drove a migration notices by its keepalive, after 30 s, that the other is out of reach, and only then
// ends its job.
const (
	earlierJobPatience = 90 * time.Second
	earlierJobPause    = 2 * time.Second
)

// takeSlot waits for a free place of both hosts: first among the moves of this user's processes, then among all that the
// hosts have, whoever drives them.
func (f *Fleet) takeSlot(ctx context.Context, v view, fa facts) (release func(), err error) {
	var once sync.Once
	waiting := func() {
		once.Do(func() {
			f.log.Info("waiting: the hosts already have as many migrations as max_migrations_per_host allows", "guest", v.id.Name, "limit", f.slots.perHost)
		})
	}
	fail := func(err error) (func(), error) {
		words, at := v.where()
		return nil, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("wait for a free migration slot: %w", cause(ctx, err))}
	}
	release, err = f.slots.take(ctx, fa.source.identity(), fa.destination.identity(), waiting)
	if err != nil {
		return fail(err)
	}
	for {
		room, err := f.haveRoom(ctx, fa.source.key, fa.destination.key)
		switch {
		case err != nil:
			release()
			return fail(err)
		case room:
			return release, nil
		}
		waiting()
		select {
		case <-ctx.Done():
			release()
			return fail(ctx.Err())
		case <-time.After(roomPoll):
		}
	}
}

// roomPoll is how often hosts are asked whether the moves of other controllers have ended. Several controllers that see
// room at the same moment may each begin one move more than the limit.
const roomPoll = 2 * time.Second

// haveRoom asks both hosts at once whether another move may begin.
func (f *Fleet) haveRoom(ctx context.Context, from, to string) (bool, error) {
	var leaving, arriving int
	var both errgroup.Group
	count := func(key string, into func(leaving, arriving int)) {
		both.Go(func() error {
			d, _, err := f.members[key].reach(ctx, true)
			if err != nil {
				return err
			}
			out, in, err := d.Moving(ctx)
			into(out, in)
			return err
		})
	}
	count(from, func(out, _ int) { leaving = out })
	count(to, func(_, in int) { arriving = in })
	err := both.Wait()
	return leaving < f.slots.perHost && arriving < f.slots.perHost, err
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
