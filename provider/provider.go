package main

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

var (
	_ provider.Provider                   = (*virtmigrate)(nil)
	_ provider.ProviderWithValidateConfig = (*virtmigrate)(nil)
)

// virtmigrate is the provider. One process serves one provider block, and builds one fleet from it.
type virtmigrate struct {
	version string
	fleet   *migration.Fleet // as Configure made it
}

func newProvider(version string) *virtmigrate { return &virtmigrate{version: version} }

// providerModel is the provider block. hosts stays a bare value here, because a host of it, or all of it,
// may not be known yet.
type providerModel struct {
	Hosts                types.Map   `tfsdk:"hosts"`
	MaxMigrationsPerHost types.Int64 `tfsdk:"max_migrations_per_host"`
}

// fleet is what the resources ask of *migration.Fleet.
type fleet interface {
	Hosts() []string
	Locate(ctx context.Context, guest migration.GuestRef) (migration.Location, error)
	Plan(ctx context.Context, req migration.Request) (migration.Plan, error)
	Migrate(ctx context.Context, req migration.Request) (migration.Outcome, error)
}

// reach is what Configure hands to every resource: the way to the hosts.
type reach struct {
	fleet fleet
	told  told
}

func (p *virtmigrate) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "virtmigrate"
	resp.Version = p.version
}

// ValidateConfig checks what can be checked without a host, so that terraform validate finds it.
func (p *virtmigrate) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	_, _, diags := config.build(ctx)
	resp.Diagnostics.Append(diags...)
}

// Configure reaches no host. With hosts that are not known yet it leaves the resources without a fleet:
// they then keep what they have and dial nothing.
func (p *virtmigrate) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	built, known, diags := config.build(ctx)
	resp.Diagnostics.Append(diags...)
	if !known || resp.Diagnostics.HasError() {
		return
	}
	p.fleet = built
	resp.ResourceData = &reach{fleet: built}
}

// build makes the fleet; known is false while part of the block is not.
func (m providerModel) build(ctx context.Context) (_ *migration.Fleet, known bool, diags diag.Diagnostics) {
	if !fullyKnown(ctx, m.Hosts) || m.MaxMigrationsPerHost.IsUnknown() {
		return nil, false, nil
	}
	hosts, diags := hostConfigs(ctx, m.Hosts)
	if diags.HasError() {
		return nil, true, diags
	}
	built, err := migration.NewFleet(migration.Config{
		Hosts: hosts, MigrationsPerHost: int(m.MaxMigrationsPerHost.ValueInt64()), Log: engineLog(ctx),
	})
	if err != nil {
		diags.AddAttributeError(path.Root("hosts"), "Hosts Cannot Be Used", sentence(err.Error()))
	}
	return built, true, diags
}

func (p *virtmigrate) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newDomainResource}
}

func (p *virtmigrate) DataSources(context.Context) []func() datasource.DataSource { return nil }
