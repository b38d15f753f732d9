package main

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestDataSourcesTellOfHostAndGuest(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "beta", Disk: true, LocalDisk: true, NIC: true, Autostart: true})
	const host, domain = "data.virtmigrate_host.beta", "data.virtmigrate_domain.guest"
	is := func(address, attribute string, want knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(address, tfjsonpath.New(attribute), want)
	}
	possible := func(transport string, want bool) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(host, tfjsonpath.New("transports").AtMapKey(transport).AtMapKey("possible"), knownvalue.Bool(want))
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{{
			Config: providerBlock(l, lab.TLS) + fmt.Sprintf(`
data "virtmigrate_host" "beta" {
  host = "beta"
}
data "virtmigrate_domain" "guest" {
  name = %q
}`, g.Name),
			ConfigStateChecks: []statecheck.StateCheck{
				is(host, "hostname", knownvalue.StringExact("beta")), is(host, "libvirt_version", knownvalue.NotNull()), is(host, "hypervisor_version", knownvalue.NotNull()),
				is(host, "control_encrypted", knownvalue.Bool(true)), is(host, "memory_bytes", knownvalue.NotNull()), is(host, "guests", knownvalue.NotNull()),
				possible("tls", true), possible("tunnel", true), possible("plain", true),
				is(domain, "host", knownvalue.StringExact("beta")), is(domain, "uuid", knownvalue.StringExact(g.UUID)), is(domain, "autostart", knownvalue.Bool(true)),
				is(domain, "memory_bytes", knownvalue.NotNull()), is(domain, "disks", knownvalue.ListSizeExact(2)), is(domain, "interfaces", knownvalue.ListSizeExact(1)),
				statecheck.ExpectKnownValue(domain, tfjsonpath.New("disks").AtSliceIndex(1).AtMapKey("local"), knownvalue.Bool(true)),
				is(domain, "blockers", knownvalue.ListSizeExact(0)),
			},
		}},
	})
}

// TestPreflightTellsOfEveryCheck: what is asked of libvirt in a dry run passes for an ordinary guest; a bridge
// that the destination does not have is a finding and no error.
func TestPreflightTellsOfEveryCheck(t *testing.T) {
	l := needLab(t)
	alpha := l.Host("alpha")
	ctx := labtest.Context(t, time.Minute)
	if _, err := alpha.Exec(ctx, "ip", "link", "add", "br-app", "type", "bridge"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = alpha.Exec(context.Background(), "ip", "link", "del", "br-app") })
	plain := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	bridged := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: "<interface type='bridge'><source bridge='br-app'/></interface>"})
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{{
			Config: providerBlock(l, lab.TLS) + fmt.Sprintf(`
data "virtmigrate_preflight" "plain" {
  name = %q
  host = "beta"
  deep = true
  migration {
    transport = "tls"
    convergence { stall_seconds = 60 }
  }
}
data "virtmigrate_preflight" "bridged" {
  uuid = %q
  host = "beta"
}
data "virtmigrate_preflight" "stays" {
  name = %q
  host = "alpha"
}
locals {
  plain   = { for c in data.virtmigrate_preflight.plain.checks : c.id => c.status }
  blocked = [for c in data.virtmigrate_preflight.bridged.checks : c if c.status == "blocker"]
}
output "begin" { value = local.plain.begin }
output "prepare" { value = local.plain.prepare }
output "blocked" { value = join(" ", [for c in local.blocked : c.finding]) }
output "missing" { value = length([for c in local.blocked : c if c.to_do == "" || c.why == "" || c.looks_at == ""]) }
`, plain.Name, bridged.UUID, plain.Name),
			Check: resource.ComposeAggregateTestCheckFunc(
				resource.TestCheckOutput("begin", "pass"), resource.TestCheckOutput("prepare", "pass"), resource.TestCheckOutput("missing", "0"),
				resource.TestCheckOutput("blocked", fmt.Sprintf("host \"beta\" has no bridge \"br-app\", which an interface of guest %q is on", bridged.Name)),
				resource.TestCheckResourceAttr("data.virtmigrate_preflight.plain", "ok", "true"), resource.TestCheckResourceAttr("data.virtmigrate_preflight.plain", "from", "alpha"),
				resource.TestCheckResourceAttr("data.virtmigrate_preflight.bridged", "ok", "false"), resource.TestCheckResourceAttr("data.virtmigrate_preflight.bridged", "name", bridged.Name),
				resource.TestCheckResourceAttr("data.virtmigrate_preflight.stays", "ok", "true"), resource.TestCheckResourceAttr("data.virtmigrate_preflight.stays", "checks.#", "0"),
			),
		}, {
			// the resource's own plan says the same, as an error
			Config:      providerBlock(l, lab.TLS) + domain(bridged.Name, "beta"),
			PlanOnly:    true,
			ExpectError: regexp.MustCompile(`(?s)Guest Cannot Be Moved.*no bridge\s+"br-app"`),
		}},
	})
	labtest.MustRun(t, plain, "alpha")
	labtest.MustRun(t, bridged, "alpha")
}
