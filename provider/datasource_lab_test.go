package main

import (
	"fmt"
	"testing"

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
