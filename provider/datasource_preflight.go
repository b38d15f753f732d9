package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	resourceschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// preflightDataSource is virtmigrate_preflight.
type preflightDataSource struct{ asked }

func newPreflightDataSource() datasource.DataSource { return &preflightDataSource{} }

func (d *preflightDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_preflight"
}

func (d *preflightDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = preflightSchema()
}

// preflightModel is what a preflight is asked by.
type preflightModel struct {
	Name      types.String
	UUID      types.String
	Host      types.String
	Migration types.Object
	Deep      types.Bool
}

// read takes them from the configuration, which has computed attributes beside them.
func (m *preflightModel) read(ctx context.Context, config tfsdk.Config) (diags diag.Diagnostics) {
	for at, into := range map[string]any{"name": &m.Name, "uuid": &m.UUID, "host": &m.Host, "migration": &m.Migration, "deep": &m.Deep} {
		diags.Append(config.GetAttribute(ctx, path.Root(at), into)...)
	}
	return diags
}

// ValidateConfig wants something that identifies the guest, and options that go together.
func (d *preflightDataSource) ValidateConfig(ctx context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	var m preflightModel
	if resp.Diagnostics.Append(m.read(ctx, req.Config)...); resp.Diagnostics.HasError() {
		return
	}
	if m.Name.IsNull() && m.UUID.IsNull() {
		resp.Diagnostics.AddAttributeError(nameAttribute, "Guest Is Not Named", "Give the guest's name or its uuid.")
	}
	resp.Diagnostics.Append(domainModel{Migration: m.Migration}.mistakes(ctx)...)
}

func (d *preflightDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m preflightModel
	if resp.Diagnostics.Append(d.ready()...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(m.read(ctx, req.Config)...)
	options, diags := domainModel{Migration: m.Migration}.options(ctx)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	wanted := migration.Request{Guest: migration.GuestRef{Name: m.Name.ValueString(), UUID: m.UUID.ValueString()}, Host: m.Host.ValueString(), Options: options}
	report, err := d.reach.fleet.Preflight(ctx, wanted, m.Deep.ValueBool())
	if err != nil {
		resp.Diagnostics.Append(failure(planning, err))
		return
	}
	resp.Diagnostics.Append(d.reach.told.warnings(report.Warnings)...)
	resp.Diagnostics.Append(answer(ctx, report, preflightSchema(), &resp.State)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("migration"), m.Migration)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("deep"), m.Deep)...)
}

func preflightSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "What came of every check before a move: whether a guest could go to a host, with all findings at once. Nothing is moved, and without `deep` nothing is created on any host.",
		Attributes: map[string]schema.Attribute{
			"name": guestName,
			"uuid": guestUUID,
			"host": schema.StringAttribute{
				Required: true, Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
				MarkdownDescription: "Name, in the provider's `hosts`, of the host that the guest is to run on.",
			},
			"deep": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Makes a dry run, too, whenever the data source is read, also in a plan: libvirt on the source begins a migration and takes it back, the one on the destination starts a QEMU for a moment, " +
					"a file is made and deleted where storage has to be proved to be shared, and a paused guest of 32 MiB is moved the same way and destroyed. The guest runs on meanwhile. Default: `false`.",
			},
			"from": said("Name, in the provider's `hosts`, of the host that has the guest. When it is `host`, there is nothing to check."),
			"ok":   schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether nothing blocks the move. Warnings, and what is to be confirmed, leave it true."},
			"checks": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Every check in a fixed order. The guide on the preflight lists them.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"id":       said("Name of the check, such as `networks`."),
					"status":   said("`pass`, `warning`, `blocker`, or `to_be_confirmed`: only a dry run or the move itself can tell."),
					"looks_at": said("What is looked at."),
					"finding":  said("What was found; may be empty for a pass."),
					"why":      said("Why it matters."),
					"to_do":    said("What to do about it; empty for a pass."),
				}},
			},
		},
		Blocks: map[string]schema.Block{"migration": blockForDataSource(migrationBlock(), "How the guest would be moved: the same as `migration` of the resource `virtmigrate_domain`.")},
	}
}

// blockForDataSource is a block of a resource as one of a data source.
func blockForDataSource(block resourceschema.SingleNestedBlock, description string) schema.SingleNestedBlock {
	blocks := map[string]schema.Block{}
	for name, inner := range block.Blocks {
		inner, ok := inner.(resourceschema.SingleNestedBlock)
		if !ok {
			panic(fmt.Sprintf("migration.%s is a %T, which no data source is told of here", name, inner))
		}
		blocks[name] = blockForDataSource(inner, inner.MarkdownDescription)
	}
	return schema.SingleNestedBlock{MarkdownDescription: description, Attributes: forDataSource(block.Attributes), Blocks: blocks}
}

// forDataSource are attributes of a resource that are given, as those of a data source.
func forDataSource(attributes map[string]resourceschema.Attribute) map[string]schema.Attribute {
	out := map[string]schema.Attribute{}
	for name, attribute := range attributes {
		switch a := attribute.(type) {
		case resourceschema.StringAttribute:
			out[name] = schema.StringAttribute{Optional: true, Validators: a.Validators, MarkdownDescription: a.MarkdownDescription}
		case resourceschema.BoolAttribute:
			out[name] = schema.BoolAttribute{Optional: true, Validators: a.Validators, MarkdownDescription: a.MarkdownDescription}
		case resourceschema.NumberAttribute:
			out[name] = schema.NumberAttribute{Optional: true, Validators: a.Validators, MarkdownDescription: a.MarkdownDescription}
		case resourceschema.ListAttribute:
			out[name] = schema.ListAttribute{Optional: true, ElementType: a.ElementType, Validators: a.Validators, MarkdownDescription: a.MarkdownDescription}
		default:
			panic(fmt.Sprintf("migration.%s is a %T, which no data source is told of here", name, attribute))
		}
	}
	return out
}
