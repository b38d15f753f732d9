package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

// platform is an operating system and an architecture, in Go's names.
type platform struct{ os, arch string }

// platforms are those the provider is released for.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// name begins the names of all files of the provider, as the registry wants them:
// https://developer.hashicorp.com/terraform/registry/providers/publishing
const name = "terraform-provider-virtmigrate"

func (p platform) binary() string { return name + "_v" + version }

// dist writes all files of a release below out, which it empties first: those of the provider with their checksums, as
// the registry takes them, and the collection with its own. With a key the provider's checksums are signed.
func dist(ctx context.Context, out, key string, platforms []platform, say io.Writer) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	aside, err := os.MkdirTemp("", "virtmigrate-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	for _, p := range platforms {
		binary := filepath.Join(aside, p.os+"_"+p.arch, p.binary())
		if err := build(ctx, p, binary); err != nil {
			return err
		}
		archive := filepath.Join(out, fmt.Sprintf("%s_%s_%s_%s.zip", name, version, p.os, p.arch))
		if err := pack(archive, binary, "LICENSE"); err != nil {
			return fmt.Errorf("pack %s: %w", archive, err)
		}
	}
	manifest, err := os.ReadFile("terraform-registry-manifest.json")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, name+"_"+version+"_manifest.json"), manifest, 0o644); err != nil {
		return err
	}
	sums := filepath.Join(out, name+"_"+version+"_SHA256SUMS")
	if err := sum(out, sums, say); err != nil {
		return err
	}
	if err := sign(ctx, sums, key, say); err != nil {
		return err
	}
	packed := filepath.Join(aside, "packed")
	if err := packCollection(ctx, aside, packed); err != nil {
		return err
	}
	collectionVersion, err := collection.Version()
	if err != nil {
		return err
	}
	if err := sum(packed, filepath.Join(packed, "virtmigrate-libvirt-"+collectionVersion+"_SHA256SUMS"), say); err != nil {
		return err
	}
	return os.CopyFS(out, os.DirFS(packed))
}

// sign makes the detached signature that registry.terraform.io wants beside the checksums. The key is in the keyring of
// whoever runs this; none is made here.
func sign(ctx context.Context, sums, key string, say io.Writer) error {
	if key == "" {
		_, err := fmt.Fprintf(say, "%s is not signed, and registry.terraform.io refuses it so: name a key of your keyring with SIGN=\n", filepath.Base(sums))
		return err
	}
	cmd := exec.CommandContext(ctx, "gpg", "--batch", "--local-user", key, "--output", sums+".sig", "--detach-sign", sums)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sign the checksums with the key %q: %w: %s", key, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// build makes the provider: static, without the paths of this machine, and the same again from the same
// sources.
func build(ctx context.Context, p platform, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", to, "./provider")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the provider for %s on %s: %w: %s", p.os, p.arch, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// pack writes files into an archive without their times, so that it depends on their contents alone. The
// first one can be executed.
func pack(to string, files ...string) (err error) {
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := zip.NewWriter(file)
	for i, path := range files {
		header := &zip.FileHeader{Name: filepath.Base(path), Method: zip.Deflate}
		header.SetMode(0o644)
		if i == 0 {
			header.SetMode(0o755)
		}
		into, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := into.Write(text); err != nil {
			return err
		}
	}
	return archive.Close()
}

// packCollection leaves the form of the collection's archive to Ansible's own tool.
func packCollection(ctx context.Context, aside, out string) error {
	galaxy, err := exec.LookPath("ansible-galaxy")
	if err != nil {
		return fmt.Errorf("the collection is packed by ansible-galaxy: install ansible-core: %w", err)
	}
	root, err := collection.Assemble(ctx, aside, collection.Architectures...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, galaxy, "collection", "build", root, "--output-path", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pack the collection: %w: %s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

// sum writes the checksums of all files of a folder, in the form of sha256sum, and says them.
func sum(dir, to string, say io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var lines []string
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(text), entry.Name()))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	fmt.Fprint(say, strings.Join(lines, ""))
	return os.WriteFile(to, []byte(strings.Join(lines, "")), 0o644)
}
