package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
)

var (
	_ resource.ResourceWithConfigure      = (*domainResource)(nil)
	_ resource.ResourceWithValidateConfig = (*domainResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*domainResource)(nil)
	_ resource.ResourceWithImportState    = (*domainResource)(nil)
)

// domainResource is virtmigrate_domain. reach is nil while the provider's hosts are not known.
type domainResource struct {
	reach *reach
}

func newDomainResource() resource.Resource { return &domainResource{} }

func (r *domainResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_domain"
}

func (r *domainResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	if req.ProviderData == nil {
		return
	}
	reach, ok := req.ProviderData.(*reach)
	if !ok {
		resp.Diagnostics.AddError("Provider Is Not Configured", fmt.Sprintf("The provider handed a %T to the resource. This is a bug of the provider.", req.ProviderData))
		return
	}
	r.reach = reach
}

// ValidateConfig checks what concerns several attributes at once and needs no host.
func (r *domainResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config domainModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if config.Name.IsNull() && config.UUID.IsNull() {
		resp.Diagnostics.AddAttributeError(path.Root("name"), "Guest Is Not Named", "Give the guest's name or its uuid.")
	}
	resp.Diagnostics.Append(config.mistakes(ctx)...)
}

// mistakes are all that is wrong with the options of the move, each at its attribute. A value that is out of its range
// is refused by the attribute itself.
func (m domainModel) mistakes(ctx context.Context) (diags diag.Diagnostics) {
	if !fullyKnown(ctx, m.Migration) {
		return nil
	}
	options, diags := m.options(ctx)
	if diags.HasError() {
		return diags
	}
	for _, mistake := range options.Mistakes() {
		if mistake.OutOfRange {
			continue
		}
		at := path.Root("migration")
		for name := range strings.SplitSeq(mistake.Option, ".") {
			at = at.AtName(name)
		}
		diags.AddAttributeError(at, "Migration Option Refused", sentence(mistake.Error()))
	}
	return diags
}
