package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// runPlaybook brings the guest back to alpha, and leaves the module's whole return in a file.
func runPlaybook(ctx context.Context, dir, build, result string, l *lab.Lab) (move, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return move{}, err
	}
	snippet := l.AnsibleSnippet(guestName)
	play := strings.Replace(snippet, "host: beta", "host: alpha", 1)
	if play == snippet {
		return move{}, fmt.Errorf("the lab's Ansible snippet has no host to change")
	}
	play = strings.TrimRight(play, "\n") + `
      register: moved
    - name: Keep what the module returned
      ansible.builtin.copy:
        content: "{{ moved | to_nice_json }}"
        dest: ` + result + `
        mode: "0644"
`
	path := filepath.Join(dir, "back.yml")
	if err := os.WriteFile(path, []byte(play), 0o644); err != nil {
		return move{}, err
	}
	if err := os.RemoveAll(result); err != nil {
		return move{}, err
	}
	cmd := exec.CommandContext(ctx, "ansible-playbook", path)
	cmd.Env = append(os.Environ(), "ANSIBLE_COLLECTIONS_PATH="+filepath.Join(build, "ansible"), "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_NOCOLOR=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return move{}, fmt.Errorf("ansible-playbook: %w", err)
	}
	text, err := os.ReadFile(result)
	if err != nil {
		return move{}, err
	}
	var returned struct {
		LastMigration move `json:"last_migration"`
	}
	return returned.LastMigration, json.Unmarshal(text, &returned)
}
