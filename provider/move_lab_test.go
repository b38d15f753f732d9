package main

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// onHost is a check of a step: where the guest runs, by witnesses of its own.
func onHost(l *lab.Lab, g *lab.Guest, host string) resource.TestCheckFunc {
	return func(*terraform.State) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		return labtest.Runs(ctx, l, g, host)
	}
}

func planned(from, to, transport, control string, disks ...knownvalue.Check) knownvalue.Check {
	return knownvalue.ObjectExact(map[string]knownvalue.Check{
		"copied_disks": knownvalue.ListExact(disks),
		"from":         knownvalue.StringExact(from), "to": knownvalue.StringExact(to), "transport": knownvalue.StringExact(transport),
		"control": knownvalue.StringExact(control), "reason": knownvalue.StringRegexp(regexp.MustCompile(`\w+ \w+`)),
	})
}

func at(name string, more ...string) tfjsonpath.Path {
	p := tfjsonpath.New(name)
	for _, m := range more {
		p = p.AtMapKey(m)
	}
	return p
}

func state(name string, check knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address0, at(name), check)
}

// moved has what must be true of every move's figures, whatever they are.
func moved(from, to, transport, control string) []statecheck.StateCheck {
	last := func(name string, check knownvalue.Check, more ...string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(address0, at("last_migration", append([]string{name}, more...)...), check)
	}
	positive := func(most int64) knownvalue.Check {
		return knownvalue.Int64Func(func(v int64) error {
			if v <= 0 || v > most {
				return fmt.Errorf("%d is not within 1 to %d", v, most)
			}
			return nil
		})
	}
	percent := knownvalue.Float64Func(func(v float64) error {
		if v < 0 || v > 100 {
			return fmt.Errorf("%v is no percentage", v)
		}
		return nil
	})
	checks := []statecheck.StateCheck{
		state("host", knownvalue.StringExact(to)),
		state("planned_migration", planned(from, to, transport, control)),
		last("source_host", knownvalue.StringExact(from)), last("destination_host", knownvalue.StringExact(to)),
		last("transport", knownvalue.StringExact(transport)), last("control", knownvalue.StringExact(control)),
		last("encrypted", knownvalue.Bool(transport != "plain")),
		last("total_ms", positive(60_000)), last("copy_ms", positive(60_000)), last("wall_ms", positive(120_000)), last("downtime_ms", positive(10_000)),
		last("memory_total_bytes", positive(1<<30)), last("transferred_bytes", positive(2<<30)), last("throughput_bytes_per_second", positive(100<<30)),
		last("parallel_connections", positive(8)), last("iterations", positive(1000)),
		last("started_at", knownvalue.StringRegexp(regexp.MustCompile(`^20\d\d-\d\d-\d\dT[\d:.]+Z$`))),
		last("source_cpu", percent, "idle_mean_percent"), last("destination_cpu", percent, "user_percent"),
	}
	if transport == "plain" {
		return append(checks, last("encryption", knownvalue.Null()))
	}
	return append(checks, last("encryption", knownvalue.StringRegexp(regexp.MustCompile("TLS")), "protocol"))
}

// TestAccGuestIsAdoptedAndMovedInPlace is the life of a resource: adopted, moved by both controls, renamed
// in nothing, forgotten.
func TestAccGuestIsAdoptedAndMovedInPlace(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "life", Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: 4, Disk: true, NIC: true})
	same := statecheck.CompareValue(compare.ValuesSame())
	uuid := func() statecheck.StateCheck { return same.AddStateValue(address0, at("uuid")) }
	config := func(host string, more ...string) string {
		return providerBlock(l, lab.TLS) + domain(g.Name, host, more...)
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		CheckDestroy:             onHost(l, g, "alpha"), // forgotten, and running on
		Steps: []resource.TestStep{
			{
				Config: config("alpha"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionCreate),
					plancheck.ExpectKnownValue(address0, at("uuid"), knownvalue.StringExact(g.UUID)),
					plancheck.ExpectKnownValue(address0, at("planned_migration"), knownvalue.Null()),
					plancheck.ExpectKnownValue(address0, at("last_migration"), knownvalue.Null()),
				}},
				ConfigStateChecks: []statecheck.StateCheck{
					uuid(), state("uuid", knownvalue.StringExact(g.UUID)), state("host", knownvalue.StringExact("alpha")),
					state("state", knownvalue.StringRegexp(regexp.MustCompile("running"))),
					state("planned_migration", knownvalue.Null()), state("last_migration", knownvalue.Null()),
				},
				Check: onHost(l, g, "alpha"),
			},
			{
				Config: config("beta", block("migration", `transport = "tls"`, `control = "controller"`)),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionUpdate),
					plancheck.ExpectKnownValue(address0, at("planned_migration"), planned("alpha", "beta", "tls", "controller")),
					plancheck.ExpectUnknownValue(address0, at("last_migration")),
				}},
				ConfigStateChecks: append(moved("alpha", "beta", "tls", "controller"), uuid()),
				Check:             onHost(l, g, "beta"),
			},
			{ // how to move changes, where to does not: figures stay, nothing is asked
				Config: config("beta", block("migration", `control = "peer_to_peer"`, `parallel_connections = 4`), `timeouts { update = "2m" }`),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionUpdate),
					plancheck.ExpectKnownValue(address0, at("last_migration", "control"), knownvalue.StringExact("controller")),
				}},
				ConfigStateChecks: append(moved("alpha", "beta", "tls", "controller"), uuid()),
				Check:             onHost(l, g, "beta"),
			},
			{
				Config: config("alpha", block("migration", `control = "peer_to_peer"`, `parallel_connections = 4`), `timeouts { update = "2m" }`),
				ConfigStateChecks: append(moved("beta", "alpha", "tls", "peer_to_peer"), uuid(),
					statecheck.ExpectKnownValue(address0, at("last_migration", "parallel_connections"), knownvalue.Int64Exact(4))),
				Check: onHost(l, g, "alpha"),
			},
			{ResourceName: address0, ImportState: true, ImportStateId: g.Name, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "uuid",
				ImportStateVerifyIgnore: []string{"migration", "timeouts", "planned_migration", "last_migration"}},
			{ResourceName: address0, ImportState: true, ImportStateId: "alpha/" + g.UUID, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "uuid",
				ImportStateVerifyIgnore: []string{"migration", "timeouts", "planned_migration", "last_migration"}},
			{ResourceName: address0, ImportState: true, ImportStateId: "beta/" + g.Name, ExpectError: regexp.MustCompile("Guest Is On Another Host")},
		},
	})
	labtest.MustRun(t, g, "alpha")
}
