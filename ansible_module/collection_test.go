package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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
	return dir, filepath.Join(assembled.root, "plugins", "modules", "domain")
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

func TestGalaxyPacksTheCollection(t *testing.T) {
	_, module := collections(t)
	root := filepath.Dir(filepath.Dir(filepath.Dir(module)))
	to := t.TempDir()
	if out, err := ansible(t.Context(), t, "ansible-galaxy", "collection", "build", root, "--output-path", to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packed := filepath.Join(to, "virtmigrate-libvirt-0.1.0.tar.gz")
	st, err := os.Stat(packed)
	if err != nil {
		t.Fatal(err)
	}
	const galaxyLimit = 20 << 20
	if st.Size() > galaxyLimit {
		t.Errorf("%s has %d bytes, and Galaxy takes %d", packed, st.Size(), galaxyLimit)
	}
	out, err := exec.Command("tar", "-tf", packed).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"plugins/modules/domain", "plugins/modules/domain.yml", "meta/runtime.yml", "README.md"} {
		if !slices.Contains(strings.Fields(string(out)), file) {
			t.Errorf("the package has no %s", file)
		}
	}
}

func TestModuleIsSmallEnoughToBeCopiedForEveryTask(t *testing.T) {
	_, module := collections(t)
	st, err := os.Stat(module)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(12 << 20); st.Size() > limit {
		t.Errorf("the module has %d bytes, more than %d", st.Size(), limit)
	}
	t.Logf("the module has %d bytes", st.Size())
}
