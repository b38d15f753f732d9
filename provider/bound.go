package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// bound is what a time-out has to be. The validator that comes with the block does not say which of them is wrong, and
// lets one pass that leaves no time.
type bound struct{}

func (bound) Description(context.Context) string {
	return fmt.Sprintf("must be a duration such as 30m or 2h45m, longer than nothing and at most %.0fh", migration.MaxTimeout.Hours())
}

func (b bound) MarkdownDescription(ctx context.Context) string { return b.Description(ctx) }

func (b bound) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	d, err := time.ParseDuration(req.ConfigValue.ValueString())
	if err != nil || d <= 0 || d > migration.MaxTimeout {
		resp.Diagnostics.AddAttributeError(req.Path, "Timeout Refused",
			fmt.Sprintf("%s is %q, but %s.", req.Path, req.ConfigValue.ValueString(), b.Description(ctx)))
	}
}
