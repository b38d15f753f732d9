package main

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
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

// providerModel is the provider block. hosts stays a bare value, because any part of it may not be known
// yet.
type providerModel struct {
	Hosts                types.Map    `tfsdk:"hosts"`
	MaxMigrationsPerHost types.Number `tfsdk:"max_migrations_per_host"`
}

// fleet is what resources and data sources ask of *migration.Fleet.
type fleet interface {
	Hosts() []string
	Locate(ctx context.Context, guest migration.GuestRef) (migration.Location, error)
	Plan(ctx context.Context, req migration.Request) (migration.Plan, error)
	Migrate(ctx context.Context, req migration.Request) (migration.Outcome, error)
	Preflight(ctx context.Context, req migration.Request, deep bool) (migration.Preflight, error)
	HostInfo(ctx context.Context, key string) (migration.HostInfo, error)
	DomainInfo(ctx context.Context, guest migration.GuestRef) (migration.DomainInfo, error)
}

// reach is what Configure hands to every resource and data source: the way to the hosts.
type reach struct {
	fleet fleet // nil while anything of the hosts is still to be computed
	keys  []string
	told  told
	// refreshed: a guest was looked for by a refresh, which no apply does.
	refreshed atomic.Bool
}

// blind says that no host can be asked.
func (r *reach) blind() bool { return r == nil || r.fleet == nil }

func (p *virtmigrate) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "virtmigrate"
	resp.Version = p.version
}

// ValidateConfig checks what depends on nothing but the configuration, so that terraform validate finds it
// also where the keys and certificates are not.
func (p *virtmigrate) ValidateConfig(ctx context.Context, req provider.ValidateConfigRequest, resp *provider.ValidateConfigResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	_, diags := hostConfigs(config.Hosts)
	resp.Diagnostics.Append(diags...)
}

// Configure reaches no host. With hosts that are not known yet it leaves the resources without a fleet:
// they then keep what they have, dial nothing, and say so.
func (p *virtmigrate) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	hosts, diags := hostConfigs(config.Hosts)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	way := &reach{keys: slices.Sorted(maps.Keys(hosts))}
	resp.ResourceData, resp.DataSourceData = way, way
	if !fullyKnown(ctx, config.Hosts) || config.MaxMigrationsPerHost.IsUnknown() {
		return
	}
	fleet, diags := newFleet(ctx, hosts, integer(config.MaxMigrationsPerHost))
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	p.fleet, way.fleet = fleet, fleet
}

func (p *virtmigrate) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newDomainResource}
}

func (p *virtmigrate) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newHostDataSource, newDomainDataSource, newPreflightDataSource}
}
