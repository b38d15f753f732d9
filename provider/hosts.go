package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
)

// The provider's hosts are maps of text, not nested attributes: of an object given for a nested attribute
// Terraform silently drops what the schema does not know, and a misspelt migration_address would then
// send a guest over another network than its owner believes.

// hostOptions are what one of the hosts may say: the JSON names of migration.HostConfig with their kinds.
func hostOptions() map[string]reflect.Kind {
	options := map[string]reflect.Kind{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[migration.HostConfig]()) {
		options[field.Tag.Get("json")] = field.Type.Kind()
	}
	return options
}

// hostConfigs reads what is known of hosts, and says of each option that is wrong what is wrong, at that option.
func hostConfigs(hosts types.Map) (configs map[string]migration.HostConfig, diags diag.Diagnostics) {
	configs = map[string]migration.HostConfig{}
	given := hosts.Elements()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		options := map[string]types.String{}
		host, _ := given[key].(types.Map)
		for name, value := range host.Elements() {
			options[name], _ = value.(types.String)
		}
		configs[key] = migration.HostConfig{}
		if given[key].IsUnknown() {
			continue
		}
		var more diag.Diagnostics
		configs[key], more = hostConfig(path.Root("hosts").AtMapKey(key), options)
		diags.Append(more...)
	}
	return configs, diags
}

func hostConfig(at path.Path, given map[string]types.String) (config migration.HostConfig, diags diag.Diagnostics) {
	options := hostOptions()
	read := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		kind, known := options[name]
		switch value := given[name]; {
		case !known:
			diags.AddAttributeError(at.AtMapKey(name), "Unknown Option Of A Host",
				fmt.Sprintf("%s has no option %q%s; there are %s.", at, name, spelling.Guess(name, slices.Collect(maps.Keys(options))), strings.Join(slices.Sorted(maps.Keys(options)), ", ")))
		case value.IsNull(), value.IsUnknown():
		case kind == reflect.Bool:
			on, err := strconv.ParseBool(value.ValueString())
			if err != nil {
				diags.AddAttributeError(at.AtMapKey(name), "Option Of A Host Refused", fmt.Sprintf("%s must be true or false, not %q.", name, value.ValueString()))
			}
			read[name] = on
		default:
			read[name] = value.ValueString()
		}
	}
	if read["uri"] == nil && !given["uri"].IsUnknown() && !diags.HasError() {
		diags.AddAttributeError(at, "Host Without A URI", fmt.Sprintf("%s needs uri, the libvirt URI of its daemon.", at))
	}
	text, err := json.Marshal(read)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		diags.AddAttributeError(at, "Host Cannot Be Used", sentence(err.Error()))
	}
	return config, diags
}

// newFleet builds the fleet. A host that is wrong by itself is reported at that host.
func newFleet(ctx context.Context, hosts map[string]migration.HostConfig, perHost int64) (*migration.Fleet, diag.Diagnostics) {
	var diags diag.Diagnostics
	for _, key := range slices.Sorted(maps.Keys(hosts)) {
		if _, err := migration.NewFleet(migration.Config{Hosts: map[string]migration.HostConfig{key: hosts[key]}}); err != nil {
			diags.AddAttributeError(path.Root("hosts").AtMapKey(key), "Host Cannot Be Used", sentence(err.Error()))
		}
	}
	if diags.HasError() {
		return nil, diags
	}
	fleet, err := migration.NewFleet(migration.Config{Hosts: hosts, MigrationsPerHost: int(perHost), Log: engineLog(ctx)})
	if err != nil {
		diags.AddAttributeError(path.Root("hosts"), "Hosts Cannot Be Used", sentence(err.Error()))
	}
	return fleet, diags
}

// fullyKnown says whether no part of a value is still to be computed.
func fullyKnown(ctx context.Context, value attr.Value) bool {
	raw, err := value.ToTerraformValue(ctx)
	return err == nil && raw.IsFullyKnown()
}
