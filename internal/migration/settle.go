package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// settlePoll is how often a guest in motion is looked at.
const settlePoll = 300 * time.Millisecond

// freedPatience is for a QEMU that was let go on, and for libvirt, to let the guest run.
const freedPatience = 3 * time.Second

// settle brings a guest to a state in which it stands still on one host: it waits for a migration under
// way to the wanted host, removes the old half an interrupted one left, and resumes a source that is proved to be the
// newest. What it did is in notes. Where only a person may decide it touches nothing. neverRan is the attempt of which
// this process knows that its copy was never let run; "" for none.
//
//	found                                                    done
//	one live copy                                            nothing
//	a migration job, on its way to the wanted host           wait for its end, look again
//	a migration job, on its way elsewhere                    error
//	a running copy and paused halves, no job                 hand the definition over, remove the halves
//	halves only, every host answered, the token is there     remove the copies that never ran, resume the source
//	halves only, and the guest had arrived where it is off   remove the halves
//	anything else                                            error, a person must decide
func (f *Fleet) settle(ctx context.Context, v view, wanted, neverRan string) (view, []string, error) {
	var notes []string
	first := time.Now()
	fail := func(err error, hint string) (view, []string, error) {
		words, at := v.where()
		return v, notes, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: words, Host: at, Hint: hint, Err: err}
	}
	waited := false
	for {
		switch v.situation {
		case sitSettled, sitShutOff:
			if waited && v.at.is(wanted) {
				notes = append(notes, fmt.Sprintf("another controller was migrating guest %q to %s; it ended well, and nothing was left to do", v.id.Name, wanted))
			}
			return v, notes, nil
		case sitNowhere:
			if len(v.silent) > 0 {
				return fail(ErrHostSilent, "the guest may be on a host that did not answer; run the same again when every host answers")
			}
			return fail(ErrNotFound, cmp.Or(v.stubHint(), "the guest stopped, or was removed, while it was looked for"))
		case sitPerson:
			return fail(ErrNeedsPerson, v.hint())
		case sitMoving:
			// a migration that has just begun has no arriving half yet
			if v.towards == "" && time.Since(first) > 5*time.Second || v.towards != "" && !v.sameHost(v.towards, wanted) {
				return fail(ErrBusy, "wait for its end (virsh domjobinfo shows it), then try again")
			}
			if !waited {
				waited = true
				f.log.Info("the guest is being migrated already; waiting for the end of it", "guest", v.id.Name, "found", v.words)
			}
			select {
			case <-ctx.Done():
				return fail(fmt.Errorf("%w, and its end did not come: %w", ErrBusy, cause(ctx, ctx.Err())), "run the same again: it goes on waiting")
			case <-time.After(settlePoll):
			}
		case sitLeftover, sitEnded:
			note, err := f.removeHalves(ctx, v)
			if err != nil {
				return fail(err, "run the same again, or remove the paused half yourself: virsh destroy")
			}
			notes = append(notes, note)
		case sitStopped:
			note, err := f.revive(ctx, v, neverRan)
			if err != nil {
				return fail(err, cmp.Or(advice(err), "run the same again: the guest stays paused until then"))
			}
			if note != "" {
				notes = append(notes, note)
			}
		}
		next, err := f.locateKnowing(ctx, GuestRef{UUID: v.id.UUID}, true, neverRan)
		if err != nil {
			return v, notes, err
		}
		v = next
	}
}

