package lab_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestADaemonDiesAndItsGuestsLiveOn(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	alpha := l.Host("alpha")
	g := labtest.Guest(t, lab.GuestConfig{})
	if err := alpha.KillDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := alpha.Virsh(ctx, "list"); err == nil {
		t.Error("a killed daemon answers")
	}
	mustBeGood(t, g)
	if err := alpha.StartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	if state, err := alpha.DomainState(ctx, g.Name); err != nil || state != "running" {
		t.Errorf("after the restart the guest is %q, %v", state, err)
	}
	mustBeGood(t, g)

	if err := alpha.FreezeDaemon(); err != nil {
		t.Fatal(err)
	}
	frozen := labtest.Context(t, time.Second)
	if _, err := alpha.Virsh(frozen, "list"); err == nil {
		t.Error("a frozen daemon answers")
	}
	if err := alpha.ThawDaemon(); err != nil {
		t.Fatal(err)
	}
	if _, err := alpha.Virsh(ctx, "list"); err != nil {
		t.Error(err)
	}
}

func TestAKilledQEMUIsDeadForLibvirtAndForUs(t *testing.T) {
	l := labtest.Lab(t)
	alpha := l.Host("alpha")
	g := labtest.Guest(t, lab.GuestConfig{})
	if err := g.KillQEMU(alpha); err != nil {
		t.Fatal(err)
	}
	await(t, "libvirt to notice", func() bool {
		state, err := alpha.DomainState(t.Context(), g.Name)
		return err == nil && state == "shut off"
	})
	mustBeBad(t, g, "no beat arrives")
}

var downtime = regexp.MustCompile(`Total downtime:\s+(\d+)\s+ms`)

func TestAShiftedClockDeceivesTheDaemonAndNobodyElse(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{FillMiB: 16})
	if err := beta.ShiftClock(ctx, 7*time.Second); err != nil {
		t.Fatal(err)
	}
	defer beta.ShiftClock(ctx, 0)
	since := time.Now()
	virshMove(t, g, alpha, beta)
	text, err := beta.Virsh(ctx, "domjobinfo", g.Name, "--completed")
	if err != nil {
		t.Fatal(err)
	}
	found := downtime.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no downtime in %s", text)
	}
	claimed, _ := strconv.Atoi(found[1])
	gap, err := g.SwitchoverGap(ctx, since)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("libvirt claims a downtime of %d ms, the beat missed %v", claimed, gap.Length)
	if lie := time.Duration(claimed)*time.Millisecond - gap.Length; lie < 6*time.Second || lie > 8*time.Second {
		t.Errorf("with a clock 7 s ahead libvirt is wrong by %v", lie)
	}
	qemu, err := beta.Exec(ctx, "cat", "/run/libvirt/qemu/"+g.Name+".pid")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := beta.Exec(ctx, "cat", "/proc/"+strings.TrimSpace(qemu)+"/maps")
	if err != nil || strings.Contains(maps, "faketime") {
		t.Errorf("the library that shifts the clock is loaded into QEMU (%v)", err)
	}
	mustBeGood(t, g)
}

var idlePercent = regexp.MustCompile(`idle:\s+([0-9.]+)%`)

func TestAFakedProcessorLoadShowsInLibvirtOnOneHostOnly(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	for name, idle := range map[string]float64{"alpha": 0.9, "beta": 0.25} {
		stop, err := l.Host(name).FakeCPU(ctx, idle)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
	}
	for name, want := range map[string]float64{"alpha": 90, "beta": 25} {
		text, err := l.Host(name).Virsh(ctx, "nodecpustats", "--percent")
		if err != nil {
			t.Fatal(err)
		}
		found := idlePercent.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no idle figure in %s", text)
		}
		if got, _ := strconv.ParseFloat(found[1], 64); got < want-2 || got > want+2 {
			t.Errorf("%s is %.1f %% idle where %.0f %% were faked", name, got, want)
		}
	}
}

func TestASnapshotSeesWhatIsLeftBehindAndNothingElse(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	alpha := l.Host("alpha")
	g := labtest.Guest(t, lab.GuestConfig{NIC: true, Disk: true})
	before, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustBeGood(t, g)
	again, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := lab.DiffAll(before, again); len(diff) > 0 {
		t.Fatalf("nothing happened, and yet: %s", strings.Join(diff, "\n"))
	}

	background := func(args ...string) error {
		cmd := alpha.Command(ctx, args...)
		if err := cmd.Start(); err != nil {
			return err
		}
		t.Cleanup(func() { _ = cmd.Cancel(); _ = cmd.Wait() })
		return nil
	}
	plants := map[string]func() error{
		"+ alpha: file /tmp/left (": func() error { return os.WriteFile(alpha.Path("/tmp/left"), nil, 0o600) },
		"+ alpha: file /run/libvirt/qemu/left/sock (": func() error {
			dir := alpha.Path("/run/libvirt/qemu/left")
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "sock"), nil, 0o600))
		},
		"~ alpha: file /etc/libvirt/qemu.conf (": func() error { return os.Chmod(alpha.Path("/etc/libvirt/qemu.conf"), 0o600) },
		"+ alpha: process sleep 4711 (":          func() error { return alpha.Command(ctx, "sleep", "4711").Start() },
		"+ alpha: socket tcp ":                   func() error { return background("nbdkit", "--foreground", "--port", "4711", "null") },
		"~ alpha: domain " + g.Name + " (": func() error {
			_, err := alpha.Virsh(ctx, "desc", g.Name, "--title", "touched", "--live", "--config")
			return err
		},
		"+ alpha: libvirt pool left active no (": func() error {
			_, err := alpha.Virsh(ctx, "pool-create-as", "left", "dir", "--target", "/tmp")
			return err
		},
	}
	for what, plant := range plants {
		if err := plant(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	defer func() {
		for _, undo := range [][]string{{"rm", "-r", "/tmp/left", "/run/libvirt/qemu/left"}, {"chmod", "644", "/etc/libvirt/qemu.conf"}, {"virsh", "pool-destroy", "left"}} {
			if _, err := alpha.Exec(ctx, undo...); err != nil {
				t.Error(err)
			}
		}
	}()
	for what := range plants {
		await(t, fmt.Sprintf("a difference %q", what), func() bool {
			after, err := l.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains("\n"+strings.Join(lab.DiffAll(before, after), "\n"), "\n"+what)
		})
	}
	after, err := alpha.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for key := range after.Without(g.Name).Items {
		if strings.Contains(key, g.Name) {
			t.Errorf("without the guest there is still %q", key)
		}
	}
}
