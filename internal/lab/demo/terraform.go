package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// terraform is a folder with a configuration, and the CLI that applies it.
type terraform struct {
	dir, config, program string
}

func newTerraform(dir, build string, l *lab.Lab) (*terraform, error) {
	t := &terraform{dir: dir, config: filepath.Join(dir, "terraform.rc")}
	for _, name := range []string{"terraform", "tofu", filepath.Join(build, "tofu")} { // the last as make builds it
		if path, err := exec.LookPath(name); err == nil {
			t.program = path
			break
		}
	}
	if t.program == "" {
		return nil, fmt.Errorf("neither terraform nor tofu is on PATH, nor is %s: make demo builds it", filepath.Join(build, "tofu"))
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	snippet := l.TerraformSnippet(guestName)
	configuration := strings.Replace(snippet, `host = "alpha"`, `host = var.host`, 1) + `
variable "host" {
  type = string
}

output "last_migration" {
  value = virtmigrate_domain.` + guestName + `.last_migration
}
`
	if configuration == snippet || !strings.Contains(configuration, "var.host") {
		return nil, errors.New("the lab's Terraform snippet has no host to vary")
	}
	overrides := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"virtmigrate/virtmigrate\" = %q\n  }\n  direct {}\n}\n", build)
	return t, errors.Join(os.WriteFile(filepath.Join(dir, "main.tf"), []byte(configuration), 0o644), os.WriteFile(t.config, []byte(overrides), 0o644))
}

func (t *terraform) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.program, args...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+t.config, "TF_IN_AUTOMATION=1")
	// a demo that is interrupted lets terraform end the move itself
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	return cmd
}

func (t *terraform) apply(ctx context.Context, host string) error {
	cmd := t.command(ctx, "apply", "-auto-approve", "-no-color", "-var", "host="+host)
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("terraform apply: %w", err)
	}
	return nil
}

// lastMigration reads the resource's last_migration and writes it to a file as it is.
func (t *terraform) lastMigration(ctx context.Context, path string) (move, error) {
	out, err := t.command(ctx, "output", "-json", "last_migration").Output()
	if err != nil {
		return move{}, fmt.Errorf("terraform output: %w", err)
	}
	var raw any
	if err := json.Unmarshal(out, &raw); err != nil {
		return move{}, fmt.Errorf("terraform output: %w", err)
	}
	if err := writeJSON(path, raw); err != nil {
		return move{}, err
	}
	var m move
	return m, json.Unmarshal(out, &m)
}
