package migration

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestAnEntryOfAnEarlierVersionIsHonouredOnce reads what such a version wrote, and nothing that others could have.
func TestAnEntryOfAnEarlierVersionIsHonouredOnce(t *testing.T) {
	const uuid = "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"
	write := func(dir string, e legacyEntry) string {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, uuid+".json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	private := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	good := legacyEntry{UUID: uuid, From: "alpha", To: "beta", At: time.Now(), Autostart: true}
	file := write(private, good)
	if e, found := readLegacy(file, uuid); !found || !e.Autostart || e.To != "beta" {
		t.Errorf("%+v, %v", e, found)
	}
	for name, e := range map[string]legacyEntry{
		"another guest's": {UUID: "another", At: time.Now(), Autostart: true},
		"an old one":      {UUID: uuid, At: time.Now().Add(-2 * legacyKept), Autostart: true},
	} {
		if e, found := readLegacy(write(private, e), uuid); found {
			t.Errorf("%s was believed: %+v", name, e)
		}
	}
	f := &Fleet{legacyDir: private, log: hclog.NewNullLogger()}
	if got := f.legacyPath(uuid); got != file {
		t.Errorf("path %q", got)
	}
	// one that asks for nothing that could be done any more is forgotten
	write(private, legacyEntry{UUID: uuid, From: "alpha", To: "beta", At: time.Now()})
	v := settledView(t, list(seen("a", running)))
	v.id.UUID = uuid
	if notes, err := f.settleLegacy(t.Context(), v); err != nil || len(notes) > 0 {
		t.Errorf("%q, %v", notes, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the entry is still there: %v", err)
	}
	if err := os.Chmod(private, 0o777); err != nil {
		t.Fatal(err)
	}
	if got := f.legacyPath(uuid); got != "" {
		t.Errorf("a folder that others may write in was trusted: %q", got)
	}
}

func TestAGuestIsHeldByOneProcess(t *testing.T) {
	s := slots{perHost: 1, dir: filepath.Join(t.TempDir(), "slots")}
	release, err := s.hold("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hold("web"); !errors.Is(err, errHeld) {
		t.Errorf("a second one holds it: %v", err)
	}
	other, err := s.hold("db")
	if err != nil {
		t.Fatal(err)
	}
	other()
	release()
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if release, err = s.hold("web"); err != nil {
		t.Fatal(err)
	}
	release()
}
