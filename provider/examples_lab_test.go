package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// exampleUUID is the guest's in the examples.
const exampleUUID = "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"

// example is the text of a file under examples/, with the lab's hosts for those of example.org.
func example(t *testing.T, l *lab.Lab, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	alpha, beta := l.Host("alpha"), l.Host("beta")
	return strings.NewReplacer(
		"qemu+ssh://root@alpha.example.org/system", alpha.SSHURI("root"), "10.0.0.1", alpha.MigrationAddress(), "alpha.example.org", alpha.TLSName(),
		"qemu+ssh://root@beta.example.org/system", beta.SSHURI("root"), "10.0.0.2", beta.MigrationAddress(), "beta.example.org", beta.TLSName(),
	).Replace(string(text))
}

// exampleWorkspace has the provider as its example configures it.
func exampleWorkspace(t *testing.T, l *lab.Lab) *workspace {
	t.Helper()
	w := newWorkspace(t)
	w.write("versions.tf", example(t, l, "provider/provider.tf"))
	return w
}

// TestExamplesDoWhatTheySay runs each example on the lab: guest web is on alpha.
func TestExamplesDoWhatTheySay(t *testing.T) {
	l := needLab(t)
	for name, c := range map[string]struct {
		guest   lab.GuestConfig
		shutOff bool
		peer    bool // the hosts' daemons cannot log in to each other over SSH in the lab
		on      string
		outputs map[string]string
	}{
		"resources/virtmigrate_domain/resource.tf":            {on: "alpha", outputs: map[string]string{}},
		"resources/virtmigrate_domain/import-by-string-id.tf": {on: "alpha", outputs: map[string]string{}},
		"data-sources/virtmigrate_host/data-source.tf":        {on: "alpha", outputs: map[string]string{"beta_transports": `"tls":"yes"`}},
		"data-sources/virtmigrate_domain/data-source.tf": {guest: lab.GuestConfig{LocalDisk: true}, on: "alpha",
			outputs: map[string]string{"web_host": `"alpha"`, "web_local_disks": `["vdb"]`, "web_blockers": `[]`}},
		"data-sources/virtmigrate_preflight/data-source.tf": {on: "alpha", outputs: map[string]string{"dry_run": `{}`}},
		"guides/copy-disks.tf":                              {guest: lab.GuestConfig{LocalDisk: true}, on: "beta", outputs: map[string]string{}},
		"guides/shut-off.tf":                                {shutOff: true, on: "beta", outputs: map[string]string{"how": `"none"`}},
		"guides/tunnel.tf":                                  {peer: true, on: "beta", outputs: map[string]string{}},
	} {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(name, ".tf"), "/", "_"), func(t *testing.T) {
			c.guest.Name, c.guest.UUID, c.guest.Host = "web", exampleUUID, "alpha"
			g := labtest.Guest(t, c.guest)
			ctx := labtest.Context(t, 3*time.Minute)
			if c.shutOff {
				if _, err := l.Host("alpha").Virsh(ctx, "destroy", g.Name); err != nil {
					t.Fatal(err)
				}
			}
			w := exampleWorkspace(t, l)
			if c.peer {
				w.write("versions.tf", "terraform {\n  required_providers {\n    virtmigrate = { source = \"virtmigrate/virtmigrate\" }\n  }\n}\n"+providerBlock(l, lab.TLS))
			}
			text := example(t, l, name)
			if strings.HasPrefix(text, "import") || strings.Contains(text, "\nimport {") {
				text += strings.Replace(domain("web", "alpha"), `"test"`, `"web"`, 1)
			}
			w.write("main.tf", text)
			w.must("apply", "-auto-approve", "-no-color")
			// free memory changes all the time, sometimes by less than terraform shows; a check block is read again
			if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 && !strings.Contains(out, "free_gib") &&
				!strings.Contains(out, "reloaded to verify a check block") && !(code == 2 && strings.Contains(out, "No changes.")) {
				t.Errorf("the plan after it is not empty (exit code %d):\n%s", code, out)
			}
			for output, want := range c.outputs {
				if got := w.must("output", "-json", output); !strings.Contains(got, want) {
					t.Errorf("output %s is %s, want %s", output, got, want)
				}
			}
			if !c.shutOff {
				labtest.MustRun(t, g, c.on)
			} else if state, err := l.Host(c.on).DomainState(ctx, g.Name); err != nil || state != "shut off" {
				t.Errorf("on %s it is %q (%v)", c.on, state, err)
			}
		})
	}
}

// TestExampleImports runs the commands of the example as they stand there. What was imported needs nothing.
func TestExampleImports(t *testing.T) {
	l := needLab(t)
	g := labtest.Guest(t, lab.GuestConfig{Name: "web", UUID: exampleUUID, Host: "alpha"})
	w := exampleWorkspace(t, l)
	w.write("main.tf", strings.Replace(domain("web", "alpha"), `"test"`, `"web"`, 1))
	imports := 0
	for line := range strings.Lines(example(t, l, "resources/virtmigrate_domain/import.sh")) {
		command, isCommand := strings.CutPrefix(strings.TrimSpace(line), "terraform ")
		if !isCommand {
			continue
		}
		imports++
		w.must(append([]string{"import", "-no-color"}, strings.Fields(command)[1:]...)...)
		if out, code := w.run("plan", "-detailed-exitcode", "-no-color"); code != 0 {
			t.Errorf("the plan after %s is not empty (exit code %d):\n%s", line, code, out)
		}
		w.must("state", "rm", "virtmigrate_domain.web")
	}
	if imports != 3 {
		t.Errorf("%d imports were run, want one by name, one by UUID and one by host and name", imports)
	}
	labtest.MustRun(t, g, "alpha")
}
