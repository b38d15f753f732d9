package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// asked is what all data sources have in common: the way to the hosts.
type asked struct {
	reach *reach
}

func (a *asked) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	if req.ProviderData == nil {
		return
	}
	reach, ok := req.ProviderData.(*reach)
	if !ok {
		resp.Diagnostics.AddError("Provider Is Not Configured", fmt.Sprintf("The provider handed a %T to the data source. This is a bug of the provider.", req.ProviderData))
		return
	}
	a.reach = reach
}

// ready says whether hosts can be asked.
func (a *asked) ready() diag.Diagnostics {
	var diags diag.Diagnostics
	if a.reach.blind() {
		diags.AddError("Provider Is Not Configured", "The provider's hosts are still unknown, so no host can be asked. "+
			"A data source that depends_on what the hosts are made from is read when they are known.")
	}
	return diags
}

// answer writes what the engine said into state, by the names of its JSON form.
func answer(ctx context.Context, value any, s schema.Schema, state *tfsdk.State) diag.Diagnostics {
	var diags diag.Diagnostics
	typ, ok := s.Type().(types.ObjectType)
	if !ok {
		diags.AddError("Answer Could Not Be Shown", fmt.Sprintf("The schema is a %T. This is a bug of the provider.", s.Type()))
		return diags
	}
	obj, err := object(ctx, value, typ)
	if err != nil {
		diags.AddError("Answer Could Not Be Shown", sentence(err.Error())+" This is a bug of the provider.")
		return diags
	}
	return state.Set(ctx, obj)
}

// hostDataSource is virtmigrate_host.
type hostDataSource struct{ asked }

func newHostDataSource() datasource.DataSource { return &hostDataSource{} }

func (d *hostDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_host"
}

func (d *hostDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = hostSchema()
}

func (d *hostDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var host types.String
	if resp.Diagnostics.Append(d.ready()...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, hostAttribute, &host)...)
	if resp.Diagnostics.HasError() {
		return
	}
	info, err := d.reach.fleet.HostInfo(ctx, host.ValueString())
	if err != nil {
		resp.Diagnostics.Append(failure(asking, err))
		return
	}
	resp.Diagnostics.Append(answer(ctx, info, hostSchema(), &resp.State)...)
}

// domainDataSource is virtmigrate_domain, to be read.
type domainDataSource struct{ asked }

func newDomainDataSource() datasource.DataSource { return &domainDataSource{} }

func (d *domainDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_domain"
}

func (d *domainDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = domainSchema()
}

// ValidateConfig wants something that identifies the guest.
func (d *domainDataSource) ValidateConfig(ctx context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	var name, uuid types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, nameAttribute, &name)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, uuidAttribute, &uuid)...)
	if !resp.Diagnostics.HasError() && name.IsNull() && uuid.IsNull() {
		resp.Diagnostics.AddAttributeError(nameAttribute, "Guest Is Not Named", "Give the guest's name or its uuid.")
	}
}

func (d *domainDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var name, uuid types.String
	if resp.Diagnostics.Append(d.ready()...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, nameAttribute, &name)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, uuidAttribute, &uuid)...)
	if resp.Diagnostics.HasError() {
		return
	}
	info, err := d.reach.fleet.DomainInfo(ctx, migration.GuestRef{Name: name.ValueString(), UUID: uuid.ValueString()})
	if err != nil {
		resp.Diagnostics.Append(failure(asking, err))
		return
	}
	resp.Diagnostics.Append(d.reach.told.warnings(info.Warnings)...)
	resp.Diagnostics.Append(answer(ctx, info, domainSchema(), &resp.State)...)
}
