package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// decideOffline plans the move of a guest that is shut off. The definition is carried and nothing that lies
// beside it, so that whatever else belongs to the guest keeps it where it is.
func decideOffline(p *Plan, fa facts, block blocker) {
	g, from, to := fa.guest, fa.source.key, fa.destination.key
	if fa.leftover {
		block("both_defined", "look which of the two is the right one, and remove the other: virsh undefine",
			"guest %q is shut off, and both %q and %q have a definition of it", g.ID.Name, from, to)
	}
	if g.State.Died() {
		block("died", fmt.Sprintf("its QEMU's last words are in /var/log/libvirt/qemu/%s.log on %s; start it there, and shut it down if that is how it is to be moved", g.ID.Name, from),
			"guest %q does not run because its QEMU died: %s", g.ID.Name, g.State)
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
}

// moveDefinition moves a guest that is shut off: its definition goes over, and nothing else. libvirt's own
// offline migration is not used: until its last call the destination holds a domain that is neither running
// nor defined, which cannot be undefined and is forgotten with the daemon (seen with libvirt 9.0). So the
// definition is first made there, read back, and only then removed here. For a moment both hosts have it, with the
// record of the move in both, by which any later run ends it. Its autostart flag follows last, so that two hosts that
// boot in that moment do not both start it.
func (r *run) moveDefinition(ctx context.Context) (view, *Result, error) {
	r.log.Info("moving the definition of a guest that is shut off")
	attempt := r.carryDefinition(ctx)
	after, err := r.verify(ctx, attempt)
	if err != nil {
		return view{}, nil, err
	}
	return after, r.definitionResult(), nil
}

func (r *run) carryDefinition(ctx context.Context) error {
	r.tell.step(StepBegin)
	r.began = time.Now()
	if err := writeMove(ctx, r.source, r.id.UUID, r.record, host.FormConfig); err != nil {
		return fmt.Errorf("write the record of the move on %s: %w", r.plan.From, cause(ctx, err))
	}
	r.announced = true
	xml, err := r.source.XML(ctx, r.id.UUID, true)
	if err != nil {
		return fmt.Errorf("read the definition on %s: %w", r.plan.From, cause(ctx, err))
	}
	if err := r.mustBeOurs(journal.MoveIn(xml)); err != nil {
		return err
	}
	r.tell.step(StepPrepare)
	if err := r.destination.Define(ctx, xml); err != nil {
		return errors.Join(fmt.Errorf("define it on %s: %w", r.plan.To, cause(ctx, err)), r.withdraw(ctx))
	}
	if there, err := r.destination.Persistent(ctx, r.id.UUID); err != nil || !there {
		return errors.Join(fmt.Errorf("%s does not show the definition it was given (%v)", r.plan.To, err), r.withdraw(ctx))
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(cause(ctx, err), r.withdraw(ctx))
	}
	r.tell.step(StepConfirm)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmPatience)
	defer cancel()
	if err := r.stillOff(ctx); err != nil {
		return errors.Join(err, r.withdraw(ctx))
	}
	if err := r.source.Undefine(ctx, r.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return errors.Join(fmt.Errorf("remove the definition from %s: %w", r.plan.From, err), r.withdraw(ctx))
	}
	r.ran = time.Now()
	if now, err := r.source.Lookup(ctx, r.id.UUID); err == nil && now.Active() { // started between two calls
		return errors.Join(fmt.Errorf("somebody has started the guest on %s", r.plan.From), r.source.Define(ctx, xml), r.withdraw(ctx))
	}
	return nil
}

// stillOff is the last look before the source's definition goes.
func (r *run) stillOff(ctx context.Context) error {
	switch now, err := r.source.Lookup(ctx, r.id.UUID); {
	case err != nil:
		return fmt.Errorf("look at the guest on %s: %w", r.plan.From, err)
	case now.Active():
		return fmt.Errorf("somebody has started the guest on %s", r.plan.From)
	}
	return nil
}

// withdraw removes the definition from the destination again, as long as the source has it. There was none
// before; a guest that somebody has started from it is left alone.
func (r *run) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmPatience)
	defer cancel()
	if here, err := r.source.Persistent(ctx, r.id.UUID); err != nil || !here {
		return fmt.Errorf("%s does not show its definition (%v), so that the one on %s stays", r.plan.From, err, r.plan.To)
	}
	switch now, err := r.destination.Lookup(ctx, r.id.UUID); {
	case errors.Is(err, host.ErrNoDomain):
		return nil
	case err != nil:
		return fmt.Errorf("take the definition back from %s: %w", r.plan.To, err)
	case now.Active():
		return fmt.Errorf("somebody has started the guest on %s", r.plan.To)
	}
	if there, err := readMove(ctx, r.destination, r.id.UUID, host.FormConfig); err != nil || there == nil || there.Attempt != r.record.Attempt {
		return fmt.Errorf("the definition on %s is not the one of this move any more (%v), and stays", r.plan.To, err)
	}
	if err := r.destination.Undefine(ctx, r.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return fmt.Errorf("take the definition back from %s: %w", r.plan.To, err)
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
