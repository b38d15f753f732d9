package main

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// hostModel is one value of the provider's hosts.
type hostModel struct {
	URI               types.String `tfsdk:"uri"`
	MigrationAddress  types.String `tfsdk:"migration_address"`
	TLSDestination    types.String `tfsdk:"tls_destination"`
	PeerURI           types.String `tfsdk:"peer_uri"`
	AllowPlainControl types.Bool   `tfsdk:"allow_plain_control"`
}

func (m hostModel) config() migration.HostConfig {
	return migration.HostConfig{
		URI:               m.URI.ValueString(),
		MigrationAddress:  m.MigrationAddress.ValueString(),
		TLSDestination:    m.TLSDestination.ValueString(),
		PeerURI:           m.PeerURI.ValueString(),
		AllowPlainControl: m.AllowPlainControl.ValueBool(),
	}
}

// hostConfigs turns hosts into what the engine takes, and says of each host that is wrong what is wrong,
// at that host.
func hostConfigs(ctx context.Context, value types.Map) (map[string]migration.HostConfig, diag.Diagnostics) {
	var models map[string]hostModel
	diags := value.ElementsAs(ctx, &models, false)
	configs := map[string]migration.HostConfig{}
	for _, key := range slices.Sorted(maps.Keys(models)) {
		configs[key] = models[key].config()
		if _, err := migration.NewFleet(migration.Config{Hosts: map[string]migration.HostConfig{key: configs[key]}}); err != nil {
			diags.AddAttributeError(path.Root("hosts").AtMapKey(key), "Host Cannot Be Used", sentence(err.Error()))
		}
	}
	return configs, diags
}

// fullyKnown says whether no part of a value is still to be computed.
func fullyKnown(ctx context.Context, value attr.Value) bool {
	raw, err := value.ToTerraformValue(ctx)
	return err == nil && raw.IsFullyKnown()
}
