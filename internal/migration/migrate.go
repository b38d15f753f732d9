package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	case sitStopped:
		interrupted = fmt.Sprintf("resume the guest on %s, where an interrupted migration left it paused", v.at.host())
	case sitMoving:
		interrupted = "wait for the end of the migration that is under way: " + v.words
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
	tell.step(StepLocate)
	v, err := f.locate(ctx, req.Guest, true)
	if err != nil {
		return Outcome{}, err
	}
	v, notes, err := f.settle(ctx, v, req.Host)
	if err != nil {
		return Outcome{}, err
	}
	*recovered = notes
	page, unnoted := f.openPage(v.id.UUID)
	defer page.close()
	former, err := f.settleEntry(ctx, v, page)
	notes = append(notes, former...)
	*recovered = notes
	if err != nil {
		return Outcome{}, err
	}
	if len(former) > 0 { // a definition may have gone
		if v, err = f.locate(ctx, GuestRef{UUID: v.id.UUID}, true); err != nil {
			return Outcome{}, err
		}
	}
	o := Outcome{Changed: len(notes) > 0}
	if slices.Contains(v.at.keys, req.Host) {
		o.Location, err = v.location()
		o.Warnings = append(notes, o.Warnings...)
		o.Host = req.Host
		return o, err
	}

	after, result, err := f.move(ctx, req, v, journalAt{page, unnoted}, tell, &o, &notes)
	if err != nil {
		return Outcome{}, err
	}
	tell.step(StepDone)
	wall := time.Since(began).Milliseconds()
	result.WallMS = &wall
	result.StartedAt, result.FinishedAt = began.UTC().Truncate(time.Millisecond), time.Now().UTC().Truncate(time.Millisecond)
	loc, _ := after.location() // it has been verified that it is settled
	o.Location, o.Moved, o.Changed, o.Result = loc, true, true, result
	o.Host = req.Host
	o.Warnings = append(notes, loc.Warnings...)
	return o, nil
}

// move decides and runs, on one transport after the other as long as auto may go on. It writes the plan
// into o, and what the user should know of the way into notes.
func (f *Fleet) move(ctx context.Context, req Request, v view, noted journalAt, tell *teller, o *Outcome, notes *[]string) (view, *Result, error) {
	var release func()
	began := time.Now()
	failed := map[Transport]string{}
	for {
		tell.step(StepInspect)
		fa, err := f.inspect(ctx, v, req.Host, true)
		if err != nil {
			return v, nil, err
		}
		fa.failed = failed
		tell.step(StepDecide)
		o.Plan = decide(req.Options, fa)
		if err := o.Plan.Err(); err != nil {
			return v, nil, err
		}
		if req.From != "" && !v.sameHost(v.at.host(), req.From) {
			words, at := v.where()
			return v, nil, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("the guest was expected on %s", req.From)}
		}
		if o.Plan.recipe.offline && len(v.silent) > 0 {
			return v, nil, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: v.words, Err: fmt.Errorf("%w, and the guest may run there: %s", ErrHostSilent, strings.Join(silentWarnings(v.silent), "; ")),
				Hint: "a guest that is shut off is moved only when every host answers"}
		}
		if err := noted.allows(v, o.Plan.recipe); err != nil {
			return v, nil, err
		}
		if release == nil {
			if req.Timeout == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, o.Plan.Timeout, timeoutError{o.Plan.Timeout})
				defer cancel()
			}
			if release, err = f.takeSlot(ctx, v, fa); err != nil {
				return v, nil, err
			}
			defer release()
		}
		r := &run{
			fleet: f, id: v.id, plan: o.Plan, recipe: o.Plan.recipe, tell: tell,
			log: f.log.With("guest", v.id.Name, "from", o.Plan.From, "to", o.Plan.To), page: noted.page, giveUp: make(chan error, 1), torn: make(chan struct{}),
		}
		after, result, err := r.do(ctx)
		if err == nil {
			*notes = append(*notes, o.Plan.Warnings...)
			*notes = append(*notes, r.warnings...)
			return after, result, nil
		}
		if strings.Contains(err.Error(), earlierJob) && time.Since(began) < earlierJobPatience && ctx.Err() == nil {
			f.log.Info("waiting: libvirt has not ended an earlier migration of this guest yet", "guest", v.id.Name)
			select {
			case <-ctx.Done():
			case <-time.After(earlierJobPause):
			}
			if v, err = f.locate(context.WithoutCancel(ctx), GuestRef{UUID: v.id.UUID}, true); err != nil {
				return v, nil, err
			}
			continue
		}
		why, again := r.mayGoOn(req.Options, err)
		if !again || ctx.Err() != nil {
			return v, nil, err
		}
		failed[o.Plan.Transport] = why
		if next := decide(req.Options, fa); len(next.Blockers) > 0 {
			return v, nil, err // there is no other one; the first failure is what the user has to mend
		}
		*notes = append(*notes, fmt.Sprintf("%s was tried first, and %s before any guest memory had left; another encrypted transport was taken", o.Plan.Transport, why))
		f.log.Warn("trying the next encrypted transport", "guest", v.id.Name, "after", o.Plan.Transport, "because", why)
		if v, err = f.locate(ctx, GuestRef{UUID: v.id.UUID}, true); err != nil {
			return v, nil, err
		}
	}
}

// A daemon that drove a migration notices by its keepalive, after 30 s, that the other is out of reach, and only then
// ends its job.
const (
	earlierJobPatience = 90 * time.Second
	earlierJobPause    = 2 * time.Second
)

// journalAt is the guest's entry of the journal, or why it is not to be had.
type journalAt struct {
	page *page
	err  error
}

// allows refuses what must be noted while another process of this machine holds the entry: images that
// both would make at one place, a definition that both would move.
func (j journalAt) allows(v view, r recipe) error {
	if !errors.Is(j.err, errHeld) || len(r.disks.copied)+len(r.disks.prove) == 0 && !r.offline {
		return nil
	}
	words, at := v.where()
	return &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("%w: %w", ErrBusy, j.err), Hint: "wait for its end, then try again"}
}

// takeSlot waits for a free place of both hosts.
func (f *Fleet) takeSlot(ctx context.Context, v view, fa facts) (func(), error) {
	release, err := f.slots.take(ctx, fa.source.identity(), fa.destination.identity(), func() {
		f.log.Info("waiting: the hosts already have as many migrations as max_migrations_per_host allows", "guest", v.id.Name, "limit", f.slots.perHost)
	})
	if err != nil {
		words, at := v.where()
		return nil, &Error{Phase: PhaseDecide, Guest: v.id.Name, GuestAt: words, Host: at, Err: fmt.Errorf("wait for a free migration slot: %w", cause(ctx, err))}
	}
	return release, nil
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
