package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
)

// What can be said of a guest while something of the provider's hosts is still to be computed.

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
