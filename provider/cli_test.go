package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// workspace is a folder in which the real terraform runs the built provider, as a user would.
type workspace struct {
	t   *testing.T
	dir string
	env []string
}

var built struct {
	sync.Once
	dir string
	err error
}

// binaryFolder builds the provider once. TestMain removes it.
func binaryFolder() (string, error) {
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "virtmigrate-provider-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(built.dir, "terraform-provider-virtmigrate"), ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the provider: %w\n%s", err, out)
		}
	})
	return built.dir, built.err
}

// newWorkspace needs no network: terraform takes the provider from where it was built, without init.
func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("this test runs the real terraform: set TF_ACC=1, and TF_ACC_TERRAFORM_PATH if it is not on PATH")
	}
	binary, err := binaryFolder()
	if err != nil {
		t.Fatal(err)
	}
	w := &workspace{t: t, dir: t.TempDir()}
	w.write("terraform.rc", fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"virtmigrate/virtmigrate\" = %q\n  }\n  direct {}\n}\n", binary))
	w.write("versions.tf", "terraform {\n  required_providers {\n    virtmigrate = { source = \"virtmigrate/virtmigrate\" }\n  }\n}\n")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TF_") {
			w.env = append(w.env, e)
		}
	}
	// a provider that is killed leaves its socket behind, in a directory whose path must be short
	sockets, err := os.MkdirTemp("", "tf-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := os.RemoveAll(sockets); err != nil {
			w.t.Error(err)
		}
	})
	w.env = append(w.env, "TMPDIR="+sockets, "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "terraform.rc"), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	return w
}

func (w *workspace) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// command is terraform with -no-color where the subcommand has it.
func (w *workspace) command(ctx context.Context, args ...string) *exec.Cmd {
	terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if terraform == "" {
		terraform = "terraform"
	}
	cmd := exec.CommandContext(ctx, terraform, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// run returns what terraform printed, and its exit code.
func (w *workspace) run(args ...string) (string, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := w.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// must runs terraform and expects it to end well.
func (w *workspace) must(args ...string) string {
	w.t.Helper()
	out, code := w.run(args...)
	if code != 0 {
		w.t.Fatalf("terraform %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// state is the attributes of virtmigrate_domain.test, nil without that resource.
func (w *workspace) state() map[string]any {
	w.t.Helper()
	var shown struct {
		Values struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  map[string]any
				}
			} `json:"root_module"`
		}
	}
	out, err := w.command(w.t.Context(), "show", "-json").Output()
	if err == nil {
		err = json.Unmarshal(out, &shown)
	}
	if err != nil {
		w.t.Fatalf("terraform show: %v", err)
	}
	for _, r := range shown.Values.RootModule.Resources {
		if r.Address == address0 {
			return r.Values
		}
	}
	return nil
}

// contains expects a text, however terraform broke its lines.
func (w *workspace) contains(out, text string) {
	w.t.Helper()
	if !says(text).MatchString(out) {
		w.t.Errorf("terraform did not say %q:\n%s", text, out)
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func equalJSON(a, b any) bool { return asJSON(a) == asJSON(b) }
