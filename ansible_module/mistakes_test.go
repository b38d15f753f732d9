package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/mistakes"
)

// TestMistakes: the program refuses each with words that help, and has done nothing by then: no host was called, no
// file written.
func TestMistakes(t *testing.T) {
	_, program := collections(t)
	run := func(t *testing.T, in mistakes.Input) (returned, []string) {
		home := t.TempDir()
		var out strings.Builder
		cmd := exec.CommandContext(labtest.Context(t, time.Minute), program, writeOptions(t, in))
		cmd.Stdout, cmd.Dir, cmd.Env = &out, home, []string{"HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_RUNTIME_DIR=" + home, "TMPDIR=" + home}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := finish(t, cmd, &out)
		left, err := os.ReadDir(home)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, file := range left {
			names = append(names, file.Name())
		}
		return r, names
	}
	for _, m := range mistakes.All() {
		t.Run(m.What, func(t *testing.T) {
			t.Parallel()
			d := mistakes.NewDoor(t)
			r, files := run(t, m.Input(d))
			if !r.Failed || r.Changed || r.Phase != migration.PhaseRequest {
				t.Errorf("failed %v, changed %v, phase %q", r.Failed, r.Changed, r.Phase)
			}
			for _, word := range m.Missing(r.Msg) {
				t.Errorf("%q does not say %q", r.Msg, word)
			}
			if text := string(asJSON(t, r.Fields)) + r.Msg; m.Secret != "" && strings.Contains(text, m.Secret) {
				t.Errorf("%q tells the secret", text)
			}
			if d.Came() > 0 || len(files) > 0 {
				t.Errorf("%d connections were made, and files %q", d.Came(), files)
			}
		})
	}
	t.Run("none", func(t *testing.T) { // what is looked for above is there when nothing is wrong
		d := mistakes.NewDoor(t)
		if r, _ := run(t, mistakes.Good(d)); r.Phase == migration.PhaseRequest || d.Came() == 0 {
			t.Errorf("%d connections, returned %+v", d.Came(), r)
		}
	})
}
