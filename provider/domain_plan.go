package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// ModifyPlan asks the engine what apply would do and writes it into the plan, creating nothing on any
// host. It leaves unknown what an apply will find out, and last_migration only when there will be a move:
// Update takes that as the sign that hosts have to be asked. A guest that the refresh found where it is
// wanted, with nothing to bring to an end, is not asked about again.
func (r *domainResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // forgetting a guest asks nobody
	}
	var plan, config domainModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	var prior *domainModel
	if !req.State.Raw.IsNull() {
		prior = &domainModel{}
		resp.Diagnostics.Append(req.State.Get(ctx, prior)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	if prior != nil && (!plan.Name.Equal(prior.Name) || !plan.UUID.Equal(prior.UUID)) {
		return // another guest: Terraform plans again, without the prior state
	}
	interrupted, diags := wasInterrupted(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if prior != nil && plan.Host.Equal(prior.Host) && !interrupted {
		plan.keepComputed(*prior)
	} else {
		resp.Diagnostics.Append(r.foresee(ctx, config, prior, interrupted, &plan)...)
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
}

// foresee completes plan. prior is nil for a guest to be adopted.
//
// Terraform plans once more when it applies, and insists that what was known is the same again. So what an
// interrupted migration may change in between by itself stays unknown: its end may come at any time.
func (r *domainResource) foresee(ctx context.Context, config domainModel, prior *domainModel, interrupted bool, plan *domainModel) diag.Diagnostics {
	diags := r.reach.unknownHost(config.Host)
	if diags.HasError() {
		return diags
	}
	if r.reach.blind() {
		diags.Append(r.reach.notLookedAt(*plan)...)
	}
	if r.reach.blind() || !config.known(ctx) {
		if prior != nil && plan.Host.Equal(prior.Host) {
			plan.keepComputed(*prior)
		}
		return diags
	}
	bound := config.Timeouts.Update
	if prior == nil {
		bound = config.Timeouts.Create
	}
	timeout, more := bound(ctx, 0)
	diags.Append(more...)
	wanted, more := plan.request(ctx, timeout)
	if diags.Append(more...); diags.HasError() {
		return diags
	}
	p, err := r.reach.fleet.Plan(ctx, wanted)
	if err != nil {
		diags.Append(r.reach.failed(planning, plan.guest(), err))
		return diags
	}
	diags.Append(r.reach.told.warnings(p.Warnings)...)
	diags.Append(blocked(p)...)
	if arrived := interrupted && p.From == p.To; prior != nil && !arrived {
		diags.Append(r.whereStateSays(ctx, *prior, p)...)
	}
	if diags.HasError() {
		return diags
	}
	plan.Name, plan.UUID = types.StringValue(p.Name), types.StringValue(p.UUID)
	switch {
	case p.Recovery != "":
		plan.State, plan.LastMigration = types.StringUnknown(), types.ObjectUnknown(resultType.AttrTypes)
		plan.PlannedMigration = types.ObjectUnknown(plannedType.AttrTypes)
		diags.Append(announce(p, prior == nil)...)
	case p.Moves():
		plan.State, plan.LastMigration = types.StringUnknown(), types.ObjectUnknown(resultType.AttrTypes)
		if err := plan.setPlanned(ctx, p); err != nil {
			diags.AddError("Plan Could Not Be Shown", sentence(err.Error())+" This is a bug of the provider.")
		}
		diags.Append(announce(p, prior == nil)...)
	case prior != nil:
		plan.keepComputed(*prior)
		if !plan.Host.Equal(prior.Host) {
			plan.State = types.StringUnknown()
		}
	default:
		plan.neverMoved()
	}
	return diags
}

// whereStateSays refuses to plan from another host than the one in state: Terraform would blame the provider
// for a plan that came out differently the second time.
func (r *domainResource) whereStateSays(ctx context.Context, prior domainModel, p migration.Plan) diag.Diagnostics {
	var diags diag.Diagnostics
	if p.From == prior.Host.ValueString() {
		return diags
	}
	loc, err := r.reach.fleet.Locate(ctx, prior.guest())
	if err == nil && slices.Contains(loc.Keys, prior.Host.ValueString()) {
		return diags // two names of one host
	}
	diags.AddAttributeError(path.Root("host"), "Guest Is Not Where The Plan Saw It",
		fmt.Sprintf("State has guest %q on %s, but it is on %s now, and nothing was done. Plan again, with a refresh.", p.Name, prior.Host.ValueString(), p.From))
	return diags
}

// announce says beforehand what a reader of the plan might miss.
func announce(p migration.Plan, adopted bool) diag.Diagnostics {
	var diags diag.Diagnostics
	if p.Recovery != "" {
		diags.AddAttributeWarning(path.Root("host"), "An Interrupted Migration Will Be Brought To An End",
			fmt.Sprintf("Guest %q: %s.", p.Name, p.Recovery))
	}
	if p.From == p.To {
		return diags
	}
	if adopted {
		how := "moved live to " + p.To + " by " + string(p.Transport)
		if p.Transport == migration.TransportNone {
			how = "moved to " + p.To
		}
		diags.AddAttributeWarning(path.Root("host"), "Guest Will Be Moved",
			fmt.Sprintf("Guest %q is on %s and will be %s: %s. To adopt it where it is, set host to %q.", p.Name, p.From, how, p.Reason, p.From))
	}
	return diags
}

// known says whether nothing that a move depends on is still to be computed.
func (m domainModel) known(ctx context.Context) bool {
	return !m.Name.IsUnknown() && !m.UUID.IsUnknown() && !m.Host.IsUnknown() && fullyKnown(ctx, m.Migration) && fullyKnown(ctx, m.Timeouts)
}
