// Package collection holds the Ansible collection virtmigrate.libvirt and puts it together: the texts of
// this folder, and the modules' program, which is built and never committed.
//
// All modules are one program, which goes by the name it is called by. In the assembled collection it lies
// once for each architecture, under a name for each module:
//
//	plugins/modules/__amd64__/domain      the program
//	plugins/modules/__amd64__/host_info   -> domain
//	plugins/modules/__arm64__/...         the same for another architecture
//	plugins/modules/domain.py             by which the module is listed, beside domain.yml
//	plugins/action/domain.py              picks the program for the machine that runs the task
//	plugins/action/host_info.py           -> domain.py
//
// Ansible's lists leave out symbolic links and what begins with two underscores; its loader does not.
package collection

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Files are the texts of the collection, as they lie in it.
//
//go:embed galaxy.yml README.md changelogs meta plugins
var Files embed.FS

// Root is the collection's folder below a folder of ANSIBLE_COLLECTIONS_PATH.
const Root = "ansible_collections/virtmigrate/libvirt"

// modulesDir holds a sidecar NAME.yml for each module. Ansible's loader takes whatever other file is named
// NAME.something for the module, so nothing but NAME.py may lie there.
const (
	modulesDir = "plugins/modules"
	actionDir  = "plugins/action"
)

// first is the module whose file is the program itself, and the action plugin; the others' are links to it.
const first = "domain"

// listed is the file by which Ansible's lists know a module. It holds no documentation, so that the sidecar is read.
const listed = `# Copyright (c) The virtmigrate authors
# MPL-2.0 (see https://mozilla.org/MPL/2.0/)
"""The documentation is in the file of the same name with .yml; the action plugin runs the program."""
`

// Programs is the folder, below the modules', of the programs for an architecture.
func Programs(arch string) string { return path.Join(modulesDir, "__"+arch+"__") }

// Architectures are those that a released collection has programs for, in Go's names.
var Architectures = []string{"amd64", "arm64"}

const program = "github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module"

// Assemble writes the whole collection below out, with programs for Linux on the given architectures (none:
// this machine's). An older one there is replaced. It needs the go command, and a current folder in this
// module.
func Assemble(ctx context.Context, out string, architectures ...string) (root string, err error) {
	if len(architectures) == 0 {
		architectures = []string{runtime.GOARCH}
	}
	root = filepath.Join(out, filepath.FromSlash(Root))
	if err := os.RemoveAll(root); err != nil {
		return "", err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	if err := os.CopyFS(root, Files); err != nil {
		return "", fmt.Errorf("copy the collection's texts: %w", err)
	}
	if err := copyLicense(ctx, root); err != nil {
		return "", fmt.Errorf("copy the license: %w", err)
	}
	names, err := Modules()
	if err != nil {
		return "", err
	}
	at := func(dir, name string) string { return filepath.Join(root, filepath.FromSlash(dir), name) }
	for _, arch := range architectures {
		if err := build(ctx, at(Programs(arch), first), arch); err != nil {
			return "", err
		}
	}
	for _, name := range names {
		if err := os.WriteFile(at(modulesDir, name+".py"), []byte(listed), 0o644); err != nil {
			return "", err
		}
		if name == first {
			continue
		}
		if err := os.Symlink(first+".py", at(actionDir, name+".py")); err != nil {
			return "", err
		}
		for _, arch := range architectures {
			if err := os.Symlink(first, at(Programs(arch), name)); err != nil {
				return "", err
			}
		}
	}
	return root, nil
}

// copyLicense takes the license of the whole tree, which no package can embed.
func copyLicense(ctx context.Context, root string) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Dir}}", program).Output()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "LICENSE"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "LICENSE"), text, 0o644)
}

// Modules are the names of the collection's modules.
func Modules() ([]string, error) {
	sidecars, err := fs.Glob(Files, modulesDir+"/*.yml")
	names := make([]string, len(sidecars))
	for i, sidecar := range sidecars {
		names[i] = strings.TrimSuffix(path.Base(sidecar), ".yml")
	}
	return names, err
}

// Sidecar is the documentation of a module, in YAML.
func Sidecar(module string) ([]byte, error) {
	return Files.ReadFile(modulesDir + "/" + module + ".yml")
}

// Fragment is what the documentation of all modules has in common, in YAML.
func Fragment() ([]byte, error) {
	text, err := Files.ReadFile("plugins/doc_fragments/hosts.py")
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), "DOCUMENTATION = r\"\"\"\n")
	fragment, _, found := strings.Cut(rest, "\"\"\"")
	if !found {
		return nil, errors.New("the fragment of the documentation is not where it was")
	}
	return []byte(fragment), nil
}

// Version is the collection's, as galaxy.yml says.
func Version() (string, error) {
	text, err := Files.ReadFile("galaxy.yml")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if version, ok := strings.CutPrefix(line, "version:"); ok {
			return strings.TrimSpace(version), nil
		}
	}
	return "", errors.New("galaxy.yml names no version")
}

// build makes the program small, because Ansible copies it for every task that does not run on the
// controller.
func build(ctx context.Context, to, arch string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the modules for %s: %w: %s", arch, err, strings.TrimSpace(string(text)))
	}
	return nil
}
