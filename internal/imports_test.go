// Package internal_test holds the rule which package may build on which.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/virtmigrate/terraform-provider-virtmigrate/"

// TestImportGraph: provider, ansible_module -> bench -> migration -> host, relay; the lab only in tests; no face's
// library in the core; no libvirt in the relay.
func TestImportGraph(t *testing.T) {
	for _, rule := range []struct {
		packages  string
		forbidden []string
		why       string
	}{
		{"./migration/...", []string{"github.com/hashicorp/terraform-plugin", module + "provider", module + "ansible_module", module + "internal/lab"}, "the engine knows no face and no lab"},
		{"./journal/...", []string{"github.com/hashicorp/terraform-plugin", "github.com/digitalocean/go-libvirt", module + "internal/host", module + "internal/migration", module + "internal/lab", module + "provider", module + "ansible_module"}, "a record is bytes, and knows nothing above it"},
		{"./host/...", []string{"github.com/hashicorp/terraform-plugin", module + "internal/migration", module + "internal/lab", module + "provider", module + "ansible_module"}, "a host knows nothing above it"},
		{"../provider/...", []string{module + "internal/lab", module + "internal/fakelibvirt", module + "internal/mistakes", module + "ansible_module"}, "no lab in a shipped binary, and the faces do not know each other"},
		{"../ansible_module", []string{module + "internal/lab", module + "internal/fakelibvirt", module + "internal/mistakes", module + "provider", "github.com/hashicorp/terraform-plugin"}, "no lab in a shipped binary, and the faces do not know each other"},
		{"./relay/...", []string{"github.com/digitalocean/go-libvirt", "libvirt.org/", "golang.org/x/crypto/ssh", module + "internal/migration", module + "internal/host", module + "internal/lab"}, "the relay knows bytes and no libvirt"},
		{"./bench", []string{"github.com/hashicorp/terraform-plugin", module + "internal/lab", module + "provider", module + "ansible_module", "html/template", "text/template"}, "the benchmark's rows are part of a shipped binary, which a template engine would make a third larger"},
		{"./lab/...", []string{module + "internal/migration", module + "provider", module + "ansible_module"}, "the lab is an independent witness"},
	} {
		deps := dependencies(t, rule.packages)
		if !slices.ContainsFunc(deps, func(d string) bool { return strings.HasPrefix(d, module) }) {
			t.Errorf("%s has no packages: the rule watches nothing", rule.packages)
		}
		for _, dep := range deps {
			for _, bad := range rule.forbidden {
				if strings.HasPrefix(dep, bad) {
					t.Errorf("%s depends on %s, but %s", rule.packages, dep, rule.why)
				}
			}
		}
	}
}

// TestNoCgo: the shipped binaries are static.
func TestNoCgo(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}", "../provider", "../ansible_module", "./relay/cmd").Output()
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Fields(string(out)); len(found) > 0 {
		t.Errorf("packages that need cgo: %v", found)
	}
}

func dependencies(t *testing.T, packages string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", packages).Output()
	if err != nil {
		t.Fatalf("list what %s depends on: %v", packages, err)
	}
	return strings.Fields(string(out))
}
