package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// gone is a host that nobody will ever reach.
const gone = `gone = { uri = "qemu+tcp://127.0.0.1:1/system", migration_address = "127.0.0.1" }`

// says matches an error although terraform breaks its lines.
func says(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(`(?si)` + strings.Join(words, `[\s│]+`))
}

func TestAccWhatCannotBeIsRefusedAndTouchesNothing(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "still", Host: "alpha"})
	rooted := labtest.Guest(t, lab.GuestConfig{Name: "rooted", Host: "alpha", LocalDisk: true})
	tls := providerBlock(l, lab.TLS)
	refused := []struct{ config, error string }{
		{tls + domain("nobody", "beta"), "Guest Not Found"},
		{providerBlock(l, lab.TLS, gone) + domain("nobody", "beta"), "Host Did Not Answer"},
		{providerBlock(l, lab.TLS, gone) + domain(g.Name, "gone"), "gone"},
		{tls + domain(g.Name, "gamma"), `host "gamma" is not among hosts`},
		{providerBlock(l, lab.TLS, `bad = { uri = "qemu:///system", migration_adress = "10.0.0.1" }`) + domain(g.Name, "beta"), `has no option "migration_adress"`},
		{providerBlock(l, lab.TLS, `bad = { uri = "quemu+tls//bad" }`) + domain(g.Name, "beta"), "Host Cannot Be Used"},
		{providerBlock(l, lab.TLS, `bad = { uri = "qemu+ssh://root@127.0.0.1/system?keyfile=/nowhere/key" }`) + domain(g.Name, "beta"), "Host Cannot Be Used"},
		{tls + domain(g.Name, "beta", `migration { transport = "plain" }`), "refused unless allow_plain is true"},
		{tls + domain(g.Name, "beta", `migration { transport = "teleport" }`), "value must be one of"},
		{tls + domain(g.Name, "beta", `migration { parallel_connections = 100000 }`), "must be a whole number, 1 to 255"},
		{tls + domain(g.Name, "beta", `migration { max_downtime_ms = 0 }`), "must be a whole number, 1"},
		{tls + domain(g.Name, "beta", `migration { bandwidth_mib_per_second = 9223372036854775807 }`), "must be a whole number, 1"},
		{tls + domain(g.Name, "beta", `timeouts { create = "-1s" }`), "longer than nothing"},
		{tls + domain(g.Name, "beta", `timeouts { create = "soon" }`), "must be a duration"},
		{tls + domain(g.Name, "beta", `uuid = "`+strings.ToUpper(g.UUID)+`"`), "must be a UUID in lower case"},
		{tls + domain(g.Name, "beta", `uuid = "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"`), "Guest Not Found"},
		{tls + domain(rooted.Name, "beta", `uuid = "`+g.UUID+`"`), `is named "still", not "rooted"`},
		{tls + `resource "virtmigrate_domain" "test" { host = "beta" }`, "Give the guest's name or its uuid"},
		{tls + domain(g.Name, "beta", `migration { migrate_disks = ["vda"] }`), "storage is not"},
		{tls + domain(g.Name, "beta", block("migration", `storage = "copy"`, `migrate_disks = ["vda", "vda"]`)), "stands there twice"},
		{tls + domain(g.Name, "beta", `migration { source_images = "delete" }`), "there is no other copy"},
		{tls + domain(g.Name, "beta", `migration { storage = "borrow" }`), "value must be one of"},
		{tls + domain(g.Name, "beta", block("migration", `transport = "tunnel"`, `control = "controller"`)), "always peer_to_peer"},
		{tls + domain(g.Name, "beta", `migration { progress_file = "" }`), "length must be at least 1"},
		{tls + domain(rooted.Name, "beta", block("migration", `storage = "copy"`, `migrate_disks = ["vdz"]`)), "Guest Cannot Be Moved"},
		{tls + `data "virtmigrate_host" "h" { host = "gamma" }`, `host "gamma" is not among hosts`},
		{tls + `data "virtmigrate_domain" "d" {}`, "Give the guest's name or its uuid"},
		{tls + `data "virtmigrate_domain" "d" { name = "nobody" }`, "Guest Not Found"},
	}
	steps := make([]resource.TestStep, 0, len(refused))
	for _, r := range refused {
		steps = append(steps, resource.TestStep{Config: r.config, PlanOnly: true, ExpectError: says(r.error)})
	}
	// what a plan cannot prove, because it creates nothing, an apply finds out before it touches the guest
	steps = append(steps, resource.TestStep{Config: tls + domain(rooted.Name, "beta"), ExpectError: says("not on storage that both hosts share")})
	resource.Test(t, resource.TestCase{ProtoV6ProviderFactories: inProcess(t), Steps: steps})
	labtest.MustRun(t, g, "alpha")
	labtest.MustRun(t, rooted, "alpha")
}

