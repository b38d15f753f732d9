package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// Preflight says whether a guest could move, and what came of every check. Its JSON form is the one both faces
// show.
type Preflight struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	// From is the key of the host that has the guest, Host that of the one it is to run on; equal when there
	// is nothing to move, and then there are no checks.
	From string `json:"from"`
	Host string `json:"host"`
	// OK: no check blocks the move. Warnings, and what is to be confirmed, leave it true.
	OK     bool          `json:"ok"`
	Checks []CheckResult `json:"checks"`
	// Warnings concern no single check: silent hosts, an interrupted migration.
	Warnings []string `json:"-"`
}

// Blockers are the checks that rule the move out.
func (p Preflight) Blockers() []CheckResult {
	return slices.DeleteFunc(slices.Clone(p.Checks), func(c CheckResult) bool { return c.Status != StatusBlocker })
}

// Preflight makes every check for a request and moves nothing. With deep it makes a dry run, too, when no
// other check blocks: files by which shared storage is proved are made and deleted, the source's daemon begins
// a migration and takes it back, and so does the destination's, which starts a QEMU for a moment; and a small
// guest of our own is made, moved the same way, and destroyed. The guest runs on meanwhile. Without deep, nothing
// is created on any host. The error is for what kept the checks from being made; ErrBusy: the guest is being moved.
func (f *Fleet) Preflight(ctx context.Context, req Request, deep bool) (Preflight, error) {
	if err := f.check(req); err != nil {
		return Preflight{}, err
	}
	v, err := f.locate(ctx, req.Guest, deep)
	if err != nil {
		return Preflight{}, err
	}
	loc, err := v.location()
	if err != nil {
		return Preflight{}, err
	}
	p, err := f.planFrom(ctx, v, req)
	if err != nil {
		return Preflight{}, err
	}
	report := Preflight{Name: p.Name, UUID: p.UUID, From: p.From, Host: req.Host, Checks: p.Checks, Warnings: loc.Warnings}
	if report.Checks == nil {
		report.Checks = []CheckResult{}
	}
	if p.Recovery != "" {
		report.Warnings = append(report.Warnings, "an interrupted migration comes first, so that the rest can only be foreseen: "+p.Recovery)
	}
	if deep && p.From != p.To && p.Recovery == "" && len(p.Blockers) == 0 {
		if err := f.dryRun(ctx, v, p, req.Options, report.Checks); err != nil {
			return Preflight{}, err
		}
	}
	report.OK = len(report.Blockers()) == 0
	return report, nil
}

// Two of the last three checks: what nothing but a dry run, or the move itself, can tell.

func beginToBeConfirmed(p *Plan, _ Options, fa facts, _ blocker) string {
	toBeConfirmed(p, "that libvirt and QEMU on %s find nothing in guest %q that they cannot migrate", fa.source.key, fa.guest.ID.Name)
	return ""
}

func prepareToBeConfirmed(p *Plan, _ Options, fa facts, _ blocker) string {
	toBeConfirmed(p, "that %s can start a QEMU for guest %q", fa.destination.key, fa.guest.ID.Name)
	return ""
}

// dryRun replaces what is to be confirmed with what libvirt says, as far as it goes without a guest on its way.
func (f *Fleet) dryRun(ctx context.Context, v view, p Plan, o Options, results []CheckResult) (err error) {
	words, at := v.where()
	fail := func(err error) error {
		return &Error{Phase: PhaseRun, Guest: v.id.Name, GuestAt: words, Host: at, Err: cause(ctx, err)}
	}
	release, err := f.slots.hold(v.id.UUID)
	if errors.Is(err, errHeld) {
		return fail(fmt.Errorf("%w: %w", ErrBusy, err))
	}
	if err == nil {
		defer release()
	}
	f.sweepCanaries(ctx, v.inv)
	tell, err := newTeller(Request{})
	if err != nil {
		return fail(err)
	}
	r := &run{fleet: f, id: v.id, plan: p, recipe: p.recipe, tell: tell, files: map[string]*filesRecord{}, log: f.log.With("guest", v.id.Name, "from", p.From, "to", p.To)}
	var from, to host.Facts
	if r.source, from, err = f.members[p.From].reach(ctx, true); err != nil {
		return fail(err)
	}
	if r.destination, to, err = f.members[p.To].reach(ctx, true); err != nil {
		return fail(err)
	}
	if r.guest, err = r.source.Domain(ctx, v.id.UUID); err != nil {
		return fail(err)
	}
	r.replaces = slices.ContainsFunc(v.definitions, func(s sighting) bool { return s.is(p.To) })
	r.record = r.newRecord(from, to)
	becomes := func(id string, seen string, err error) {
		i := slices.IndexFunc(results, func(c CheckResult) bool { return c.ID == id })
		row := checks[slices.IndexFunc(checks, func(c Check) bool { return c.ID == id })]
		if err == nil {
			results[i] = row.result(nil, nil, nil, seen)
			return
		}
		results[i] = row.result([]Finding{{Text: err.Error(), Hint: advice(err)}}, nil, nil, "")
	}
	if err := r.proveDisks(ctx, becomes); err != nil {
		return fail(err)
	}
	if p.recipe.offline {
		return nil
	}
	if err := r.rehearse(ctx, becomes); err != nil {
		return fail(err)
	}
	if len(Preflight{Checks: results}.Blockers()) > 0 {
		return nil
	}
	if err := r.sendCanary(ctx, o, results, becomes); err != nil {
		return fail(err)
	}
	return nil
}

