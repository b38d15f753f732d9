package migration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// journal remembers, on the controller, the one thing about a move under way that neither host could
// tell after this process died: that the guest was to start with its host. libvirt drops the autostart
// flag together with the source's definition, and the next run sets it where the guest is then.
type journal struct {
	dir string // "" = the user's state directory
}

// journalKept is for how long an entry is believed: after that the user has had the time to choose the
// flag anew.
const journalKept = 7 * 24 * time.Hour

type journalEntry struct {
	UUID string    `json:"uuid"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}

// begin notes that the guest, which has autostart, is about to move.
func (j journal) begin(uuid, to string) error {
	path, err := j.path(uuid)
	if err != nil {
		return err
	}
	text, err := json.Marshal(journalEntry{UUID: uuid, To: to, At: time.Now()})
	if err != nil {
		return err
	}
	// written aside and renamed, so that a crash leaves either no entry or a whole one
	aside := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(aside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// end forgets the entry.
func (j journal) end(uuid string) {
	if path, err := j.path(uuid); err == nil {
		_ = os.Remove(path) // there may be none
	}
}

// read returns the entry of a guest, or none.
func (j journal) read(uuid string) (journalEntry, bool) {
	path, err := j.path(uuid)
	if err != nil {
		return journalEntry{}, false
	}
	text, err := os.ReadFile(path)
	var e journalEntry
	if err != nil || json.Unmarshal(text, &e) != nil || e.UUID != uuid || time.Since(e.At) > journalKept {
		return journalEntry{}, false
	}
	return e, true
}

func (j journal) path(uuid string) (string, error) {
	dir := j.dir
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", err
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "virtmigrate")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, uuid+".json"), nil
}

// handAutostartOver gives a guest that stands still the autostart flag an interrupted run could not
// give it any more. It returns a note when it did.
func (f *Fleet) handAutostartOver(ctx context.Context, v view) ([]string, error) {
	entry, interrupted := f.journal.read(v.id.UUID)
	if !interrupted || v.situation != sitSettled {
		return nil, nil
	}
	if !v.at.persistent || !v.at.is(entry.To) {
		f.journal.end(v.id.UUID) // it never left, and still has its flag; or somebody made it transient
		return nil, nil
	}
	d, _, err := f.members[v.at.host()].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := d.SetAutostart(ctx, v.id.UUID, true); err != nil {
		words, at := v.where()
		return nil, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: words, Host: at, Hint: "set it yourself: virsh autostart",
			Err: errors.Join(errors.New("the autostart flag, which an interrupted move did not carry over, could not be set"), err)}
	}
	f.journal.end(v.id.UUID)
	return []string{fmt.Sprintf("an interrupted move had not carried the autostart flag over to %s; it was set", v.at.host())}, nil
}
