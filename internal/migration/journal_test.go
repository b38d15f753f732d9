package migration

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestJournal(t *testing.T) {
	j := journal{dir: filepath.Join(t.TempDir(), "state")}
	p, err := j.open("u")
	if err != nil {
		t.Fatal(err)
	}
	if _, found := p.read(); found {
		t.Error("an entry nobody wrote")
	}
	if _, err := j.open("u"); !errors.Is(err, errHeld) {
		t.Errorf("a second one got the entry: %v", err)
	}
	if err := p.write(journalEntry{UUID: "u", From: "alpha", To: "beta", Autostart: true, Made: []image{{"beta", "/i"}}}); err != nil {
		t.Fatal(err)
	}
	p.close()
	if p, err = j.open("u"); err != nil {
		t.Fatal(err)
	}
	if e, found := p.read(); !found || e.To != "beta" || len(e.Made) != 1 || !e.Autostart {
		t.Errorf("entry %+v (found %v)", e, found)
	}
	file := filepath.Join(j.dir, "u.json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file %v, error %v: others may read it", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found := p.read(); found {
		t.Error("half an entry was believed")
	}
	if err := p.write(journalEntry{UUID: "another", Autostart: true}); err != nil {
		t.Fatal(err)
	}
	if _, found := p.read(); found {
		t.Error("another guest's entry was believed")
	}
	// with nothing to remember there is no entry
	if err := p.write(journalEntry{UUID: "u", From: "alpha", To: "beta"}); err != nil {
		t.Fatal(err)
	}
	if err := p.erase(); err != nil {
		t.Errorf("erasing nothing: %v", err)
	}
	p.close()
	if left, _ := os.ReadDir(j.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNoJournal(t *testing.T) {
	var p *page
	p.close()
	if _, found := p.read(); found || p.erase() != nil || p.finish(journalEntry{Autostart: true}) != nil {
		t.Error("a journal that is not there did something")
	}
	if err := p.write(journalEntry{}); err == nil {
		t.Error("a journal that is not there took an entry")
	}
}
