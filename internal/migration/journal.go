package migration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// journal remembers, on the controller, what of a move under way neither host could tell after this
// process died: that the guest was to start with its host, since libvirt drops the autostart flag together
// with the source's definition; which images were made for it; and which are to go once it has moved.
type journal struct {
	dir string // "" = the user's state directory
}

// journalKept is for how long an entry is believed: after that the user has had the time to choose
// anew.
const journalKept = 7 * 24 * time.Hour

// journalEntry is what was to become of one guest.
type journalEntry struct {
	UUID string    `json:"uuid"`
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
	// Autostart: the guest had the flag.
	Autostart bool `json:"autostart"`
	// Definition: only the definition was on its way; the guest is shut off.
	Definition bool `json:"definition"`
	// Made are images that were made for the move, and are of no use without it. Old are the source's,
	// which are to be deleted after it.
	Made []image `json:"made"`
	Old  []image `json:"old"`
	// Canary is the UUID of a guest of ours that is on From or To for a moment, and of no use afterwards.
	Canary string `json:"canary,omitempty"`
}

// image is a file on a host.
type image struct {
	Host string `json:"host"`
	Path string `json:"path"`
}

// empty says that there is nothing to remember.
func (e journalEntry) empty() bool {
	return !e.Autostart && !e.Definition && len(e.Made) == 0 && len(e.Old) == 0 && e.Canary == ""
}

// page is a guest's entry while a process holds it. The lock goes with the process. A nil page remembers
// nothing.
type page struct {
	path string
	lock *os.File
}

// errHeld: another process of this user, or another move of this one, holds the guest's entry.
var errHeld = errors.New("another process on this machine is moving the guest")

// open takes the guest's entry into this process' hands, whether there is one already or not.
func (j journal) open(uuid string) (*page, error) {
	path, err := j.path(uuid)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, err
	}
	return &page{path, lock}, nil
}

// write replaces the entry.
func (p *page) write(e journalEntry) error {
	if p == nil {
		return errors.New("there is no journal")
	}
	if e.empty() {
		return p.erase()
	}
	e.At = time.Now()
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	// written aside and renamed, so that a crash leaves either the old entry or the whole new one
	aside := fmt.Sprintf("%s.%d", p.path, os.Getpid())
	if err := os.WriteFile(aside, text, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, p.path)
}

// erase forgets the entry.
func (p *page) erase() error {
	if p == nil {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// finish writes what is still to be done, or forgets the entry when nothing is.
func (p *page) finish(e journalEntry) error {
	if p == nil {
		return nil
	}
	return p.write(e)
}

// read returns the entry, or none.
func (p *page) read() (journalEntry, bool) {
	if p == nil {
		return journalEntry{}, false
	}
	text, err := os.ReadFile(p.path)
	var e journalEntry
	if err != nil || json.Unmarshal(text, &e) != nil || p.path != filepath.Join(filepath.Dir(p.path), e.UUID+".json") || time.Since(e.At) > journalKept {
		return journalEntry{}, false
	}
	return e, true
}

// close lets the entry go, as it is. The file of the lock goes too where nothing is left to remember; it
// is still held then, so that nobody can be waiting behind another one of its name.
func (p *page) close() {
	if p == nil {
		return
	}
	if _, err := os.Stat(p.path); errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(p.lock.Name())
	}
	_ = p.lock.Close()
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
