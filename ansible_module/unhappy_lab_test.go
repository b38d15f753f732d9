package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// with is the lab's hosts with one of them changed.
func with(l *lab.Lab, host string, option string, value any) vars {
	hosts := hostVars(l, lab.TLS)
	if hosts[host] == nil {
		hosts[host] = vars{}
	}
	hosts[host].(vars)[option] = value
	return hosts
}

func TestPlaybookSaysWhatIsWrongAndTouchesNothing(t *testing.T) {
	l := labtest.Lab(t)
	good := labtest.Guest(t, lab.GuestConfig{Name: "good", Host: "alpha", Disk: true})
	local := labtest.Guest(t, lab.GuestConfig{Name: "local", Host: "alpha", Disk: true, LocalDisk: true})
	garbage := filepath.Join(t.TempDir(), "id_garbage")
	if err := os.WriteFile(garbage, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	ssh := func(key string) vars {
		return with(l, "beta", "uri", "qemu+ssh://root@"+l.Host("beta").Address.String()+"/system?keyfile="+key+"&known_hosts="+l.KnownHosts())
	}
	cases := map[string]struct {
		guest   *lab.Guest
		options vars
		phase   migration.Phase
		// at is where the guest is said to be, when something was looked at.
		at   string
		says []string
	}{
		"an unknown option":             {good, vars{"nmae": "beta"}, migration.PhaseRequest, "", []string{`unknown option "nmae" (did you mean "name"?)`}},
		"plain without permission":      {good, vars{"migration": vars{"transport": "plain"}}, migration.PhaseRequest, "", []string{"allow_plain"}},
		"an unknown host":               {good, vars{"host": "gamma"}, migration.PhaseRequest, "", []string{"gamma", "alpha, beta"}},
		"a key file that is not there":  {good, vars{"hosts": ssh("/nonexistent/id")}, migration.PhaseRequest, "", []string{"beta", "/nonexistent/id", "no such file"}},
		"a key file that holds no key":  {good, vars{"hosts": ssh(garbage)}, migration.PhaseRequest, "", []string{"beta", garbage}},
		"an unencrypted daemon":         {good, vars{"hosts": with(l, "beta", "uri", l.Host("beta").URI(lab.TCP))}, migration.PhaseRequest, "", []string{"beta", "allow_plain_control"}},
		"an unknown guest":              {good, vars{"name": "nobody"}, migration.PhaseLocate, "", []string{"nobody", "no configured host has the guest"}},
		"a name that is not the UUID's": {good, vars{"uuid": local.UUID}, migration.PhaseLocate, "", []string{`named "local"`}},
		"an unknown guest and a silent host": {good, vars{"name": "nobody", "hosts": with(l, "gone", "uri", "qemu+tcp://127.0.0.1:1/system")}, migration.PhaseLocate, "",
			[]string{"the guest may be there", "gone"}},
		"a silent destination":                  {good, vars{"host": "gone", "hosts": with(l, "gone", "uri", "qemu+tcp://127.0.0.1:1/system")}, migration.PhaseInspect, "alpha", []string{"gone"}},
		"a local disk":                          {local, vars{"hosts": hostVars(l, lab.SSH)}, migration.PhaseDecide, "alpha", []string{"not on storage that both hosts share", "storage copy"}},
		"a local disk that nobody can look for": {local, nil, migration.PhaseRun, "alpha", []string{"not on storage that both hosts share", "storage copy"}},
		"a wrong certificate": {good, vars{"hosts": with(l, "beta", "tls_destination", "somebody-else"), "migration": vars{"transport": "tls"}}, migration.PhaseRun, "alpha",
			[]string{"tls_destination"}},
	}
	names := slices.Sorted(maps.Keys(cases))
	var tasks []vars
	for _, name := range names {
		tasks = append(tasks, vars{module: moveVars(l, cases[name].guest, "beta", cases[name].options), "ignore_errors": true})
	}
	compare := mustTouchNothing(t)
	results := play(labtest.Context(t, 2*time.Minute), t, nil, tasks...)
	compare()
	if len(results) != len(tasks) {
		t.Fatalf("%d tasks returned %d results", len(tasks), len(results))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := results[slices.Index(names, name)]
			if !r.Failed || r.Changed || r.Phase != c.phase || r.Host != c.at {
				t.Errorf("failed %v, changed %v, phase %q, host %q; want phase %q, host %q", r.Failed, r.Changed, r.Phase, r.Host, c.phase, c.at)
			}
			if c.at != "" && !strings.Contains(r.GuestAt, c.at) {
				t.Errorf("the guest is said to be %q, want on %s", r.GuestAt, c.at)
			}
			for _, text := range c.says {
				if !strings.Contains(r.Msg, text) {
					t.Errorf("%q does not say %q", r.Msg, text)
				}
			}
			if r.LastMigration != nil {
				t.Errorf("last_migration %+v", r.LastMigration)
			}
		})
	}
	labtest.MustRun(t, good, "alpha")
	labtest.MustRun(t, local, "alpha")
}

func TestCheckModeFailsWhereTheMoveWould(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", LocalDisk: true})
	r := playOne(t, moveVars(l, g, "beta", vars{"hosts": hostVars(l, lab.SSH)}), "--check")
	if !r.Failed || r.Phase != migration.PhaseDecide || r.Host != "alpha" || r.Hint == "" || !strings.Contains(r.Msg, "not on storage that both hosts share") {
		t.Errorf("returned %+v", r)
	}
}