// removeHalves removes what an interrupted migration left beside the guest.
func (f *Fleet) removeHalves(ctx context.Context, v view) (string, error) {
	for _, dead := range v.dead {
		if err := f.removeHalf(ctx, v, dead); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("an interrupted migration had left %s; it was removed, the guest is %s on %s", describe(v.dead), v.at.state, v.at.host()), nil
}

// removeHalf destroys one paused half, after the definition it may hold has been handed to the live copy.
// It looks once more right before: a half that changed meanwhile is not touched. A copy that never ran has no definition
// but the one that its token lives in.
func (f *Fleet) removeHalf(ctx context.Context, v view, dead sighting) error {
	d, _, err := f.members[dead.host()].reach(ctx, true)
	if err != nil {
		return err
	}
	wasSource := v.situation != sitStopped && dead.persistent && !dead.incoming() && !dead.isArrival() && dead.awaits() == nil
	if wasSource && v.situation == sitLeftover {
		if err := f.handDefinition(ctx, v, d); err != nil {
			return fmt.Errorf("hand the definition on %s over to %s: %w", dead.host(), v.at.host(), err)
		}
	}
	now, err := f.sight(ctx, dead.host(), v.id.UUID)
	if errors.Is(err, host.ErrNoDomain) {
		return nil
	}
	if err != nil {
		return err
	}
	if now.part() == partDefinition || now.part() == partStub {
		return nil // it has ended by itself
	}
	if now.part() != partHalf && now.state != dead.state || now.job != host.JobNone {
		return fmt.Errorf("the half on %s changed while it was to be removed (now %s)", dead.host(), now.state)
	}
	f.log.Warn("removing the half an interrupted migration left", "guest", v.id.Name, "host", dead.host(), "state", now.state.String())
	if err := d.Destroy(ctx, v.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return err
	}
	if wasSource {
		if err := d.Undefine(ctx, v.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
			return err
		}
	}
	return nil
}

// handDefinition makes sure that the live copy's host keeps the guest's persistent definition and its
// autostart flag before the other host's are removed.
func (f *Fleet) handDefinition(ctx context.Context, v view, from daemon) error {
	to, _, err := f.members[v.at.host()].reach(ctx, true)
	if err != nil {
		return err
	}
	old, err := from.Domain(ctx, v.id.UUID)
	if err != nil {
		return err
	}
	if !v.at.persistent {
		xml, err := from.XML(ctx, v.id.UUID, true)
		if err != nil {
			return err
		}
		if err := to.Define(ctx, xml); err != nil {
			return err
		}
	}
	if old.Autostart {
		return to.SetAutostart(ctx, v.id.UUID, true)
	}
	return nil
}

// revive resumes the source of a migration whose controller died in the switchover, once it is proved that the guest
// never ran elsewhere. The copies that never ran go first, and are read back as gone; the proof is read again right
// before. Without a note, it did not.
func (f *Fleet) revive(ctx context.Context, v view, neverRan string) (string, error) {
	for _, dead := range v.dead {
		if err := f.removeHalf(ctx, v, dead); err != nil {
			return "", err
		}
	}
	again, err := f.locateKnowing(ctx, GuestRef{UUID: v.id.UUID}, true, neverRan)
	if err != nil {
		return "", err
	}
	if again.situation != sitStopped || len(again.dead) > 0 || len(again.silent) > 0 || !again.at.is(v.at.host()) {
		return "", nil // a daemon has done something meanwhile; what there is now is judged anew
	}
	d, _, err := f.members[v.at.host()].reach(ctx, true)
	if err != nil {
		return "", err
	}
	f.log.Warn("resuming the guest an interrupted migration left paused", "guest", v.id.Name, "host", v.at.host())
	if d.EndCancel(ctx, v.id.UUID) == nil {
		f.log.Warn("its QEMU waited in calling that migration off, and was let go on", "guest", v.id.Name)
		if f.runsAgain(ctx, d, v.id.UUID) {
			return fmt.Sprintf("an interrupted migration had left the guest paused on %s, and its QEMU waiting; it goes on", v.at.host()), nil
		}
	}
	if err := d.Resume(ctx, v.id.UUID); err != nil {
		return "", err
	}
	return fmt.Sprintf("an interrupted migration had left the guest paused on %s; it was resumed", v.at.host()), nil
}

// runsAgain waits a moment for a guest to run.
func (f *Fleet) runsAgain(ctx context.Context, d daemon, uuid string) bool {
	for deadline := time.Now().Add(freedPatience); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(settlePoll / 3) {
		if state, err := d.State(ctx, uuid); err == nil && state.Running() {
			return true
		}
	}
	return false
}

// is says whether key is one of the names of this sighting's host.
func (s sighting) is(key string) bool { return slices.Contains(s.keys, key) }

// sameHost says whether two keys lead to one daemon.
func (v view) sameHost(a, b string) bool { return slices.Contains(v.inv.aliases(a), b) }

// handOver sees to what libvirt leaves behind once the guest has moved and its source is clean: the autostart flag does
// not travel, and a guest that had no definition gets none. The record goes last, so that a later run finishes what this
// one does not. A failure here is a warning.
func (r *run) handOver(ctx context.Context, v view) {
	failed := false
	warn := func(what string, err error) {
		failed = true
		r.warnings = append(r.warnings, fmt.Sprintf("the guest is on %s, but %s: %v", r.plan.To, what, err))
	}
	if r.recipe.persistent && !v.at.persistent {
		warn("it has no persistent definition there", errors.New("define it with virsh define before it is shut down"))
	}
	if r.recipe.autostart {
		if err := r.destination.SetAutostart(ctx, r.id.UUID, true); err != nil {
			warn("its autostart flag could not be set there", err)
		}
	}
	if !r.recipe.persistent && v.at.persistent {
		if err := r.destination.Undefine(ctx, r.id.UUID); err != nil {
			warn("its definition there could not be removed, which it had none before", err)
		} else {
			v.at.persistent = false
		}
	}
	r.adopt(ctx)
	r.dropOld(ctx)
	for _, d := range v.definitions {
		if d.is(r.plan.From) {
			warn("a definition is left on "+r.plan.From, errors.New("remove it with virsh undefine"))
		}
	}
	if failed {
		return
	}
	if err := r.destination.DropBootMark(ctx, r.record.ToBoot); err != nil { // the record names it, and so stays as well
		r.log.Warn("the mark of the destination's boot is left; the next run removes it", "mark", r.record.ToBoot, "error", err)
		return
	}
	if err := clearMove(ctx, r.destination, r.id.UUID, v.at.formsOf()...); err != nil {
		r.log.Warn("the record of the move is left on the destination; the next run removes it", "error", err)
	}
}
