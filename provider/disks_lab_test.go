package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// TestCLICopiedDiskIsPlannedToldAndReported: the plan names the disk, progress file and log tell of the copy
// while it goes on, and state has what it cost.
func TestCLICopiedDiskIsPlannedToldAndReported(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "laden", Host: "alpha", FillMiB: 64, LocalDisk: true})
	w := newWorkspace(t)
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("apply", "-auto-approve", "-no-color")

	copied := domain(g.Name, "beta", block("migration", `storage = "copy"`, `migrate_disks = ["vdb"]`, `bandwidth_mib_per_second = 12`, `progress_file = "progress"`))
	w.write("main.tf", providerBlock(l, lab.TLS)+strings.Replace(copied, `["vdb"]`, `[]`, 1))
	out, code := w.run("apply", "-auto-approve", "-no-color")
	if code == 0 {
		t.Error("an empty list of disks to copy became the default")
	}
	w.contains(out, "copied_disks = []")
	w.contains(out, "not on storage that both hosts share")
	labtest.MustRun(t, g, "alpha")

	w.write("main.tf", providerBlock(l, lab.TLS)+copied)
	log := filepath.Join(w.dir, "provider.log")
	w.env = append(w.env, "TF_LOG_PROVIDER=INFO", "TF_LOG_PATH="+log)
	out = w.must("apply", "-auto-approve", "-no-color")
	w.contains(out, `copied_disks = [ + "vdb", ]`)
	labtest.MustRun(t, g, "beta")

	var last migration.Result
	if err := json.Unmarshal([]byte(asJSON(w.state()["last_migration"])), &last); err != nil {
		t.Fatal(err)
	}
	if asJSON(last.CopiedDisks) != `["vdb"]` || last.Storage != migration.StorageCopy || last.Encrypted == nil || !*last.Encrypted ||
		last.DiskTotalBytes == nil || *last.DiskTotalBytes < 1<<20 || last.DiskProcessedBytes == nil || last.DiskCopyMS == nil || *last.DiskCopyMS > *last.CopyMS {
		t.Errorf("last_migration is %s", asJSON(w.state()["last_migration"]))
	}
	mustTellProgress(t, filepath.Join(w.dir, "progress"), g.Name)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "[INFO]") && strings.Contains(line, "copying the guest") && strings.Contains(line, "percent=") && strings.Contains(line, "remaining_bytes=") {
			told++
		}
	}
	if longest := time.Duration(*last.CopyMS) * time.Millisecond; told < 1 || told < int(longest.Seconds()/6) {
		t.Errorf("terraform's log tells %d times of a copy of %s", told, longest)
	}
	if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
		t.Errorf("the plan after it is not empty (exit code %d):\n%s", code, out)
	}
}

// mustTellProgress asserts that a progress file tells of one move of the guest, from beginning to end.
func mustTellProgress(t *testing.T, path, guest string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var last migration.ProgressLine
	expected := 0
	for line := range strings.Lines(string(text)) {
		last = migration.ProgressLine{}
		if err := json.Unmarshal([]byte(line), &last); err != nil || last.Guest != guest || last.To != "beta" {
			t.Errorf("%s: %v", line, err)
		}
		if last.Percent != nil && last.ExpectedEnd != nil && last.BytesPerSecond != nil && last.RemainingBytes != nil {
			expected++
		}
	}
	if expected < 3 || last.Step != migration.StepDone {
		t.Errorf("%d lines with an expected end, the last step is %q:\n%s", expected, last.Step, text)
	}
}

// TestCLIShutOffGuest: it is adopted and kept as it is, its definition moves when host changes, and starting it
// is no reason for a plan.
func TestCLIShutOffGuest(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "asleep", Host: "alpha", Disk: true})
	ctx := labtest.Context(t, 3*time.Minute)
	if _, err := l.Host("alpha").Virsh(ctx, "destroy", g.Name); err != nil {
		t.Fatal(err)
	}
	w := newWorkspace(t)
	empty := func(when string) {
		t.Helper()
		if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
			t.Errorf("the plan %s is not empty (exit code %d):\n%s", when, code, out)
		}
	}
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta"))
	out := w.must("plan", "-no-color")
	w.contains(out, `Guest "asleep" is on alpha and will be moved to beta: the guest is shut off`)
	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "alpha"))
	w.must("apply", "-auto-approve", "-no-color")
	if state := w.state(); !strings.HasPrefix(asJSON(state["state"]), `"shut off`) || state["last_migration"] != nil {
		t.Errorf("adopted as %s", asJSON(state))
	}
	empty("after its adoption")

	w.write("main.tf", providerBlock(l, lab.TLS)+domain(g.Name, "beta"))
	out = w.must("apply", "-auto-approve", "-no-color")
	w.contains(out, `+ transport = "none"`)
	for host, want := range map[string]string{"alpha": "", "beta": "shut off"} {
		if state, err := l.Host(host).DomainState(ctx, g.Name); err != nil || state != want {
			t.Errorf("on %s it is %q (%v), want %q", host, state, err, want)
		}
	}
	var last migration.Result
	if err := json.Unmarshal([]byte(asJSON(w.state()["last_migration"])), &last); err != nil {
		t.Fatal(err)
	}
	if last.Transport != migration.TransportNone || last.Encrypted != nil || last.TotalMS == nil || last.TransferredBytes != nil || last.MissingFigures["transferred_bytes"] == "" {
		t.Errorf("last_migration is %s", asJSON(last))
	}
	empty("after the move")
	if _, err := l.Host("beta").Virsh(ctx, "start", g.Name); err != nil {
		t.Fatal(err)
	}
	empty("after its start")
}
