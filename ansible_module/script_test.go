package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the binary on files of options, as Ansible does, without any host.
func TestScripts(t *testing.T) {
	_, module := collections(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MODULE", module)
			program, err := os.ReadFile(module)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "AnsiballZ_domain"), program, 0o755)
		},
	})
}
