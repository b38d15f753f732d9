package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dryMake says what make would do for a target, with only the programs named besides those that it needs itself.
func dryMake(t *testing.T, target string, programs ...string) string {
	t.Helper()
	dry := need(t, "make")
	bin := t.TempDir()
	for _, name := range []string{"sh", "go", "grep"} {
		if err := os.Symlink(need(t, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), dry, "--dry-run", "--always-make", "SHELL="+filepath.Join(bin, "sh"), target)
	cmd.Env = []string{"PATH=" + bin, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestMakeBuildsOpenTofuWhereThereIsNone: only there, and says so and how long it takes.
func TestMakeBuildsOpenTofuWhereThereIsNone(t *testing.T) {
	for _, target := range []string{"demo", "test", "testacc"} {
		for name, c := range map[string]struct {
			programs []string
			builds   bool
		}{"nothing": {nil, true}, "terraform": {[]string{"terraform"}, false}, "tofu": {[]string{"tofu"}, false}} {
			out := dryMake(t, target, c.programs...)
			if builds := strings.Contains(out, "github.com/opentofu/opentofu@v") && strings.Contains(out, "./cmd/tofu"); builds != c.builds {
				t.Errorf("make %s with %s: builds OpenTofu: %v\n%s", target, name, builds, out)
			}
			if said := strings.Contains(out, "about 10 minutes"); said != c.builds {
				t.Errorf("make %s with %s: the time is told: %v", target, name, said)
			}
			if path := "TF_ACC_TERRAFORM_PATH=" + filepath.Join("build", "tofu"); target != "demo" && c.builds != strings.Contains(strings.ReplaceAll(out, cwd(t)+"/", ""), path) {
				t.Errorf("make %s with %s: the tests do not run what was built:\n%s", target, name, out)
			}
		}
	}
}

func cwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
