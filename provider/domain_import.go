package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// ImportState takes a name, a UUID, or HOST/NAME or HOST/UUID, where the host must be the one that has the
// guest. libvirt allows no slash in names.
func (r *domainResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	host, guest := parseImportID(req.ID)
	if guest == (migration.GuestRef{}) {
		resp.Diagnostics.AddError("Import ID Not Understood", fmt.Sprintf("%q is none of NAME, UUID, HOST/NAME and HOST/UUID.", req.ID))
		return
	}
	if r.reach.blind() {
		resp.Diagnostics.AddError("Provider Is Not Configured", "The provider's hosts are still unknown, so no host can be asked for the guest.")
		return
	}
	if host != "" && !slices.Contains(r.reach.fleet.Hosts(), host) {
		resp.Diagnostics.AddError("Host Not Configured", fmt.Sprintf("The import ID %q names host %q, but the provider's hosts are %s.", req.ID, host, strings.Join(r.reach.fleet.Hosts(), ", ")))
		return
	}
	loc, err := r.reach.fleet.Locate(ctx, guest)
	if err != nil {
		resp.Diagnostics.Append(failure(looking, err))
		return
	}
	if host != "" && !slices.Contains(loc.Keys, host) {
		resp.Diagnostics.AddAttributeError(path.Root("host"), "Guest Is On Another Host", fmt.Sprintf("Guest %q is on %s, not on %s.", loc.Name, loc.Host, host))
		return
	}
	resp.Diagnostics.Append(r.reach.told.warnings(loc.Warnings)...)
	state := domainModel{
		Host:      types.StringValue(host),
		Migration: types.ObjectNull(migrationType().AttrTypes),
		Timeouts:  timeouts.Value{Object: types.ObjectNull(map[string]attr.Type{"create": types.StringType, "update": types.StringType})},
	}
	state.neverMoved()
	state.found(loc)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

func parseImportID(id string) (host string, guest migration.GuestRef) {
	host, rest, both := strings.Cut(id, "/")
	if !both {
		host, rest = "", id
	}
	if (both && host == "") || rest == "" || strings.Contains(rest, "/") {
		return "", migration.GuestRef{}
	}
	if canonicalUUID.MatchString(strings.ToLower(rest)) {
		return host, migration.GuestRef{UUID: strings.ToLower(rest)}
	}
	return host, migration.GuestRef{Name: rest}
}
