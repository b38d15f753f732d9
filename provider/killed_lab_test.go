package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestCLIKilledApplyIsPickedUp kills terraform and its provider in mid-copy, with no chance to clean up. The
// next apply brings the guest where it is wanted, whatever libvirt made of the rest.
func TestCLIKilledApplyIsPickedUp(t *testing.T) {
	l := needLab(t)
	for _, control := range []string{"controller", "peer_to_peer"} {
		t.Run(control, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Name: "dead" + control[:4], Host: "alpha", FillMiB: 64})
			w := newWorkspace(t)
			w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
			w.must("apply", "-auto-approve", "-no-color")
			w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta", block("migration", `bandwidth_mib_per_second = 8`, `control = "`+control+`"`)))

			ctx := labtest.Context(t, 3*time.Minute)
			apply := w.command(ctx, "apply", "-auto-approve", "-no-color")
			apply.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one group: terraform and its provider
			if err := apply.Start(); err != nil {
				t.Fatal(err)
			}
			awaitCopy(ctx, t, l.Host("alpha"), g.Name)
			if err := syscall.Kill(-apply.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := apply.Wait(); err == nil {
				t.Fatal("terraform ended well although it was killed")
			}
			labtest.SkipIfQEMUAborted(t, g)
			w.must("apply", "-auto-approve", "-no-color")
			labtest.MustRun(t, g, "beta")
			if host := w.state()["host"]; host != "beta" {
				t.Errorf("state says %v", host)
			}
			if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
				t.Errorf("the plan after it is not empty (exit code %d):\n%s", code, out)
			}
		})
	}
}
