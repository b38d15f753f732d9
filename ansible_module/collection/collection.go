// Package collection holds the Ansible collection virtmigrate.libvirt and puts it together: the texts of
// this folder, and beside each module's documentation the binary of that name, which is built and never
// committed.
package collection

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Files are the texts of the collection, as they lie in it.
//
//go:embed galaxy.yml README.md meta plugins
var Files embed.FS

// Root is the collection's folder below a folder of ANSIBLE_COLLECTIONS_PATH.
const Root = "ansible_collections/virtmigrate/libvirt"

// modulesDir holds a sidecar NAME.yml for each module, and in an assembled collection its binary NAME.
// Ansible's loader takes whatever other file is named NAME.something for the module, so nothing else may
// lie there.
const modulesDir = "plugins/modules"

const program = "github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module"

// Assemble writes the whole collection below out, with modules for the given system and architecture (Go's
// names; empty for those of this machine). An older one there is replaced. It needs the go command, and a
// current folder in this module.
func Assemble(ctx context.Context, out, goos, goarch string) (root string, err error) {
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
	names, err := Modules()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if err := build(ctx, filepath.Join(root, filepath.FromSlash(modulesDir), name), goos, goarch); err != nil {
			return "", err
		}
	}
	return root, nil
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

// build makes the program small, because Ansible copies it for every task that does not run on the
// controller.
func build(ctx context.Context, to, goos, goarch string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	for name, value := range map[string]string{"GOOS": goos, "GOARCH": goarch} {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the module %s: %w: %s", filepath.Base(to), err, strings.TrimSpace(string(text)))
	}
	return nil
}
