package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// slowly is a move whose copy is still under way when it is killed.
func slowly(l *lab.Lab, g *lab.Guest) vars {
	return moveVars(l, g, "beta", vars{"migration": vars{"bandwidth_mib_per_second": 8}})
}

// mustBeBroughtHome runs the same task again, after a controller died: it goes on from what that left.
func mustBeBroughtHome(t *testing.T, g *lab.Guest) {
	t.Helper()
	labtest.SkipIfQEMUAborted(t, g)
	r := playOne(t, moveVars(labtest.Lab(t), g, "beta", nil))
	if r.Failed || r.Host != "beta" {
		t.Errorf("the next run returned %+v", r)
	}
	labtest.MustRun(t, g, "beta")
}

// TestKilledAnsibleIsPickedUpByTheNextRun kills ansible-playbook with everything it started.
func TestKilledAnsibleIsPickedUpByTheNextRun(t *testing.T) {
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
	cmd := ansible(labtest.Context(t, time.Minute), t, "ansible-playbook", writePlay(t, vars{module: slowly(labtest.Lab(t), g)}))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitCopy(t, g)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	mustBeBroughtHome(t, g)
}

// TestKilledAsyncJobIsPickedUpByTheNextRun kills the module that Ansible left in the background.
func TestKilledAsyncJobIsPickedUpByTheNextRun(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
	begun := play(labtest.Context(t, time.Minute), t, nil, vars{module: slowly(l, g), "async": 600, "poll": 0})
	if len(begun) != 1 || begun[0].Failed || begun[0].Fields["ansible_job_id"] == nil {
		t.Fatalf("the job did not begin: %+v", begun)
	}
	awaitCopy(t, g)
	// Ansible's files of this test, the module among them, are in a folder of the test
	results, _ := begun[0].Fields["results_file"].(string)
	ours := regexp.QuoteMeta(filepath.Dir(results)) + ".*/AnsiballZ_domain"
	if out, err := exec.Command("pkill", "-KILL", "-f", ours).CombinedOutput(); err != nil {
		t.Fatalf("the job's process is not found: %v: %s", err, out)
	}
	mustBeBroughtHome(t, g)
}
