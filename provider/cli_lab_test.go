package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestCLIPlanTellsBeforehand: what a reader must know stands in the plan, once, and a plan moves nothing.
func TestCLIPlanTellsBeforehand(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "told", Host: "alpha"})
	w := newWorkspace(t)
	w.write("main.tf", providerBlock(l, lab.SSH, gone)+
		domain(g.Name, "beta", block("migration", `transport = "plain"`, `allow_plain = true`))+
		strings.Replace(domain(g.Name, "alpha"), `"test"`, `"again"`, 1))
	out := w.must("plan", "-no-color")
	w.contains(out, "Warning: Guest Will Be Moved")
	w.contains(out, `Guest "told" is on alpha and will be moved live to beta by plain: asked for`)
	w.contains(out, `Warning: The memory of guest "told" will cross the network unencrypted`)
	if n := strings.Count(out, `Warning: Host "gone" did not answer`); n != 1 {
		t.Errorf("the silent host is named %d times, want once:\n%s", n, out)
	}
	labtest.MustRun(t, g, "alpha")

	// and neither does the silent host keep the others' guests from being moved
	w.write("main.tf", providerBlock(l, lab.SSH, gone)+domain(g.Name, "beta"))
	w.must("plan", "-out=move", "-no-color")
	out = w.must("apply", "-no-color", "move")
	if n := strings.Count(out, `Warning: Host "gone" did not answer`); n != 1 {
		t.Errorf("the apply names the silent host %d times, want once:\n%s", n, out)
	}
	labtest.MustRun(t, g, "beta")
}

// TestCLIInterruptStopsTheMove sends SIGINT to terraform when the copy is seen to be under way.
func TestCLIInterruptStopsTheMove(t *testing.T) {
	l := needLab(t)
	for _, control := range []string{"controller", "peer_to_peer"} {
		t.Run(control, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Name: "halt" + control[:4], Host: "alpha", FillMiB: 96})
			w := newWorkspace(t)
			w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
			w.must("apply", "-auto-approve", "-no-color")
			before := w.state()
			w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta", block("migration", `bandwidth_mib_per_second = 4`, `control = "`+control+`"`)))

			ctx := labtest.Context(t, 2*time.Minute)
			var out bytes.Buffer
			apply := w.command(ctx, "apply", "-auto-approve", "-no-color")
			apply.Stdout, apply.Stderr = &out, &out
			apply.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the signal is for terraform alone; it tells its provider
			if err := apply.Start(); err != nil {
				t.Fatal(err)
			}
			awaitCopy(ctx, t, l.Host("alpha"), g.Name)
			signalled := time.Now()
			if err := apply.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			err := apply.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("terraform ended with %v, want a failure:\n%s", err, out.String())
			}
			if took := time.Since(signalled); took > 10*time.Second {
				t.Errorf("terraform ended %s after the signal", took)
			}
			w.contains(out.String(), "Guest Was Not Moved")
			w.contains(out.String(), "on alpha")
			mustComeToRun(ctx, t, l, g, "alpha")
			after := w.state()
			for name := range before {
				if name != "state" && !equalJSON(before[name], after[name]) {
					t.Errorf("%s was %v before the interrupted apply and is %v after it", name, before[name], after[name])
				}
			}
			// and nothing is left that would hinder the next one
			w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta"))
			w.must("apply", "-auto-approve", "-no-color")
			labtest.MustRun(t, g, "beta")
			if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
				t.Errorf("the plan after the apply is not empty (exit code %d):\n%s", code, out)
			}
		})
	}
}

// awaitCopy waits until virsh shows a migration that has sent some of the guest's memory.
func awaitCopy(ctx context.Context, t *testing.T, h *lab.Host, guest string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := h.Virsh(ctx, "domjobinfo", guest)
		for line := range strings.Lines(out) {
			if value, ok := strings.CutPrefix(line, "Data processed:"); ok && !strings.HasPrefix(strings.TrimSpace(value), "0.000") {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no migration of %s was seen to copy: %s %v", guest, out, err)
		}
	}
}

// TestCLISomebodyElsesMove: while one is under way the plan says so, and asks for nothing when it is over.
func TestCLISomebodyElsesMove(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "foreign", Host: "alpha", FillMiB: 96})
	w := newWorkspace(t)
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("apply", "-auto-approve", "-no-color")

	ctx := labtest.Context(t, 2*time.Minute)
	foreign := l.Host("alpha").Command(ctx, "virsh", "migrate", "--live", "--p2p", "--bandwidth", "2", g.Name, l.Host("beta").PeerURI(lab.TLS))
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	awaitCopy(ctx, t, l.Host("alpha"), g.Name)
	out, code := w.run("plan", "-detailed-exitcode", "-no-color")
	if code != 2 {
		t.Errorf("a plan during somebody else's migration has exit code %d, want 2 for changes", code)
	}
	w.contains(out, "An Interrupted Migration Will Be Brought To An End")
	if _, err := l.Host("alpha").Virsh(ctx, "domjobabort", g.Name); err != nil {
		t.Error(err)
	}
	if err := foreign.Wait(); err == nil {
		t.Error("the foreign migration was not aborted")
	}
	if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
		t.Errorf("the plan after it is not empty (exit code %d):\n%s", code, out)
	}
	labtest.MustRun(t, g, "alpha")
}

// TestCLIGuestIsNotWhereThePlanSawIt: a saved plan is not carried out on other facts.
func TestCLIGuestIsNotWhereThePlanSawIt(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "hasty", Host: "alpha"})
	w := newWorkspace(t)
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("plan", "-out=adopt", "-no-color")
	moveByHand(t, l, g, "alpha", "beta")
	out, code := w.run("apply", "-no-color", "adopt")
	if code == 0 {
		t.Error("a plan to adopt in place was carried out although the guest was elsewhere")
	}
	w.contains(out, `Guest "hasty" is on beta and will be moved`) // Terraform itself refuses the difference
	w.contains(out, "inconsistent final plan")
	labtest.MustRun(t, g, "beta")
	if w.state() != nil {
		t.Error("a failed adoption left state behind")
	}

	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta"))
	w.must("apply", "-auto-approve", "-no-color")
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("plan", "-out=move", "-no-color")
	moveByHand(t, l, g, "beta", "alpha")
	out, code = w.run("apply", "-no-color", "move")
	if code == 0 {
		t.Error("a plan to move was carried out although the guest was elsewhere")
	}
	w.contains(out, "Guest Is Not Where The Plan Saw It")
	if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 { // it is where it was wanted
		t.Errorf("the next plan is not empty (exit code %d):\n%s", code, out)
	}
	labtest.MustRun(t, g, "alpha")
}

// TestCLIChangeOfOptionsContactsNoHost: the apply succeeds although no host could be reached.
func TestCLIChangeOfOptionsContactsNoHost(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "quiet", Host: "alpha"})
	w := newWorkspace(t)
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("apply", "-auto-approve", "-no-color")
	dead := `provider "virtmigrate" { hosts = { alpha = { uri = "qemu+tcp://127.0.0.1:1/system" } } }` + "\n"
	w.write("main.tf", dead+domain(g.Name, "alpha", `migration { max_downtime_ms = 500 }`, `timeouts { update = "1h" }`))
	w.must("apply", "-refresh=false", "-auto-approve", "-no-color")
	if got := w.state()["migration"]; !strings.Contains(asJSON(got), `"max_downtime_ms":500`) {
		t.Errorf("migration in state is %v", got)
	}
	w.must("destroy", "-refresh=false", "-auto-approve", "-no-color")
	labtest.MustRun(t, g, "alpha")
}
