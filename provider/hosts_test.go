package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func hostsValue(t *testing.T, hosts map[string]map[string]attr.Value) types.Map {
	t.Helper()
	elements := map[string]attr.Value{}
	for key, options := range hosts {
		elements[key] = types.MapValueMust(types.StringType, options)
	}
	return types.MapValueMust(types.MapType{ElemType: types.StringType}, elements)
}

func TestHostsAreReadWhole(t *testing.T) {
	got, diags := hostConfigs(hostsValue(t, map[string]map[string]attr.Value{
		"full": {
			"uri": types.StringValue("qemu+tls://full/system"), "migration_address": types.StringValue("10.0.0.1"), "tls_destination": types.StringValue("full.example"),
			"peer_uri": types.StringValue("qemu+tls://full.example/system"), "allow_plain_control": types.StringValue("true"),
			"tls_certificates_dir": types.StringValue("/etc/pki/other"), "relay_ports": types.StringValue("1-2"), "relay_program": types.StringValue("/r"),
			"host_key": types.StringValue("ssh-ed25519 A"),
		},
		"bare": {"uri": types.StringValue("qemu:///system"), "migration_address": types.StringNull()},
	}))
	report(t, diags)
	want := map[string]migration.HostConfig{
		"full": {URI: "qemu+tls://full/system", MigrationAddress: "10.0.0.1", TLSDestination: "full.example", PeerURI: "qemu+tls://full.example/system", AllowPlainControl: true, TLSCertificatesDir: "/etc/pki/other", RelayPorts: "1-2", RelayProgram: "/r", HostKey: "ssh-ed25519 A"},
		"bare": {URI: "qemu:///system"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// the case "full" must stay full when the engine learns a further option
	for _, field := range reflect.VisibleFields(reflect.TypeFor[migration.HostConfig]()) {
		if reflect.ValueOf(want["full"]).FieldByIndex(field.Index).IsZero() {
			t.Errorf("the test does not set %s", field.Name)
		}
		if !strings.Contains(hostsDescription, "`"+field.Tag.Get("json")+"`") {
			t.Errorf("the description of hosts does not tell of %s", field.Tag.Get("json"))
		}
	}
}

func TestWrongHostsAreRefusedWhereTheyAreWrong(t *testing.T) {
	uri := types.StringValue("qemu:///system")
	for name, c := range map[string]struct {
		host     map[string]attr.Value
		at, says string
	}{
		"unknown option":   {map[string]attr.Value{"uri": uri, "migration_adress": types.StringValue("x")}, `hosts["h"]["migration_adress"]`, "migration_address"},
		"no uri":           {map[string]attr.Value{"migration_address": types.StringValue("x")}, `hosts["h"]`, "needs uri"},
		"null uri":         {map[string]attr.Value{"uri": types.StringNull()}, `hosts["h"]`, "needs uri"},
		"yes for true":     {map[string]attr.Value{"uri": uri, "allow_plain_control": types.StringValue("yes")}, `hosts["h"]["allow_plain_control"]`, "true or false"},
		"empty host":       {nil, `hosts["h"]`, "needs uri"},
		"another's option": {map[string]attr.Value{"uri": uri, "password": types.StringValue("x")}, `hosts["h"]["password"]`, "no option"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := hostConfigs(hostsValue(t, map[string]map[string]attr.Value{"h": c.host}))
			if len(diags) != 1 {
				t.Fatalf("%d diagnostics: %v", len(diags), diags)
			}
			if got := pathOf(diags[0]); got != c.at {
				t.Errorf("the error is at %s, want %s", got, c.at)
			}
			if !strings.Contains(diags[0].Detail(), c.says) {
				t.Errorf("%q does not say %q", diags[0].Detail(), c.says)
			}
		})
	}
}

func TestUnusableHostsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		hosts map[string]migration.HostConfig
		at    string
	}{
		"malformed URI":   {map[string]migration.HostConfig{"good": {URI: "qemu:///system"}, "bad": {URI: "not a uri"}}, `hosts["bad"]`},
		"password in URI": {map[string]migration.HostConfig{"bad": {URI: "qemu+ssh://root:secret@x/system"}}, `hosts["bad"]`},
		"plain control":   {map[string]migration.HostConfig{"bad": {URI: "qemu+tcp://192.0.2.1/system"}}, `hosts["bad"]`},
		"no key file":     {map[string]migration.HostConfig{"bad": {URI: "qemu+ssh://root@x/system?keyfile=/nowhere/key"}}, `hosts["bad"]`},
		"no hosts":        {map[string]migration.HostConfig{}, "hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := newFleet(t.Context(), c.hosts, 0)
			if len(diags) != 1 {
				t.Fatalf("%d diagnostics: %v", len(diags), diags)
			}
			if got := pathOf(diags[0]); got != c.at {
				t.Errorf("the error is at %s, want %s", got, c.at)
			}
			if strings.Contains(diags[0].Detail(), "secret") {
				t.Error("the error repeats the password")
			}
			t.Log(diags[0].Detail())
		})
	}
}
