package migration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

var alpha, beta, gamma = identity{"1", "alpha"}, identity{"2", "beta"}, identity{"3", "gamma"}

func TestSlotsHoldTheLimitPerHostAndDirection(t *testing.T) {
	s := slots{perHost: 2, dir: filepath.Join(t.TempDir(), "slots")}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	nobodyWaits := func() { t.Error("had to wait although a slot was free") }
	first, err := s.take(ctx, alpha, beta, nobodyWaits)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.take(ctx, alpha, beta, nobodyWaits); err != nil {
		t.Fatal(err)
	}
	if _, err = s.take(ctx, beta, alpha, nobodyWaits); err != nil { // the other direction is another limit
		t.Fatal(err)
	}
	// a third out of alpha waits until one is given back
	_, err = s.take(ctx, alpha, gamma, func() { first() })
	if err != nil {
		t.Fatal(err)
	}
	// and one that nobody gives way to waits until its context ends
	_, err = s.take(ctx, alpha, gamma, cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSlotsRefuseADirectoryThatIsNotPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "slots")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := (slots{perHost: 1, dir: dir}).take(t.Context(), alpha, beta, func() {}); err == nil {
		t.Error("a directory others can read was accepted")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := (slots{perHost: 1, dir: link}).take(t.Context(), alpha, beta, func() {}); err == nil {
		t.Error("a symbolic link was accepted")
	}
}

func TestSlotsDoWithoutARuntimeDirectoryThatIsNotThere(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("TMPDIR", t.TempDir())
	release, err := (slots{perHost: 1}).take(t.Context(), alpha, beta, func() {})
	if err != nil {
		t.Fatal(err)
	}
	release()
}