// TestAccOneNameOfTwoGuestsNeedsAUUID: the second guest of the name is nobody's but libvirt's.
func TestAccOneNameOfTwoGuestsNeedsAUUID(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "twin", Host: "alpha"})
	beta := l.Host("beta")
	ctx := labtest.Context(t, time.Minute)
	const other = "0ddba11d-8d2a-4a55-9f43-2f1f6ab2c1d0"
	xml := fmt.Sprintf("<domain type='qemu'><name>twin</name><uuid>%s</uuid><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>", other)
	if err := os.WriteFile(beta.Path("/root/twin.xml"), []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := beta.Virsh(ctx, "create", "/root/twin.xml"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := beta.Virsh(ctx, "destroy", other); err != nil {
			t.Error(err)
		}
		_ = os.Remove(beta.Path("/root/twin.xml"))
	})
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{Config: providerBlock(l, lab.TLS) + domain(g.Name, "alpha"), PlanOnly: true, ExpectError: says("give uuid instead of name")},
			{Config: providerBlock(l, lab.TLS) + byUUID(g.UUID, "alpha"), ConfigStateChecks: []statecheck.StateCheck{state("name", knownvalue.StringExact("twin"))}},
		},
	})
	if err := g.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestAccPlainOnlyWhenAllowed also takes the way over an unencrypted control connection.
func TestAccPlainOnlyWhenAllowed(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "plain", Host: "alpha", FillMiB: 32, DirtyMiBPerSecond: 4})
	config := func(allow string) string {
		return providerBlock(l, lab.TCP) + domain(g.Name, "beta", block("migration", `transport = "plain"`, `control = "controller"`, allow))
	}
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{Config: config(""), ExpectError: says("refused unless allow_plain is true")},
			{Config: config("allow_plain = true"), ConfigStateChecks: moved("alpha", "beta", "plain", "controller"), Check: onHost(l, g, "beta")},
		},
	})
}

// TestAccTimeoutAbortsAndStateIsTruth: the time-out passes in mid-copy, which a bandwidth of 1 MiB/s makes sure of.
func TestAccTimeoutAbortsAndStateIsTruth(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "late", Host: "alpha", FillMiB: 64})
	adopted := providerBlock(l, lab.TLS) + domain(g.Name, "alpha")
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess(t),
		Steps: []resource.TestStep{
			{ // an adoption that fails leaves nothing behind, so that nothing is tainted
				Config:      providerBlock(l, lab.TLS) + domain(g.Name, "beta", `migration { bandwidth_mib_per_second = 1 }`, `timeouts { create = "3s" }`),
				ExpectError: says("Guest Was Not Moved"),
			},
			{
				Config:           adopted,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(address0, plancheck.ResourceActionCreate)}},
				Check:            onHost(l, g, "alpha"),
			},
			{
				Config:      providerBlock(l, lab.TLS) + domain(g.Name, "beta", `migration { bandwidth_mib_per_second = 1 }`, `timeouts { update = "3s" }`),
				ExpectError: says("the time-out of 3s passed"),
			},
			{
				Config:            adopted,
				ConfigPlanChecks:  resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
				ConfigStateChecks: []statecheck.StateCheck{state("host", knownvalue.StringExact("alpha")), state("last_migration", knownvalue.Null())},
				Check:             onHost(l, g, "alpha"),
			},
		},
	})
}
