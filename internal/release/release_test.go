package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil { // where the program is run
		panic(err)
	}
	os.Exit(m.Run())
}

func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s", program)
	}
	return path
}

func collectionVersion(t *testing.T) string {
	t.Helper()
	v, err := collection.Version()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVersionsAreToldWhereTheyAreChanged: the provider's is the newest of the changelog.
func TestVersionsAreToldWhereTheyAreChanged(t *testing.T) {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	_, newest, _ := strings.Cut(string(text), "## ")
	if newest, _, _ = strings.Cut(newest, " "); newest != version {
		t.Errorf("the changelog is about %s, the provider's version is %s", newest, version)
	}
}

// TestRelease makes a release for two of the platforms, and looks into every file.
func TestRelease(t *testing.T) {
	need(t, "ansible-galaxy")
	out := filepath.Join(t.TempDir(), "dist")
	home := signingHome(t)
	if err := dist(t.Context(), out, "release@example.org", []platform{{"linux", "amd64"}, {"darwin", "arm64"}}, io.Discard); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sums, packedCollection := name+"_"+version+"_SHA256SUMS", "virtmigrate-libvirt-"+collectionVersion(t)
	ours := []string{name + "_" + version + "_darwin_arm64.zip", name + "_" + version + "_linux_amd64.zip", name + "_" + version + "_manifest.json"}
	want := append([]string{sums, sums + ".sig", packedCollection + ".tar.gz", packedCollection + "_SHA256SUMS"}, ours...)
	if slices.Sort(want); !slices.Equal(names, want) {
		t.Errorf("the release has %v, want %v", names, want)
	}
	checksums(t, out, sums, ours...)
	checksums(t, out, packedCollection+"_SHA256SUMS", packedCollection+".tar.gz")
	verify := exec.CommandContext(t.Context(), "gpg", "--homedir", home, "--batch", "--verify", filepath.Join(out, sums+".sig"), filepath.Join(out, sums))
	if text, err := verify.CombinedOutput(); err != nil {
		t.Errorf("the signature: %v\n%s", err, text)
	}
	program := packed(t, filepath.Join(out, ours[1]))
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if file.Section(".interp") != nil || file.Machine != elf.EM_X86_64 {
		t.Errorf("the program for linux on amd64 is not static, or for %v", file.Machine)
	}
	if root, _ := os.Getwd(); bytes.Contains(program, []byte(root)) {
		t.Errorf("the program tells of this machine's folder %s", root)
	}
	if mac, err := macho.NewFile(bytes.NewReader(packed(t, filepath.Join(out, ours[0])))); err != nil || mac.Cpu != macho.CpuArm64 {
		t.Errorf("the program for darwin on arm64: %v", err)
	}
}

// signingHome is a keyring with a key of its own, which gpg uses until the test ends.
func signingHome(t *testing.T) string {
	t.Helper()
	need(t, "gpg")
	home, err := os.MkdirTemp("", "gpg-") // the path of its agent's socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	key := exec.CommandContext(t.Context(), "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "release@example.org", "rsa2048", "sign", "1d")
	if text, err := key.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return home
}

// checksums expects a file of checksums to be about these files, and no others.
func checksums(t *testing.T, dir, sums string, files ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, sums))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(content), file)
	}
	if string(text) != want.String() {
		t.Errorf("%s has\n%s\nwant\n%s", sums, text, &want)
	}
}

// packed takes the program out of an archive.
func packed(t *testing.T, path string) []byte {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if len(archive.File) != 2 || archive.File[0].Name != name+"_v"+version || archive.File[0].Mode().Perm() != 0o755 || archive.File[1].Name != "LICENSE" {
		t.Fatalf("%s holds %d files", path, len(archive.File))
	}
	in, err := archive.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	program, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestInstall installs into a home of its own, where terraform and Ansible then find everything by
// themselves, and no registry is asked.
func TestInstall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the collection's programs are for linux")
	}
	v, home := version, t.TempDir()
	if err := install(t.Context(), home, "", io.Discard); err != nil {
		t.Fatal(err)
	}
	clean := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "HOME=") || strings.HasPrefix(e, "XDG_") || strings.HasPrefix(e, "ANSIBLE_") || strings.HasPrefix(e, "TF_")
	})
	env := append(clean, "HOME="+home, "CHECKPOINT_DISABLE=1", "https_proxy=http://127.0.0.1:1")
	do := func(dir, program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, env
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %v: %v\n%s", program, args, err, text)
		}
		return string(text)
	}
	t.Run("terraform", func(t *testing.T) {
		terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
		if terraform == "" {
			terraform = need(t, "terraform")
		}
		dir := t.TempDir()
		config := "terraform {\n  required_providers {\n    virtmigrate = {\n      source  = \"virtmigrate/virtmigrate\"\n      version = \"" + v + "\"\n    }\n  }\n}\n" +
			"provider \"virtmigrate\" {\n  hosts = { alpha = { uri = \"qemu:///system\" } }\n}\n"
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		do(dir, terraform, "init", "-no-color")
		do(dir, terraform, "validate", "-no-color")
		if text := do(dir, terraform, "version", "-no-color"); !strings.Contains(text, "virtmigrate/virtmigrate v"+v) {
			t.Errorf("terraform has %s", text)
		}
	})
	t.Run("ansible", func(t *testing.T) {
		if text := do(home, need(t, "ansible-doc"), "virtmigrate.libvirt.domain"); !strings.Contains(text, "DOMAIN") {
			t.Errorf("ansible-doc says %s", text)
		}
		if text := do(home, need(t, "ansible-galaxy"), "collection", "list", "virtmigrate.libvirt"); !strings.Contains(text, collectionVersion(t)) {
			t.Errorf("ansible-galaxy lists %s", text)
		}
	})
}
