package main

import (
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// shown is one text of a planned_migration, "" when it has none.
func shown(planned types.Object, name string) string {
	s, _ := planned.Attributes()[name].(types.String)
	return s.ValueString()
}

// otherwise says in what a move differed from the planned_migration that was shown.
func otherwise(planned types.Object, o migration.Outcome) diag.Diagnostics {
	var diags diag.Diagnostics
	if o.Result == nil || shown(planned, "from") == shown(planned, "to") {
		return diags
	}
	differs := func(name, summary, verb, was, why string) {
		if wanted := shown(planned, name); wanted != "" && wanted != was {
			diags.AddAttributeWarning(path.Root("planned_migration").AtName(name), summary,
				fmt.Sprintf("Guest %q was to be %s by %s, and was %s by %s: %s.", o.Name, verb, wanted, verb, was, why))
		}
	}
	differs("transport", "Another Transport Was Taken", "moved", string(o.Result.Transport), o.Result.TransportReason)
	differs("control", "Somebody Else Drove The Migration", "driven", string(o.Result.Control), o.Plan.ControlReason)
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
