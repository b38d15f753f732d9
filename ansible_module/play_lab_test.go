package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

const module = "virtmigrate.libvirt.domain"

// vars are options of the module, or anything else Ansible reads.
type vars = map[string]any

// hostVars are the lab's hosts as a user would write them.
func hostVars(l *lab.Lab, kind lab.Kind) vars {
	hosts := vars{}
	for _, h := range l.Hosts {
		hosts[h.Name] = vars{
			"uri": h.URI(kind), "migration_address": h.MigrationAddress(), "tls_destination": h.TLSName(),
			"peer_uri": h.PeerURI(lab.TLS), "allow_plain_control": kind == lab.TCP,
		}
	}
	return hosts
}

// moveVars ask for a guest on a host, with more options over it.
func moveVars(l *lab.Lab, g *lab.Guest, host string, more vars) vars {
	options := vars{"hosts": hostVars(l, lab.TLS), "name": g.Name, "host": host}
	maps.Copy(options, more)
	return options
}

// returned is what Ansible registers of one task.
type returned struct {
	response
	// Diff is a list for Ansible where the module has one.
	Diff json.RawMessage `json:"diff"`
	// Invocation repeats the options.
	Invocation json.RawMessage `json:"invocation"`
	// Fields are all that was returned, by name.
	Fields vars `json:"-"`
}

// play runs tasks on localhost with the real ansible-playbook and returns what each of them returned. It
// stops at the first that fails, as Ansible does.
func play(ctx context.Context, t *testing.T, flags []string, tasks ...vars) []returned {
	t.Helper()
	return playFile(ctx, t, writePlay(t, tasks...), flags...)
}

// writePlay writes a playbook of tasks on localhost.
func writePlay(t *testing.T, tasks ...vars) string {
	t.Helper()
	for i, task := range tasks {
		if options, ours := task[module]; ours && task["name"] == nil {
			tasks[i] = maps.Clone(task)
			tasks[i]["name"], tasks[i][module], tasks[i]["delegate_to"] = "move", options, "localhost"
		}
	}
	text, err := json.Marshal([]vars{{"hosts": "localhost", "gather_facts": false, "tasks": tasks}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "play.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func playFile(ctx context.Context, t *testing.T, path string, flags ...string) []returned {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := ansible(ctx, t, "ansible-playbook", append(flags, path)...)
	plugins, err := filepath.Abs("testdata/callback")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "ANSIBLE_STDOUT_CALLBACK=lines", "ANSIBLE_CALLBACK_PLUGINS="+plugins)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 2) { // 2: a task failed
		t.Fatalf("ansible-playbook: %v\n%s\n%s", err, out, stderr(err))
	}
	var all []returned
	for line := range bytes.Lines(out) {
		var r returned
		if err := errors.Join(json.Unmarshal(line, &r), json.Unmarshal(line, &r.Fields)); err != nil {
			t.Fatalf("a task returned %s: %v", line, err)
		}
		t.Logf("returned %s", line)
		all = append(all, r)
	}
	return all
}

func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// playOne runs the module once.
func playOne(t *testing.T, options vars, flags ...string) returned {
	t.Helper()
	all := play(labtest.Context(t, time.Minute), t, flags, vars{module: options})
	if len(all) != 1 {
		t.Fatalf("one task returned %d results", len(all))
	}
	return all[0]
}

// mustTouchNothing returns a function that asserts that all hosts are as they were when this was called.
func mustTouchNothing(t *testing.T) (compare func()) {
	t.Helper()
	l := labtest.Lab(t)
	before, err := l.Snapshot(labtest.Context(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		after, err := l.Snapshot(labtest.Context(t, 30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lab.DiffAll(before, after) {
			t.Errorf("changed: %s", line)
		}
	}
}
