package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m, "ansible") }

// assembled is the collection as users get it, built once for all tests of this package.
var assembled struct {
	sync.Once
	root string
	err  error
}

// collections is a folder for ANSIBLE_COLLECTIONS_PATH, below the tree's own build folder.
func collections(t *testing.T) (dir, module string) {
	t.Helper()
	dir, err := filepath.Abs("../build/test/ansible")
	if err != nil {
		t.Fatal(err)
	}
	assembled.Do(func() {
		assembled.root, assembled.err = collection.Assemble(context.Background(), dir, collection.Architectures...)
	})
	if assembled.err != nil {
		t.Fatalf("assemble the collection: %v", assembled.err)
	}
	return dir, filepath.Join(assembled.root, filepath.FromSlash(collection.Programs(runtime.GOARCH)), "domain")
}

// ansible prepares one of Ansible's programs with the collection, and with its own files in a folder of
// the test. The test is skipped where there is no Ansible.
func ansible(ctx context.Context, t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s: install Debian's package ansible-core", program)
	}
	dir, _ := collections(t)
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, path, args...)
	others := func(v string) bool { return strings.HasPrefix(v, "ANSIBLE_") }
	cmd.Env = append(slices.DeleteFunc(os.Environ(), others), "ANSIBLE_COLLECTIONS_PATH="+dir, "ANSIBLE_HOME="+home, "ANSIBLE_LOCAL_TEMP="+home,
		"ANSIBLE_REMOTE_TEMP="+home, "ANSIBLE_ASYNC_DIR="+home, "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=False")
	cmd.Dir = home // no ansible.cfg of anybody's
	return cmd
}

func TestAnsibleDocShowsTheModule(t *testing.T) {
	out, err := ansible(t.Context(), t, "ansible-doc", "--json", "virtmigrate.libvirt.domain").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var docs map[string]struct {
		Doc struct {
			Options map[string]any
		}
		Return   map[string]any
		Examples string
	}
	if err := json.Unmarshal(out, &docs); err != nil {
		t.Fatal(err)
	}
	shown, there := docs["virtmigrate.libvirt.domain"]
	if !there || len(shown.Doc.Options) != 7 || shown.Return["last_migration"] == nil || shown.Examples == "" {
		t.Errorf("ansible-doc shows %s", out)
	}
	if out, err = ansible(t.Context(), t, "ansible-doc", "virtmigrate.libvirt.domain").Output(); err != nil || !strings.Contains(string(out), "allow_plain") {
		t.Errorf("as text: %v\n%s", err, out)
	}
}

func TestGalaxyPacksAndInstallsTheCollection(t *testing.T) {
	collections(t)
	to := t.TempDir()
	if out, err := ansible(t.Context(), t, "ansible-galaxy", "collection", "build", assembled.root, "--output-path", to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	version, err := collection.Version()
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(to, "virtmigrate-libvirt-"+version+".tar.gz")
	st, err := os.Stat(packed)
	if err != nil {
		t.Fatal(err)
	}
	const galaxyLimit = 20 << 20
	if st.Size() > galaxyLimit {
		t.Errorf("%s has %d bytes, and Galaxy takes %d", packed, st.Size(), galaxyLimit)
	}
	t.Logf("the package has %d bytes", st.Size())
	installed := filepath.Join(to, "installed")
	install := ansible(t.Context(), t, "ansible-galaxy", "collection", "install", "--offline", packed, "-p", installed)
	install.Env = append(install.Env, "ANSIBLE_COLLECTIONS_PATH="+installed) // what is in another one counts as installed
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"LICENSE", "README.md", "changelogs/changelog.yaml"} {
		if st, err := os.Stat(filepath.Join(installed, collection.Root, file)); err != nil || st.Size() == 0 {
			t.Errorf("the package has no %s: %v", file, err)
		}
	}
	for _, arch := range collection.Architectures {
		file, err := elf.Open(filepath.Join(installed, collection.Root, collection.Programs(arch), "host_info"))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; file.Machine != want {
			t.Errorf("the program for %s is for %v", arch, file.Machine)
		}
		if libraries, _ := file.ImportedLibraries(); len(libraries) > 0 {
			t.Errorf("the program for %s is not static: %v", arch, libraries)
		}
		_ = file.Close()
	}
	// what was installed works: each module says what it misses
	for _, name := range []string{"domain", "host_info", "domain_info"} {
		cmd := ansible(t.Context(), t, "ansible", "localhost", "-m", "virtmigrate.libvirt."+name, "-a", "hosts={}")
		cmd.Env = append(cmd.Env, "ANSIBLE_COLLECTIONS_PATH="+installed)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "hosts is missing") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		cmd = ansible(t.Context(), t, "ansible-doc", "virtmigrate.libvirt."+name)
		cmd.Env = append(cmd.Env, "ANSIBLE_COLLECTIONS_PATH="+installed)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "tls_certificates_dir") {
			t.Errorf("the documentation of %s: %v\n%s", name, err, out)
		}
	}
	listsItsModules(t, installed)
}