// proveDisks proves what the plan takes to be shared. No image is made for disks that are to be copied.
func (r *run) proveDisks(ctx context.Context, becomes func(id, seen string, err error)) error {
	if len(r.recipe.disks.prove)+len(r.recipe.disks.find) == 0 {
		return nil
	}
	r.recipe.disks.copied = nil
	err := r.readyImages(ctx)
	if left := r.dropMade(context.WithoutCancel(ctx), true); len(left) > 0 {
		return errors.Join(err, fmt.Errorf("a file by which shared storage was to be proved is left, and the next run deletes it: %v", left))
	}
	if ctx.Err() != nil {
		return err
	}
	becomes("disks", "shared disks are proved to be so", err)
	return nil
}

// rehearse goes the first steps of a migration and takes them back. An error means that it could not, not that
// libvirt refuses the guest.
func (r *run) rehearse(ctx context.Context, becomes func(id, seen string, err error)) (err error) {
	if r.src, err = r.source.Session(ctx); err != nil {
		return err
	}
	defer r.src.Close()
	if r.dst, err = r.destination.Session(ctx); err != nil {
		return err
	}
	defer r.dst.Close()
	steady := context.WithoutCancel(ctx)
	if r.mayPrepare() {
		// libvirt 9.0 deletes the state of a TPM with a failed incoming domain that has no definition
		defer func() { err = errors.Join(err, r.retract(steady, true)) }()
		if err := r.announce(ctx); err != nil {
			return err
		}
	}
	// a tunnel is made by the two daemons, which nothing but a move can try
	source, destination := r.recipe.sourceFlags()&^host.FlagTunnelled, r.recipe.destinationFlags()
	params := r.recipe.params
	finish := params
	params.DestinationName = ""
	cookie, xml, err := r.src.Begin(ctx, r.id, params, source)
	if host.Code(err) != 0 {
		becomes("begin", "", err)
		return nil
	}
	if err != nil {
		return err
	}
	becomes("begin", "they find nothing that they cannot migrate", nil)
	defer r.confirm(steady, params, nil, true)
	if !r.mayPrepare() {
		return nil
	}
	prepare := params
	prepare.DestinationXML = xml
	_, _, err = r.dst.Prepare(ctx, prepare, cookie, destination)
	if host.Code(err) != 0 {
		becomes("prepare", "", err)
		return nil
	}
	if err != nil {
		return err
	}
	r.abandon(steady, finish, nil)
	if err := r.gone(steady); err != nil {
		return err
	}
	becomes("prepare", "it started one, with the guest's devices, disks and networks, and ended it again", nil)
	if len(r.recipe.served) > 0 {
		becomes("network_disks", "the QEMU that it started opened them", nil)
	}
	return nil
}

// mayPrepare says whether the destination can be tried as it is: over a relay or a tunnel its QEMU waits where
// only these bring a guest, and disks that are copied have no images there before.
func (r *run) mayPrepare() bool {
	return (r.plan.Transport == TransportTLS || r.plan.Transport == TransportPlain) && r.recipe.flags&(host.FlagNonSharedDisk|host.FlagNonSharedInc) == 0
}

// gone waits for the end of the QEMU that was started at the destination.
func (r *run) gone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, abortPatience)
	defer cancel()
	for {
		state, err := r.destination.State(ctx, r.id.UUID)
		switch {
		case errors.Is(err, host.ErrNoDomain), err == nil && !state.Active():
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s still has the QEMU of the dry run, in state %s: virsh destroy ends it there, and never on %s", r.plan.To, state, r.plan.From)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
