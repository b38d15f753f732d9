package migration

import (
	"os"
	"path/filepath"
	"testing"
)

func TestJournal(t *testing.T) {
	j := journal{dir: filepath.Join(t.TempDir(), "state")}
	if _, found := j.read("u"); found {
		t.Error("an entry nobody wrote")
	}
	if err := j.begin("u", "beta"); err != nil {
		t.Fatal(err)
	}
	if e, found := j.read("u"); !found || e.To != "beta" {
		t.Errorf("entry %+v (found %v)", e, found)
	}
	if info, err := os.Stat(filepath.Join(j.dir, "u.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, error %v: others may read it", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(j.dir, "u.json"), []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found := j.read("u"); found {
		t.Error("half an entry was believed")
	}
	j.end("u")
	j.end("u")
	if left, _ := os.ReadDir(j.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
