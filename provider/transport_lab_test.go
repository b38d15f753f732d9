package main

import (
	"strings"
	"testing"

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
