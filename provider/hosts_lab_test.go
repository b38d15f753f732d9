package main

import (
	"fmt"
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
