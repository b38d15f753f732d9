package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// hostBlock is a provider that knows only the hosts given, by the names given.
func hostBlock(l *lab.Lab, names map[string]string) string {
	block := "provider \"virtmigrate\" {\n  hosts = {\n"
	for key, name := range names {
		h := l.Host(name)
		block += fmt.Sprintf("    %s = { uri = %q, migration_address = %q, tls_destination = %q }\n", key, h.URI(lab.TLS), h.MigrationAddress(), h.TLSName())
	}
	return block + "  }\n}\n"
}

// TestCLIHostsThatChange: a host that got another name is the same host, and one that went is no sign that its
// guests went too.
func TestCLIHostsThatChange(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "moored", Host: "alpha"})
	w := newWorkspace(t)
	w.write("main.tf", hostBlock(l, map[string]string{"alpha": "alpha", "beta": "beta"})+domain(g.Name, "alpha"))
	w.must("apply", "-auto-approve", "-no-color")

	w.write("main.tf", hostBlock(l, map[string]string{"beta": "beta"})+domain(g.Name, "beta"))
	out, code := w.run("apply", "-auto-approve", "-no-color")
	if code == 0 {
		t.Error("an apply without the guest's host ended well")
	}
	w.contains(out, "Host Of The Guest Is No Longer Configured")
	if w.state()["uuid"] != g.UUID {
		t.Error("the guest was taken out of the state although its host was not asked")
	}

	w.write("main.tf", hostBlock(l, map[string]string{"renamed": "alpha", "beta": "beta"})+domain(g.Name, "renamed"))
	if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
		t.Errorf("another name of its host makes a plan (exit code %d):\n%s", code, out)
	}
	w.must("apply", "-auto-approve", "-no-color")
	if host := w.state()["host"]; host != "renamed" {
		t.Errorf("state has the guest on %v", host)
	}
	labtest.MustRun(t, g, "alpha")
}

// TestCLIHostsThatAreNotKnownYet: the plan dials nothing and leaves open what it cannot know; the apply
// does all of it. The log tells the engine's steps, and neither log nor state has a way to a host.
func TestCLIHostsThatAreNotKnownYet(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "later", Host: "alpha"})
	w := newWorkspace(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	w.write("main.tf", `
resource "terraform_data" "inventory" {
  input = { alpha = "`+alpha.SSHURI("root")+`", beta = "`+beta.SSHURI("root")+`" }
}
provider "virtmigrate" {
  hosts = {
    alpha = { uri = terraform_data.inventory.output.alpha, tls_destination = "alpha" }
    beta  = { uri = terraform_data.inventory.output.beta, tls_destination = "beta" }
  }
}
`+domain(g.Name, "beta", "depends_on = [terraform_data.inventory]"))
	log := filepath.Join(w.dir, "provider.log")
	w.env = append(w.env, "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH="+log)
	w.contains(w.must("plan", "-no-color"), "planned_migration = (known after apply)")
	w.must("apply", "-auto-approve", "-no-color")
	labtest.MustRun(t, g, "beta")
	values := w.state()
	if planned := asJSON(values["planned_migration"]); !strings.Contains(planned, `"from":"alpha"`) || !strings.Contains(planned, `"to":"beta"`) {
		t.Errorf("planned_migration is %s", planned)
	}
	for _, secret := range []string{"qemu+", "keyfile", "known_hosts", "PRIVATE"} {
		if strings.Contains(asJSON(values), secret) {
			t.Errorf("the resource's state contains %q", secret)
		}
	}
	// unknown again, with a state: it is kept as it is, and the apply does what could not be foreseen
	main, err := os.ReadFile(filepath.Join(w.dir, "main.tf"))
	if err != nil {
		t.Fatal(err)
	}
	again := strings.Replace(string(main), `input = {`, `triggers_replace = "again"`+"\n  input = {", 1)
	w.write("main.tf", again)
	if out := w.must("plan", "-no-color"); strings.Contains(out, "# "+address0) {
		t.Errorf("hosts that are not known make the plan change the guest:\n%s", out)
	}
	w.write("main.tf", strings.Replace(again, `host = "beta"`, `host = "alpha"`, 1))
	out := w.must("plan", "-no-color")
	for _, later := range []string{`planned_migration = {`, `last_migration = {`} {
		w.contains(out, later)
	}
	w.contains(out, "-> (known after apply)")
	w.must("apply", "-auto-approve", "-no-color")
	labtest.MustRun(t, g, "alpha")
	if planned := asJSON(w.state()["planned_migration"]); !strings.Contains(planned, `"from":"beta"`) {
		t.Errorf("planned_migration is %s", planned)
	}
	w.write("asked.tf", "data \"virtmigrate_host\" \"early\" {\n  host = \"alpha\"\n}\n")
	w.write("main.tf", strings.Replace(string(main), `input = {`, `triggers_replace = "once more"`+"\n  input = {", 1))
	out, code := w.run("plan", "-no-color")
	if code == 0 {
		t.Error("a host was asked although none is known")
	}
	w.contains(out, "A data source that depends_on what the hosts are made from is read when they are known")

	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "provider.engine") && !strings.Contains(line, ".engine") {
			continue
		}
		if strings.Contains(line, g.Name) {
			steps++
		}
		if strings.Contains(line, "keyfile") || strings.Contains(line, "PRIVATE KEY") {
			t.Errorf("the engine's log has a way to a key: %s", line)
		}
	}
	if steps == 0 {
		t.Error("the engine's log lines do not reach terraform's log")
	}
}
