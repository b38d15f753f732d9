package labtest

import (
	"archive/zip"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestSecretsAreFoundWhereTheyAre: whoever finds none must be able to find one.
func TestSecretsAreFoundWhereTheyAre(t *testing.T) {
	const marker = "virtmigrate-marker-of-a-test-5f1e"
	s := Secrets{"a marker": marker}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain": "x=" + marker + ";", "hex": hex.EncodeToString([]byte(marker)), "base64": base64.StdEncoding.EncodeToString([]byte("ab: " + marker + " and more")), "clean": "virtmigrate-marker",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	packed, err := os.Create(filepath.Join(dir, "plan"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(packed)
	inner, err := z.Create("tfstate")
	if err == nil {
		_, err = inner.Write(append([]byte(marker), make([]byte, 1000)...))
	}
	if err != nil || z.Close() != nil || packed.Close() != nil {
		t.Fatal(err)
	}
	found, read := s.InFiles(t, dir)
	want := []string{dir + "/base64 has a marker", dir + "/hex has a marker", dir + "/plain has a marker", dir + "/plan:tfstate has a marker"}
	if slices.Sort(found); !slices.Equal(found, want) || read != 6 {
		t.Errorf("found %q in %d files", found, read)
	}

	// under a name that no other process of this machine has
	tail, err := exec.LookPath("tail")
	if err == nil {
		err = os.Symlink(tail, filepath.Join(dir, "marked-tail"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change    func(*exec.Cmd)
		inherited []string
		program   string
		want      []string
	}{
		"among arguments":      {func(c *exec.Cmd) { c.Args = append(c.Args, marker) }, nil, "marked-tail", []string{"marked-tail has a marker among its arguments"}},
		"in an environment":    {func(c *exec.Cmd) { c.Env = []string{"P=" + marker} }, nil, "marked-tail", []string{"marked-tail has a marker in its environment"}},
		"inherited, and known": {func(c *exec.Cmd) { c.Env = []string{"P=" + marker} }, []string{"a marker"}, "marked-tail with a marker", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(dir, "marked-tail"), "-f", "/dev/null")
			c.change(cmd)
			b := s.Watch(t, c.inherited...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			b.Await(t, c.program)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			if got := b.Saw(t, c.program); !slices.Equal(got, c.want) {
				t.Errorf("saw %q", got)
			}
		})
	}
}
