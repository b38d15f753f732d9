package main

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// domainModel is a virtmigrate_domain in configuration, plan and state.
type domainModel struct {
	Name             types.String   `tfsdk:"name"`
	UUID             types.String   `tfsdk:"uuid"`
	Host             types.String   `tfsdk:"host"`
	Migration        types.Object   `tfsdk:"migration"`
	Timeouts         timeouts.Value `tfsdk:"timeouts"`
	State            types.String   `tfsdk:"state"`
	PlannedMigration types.Object   `tfsdk:"planned_migration"`
	LastMigration    types.Object   `tfsdk:"last_migration"`
}

// guest is what identifies the guest: what is known of name and UUID.
func (m domainModel) guest() migration.GuestRef {
	return migration.GuestRef{Name: m.Name.ValueString(), UUID: m.UUID.ValueString()}
}

// request is what the engine is asked for. A time-out of 0 leaves it to the engine.
func (m domainModel) request(ctx context.Context, timeout time.Duration) (migration.Request, diag.Diagnostics) {
	options, diags := m.options(ctx)
	return migration.Request{Guest: m.guest(), Host: m.Host.ValueString(), Options: options, Timeout: timeout}, diags
}

// found takes over where the guest is. A host that has several names in the configuration keeps the one
// it had.
func (m *domainModel) found(loc migration.Location) {
	m.Name, m.UUID, m.State = types.StringValue(loc.Name), types.StringValue(loc.UUID), types.StringValue(loc.State)
	for _, key := range loc.Keys {
		if key == m.Host.ValueString() {
			return
		}
	}
	m.Host = types.StringValue(loc.Host)
}

// complete fills in what the plan could not know. What it did know has to stay.
func (m *domainModel) complete(loc migration.Location) {
	for attribute, value := range map[*types.String]string{&m.Name: loc.Name, &m.UUID: loc.UUID, &m.State: loc.State} {
		if attribute.IsUnknown() {
			*attribute = types.StringValue(value)
		}
	}
}

// keepComputed takes over from prior what only a move can change.
func (m *domainModel) keepComputed(prior domainModel) {
	m.State, m.PlannedMigration, m.LastMigration = prior.State, prior.PlannedMigration, prior.LastMigration
}

// setPlanned records what a plan would do; null for a plan that changes nothing.
func (m *domainModel) setPlanned(ctx context.Context, p migration.Plan) error {
	m.PlannedMigration = types.ObjectNull(plannedType.AttrTypes)
	planned := p.Planned()
	if planned == nil {
		return nil
	}
	obj, err := object(ctx, planned, plannedType)
	m.PlannedMigration = obj
	return err
}

// setResult records what a move cost.
func (m *domainModel) setResult(ctx context.Context, result *migration.Result) error {
	obj, err := object(ctx, result, resultType)
	m.LastMigration = obj
	return err
}

// neverMoved says that this resource has not moved the guest.
func (m *domainModel) neverMoved() {
	m.PlannedMigration = types.ObjectNull(plannedType.AttrTypes)
	m.LastMigration = types.ObjectNull(resultType.AttrTypes)
}
