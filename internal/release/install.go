package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

// registries are where terraform and tofu look a provider up whose source names none. A provider that lies
// below ~/.terraform.d/plugins under such a name is taken from there, and the registry is not asked:
// https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
var registries = []string{"registry.terraform.io", "registry.opentofu.org"}

// install puts provider and collection where they are found without more ado, and says where. An older
// version of the collection is replaced; other versions of the provider stay beside this one.
func install(ctx context.Context, home, collections string, say io.Writer) error {
	here := platform{runtime.GOOS, runtime.GOARCH}
	for i, registry := range registries {
		dir := filepath.Join(home, ".terraform.d", "plugins", registry, "virtmigrate", "virtmigrate", version, here.os+"_"+here.arch)
		to := filepath.Join(dir, here.binary())
		if i == 0 {
			if err := build(ctx, here, to); err != nil {
				return err
			}
		} else if err := link(filepath.Join(home, ".terraform.d", "plugins", registries[0], "virtmigrate", "virtmigrate", version, here.os+"_"+here.arch, here.binary()), to); err != nil {
			return err
		}
		fmt.Fprintln(say, to)
	}
	dir := filepath.Join(home, ".ansible", "collections")
	if first := filepath.SplitList(collections); len(first) > 0 && first[0] != "" {
		dir = first[0]
	}
	root, err := collection.Assemble(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(say, root)
	return nil
}

// link makes a second name of a file.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Link(from, to)
}
