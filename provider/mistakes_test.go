package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/mistakes"
)

// configuration is an input as somebody writes it for Terraform, in its JSON form.
func configuration(t *testing.T, in mistakes.Input) string {
	t.Helper()
	block, test := map[string]any{}, map[string]any{}
	for option, value := range in {
		switch option {
		case "hosts", "max_migrations_per_host":
			block[option] = value
		case "timeout_seconds":
			bound := fmt.Sprint(value)
			if _, words := value.(string); !words {
				bound += "s"
			}
			test["timeouts"] = map[string]any{"create": bound}
		default:
			test[option] = value
		}
	}
	text, err := json.Marshal(map[string]any{
		"provider": map[string]any{"virtmigrate": block},
		"resource": map[string]any{"virtmigrate_domain": map[string]any{"test": test}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(string(text)) // no templates
}

// planErrors runs terraform plan and returns what its errors say, without the pieces of the configuration that it
// shows beside them.
func planErrors(t *testing.T, w *workspace) string {
	t.Helper()
	out, code := w.run("plan", "-json", "-input=false")
	var errors strings.Builder
	for line := range bytes.Lines([]byte(out)) {
		var message struct {
			Diagnostic struct{ Severity, Summary, Detail, Address string }
		}
		if err := json.Unmarshal(line, &message); err != nil {
			t.Fatalf("terraform said %q: %v", line, err)
		}
		if d := message.Diagnostic; d.Severity == "error" {
			fmt.Fprintf(&errors, "%s: %s\n", d.Summary, d.Detail)
		}
	}
	if (code == 0) != (errors.Len() == 0) {
		t.Errorf("exit code %d with errors %q", code, errors.String())
	}
	return errors.String()
}

// TestMistakes: a plan refuses each with words that help, and has done nothing by then: no host was called, no file
// written.
func TestMistakes(t *testing.T) {
	for _, m := range mistakes.All() {
		t.Run(m.What, func(t *testing.T) {
			t.Parallel()
			d := mistakes.NewDoor(t)
			said, files := planWith(t, m.Input(d))
			for _, word := range m.InTerraform().Missing(said) {
				t.Errorf("%q does not say %q", said, word)
			}
			if m.Secret != "" && strings.Contains(said, m.Secret) {
				t.Errorf("%q tells the secret", said)
			}
			if d.Came() > 0 || len(files) > 0 {
				t.Errorf("%d connections were made, and files %v", d.Came(), files)
			}
		})
	}
	t.Run("none", func(t *testing.T) { // what is looked for above is there when nothing is wrong
		d := mistakes.NewDoor(t)
		if said, _ := planWith(t, mistakes.Good(d)); !strings.Contains(said, "Host Did Not Answer") || d.Came() == 0 {
			t.Errorf("%d connections, and terraform said %q", d.Came(), said)
		}
	})
}

// planWith plans an input in a workspace of its own, and lists the files that the provider left.
func planWith(t *testing.T, in mistakes.Input) (said string, left []os.DirEntry) {
	t.Helper()
	w := newWorkspace(t)
	w.write("main.tf.json", configuration(t, in))
	own := t.TempDir()
	w.env = append(w.env, "XDG_STATE_HOME="+own, "XDG_RUNTIME_DIR="+own)
	said = planErrors(t, w)
	left, err := os.ReadDir(own)
	if err != nil {
		t.Fatal(err)
	}
	return said, left
}
