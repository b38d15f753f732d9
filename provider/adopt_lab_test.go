package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// moveByHand is what somebody does who does not know of Terraform.
func moveByHand(t *testing.T, l *lab.Lab, g *lab.Guest, from, to string) {
	t.Helper()
	if _, err := l.Host(from).Virsh(labtest.Context(t, time.Minute), "migrate", "--live", "--p2p", "--persistent", "--undefinesource", g.Name, l.Host(to).PeerURI(lab.TLS)); err != nil {
		t.Fatal(err)
	}
}

// TestAccAdoptionMovesAsPlanned adopts over SSH a guest that is not where it is wanted.
func TestAccAdoptionMovesAsPlanned(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "stray", Host: "beta", FillMiB: 32, Disk: true, NIC: true})
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		CheckDestroy:             onHost(l, g, "alpha"),
		Steps: []resource.TestStep{{
			Config: providerBlock(l, lab.SSH) + domain(g.Name, "alpha", `uuid = "`+g.UUID+`"`),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(address0, plancheck.ResourceActionCreate),
				plancheck.ExpectKnownValue(address0, at("planned_migration"), planned("beta", "alpha", "relay", "controller")),
				plancheck.ExpectUnknownValue(address0, at("last_migration")),
			}},
			ConfigStateChecks: moved("beta", "alpha", "relay", "controller"),
			Check:             onHost(l, g, "alpha"),
		}},
	})
}

func TestAccForeignMoveIsDriftAndCorrected(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "drift", Host: "alpha", FillMiB: 16, NIC: true})
	config := providerBlock(l, lab.TLS, gone) + domain(g.Name, "alpha")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{Config: config}, // although a host does not answer
			{
				PreConfig: func() { moveByHand(t, l, g, "alpha", "beta") },
				Config:    config, PlanOnly: true, ExpectNonEmptyPlan: true,
			},
			{
				Config: config,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionUpdate),
					plancheck.ExpectKnownValue(address0, at("planned_migration"), planned("beta", "alpha", "tls", "controller")),
				}},
				ConfigStateChecks: moved("beta", "alpha", "tls", "controller"),
				Check:             onHost(l, g, "alpha"),
			},
			{ // a name nobody asked for is no other guest
				PreConfig:         func() { moveByHand(t, l, g, "alpha", "beta") },
				Config:            providerBlock(l, lab.TLS) + domain(g.Name, "beta"),
				ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
				ConfigStateChecks: []statecheck.StateCheck{state("host", knownvalue.StringExact("beta"))},
				Check:             onHost(l, g, "beta"),
			},
		},
	})
}

// byUUID is a resource named test, of the guest with this UUID.
func byUUID(uuid, host string) string {
	return fmt.Sprintf("resource \"virtmigrate_domain\" \"test\" {\n  uuid = %q\n  host = %q\n}\n", uuid, host)
}

// TestAccAnotherNameIsAnotherGuest: the first is forgotten, the second adopted, and neither is touched.
func TestAccAnotherNameIsAnotherGuest(t *testing.T) {
	l := needLab(t)
	first := labtest.Guest(t, lab.GuestConfig{Name: "first", Host: "alpha"})
	second := labtest.Guest(t, lab.GuestConfig{Name: "second", Host: "beta"})
	check := resource.ComposeTestCheckFunc(onHost(l, first, "alpha"), onHost(l, second, "beta"))
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		CheckDestroy:             check,
		Steps: []resource.TestStep{
			{Config: providerBlock(l, lab.TLS) + domain(first.Name, "alpha"), Check: check},
			{
				Config: providerBlock(l, lab.TLS) + domain(second.Name, "beta"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionReplace),
					plancheck.ExpectKnownValue(address0, at("uuid"), knownvalue.StringExact(second.UUID)),
				}},
				ConfigStateChecks: []statecheck.StateCheck{state("uuid", knownvalue.StringExact(second.UUID))},
				Check:             check,
			},
			{ // and so is another UUID
				Config: providerBlock(l, lab.TLS) + byUUID(first.UUID, "alpha"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction(address0, plancheck.ResourceActionReplace),
				}},
				ConfigStateChecks: []statecheck.StateCheck{state("name", knownvalue.StringExact(first.Name))},
				Check:             check,
			},
			{Config: providerBlock(l, lab.TLS) + byUUID(second.UUID, "beta")},
			{ // the same guest under its other identity is the same resource
				Config:           providerBlock(l, lab.TLS) + domain(second.Name, "beta"),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
}

// TestAccGuestThatIsGone: it is forgotten when all hosts say so, and not while one keeps silent.
func TestAccGuestThatIsGone(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "mortal", Host: "alpha"})
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{Config: providerBlock(l, lab.TLS) + domain(g.Name, "alpha")},
			{
				PreConfig: func() {
					if err := g.Remove(labtest.Context(t, time.Minute)); err != nil {
						t.Fatal(err)
					}
				},
				Config:      providerBlock(l, lab.TLS, gone) + domain(g.Name, "alpha"),
				ExpectError: says("Host Did Not Answer"),
			},
			{Config: providerBlock(l, lab.TLS) + domain(g.Name, "alpha"), ExpectError: says("Guest Not Found")},
		},
	})
}
