package main

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// answers stands in for a fleet where only what becomes of its answers is of interest.
type answers struct {
	fleet // what it is not asked

	plan    migration.Plan
	outcome migration.Outcome
	err     error
	asked   *migration.Request // for what Migrate was asked last
}

func (a answers) Hosts() []string { return []string{"alpha", "beta", "gamma"} }
func (a answers) Locate(context.Context, migration.GuestRef) (migration.Location, error) {
	return a.outcome.Location, a.err
}
func (a answers) Plan(context.Context, migration.Request) (migration.Plan, error) { return a.plan, nil }
func (a answers) Migrate(_ context.Context, req migration.Request) (migration.Outcome, error) {
	if a.asked != nil {
		*a.asked = req
	}
	return a.outcome, a.err
}

// TestStateSaysWhereTheGuestIs: whatever becomes of a move from alpha to beta, host is the truth, and the
// rest of a failed one is as it was.
func TestStateSaysWhereTheGuestIs(t *testing.T) {
	ctx := t.Context()
	toBeta := migration.Plan{Name: "web", UUID: "u", From: "alpha", To: "beta", Transport: "tls"}
	failed := func(at string) error {
		return &migration.Error{Phase: migration.PhaseRun, Guest: "web", Host: at, Err: errors.New("it broke")}
	}
	total := int64(5)
	for name, c := range map[string]struct {
		fleet  answers
		failed bool
		host   string
	}{
		"moved":                    {answers{plan: toBeta, outcome: migration.Outcome{Location: migration.Location{Host: "beta", State: "running"}, Moved: true, Result: &migration.Result{TotalMS: &total}}}, false, "beta"},
		"aborted":                  {answers{plan: toBeta, err: failed("alpha")}, true, "alpha"},
		"found on a third host":    {answers{plan: toBeta, err: failed("gamma")}, true, "gamma"},
		"nobody knows":             {answers{plan: toBeta, err: failed("")}, true, "alpha"},
		"an error of another kind": {answers{plan: toBeta, err: errors.New("it broke")}, true, "alpha"},
		"moved away before":        {answers{plan: migration.Plan{Name: "web", From: "gamma", To: "beta"}}, true, "gamma"},
		"blocked meanwhile":        {answers{plan: migration.Plan{Name: "web", From: "alpha", To: "beta", Blockers: []migration.Finding{{Text: "a local disk"}}}}, true, "alpha"},
	} {
		t.Run(name, func(t *testing.T) {
			var schema resource.SchemaResponse
			var asked migration.Request
			c.fleet.asked = &asked
			r := &domainResource{reach: &reach{fleet: c.fleet}}
			r.Schema(ctx, resource.SchemaRequest{}, &schema)
			prior := domainModel{
				Name: types.StringValue("web"), UUID: types.StringValue("u"), Host: types.StringValue("alpha"), State: types.StringValue("running"),
				Migration: types.ObjectNull(migrationType().AttrTypes),
				Timeouts:  timeouts.Value{Object: types.ObjectNull(map[string]attr.Type{"create": types.StringType, "update": types.StringType})},
			}
			prior.neverMoved()
			plan := prior
			plan.Host, plan.State, plan.LastMigration = types.StringValue("beta"), types.StringUnknown(), types.ObjectUnknown(resultType.AttrTypes)
			if err := plan.setPlanned(ctx, toBeta); err != nil {
				t.Fatal(err)
			}
			req := resource.UpdateRequest{Plan: tfsdk.Plan{Schema: schema.Schema}, State: tfsdk.State{Schema: schema.Schema}}
			report(t, req.Plan.Set(ctx, plan))
			report(t, req.State.Set(ctx, prior))
			resp := resource.UpdateResponse{State: tfsdk.State{Schema: schema.Schema, Raw: req.State.Raw.Copy()}}
			r.Update(ctx, req, &resp)
			if resp.Diagnostics.HasError() != c.failed {
				t.Fatalf("diagnostics %v", resp.Diagnostics)
			}
			if !c.failed && asked.From != "alpha" {
				t.Errorf("the engine was not told that the guest is to be found on alpha: %+v", asked)
			}
			var after domainModel
			report(t, resp.State.Get(ctx, &after))
			if after.Host.ValueString() != c.host {
				t.Errorf("state says %s, the guest is on %s", after.Host, c.host)
			}
			if c.failed && (!after.LastMigration.IsNull() || !after.PlannedMigration.IsNull() || !after.State.Equal(prior.State)) {
				t.Errorf("a failed move changed more than host: %+v", after)
			}
			if got := after.LastMigration.Attributes()["total_ms"]; !c.failed && !got.Equal(types.Int64Value(total)) {
				t.Errorf("total_ms is %v", got)
			}

			created := resource.CreateResponse{State: tfsdk.State{Schema: schema.Schema}}
			r.Create(ctx, resource.CreateRequest{Plan: req.Plan}, &created)
			if created.Diagnostics.HasError() != c.failed || created.State.Raw.IsNull() != c.failed {
				t.Errorf("an adoption: state %v, diagnostics %v", created.State.Raw, created.Diagnostics)
			}
		})
	}
}

func TestLogFieldsAreText(t *testing.T) {
	got := logFields([]any{"guest", "web", "error", errors.New("it broke"), "step", migration.StepCopy, "rate", hclog.Fmt("%d MiB/s", 3), 7, "odd key", "alone"})
	for key, want := range map[string]any{"guest": "web", "error": "it broke", "step": migration.StepCopy, "rate": "3 MiB/s", "7": "odd key", hclog.MissingKey: "alone"} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}
