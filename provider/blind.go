package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
)

// What can be said of guests that nobody could look at: something of the provider's hosts is still to be computed, or a
// host did not answer.

// failed is what a refresh or a plan says of a guest that could not be looked at. Of hosts that do not answer the first
// guest has the error, which ends the run; the others are warnings, of which Terraform shows one and counts the rest.
//
// Terraform plans once more when it applies, and a plan that then knows less than before is a bug to it. So where nothing
// was refreshed, and this may be that plan, the others are errors, too.
func (r *reach) failed(during deed, guest migration.GuestRef, err error) diag.Diagnostic {
	var e *migration.Error
	if !errors.As(err, &e) || len(e.Silent) == 0 {
		return failure(during, err)
	}
	news := false
	for _, key := range e.Silent {
		_, before := r.told.texts.LoadOrStore("silent: "+key, true)
		news = news || !before
	}
	if news {
		return failure(during, err)
	}
	again := diag.NewAttributeErrorDiagnostic
	if r.refreshed.Load() {
		again = func(at path.Path, summary, text string) diag.DiagnosticWithPath {
			return diag.NewAttributeWarningDiagnostic(at, summary, text)
		}
	}
	return again(path.Root("host"), "Guest Was Not Looked At Because Of A Silent Host",
		fmt.Sprintf("Guest %q could not be looked at either, because of %s: see the first error.", guest, strings.Join(e.Silent, ", ")))
}

// notLookedAt warns of a guest that nobody looked for, once. All these warnings have one summary, so that Terraform
// shows one of them and counts the others.
func (r *reach) notLookedAt(m domainModel) (diags diag.Diagnostics) {
	guest := m.guest()
	if r == nil {
		return nil
	}
	if _, before := r.told.texts.LoadOrStore("not looked at: "+guest.String(), true); before && guest.String() != "" {
		return nil
	}
	diags.AddAttributeWarning(path.Root("host"), "Guest Was Not Looked At", fmt.Sprintf("Something in the provider's hosts is "+
		"known only after apply, so no host was asked for guest %q. Where it is, and what an apply would do with it, "+
		"cannot be said before. To see that in a plan, apply first what hosts is made from (-target).", guest))
	return diags
}

// unknownHost refuses a host that is not among the provider's, whether these can be reached yet or not.
func (r *reach) unknownHost(host types.String) (diags diag.Diagnostics) {
	if r == nil || len(r.keys) == 0 || host.IsNull() || host.IsUnknown() || slices.Contains(r.keys, host.ValueString()) {
		return nil
	}
	diags.AddAttributeError(path.Root("host"), "Request Refused", fmt.Sprintf("host %q is not among hosts (%s)%s.",
		host.ValueString(), strings.Join(r.keys, ", "), spelling.Guess(host.ValueString(), r.keys)))
	return diags
}
