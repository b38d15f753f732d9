package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
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
	if fullyKnown(ctx, config.Migration) {
		options, diags := config.options(ctx)
		resp.Diagnostics.Append(diags...)
		if err := options.Validate(); err != nil && !diags.HasError() {
			resp.Diagnostics.AddAttributeError(path.Root("migration"), "Migration Options Refused", sentence(err.Error()))
		}
	}
	if fullyKnown(ctx, config.Timeouts) {
		resp.Diagnostics.Append(validTimeouts(ctx, config)...)
	}
}

// validTimeouts refuses time-outs that leave no time; their form is checked by the attribute itself.
func validTimeouts(ctx context.Context, config domainModel) diag.Diagnostics {
	var diags diag.Diagnostics
	create, malformed := config.Timeouts.Create(ctx, 1)
	diags.Append(malformed...)
	update, malformed := config.Timeouts.Update(ctx, 1)
	diags.Append(malformed...)
	for name, bound := range map[string]time.Duration{"create": create, "update": update} {
		if (bound <= 0 || bound > migration.MaxTimeout) && !diags.HasError() {
			diags.AddAttributeError(path.Root("timeouts").AtName(name), "Timeout Refused",
				fmt.Sprintf("%s is %s, but a timeout must be longer than nothing and at most %.0fh.", name, bound, migration.MaxTimeout.Hours()))
		}
	}
	return diags
}
