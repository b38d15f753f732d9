package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// Location is where a guest was found.
type Location struct {
	Name, UUID string
	// Host is the key of the host that has the guest, Keys all configured names of that host: two URIs
	// of one daemon are one host.
	Host string
	Keys []string
	// State is libvirt's, in words: "running", "paused (user)", "shut off".
	State string
	// Interrupted says, in words, what an interrupted migration left; empty when nothing.
	Interrupted string
	// Warnings name silent hosts and the like.
	Warnings []string
}

// view is what all hosts together say of one guest at one moment.
type view struct {
	standing
	id  host.DomainID
	inv *inventory
	// silent are the hosts that did not answer, to the survey or to a question about this guest.
	silent map[string]error
	// found is what every host that has something of the guest said.
	found []sighting
}

// Locate asks every host where the guest is. It changes nothing. Answers of one refresh are shared
// between callers.
//
// Not found is [ErrNotFound] only when every host answered; with a silent host it is [ErrHostSilent],
// since the guest may be there. Two running copies are [ErrNeedsPerson].
func (f *Fleet) Locate(ctx context.Context, guest GuestRef) (Location, error) {
	v, err := f.locate(ctx, guest, false)
	if err != nil {
		return Location{}, err
	}
	return v.location()
}

// locate finds the guest and judges what its hosts say of it. fresh uses no earlier answer.
func (f *Fleet) locate(ctx context.Context, guest GuestRef, fresh bool) (view, error) {
	return f.locateKnowing(ctx, guest, fresh, "")
}

// locateKnowing is locate by a process that knows of one attempt that its copy was never let run.
func (f *Fleet) locateKnowing(ctx context.Context, guest GuestRef, fresh bool, neverRan string) (view, error) {
	guest, err := guest.normal()
	if err != nil {
		return view{}, &Error{Phase: PhaseRequest, Guest: guest.String(), Err: err}
	}
	fail := func(err error, hint string, silent ...string) (view, error) {
		return view{}, &Error{Phase: PhaseLocate, Guest: guest.String(), Hint: hint, Silent: silent, Err: cause(ctx, err)}
	}
	inv, err := f.survey(ctx, fresh)
	if err != nil {
		return fail(err, "")
	}
	id, err := inv.find(guest)
	switch {
	case errors.Is(err, ErrNotFound) && len(inv.silent) > 0:
		return fail(fmt.Errorf("%w, and the guest may be there: %s", ErrHostSilent, strings.Join(silentWarnings(inv.silent), "; ")),
			"bring the silent hosts back, or take them out of hosts if they are gone for good", slices.Sorted(maps.Keys(inv.silent))...)
	case errors.Is(err, ErrNotFound):
		return fail(err, "check its name or UUID, and that the host it is on is among hosts ("+strings.Join(f.keys, ", ")+")")
	case err != nil:
		return fail(err, "")
	}
	v, err := f.look(ctx, id, inv, neverRan)
	if err != nil {
		return fail(err, "")
	}
	return v, nil
}

// look asks each host that listed the guest for its state and job.
func (f *Fleet) look(ctx context.Context, id host.DomainID, inv *inventory, neverRan string) (view, error) {
	v := view{id: id, inv: inv, silent: maps.Clone(inv.silent)}
	var found []sighting
	var mu sync.Mutex
	var wg sync.WaitGroup
	for key, list := range inv.domains {
		if !slices.ContainsFunc(list, func(d host.DomainID) bool { return d.UUID == id.UUID }) {
			continue
		}
		wg.Go(func() {
			s, err := f.sight(ctx, key, id.UUID)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, host.ErrNoDomain): // it went between two questions
			case err != nil:
				v.silent[key] = err
			default:
				s.keys = inv.aliases(key)
				found = append(found, s)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b sighting) int { return strings.Compare(a.host(), b.host()) })
	v.found = found
	e := evidence{sightings: found, silent: slices.Sorted(maps.Keys(v.silent)), answered: map[journal.Daemon]string{}, neverRan: neverRan}
	for id, keys := range inv.groups {
		e.answered[id.daemon()] = keys[0]
	}
	v.standing = judge(e)
	return v, ctx.Err()
}

