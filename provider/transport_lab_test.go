package main

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestCLIAnotherTransportThanPlanned: that a certificate is of another name shows only in the handshake, where
// no SSH login lets anybody look at it. The guest goes by the next encrypted transport, and the apply says so.
func TestCLIAnotherTransportThanPlanned(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "detour", Host: "alpha"})
	w := newWorkspace(t)
	w.write("main.tf", strings.Replace(providerBlock(l, lab.TLS), `tls_destination = "beta"`, `tls_destination = "somebody.else"`, 1)+domain(g.Name, "beta"))
	w.must("plan", "-out=move", "-no-color")
	out := w.must("apply", "-no-color", "move")
	w.contains(out, `Warning: Another Transport Was Taken`)
	w.contains(out, `Guest "detour" was to be moved by tls, and was moved by tunnel`)
	w.contains(out, `Warning: Somebody Else Drove The Migration`)
	labtest.MustRun(t, g, "beta")
	state := w.state()
	if planned := asJSON(state["planned_migration"]); !strings.Contains(planned, `"transport":"tls"`) {
		t.Errorf("planned_migration is %s", planned)
	}
	if last := asJSON(state["last_migration"]); !strings.Contains(last, `"transport":"tunnel"`) || !strings.Contains(last, `"encrypted":true`) {
		t.Errorf("last_migration is %s", last)
	}
}

// TestAccRelayByDefault: where both hosts are reached over SSH nothing need be said, and the guest goes through the
// relay; its figures are there.
func TestAccRelayByDefault(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "relayed", Host: "alpha", FillMiB: 64})
	config := func(host string) string { return providerBlock(l, lab.SSH) + domain(g.Name, host) }
	last := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(address0, at("last_migration", name), check)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{Config: config("alpha"), Check: onHost(l, g, "alpha")},
			{
				Config: config("beta"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectKnownValue(address0, at("planned_migration"), planned("alpha", "beta", "relay", "controller")),
				}},
				ConfigStateChecks: append(moved("alpha", "beta", "relay", "controller"),
					last("reconnects", knownvalue.Int64Exact(0)), last("wire_bytes", knownvalue.NotNull()), last("compression_ratio", knownvalue.NotNull()),
					last("source_relay_cpu_seconds", knownvalue.NotNull()), last("destination_relay_cpu_seconds", knownvalue.NotNull())),
				Check: onHost(l, g, "beta"),
			},
		},
	})
}
