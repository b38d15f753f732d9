package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// Create adopts the guest, and moves it if the plan said so. A failure leaves no state at all: with some,
// Terraform would take the resource for tainted, and replace it.
func (r *domainResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan domainModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	timeout, diags := plan.Timeouts.Create(ctx, 0)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	prior := domainModel{}
	prior.neverMoved()
	_, diags = r.bring(ctx, prior, &plan, timeout)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Read finds the guest on whatever host it is. A guest that is nowhere is forgotten only when every host
// has answered, and when the host it was on is among those that were asked.
func (r *domainResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state domainModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if r.reach.blind() {
		resp.Diagnostics.Append(r.reach.notLookedAt(state)...)
		return
	}
	r.reach.refreshed.Store(true)
	guest := state.guest()
	if guest.UUID != "" {
		guest.Name = "" // it may have been renamed
	}
	loc, err := r.reach.fleet.Locate(ctx, guest)
	switch {
	case errors.Is(err, migration.ErrNotFound) && !slices.Contains(r.reach.fleet.Hosts(), state.Host.ValueString()):
		resp.Diagnostics.AddAttributeError(path.Root("host"), "Host Of The Guest Is No Longer Configured",
			fmt.Sprintf("Guest %q was on host %q, which is no longer among the provider's hosts, and it is on none of those that are. Configure that host again, or forget the guest with terraform state rm.",
				state.guest(), state.Host.ValueString()))
	case errors.Is(err, migration.ErrNotFound):
		resp.Diagnostics.AddWarning("Guest Is Gone",
			fmt.Sprintf("Every host answered, and none has guest %q (UUID %s) any more; it was on %s. It is taken out of the state.",
				state.Name.ValueString(), state.UUID.ValueString(), state.Host.ValueString()))
		resp.State.RemoveResource(ctx)
	case err != nil:
		resp.Diagnostics.Append(r.reach.failed(looking, guest, err))
	default:
		resp.Diagnostics.Append(r.reach.told.warnings(loc.Warnings)...)
		state.found(loc)
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
		resp.Diagnostics.Append(noteInterrupted(ctx, req.Private, resp.Private, loc.Interrupted != "")...)
	}
}

// Update moves the guest if the plan said so. When it fails, everything in state stays as it was, but for
// host, which says where the guest is.
func (r *domainResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, prior domainModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &prior)...)
	timeout, diags := plan.Timeouts.Update(ctx, 0)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	if plan.LastMigration.IsUnknown() || !plan.Host.Equal(prior.Host) {
		at, diags := r.bring(ctx, prior, &plan, timeout)
		if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
			if at != "" {
				resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("host"), at)...)
			}
			return
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete forgets the guest. It asks no host anything; the guest goes on as it is.
func (r *domainResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// bring carries out what plan says and completes it with what came of that. A guest that is not where the
// plan saw it is left alone. On failure it returns the host that has the guest, "" when nobody knows.
func (r *domainResource) bring(ctx context.Context, prior domainModel, plan *domainModel, timeout time.Duration) (at string, diags diag.Diagnostics) {
	if r.reach.blind() {
		diags.AddError("Provider Is Not Configured", "The provider's hosts are still unknown, so no host can be reached.")
		return "", diags
	}
	req, diags := plan.request(ctx, timeout)
	if diags.HasError() {
		return "", diags
	}
	now, err := r.reach.fleet.Plan(ctx, req)
	if err != nil {
		diags.Append(failure(moving, err))
		return hostOf(err), diags
	}
	if diags.Append(blocked(now)...); diags.HasError() {
		return now.From, diags
	}
	if diags.Append(asPlanned(ctx, prior, plan, now)...); diags.HasError() {
		return now.From, diags
	}
	if now.From != now.To && now.Recovery == "" {
		req.From = now.From // it may have gone elsewhere since
	}
	outcome, err := r.reach.fleet.Migrate(ctx, req)
	if err != nil {
		diags.Append(failure(moving, err))
		return hostOf(err), diags
	}
	// from here on the guest is where it was wanted: nothing may keep that from being saved
	diags.Append(r.reach.told.warnings(outcome.Warnings)...)
	diags.Append(otherwise(plan.PlannedMigration, outcome)...)
	plan.complete(outcome.Location)
	plan.LastMigration = prior.LastMigration
	if outcome.Result != nil {
		if err := plan.setResult(ctx, outcome.Result); err != nil {
			diags.AddWarning("Figures Were Lost", "The guest was moved, but its figures could not be saved. "+sentence(err.Error())+" This is a bug of the provider.")
		}
	}
	return outcome.Host, diags
}

// asPlanned refuses to go on when the guest is not where the plan saw it. A planned_migration that could
// not be known then is filled in.
func asPlanned(ctx context.Context, prior domainModel, plan *domainModel, now migration.Plan) diag.Diagnostics {
	var diags diag.Diagnostics
	if plan.PlannedMigration.IsUnknown() {
		if !now.Moves() {
			plan.PlannedMigration = prior.PlannedMigration
			return diags
		}
		if err := plan.setPlanned(ctx, now); err != nil {
			diags.AddError("Plan Could Not Be Shown", sentence(err.Error())+" This is a bug of the provider.")
		}
		return diags
	}
	from, to := now.To, now.To // when no move was planned, none may come
	if plan.LastMigration.IsUnknown() {
		from, to = shown(plan.PlannedMigration, "from"), shown(plan.PlannedMigration, "to")
	}
	if from != now.From || to != now.To {
		seen := fmt.Sprintf("on %s, to be moved to %s", from, to)
		if from == to {
			seen = "on " + to
		}
		diags.AddAttributeError(path.Root("host"), "Guest Is Not Where The Plan Saw It",
			fmt.Sprintf("The plan saw guest %q %s. It is on %s now, and nothing was done. Plan again.", now.Name, seen, now.From))
	}
	return diags
}
