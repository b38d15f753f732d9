package main

import (
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// plannedEnds are the two hosts of a planned_migration.
func plannedEnds(planned types.Object) (from, to string) {
	text := func(name string) string {
		s, _ := planned.Attributes()[name].(types.String)
		return s.ValueString()
	}
	return text("from"), text("to")
}

// otherwise says in what a move differed from its plan.
func otherwise(p migration.Plan, o migration.Outcome) diag.Diagnostics {
	var diags diag.Diagnostics
	if o.Result == nil || p.From == p.To {
		return diags
	}
	if o.Result.Transport != p.Transport {
		diags.AddAttributeWarning(path.Root("planned_migration").AtName("transport"), "Another Transport Was Taken",
			fmt.Sprintf("Guest %q was to be moved by %s, and was moved by %s: %s.", o.Name, p.Transport, o.Result.Transport, o.Result.TransportReason))
	}
	return diags
}

// hostOf is the host that an error of the engine says the guest is on, "" when it does not know.
func hostOf(err error) string {
	var e *migration.Error
	if errors.As(err, &e) {
		return e.Host
	}
	return ""
}