// writeOptions writes a file of options as Ansible does.
func writeOptions(t *testing.T, options vars) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "args")
	if err := os.WriteFile(path, asJSON(t, options), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// finish waits for the end of the module, and asserts that it printed one JSON document and nothing else.
func finish(t *testing.T, cmd *exec.Cmd, out *strings.Builder) returned {
	t.Helper()
	err := cmd.Wait()
	var r returned
	if problem := json.Unmarshal([]byte(out.String()), &r); problem != nil {
		t.Fatalf("the module printed %q (%v): %v", out, err, problem)
	}
	t.Logf("returned %s", out)
	if r.Failed != (cmd.ProcessState.ExitCode() == 1) {
		t.Errorf("failed %v with exit code %d", r.Failed, cmd.ProcessState.ExitCode())
	}
	return r
}

func TestSignalInMidCopyLeavesTheGuestWhereItWas(t *testing.T) {
	l := labtest.Lab(t)
	_, program := collections(t)
	for _, c := range []struct {
		control string
		signal  syscall.Signal
	}{{"controller", syscall.SIGTERM}, {"controller", syscall.SIGINT}, {"controller", syscall.SIGHUP}, {"peer_to_peer", syscall.SIGTERM}} {
		t.Run(c.control+" "+c.signal.String(), func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
			compare := mustTouchNothing(t)
			ctx := labtest.Context(t, time.Minute)
			var out strings.Builder
			cmd := exec.CommandContext(ctx, program, writeOptions(t, moveVars(l, g, "beta", vars{
				"migration": vars{"control": c.control, "bandwidth_mib_per_second": 8}, "_ansible_verbosity": 4,
			})))
			cmd.Stdout, cmd.Stderr = &out, t.Output() // with the engine's log, for when this fails
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitCopy(t, g)
			sent := time.Now()
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			r := finish(t, cmd, &out)
			if took := time.Since(sent); took > 5*time.Second {
				t.Errorf("the module ended %s after the signal", took)
			}
			if !r.Failed || r.Changed || r.Phase != migration.PhaseRun || r.Host != "alpha" || !strings.Contains(r.GuestAt, "running") || !strings.Contains(r.Msg, "cancelled") {
				t.Errorf("returned %+v", r)
			}
			compare()
			labtest.MustRun(t, g, "alpha")
		})
	}
}

// TestCtrlCOfAnsibleLeavesTheGuestWhereItWas interrupts Ansible and the module together, as a terminal
// does.
func TestCtrlCOfAnsibleLeavesTheGuestWhereItWas(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, Disk: true, NIC: true})
	compare := mustTouchNothing(t)
	ctx := labtest.Context(t, time.Minute)
	cmd := ansible(ctx, t, "ansible-playbook", writePlay(t, vars{module: moveVars(l, g, "beta", vars{"migration": vars{"bandwidth_mib_per_second": 8}})}))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitCopy(t, g)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the interrupted playbook ended well")
	}
	// Ansible may end before the module has brought the guest to safety
	poll(t, func() (bool, string) {
		err := syscall.Kill(-cmd.Process.Pid, 0)
		return err != nil, "processes of the playbook still run"
	})
	compare()
	labtest.MustRun(t, g, "alpha")
}

// awaitCopy waits until virsh sees guest memory travel.
func awaitCopy(t *testing.T, g *lab.Guest) {
	t.Helper()
	ctx := labtest.Context(t, 30*time.Second)
	alpha := labtest.Lab(t).Host("alpha")
	poll(t, func() (bool, string) {
		text, err := alpha.Virsh(ctx, "domjobinfo", g.Name)
		return err == nil && strings.Contains(text, "Memory processed:") && !strings.Contains(text, "Memory processed: 0.000"),
			fmt.Sprintf("no guest memory travels: %s (%v)", text, err)
	})
}

// poll waits until something is so, for 30 seconds.
func poll(t *testing.T, look func() (so bool, otherwise string)) {
	t.Helper()
	ctx := labtest.Context(t, 30*time.Second)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		so, otherwise := look()
		if so {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(otherwise)
		case <-ticker.C:
		}
	}
}

func TestTimeoutAbortsAMoveThatIsTooSlow(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128})
	compare := mustTouchNothing(t)
	r := playOne(t, moveVars(l, g, "beta", vars{"timeout_seconds": "4", "migration": vars{"bandwidth_mib_per_second": "4"}}))
	compare()
	if !r.Failed || r.Changed || r.Host != "alpha" || !strings.Contains(r.Msg, "time-out of 4s") {
		t.Errorf("returned %+v", r)
	}
	labtest.MustRun(t, g, "alpha")
}

// TestKeyFileThatMayNotBeRead runs the module as a user other than root, who may read everything.
func TestKeyFileThatMayNotBeRead(t *testing.T) {
	l := labtest.Lab(t)
	_, program := collections(t)
	dir, err := os.MkdirTemp("", "virtmigrate-") // below /tmp, where another user can look
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	key, known, args := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts"), filepath.Join(dir, "args")
	options := asJSON(t, vars{"hosts": vars{"alpha": vars{"uri": "qemu+ssh://root@" + l.Host("alpha").Address.String() + "/system?keyfile=" + key + "&known_hosts=" + known}}, "name": "web", "host": "alpha"})
	for path, content := range map[string][]byte{filepath.Join(dir, "domain"): binary, key: []byte("secret"), known: nil, args: options} {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, key: 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	cmd := exec.CommandContext(labtest.Context(t, time.Minute), filepath.Join(dir, "domain"), args)
	const nobody = 65534
	cmd.Stdout, cmd.Dir, cmd.Env, cmd.SysProcAttr = &out, dir, []string{"HOME=" + dir}, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if r := finish(t, cmd, &out); !r.Failed || r.Phase != migration.PhaseRequest || !strings.Contains(r.Msg, key) || !strings.Contains(r.Msg, "permission denied") || strings.Contains(out.String(), "secret") {
		t.Errorf("returned %+v", r)
	}
}
