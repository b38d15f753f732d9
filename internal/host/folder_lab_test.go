package host_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// TestAFolderThatIsNotThere is told by the number that a real daemon sends with its words.
func TestAFolderThatIsNotThere(t *testing.T) {
	h := dial(t, alpha(t).URI(lab.TLS))
	if _, err := h.Folder(within(t, time.Minute), "/var/lib/libvirt/none/at/all", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestPoolsOfControllersElsewhereAreSweptAfterADay: a runner that never comes back leaves pools that outlive even a
// restart of the daemon. Any other controller takes them away, and nothing else.
func TestPoolsOfControllersElsewhereAreSweptAfterADay(t *testing.T) {
	a := alpha(t)
	ctx := within(t, 2*time.Minute)
	pool := func(age time.Duration) string {
		made := time.Now().Add(-age).Unix()
		return fmt.Sprintf("virtmigrate-%s-4711-%d-%s", strings.Repeat("ab", 6), made, strings.Repeat("cd", 12))
	}
	oldPrivate, oldOpen, young, foreign := pool(30*time.Hour), pool(26*time.Hour), pool(time.Hour), "virtmigrate-images"
	folder := func(name string) string { return "/var/lib/libvirt/sweep/" + name }
	virsh := func(args ...string) string {
		t.Helper()
		out, err := a.Virsh(ctx, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, name := range []string{oldPrivate, oldOpen, young, foreign} {
		if err := os.MkdirAll(a.Path(folder(name)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_, _ = a.Virsh(within(t, time.Minute), "pool-destroy", oldOpen)
		for _, name := range []string{oldPrivate, young, foreign} {
			_, _ = a.Virsh(within(t, time.Minute), "pool-undefine", name)
		}
		_ = os.RemoveAll(a.Path("/var/lib/libvirt/sweep"))
	})
	for _, name := range []string{oldPrivate, young, foreign} {
		virsh("pool-define-as", name, "dir", "--target", folder(name))
	}
	virsh("pool-create-as", oldOpen, "dir", "--target", folder(oldOpen))
	if err := os.WriteFile(filepath.Join(a.Path(folder(oldOpen)), "image"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.RestartDaemon(ctx); err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(virsh("pool-list", "--all", "--name"))
	if !slices.Contains(all, oldPrivate) || !slices.Contains(all, oldOpen) {
		t.Fatalf("the restart took them away already: %q", all)
	}
	gone, err := dial(t, a.URI(lab.TLS)).SweepFolders(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{oldPrivate, oldOpen}
	if slices.Sort(gone); !slices.Equal(gone, slices.Sorted(slices.Values(want))) {
		t.Errorf("swept %q, want %q", gone, want)
	}
	left := strings.Fields(virsh("pool-list", "--all", "--name"))
	if slices.Sort(left); !slices.Equal(left, slices.Sorted(slices.Values([]string{young, foreign}))) {
		t.Errorf("left %q", left)
	}
	if _, err := os.Stat(a.Path(folder(oldPrivate))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder is there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(a.Path(folder(oldOpen)), "image")); err != nil {
		t.Errorf("an image went with the pool: %v", err)
	}
}
