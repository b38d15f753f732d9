package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

// assembled is the collection as users get it, built once for all tests of this package.
var assembled struct {
	dir    string // for ANSIBLE_COLLECTIONS_PATH
	module string // the binary
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "virtmigrate-collection-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // a test runs the module as another user
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		root, err := collection.Assemble(context.Background(), dir, "", "")
		if err != nil {
			fmt.Fprintln(os.Stderr, "assemble the collection:", err)
			return 1
		}
		assembled.dir, assembled.module = dir, filepath.Join(root, "plugins", "modules", "domain")
		code := m.Run()
		if err := closeLab(); err != nil {
			fmt.Fprintln(os.Stderr, "close the lab:", err)
			code = 1
		}
		return code
	}())
}

// TestScripts runs the binary on files of options, as Ansible does, without any host.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MODULE", assembled.module)
			return os.Link(assembled.module, filepath.Join(env.WorkDir, "AnsiballZ_domain"))
		},
	})
}