// listsItsModules asks an installed collection in every way in which Ansible, Galaxy and ansible-lint find what it has.
func listsItsModules(t *testing.T, installed string) {
	t.Helper()
	doc := func(args ...string) []byte {
		t.Helper()
		cmd := ansible(t.Context(), t, "ansible-doc", args...)
		cmd.Env = append(cmd.Env, "ANSIBLE_COLLECTIONS_PATH="+installed)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || strings.Contains(complaints.String(), "WARNING") {
			t.Errorf("ansible-doc %v: %v\n%s%s", args, err, out, &complaints)
		}
		return out
	}
	names, err := collection.Modules()
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		names[i] = "virtmigrate.libvirt." + names[i]
	}
	var listed map[string]string
	var dump struct {
		All struct {
			Module map[string]struct{ Doc, Return any }
		}
	}
	if err := errors.Join(json.Unmarshal(doc("--list", "--json", "virtmigrate.libvirt"), &listed),
		json.Unmarshal(doc("--metadata-dump", "virtmigrate.libvirt"), &dump)); err != nil {
		t.Fatal(err)
	}
	var files []string
	for line := range strings.Lines(string(doc("--list_files", "virtmigrate.libvirt"))) {
		files = append(files, strings.Fields(line)[0])
	}
	for what, got := range map[string][]string{
		"--list": slices.Sorted(maps.Keys(listed)), "--list_files": files,
		"--metadata-dump": slices.Sorted(maps.Keys(dump.All.Module)),
	} {
		if slices.Sort(got); !slices.Equal(got, names) {
			t.Errorf("ansible-doc %s has %v, want %v", what, got, names)
		}
	}
	for name, module := range dump.All.Module {
		if module.Doc == nil || module.Return == nil || listed[name] == "" {
			t.Errorf("%s has no documentation", name)
		}
	}
}

// TestTheRightProgramIsChosen puts a machine with another answer to uname before Ansible.
func TestTheRightProgramIsChosen(t *testing.T) {
	for machine, says := range map[string]string{
		"Linux riscv64": "programs for amd64, arm64", "Linux aarch64": "exec format error",
		"Darwin x86_64": "programs for linux, and the machine that runs the task has darwin", "Darwin arm64": "has darwin",
	} {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "uname"), []byte("#!/bin/sh\necho "+machine+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := ansible(t.Context(), t, "ansible", "localhost", "-m", "virtmigrate.libvirt.host_info", "-a", "hosts={}")
		cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(strings.ToLower(string(out)), says) {
			t.Errorf("%s: %v\n%s", machine, err, out)
		}
	}
}

// TestBecomeIsRefused: the module runs here, and as another user it would have other keys. No program that changes the
// user is needed for that.
func TestBecomeIsRefused(t *testing.T) {
	run := func(args ...string) (string, error) {
		t.Helper()
		args = append([]string{"localhost", "-m", "virtmigrate.libvirt.host_info", "-a", "hosts={}"}, args...)
		out, err := ansible(t.Context(), t, "ansible", args...).CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{
		{"--become"}, {"--become", "--become-user", "operator"}, {"--check", "--become"}, {"-e", "ansible_become=true"},
	} {
		if out, err := run(args...); err == nil || !strings.Contains(out, "become: false") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	if out, err := run("-e", "ansible_become=false"); err == nil || !strings.Contains(out, "hosts is missing") {
		t.Errorf("without: %v\n%s", err, out)
	}
	task := play(t.Context(), t, nil, vars{module: vars{"hosts": vars{}, "name": "web", "host": "beta"}, "become": true})
	if len(task) != 1 || !strings.Contains(task[0].Msg, "become: false") {
		t.Errorf("a task that is delegated: %+v", task)
	}
}

func TestModuleIsSmallEnoughToBeCopiedForEveryTask(t *testing.T) {
	_, module := collections(t)
	st, err := os.Stat(module)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(16 << 20); st.Size() > limit {
		t.Errorf("the module has %d bytes, more than %d", st.Size(), limit)
	}
	t.Logf("the module has %d bytes", st.Size())
}
