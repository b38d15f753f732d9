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

// decideOffline plans the move of a guest that is shut off. libvirt carries the definition and nothing that
// lies beside it, so that whatever else belongs to the guest keeps it where it is.
func decideOffline(p *Plan, fa facts, block blocker) {
	g, from, to := fa.guest, fa.source.key, fa.destination.key
	if fa.leftover {
		block("both_defined", "look which of the two is the right one, and remove the other: virsh undefine",
			"guest %q is shut off, and both %q and %q have a definition of it", g.ID.Name, from, to)
	}
	if g.HasManagedSave {
		block("managed_save", "start the guest, or give the saved state up: virsh managedsave-remove", "guest %q has its state saved in a file of host %q, which does not travel", g.ID.Name, from)
	}
	if g.TPM {
		block("tpm", "start the guest: libvirt carries the state of a running one", "guest %q has a TPM, whose state is kept on host %q", g.ID.Name, from)
	}
	if g.NVRAM {
		block("nvram", "start the guest: libvirt carries them with a running one", "guest %q has variables of its firmware on host %q (%s)", g.ID.Name, from, cmp.Or(g.NVRAMPath, "nvram"))
	}
	for _, dev := range append(slices.Clone(g.HostDevices), g.Blockers...) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("guest %q uses something of host %q, and will only start on %q if that has it too: %s", g.ID.Name, from, to, dev))
	}
	p.Transport, p.Reason = TransportNone, "the guest is shut off: only its definition moves"
	p.Control, p.ControlReason = ControlController, "a definition is moved by this machine"
	r := &p.recipe
	r.offline, r.persistent, r.autostart = true, true, g.Autostart
	r.flags |= host.FlagOffline | host.FlagPersistDest | host.FlagUndefineSource
	r.params.DestinationName = g.ID.Name
}

// moveDefinition moves a guest that is shut off: libvirt carries its definition over, and nothing else.
// Both hosts have it for a moment. A run after a crash finds that in the journal, and ends it.
func (r *run) moveDefinition(ctx context.Context) (view, *Result, error) {
	r.log.Info("moving the definition of a guest that is shut off")
	attempt := r.carryDefinition(ctx)
	r.closeSessions()
	after, err := r.verify(ctx, attempt)
	if err != nil {
		return view{}, nil, err
	}
	return after, r.definitionResult(), nil
}

// carryDefinition makes libvirt's calls of an offline migration, which has no perform.
func (r *run) carryDefinition(ctx context.Context) error {
	steady := context.WithoutCancel(ctx)
	params := r.recipe.params
	finish := params
	params.DestinationName = ""
	r.tell.step(StepBegin)
	r.began = time.Now()
	cookie, xml, err := r.src.Begin(ctx, r.id, params, r.recipe.sourceFlags())
	if err != nil {
		return fmt.Errorf("begin on %s: %w", r.plan.From, cause(ctx, err))
	}
	r.tell.step(StepPrepare)
	prepare := params
	prepare.DestinationXML = xml
	if cookie, _, err = r.dst.Prepare(ctx, prepare, cookie, r.recipe.destinationFlags()); err != nil {
		r.confirm(steady, params, nil, true)
		return fmt.Errorf("prepare on %s: %w", r.plan.To, cause(ctx, err))
	}
	if err := ctx.Err(); err != nil {
		r.abandon(steady, finish, cookie)
		r.confirm(steady, params, nil, true)
		return cause(ctx, err)
	}
	within, cancel := context.WithTimeout(steady, finishPatience)
	defer cancel()
	_, finished, err := r.dst.Finish(within, finish, cookie, r.recipe.destinationFlags(), false)
	r.ran = time.Now()
	if err != nil {
		// the definition may be there: then verification finds two, and the source's is the one to stay
		r.confirm(steady, params, nil, true)
		return errors.Join(fmt.Errorf("finish on %s: %w", r.plan.To, err), r.withdraw(steady))
	}
	r.tell.step(StepConfirm)
	r.confirm(steady, params, finished, false)
	return nil
}

// withdraw removes the definition from the destination again. There was none before, and the guest is off.
func (r *run) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	if now, err := r.destination.Lookup(ctx, r.id.UUID); err == nil && now.Active() {
		return fmt.Errorf("somebody has started the guest on %s", r.plan.To)
	}
	if err := r.destination.Undefine(ctx, r.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return fmt.Errorf("remove what came of it: %w", err)
	}
	return nil
}

// definitionResult has the times of the move and nothing else: no memory travelled.
func (r *run) definitionResult() *Result {
	res := &Result{
		Transport: r.plan.Transport, TransportReason: r.plan.Reason, Control: r.plan.Control, SourceHost: r.plan.From, DestinationHost: r.plan.To,
		Storage: r.plan.Storage, CopiedDisks: []string{}, MissingFigures: map[string]string{},
	}
	if res.TotalMS = between(r.began, r.ran); res.TotalMS == nil {
		res.MissingFigures["total_ms"] = "the event that marks it did not arrive"
	}
	for _, figure := range []string{"copy_ms", "setup_ms", "downtime_ms", "clock_skew_ms", "memory_total_bytes", "transferred_bytes", "throughput_bytes_per_second",
		"iterations", "dirty_bytes_per_second", "parallel_connections", "source_cpu", "destination_cpu"} {
		res.MissingFigures[figure] = "the guest is shut off: only its definition moved"
	}
	return res
}
