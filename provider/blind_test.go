package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/mistakes"
)

// halfKnown is a provider whose hosts have one option that is known after apply.
const halfKnown = `
resource "terraform_data" "address" {
  input = "10.0.0.1"
}
provider "virtmigrate" {
  hosts = {
    alpha = { uri = "qemu+tls://127.0.0.1:1/system", migration_address = terraform_data.address.output }
    beta  = { uri = "qemu+tls://127.0.0.1:1/system" }
  }
}
`

func guests(host string, names ...string) (text string) {
	for _, name := range names {
		text += fmt.Sprintf("resource \"virtmigrate_domain\" %q {\n  name = %q\n  host = %q\n}\n", name, name, host)
	}
	return text
}

// TestGuestsThatAreNotLookedAtAreCounted: one unknown option leaves the whole fleet out, and the plan says so.
func TestGuestsThatAreNotLookedAtAreCounted(t *testing.T) {
	w := newWorkspace(t)
	w.write("main.tf", halfKnown+guests("alpha", "web", "db", "mail"))
	out := w.must("plan", "-no-color")
	w.contains(out, "Guest Was Not Looked At")
	w.contains(out, "no host was asked for guest")
	if n := strings.Count(out, "Guest Was Not Looked At"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if !says("(and 2 more similar warnings elsewhere)").MatchString(out) {
		t.Errorf("the others are not counted:\n%s", out)
	}
}

// TestNamesOfHostsAreCheckedBeforeTheirOptionsAreKnown: what is known is checked, whatever is not.
func TestNamesOfHostsAreCheckedBeforeTheirOptionsAreKnown(t *testing.T) {
	with := func(option string) string {
		return strings.Replace(halfKnown, "migration_address", option, 1) + guests("alpha", "web")
	}
	for name, c := range map[string]struct{ config, says string }{
		"a host that is none":       {halfKnown + guests("gamma", "web"), `host "gamma" is not among hosts (alpha, beta)`},
		"a slip in a host's name":   {halfKnown + guests("alhpa", "web"), `did you mean "alpha"?`},
		"a misspelt option":         {with("migration_adress"), `has no option "migration_adress"`},
		"an option of another kind": {with(`allow_plain_control = "yes", migration_address`), "must be true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t)
			w.write("main.tf", c.config)
			out, code := w.run("plan", "-no-color")
			if code == 0 {
				t.Error("the plan ended well")
			}
			w.contains(out, c.says)
		})
	}
}

// TestOneErrorForEachSilentHost: the refresh fails because of the first guest; the others do not say the same again.
// Guests that are not adopted yet have short errors: that plan may be the one of an apply.
func TestOneErrorForEachSilentHost(t *testing.T) {
	d := mistakes.NewDoor(t)
	w := newWorkspace(t)
	w.write("hosts.tf.json", asJSON(map[string]any{"provider": map[string]any{"virtmigrate": map[string]any{"hosts": mistakes.Good(d)["hosts"]}}}))
	names := []string{"web", "db", "mail", "www"}
	w.write("main.tf", guests("alpha", names...))
	plan := func() string {
		t.Helper()
		out, code := w.run("plan", "-no-color")
		if code == 0 {
			t.Error("the plan ended well")
		}
		if n := strings.Count(out, "Error: Host Did Not Answer"); n != 1 {
			t.Errorf("%d long errors for hosts that are silent together:\n%s", n, out)
		}
		return out
	}
	if n := strings.Count(plan(), "Error: Guest Was Not Looked At"); n != 3 {
		t.Errorf("%d short errors for the other three guests", n)
	}
	var resources []any
	for _, name := range names {
		resources = append(resources, map[string]any{
			"mode": "managed", "type": "virtmigrate_domain", "name": name,
			"provider":  fmt.Sprintf("provider[%q]", cmp.Or(os.Getenv("TF_ACC_PROVIDER_HOST"), "registry.terraform.io")+"/virtmigrate/virtmigrate"),
			"instances": []any{map[string]any{"schema_version": 0, "attributes": map[string]any{"name": name, "uuid": exampleUUID, "host": "alpha", "state": "running"}}},
		})
	}
	w.write("terraform.tfstate", asJSON(map[string]any{"version": 4, "serial": 1, "lineage": "0", "resources": resources}))
	out := plan()
	if n := strings.Count(out, "Error: "); n != 1 {
		t.Errorf("%d errors for hosts that are silent together:\n%s", n, out)
	}
	w.contains(out, "(and 2 more similar warnings elsewhere)")
}