// sight asks one host about one guest. The job is asked before the state: until a job ends, states only go on towards
// running, so that a state without a job is no older than the end of the job. The records come last.
func (f *Fleet) sight(ctx context.Context, key, uuid string) (sighting, error) {
	s := sighting{keys: []string{key}}
	d, facts, err := f.members[key].reach(ctx, true)
	if err != nil {
		return s, err
	}
	s.self = journal.Daemon{UUID: facts.UUID, Hostname: facts.Hostname}
	if s.id, err = d.Lookup(ctx, uuid); err != nil {
		return s, err
	}
	if s.id.Active() {
		job, err := d.Job(ctx, uuid)
		if err != nil && host.Code(err) != host.CodeOperationInvalid { // that one: it stopped between two questions
			return s, err
		}
		s.job = job.Kind
	}
	if s.state, err = d.State(ctx, uuid); err != nil {
		return s, err
	}
	if s.persistent, err = d.Persistent(ctx, uuid); err != nil {
		return s, err
	}
	return s, s.readRecords(ctx, d)
}

// location turns a judgement into the answer for a face.
func (v view) location() (Location, error) {
	loc := Location{Name: v.id.Name, UUID: v.id.UUID, Warnings: silentWarnings(v.silent)}
	switch v.situation {
	case sitPerson:
		return loc, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: v.words, Err: ErrNeedsPerson, Hint: v.hint()}
	case sitNowhere:
		return loc, &Error{Phase: PhaseLocate, Guest: v.id.Name, Err: ErrNotFound, Hint: v.stubHint()}
	case sitMoving, sitLeftover, sitStopped, sitEnded:
		loc.Interrupted = v.words
	}
	if v.at == nil { // moving, and only its arriving half is on a host of ours
		return loc, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: v.words, Err: ErrBusy}
	}
	loc.Host, loc.Keys, loc.State = v.at.host(), v.at.keys, v.at.state.String()
	for _, d := range v.definitions {
		if d.host() != loc.Host {
			loc.Warnings = append(loc.Warnings, fmt.Sprintf("host %q keeps a definition of guest %q that is not running", d.host(), v.id.Name))
		}
	}
	return loc, nil
}

// hint says what a person has to do.
func (v view) hint() string {
	if v.postCopy {
		return "destroy neither half: each has a part of the guest's memory; the page on failed migrations says how to go on"
	}
	for _, s := range v.found {
		if s.part() == partHalf && s.isSource() && !s.incoming() {
			return fmt.Sprintf("look whether it ran anywhere after it left %s (virsh list --all and its log in /var/log/libvirt/qemu, on every host): if it did, virsh destroy %s on %s; only if it certainly did not, virsh resume %s there",
				s.host(), v.id.UUID, s.host(), v.id.UUID)
		}
	}
	return personHint
}

// stubHint says what to do about a token whose guest is nowhere.
func (v view) stubHint() string {
	if len(v.stubs) == 0 {
		return ""
	}
	return fmt.Sprintf("%s has an empty definition of that name, which an interrupted move left: virsh undefine %s removes it", v.stubs[0].host(), v.id.UUID)
}

const personHint = "compare both hosts with virsh list --all and domstate --reason, keep the copy that has the truth and destroy the other"

// normal brings the reference into canonical form.
func (g GuestRef) normal() (GuestRef, error) {
	if g.Name == "" && g.UUID == "" {
		return g, errors.New("give the guest's name or its uuid")
	}
	if err := checkGuestName(g.Name); err != nil {
		return GuestRef{UUID: g.UUID}, err // the name itself would spoil what is said about it
	}
	if g.UUID != "" {
		parsed, err := uuid.Parse(g.UUID)
		if err != nil || len(g.UUID) != 36 {
			return g, fmt.Errorf("uuid %q is not a UUID such as 6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0", g.UUID)
		}
		g.UUID = parsed.String()
	}
	return g, nil
}
