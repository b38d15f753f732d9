package programs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestImagesHaveTheirHashes(t *testing.T) {
	for _, arch := range Architectures() {
		image, err := Image(arch)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(image)); got != SHA256(arch) {
			t.Errorf("%s: hash %s, not %s", arch, got, SHA256(arch))
		}
		t.Logf("%s: %d bytes", arch, len(image))
	}
	if _, err := Image("sparc"); err == nil || SHA256("sparc") != "" {
		t.Error("a program for sparc")
	}
}

// TestProgramsAreFresh builds them again. Another Go makes other programs, so that only the one that is
// noted beside their hashes can tell.
func TestProgramsAreFresh(t *testing.T) {
	if !strings.Contains(sums, "# built by "+runtime.Version()+"\n") {
		t.Skipf("the programs were built by another Go than %s", runtime.Version())
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "run", "./build", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != sums {
		t.Errorf("the relay has changed since its programs were made: run make generate\n%s", got)
	}
}
