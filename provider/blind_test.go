package main

import (
	"fmt"
	"strings"
	"testing"
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
