package migration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// probePrefix begins the names of the files by which shared storage is proved.
const probePrefix = "virtmigrate-probe-"

// legacyKept is for how long an entry is believed: after that the user has had the time to choose anew.
const legacyKept = 7 * 24 * time.Hour

// legacyEntry is what versions that kept their journal on the controller wrote of a move. It is honoured once.
type legacyEntry struct {
	UUID       string        `json:"uuid"`
	From       string        `json:"from"`
	To         string        `json:"to"`
	At         time.Time     `json:"at"`
	Autostart  bool          `json:"autostart"`
	Definition bool          `json:"definition"`
	Made       []legacyImage `json:"made"`
	Old        []legacyImage `json:"old"`
	Canary     string        `json:"canary,omitempty"`
}

// legacyImage is a file on a host, by the key of the host.
type legacyImage struct {
	Host string `json:"host"`
	Path string `json:"path"`
}

// maxLegacy bounds an entry, in bytes.
const maxLegacy = 1 << 20

// legacyPath is where such a version kept the entry of a guest, "" where this user has no such folder, or where others may
// write in it.
func (f *Fleet) legacyPath(uuid string) string {
	dir := f.legacyDir
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "virtmigrate")
	}
	if err := mustBePrivate(dir); err != nil {
		return ""
	}
	return filepath.Join(dir, uuid+".json")
}

// readLegacy reads a guest's entry, if there is one to be believed.
func readLegacy(file, uuid string) (legacyEntry, bool) {
	in, err := os.Open(file)
	if err != nil {
		return legacyEntry{}, false
	}
	defer in.Close()
	var e legacyEntry
	if err := json.NewDecoder(io.LimitReader(in, maxLegacy)).Decode(&e); err != nil || e.UUID != uuid || time.Since(e.At) > legacyKept {
		return legacyEntry{}, false
	}
	return e, true
}

// settleLegacy does once what an entry of an earlier version asks for, and forgets it. The guest stands still. What it
// could not do is an error, and the entry stays.
func (f *Fleet) settleLegacy(ctx context.Context, v view) (notes []string, err error) {
	file := f.legacyPath(v.id.UUID)
	if file == "" {
		return nil, nil
	}
	forget := func() error {
		_ = os.Remove(file + ".lock") // of the same versions
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	entry, interrupted := readLegacy(file, v.id.UUID)
	if !interrupted {
		return nil, forget()
	}
	fail := func(err error, hint string) ([]string, error) {
		words, at := v.where()
		return notes, &Error{Phase: PhaseLocate, Guest: v.id.Name, GuestAt: words, Host: at, Hint: hint, Err: err}
	}
	if entry.Definition {
		note, err := f.recoverDefinition(ctx, v, entry)
		if err != nil {
			return fail(fmt.Errorf("an interrupted move left the guest's definition on both %s and %s, and the first could not be removed: %w", entry.From, entry.To, err),
				"run the same again, or remove it yourself: virsh undefine")
		}
		notes = append(notes, note...)
	}
	if entry.Autostart {
		note, err := f.recoverAutostart(ctx, v, entry)
		if err != nil {
			return fail(fmt.Errorf("the autostart flag, which an interrupted move did not carry over, could not be set: %w", err), "set it yourself: virsh autostart")
		}
		notes = append(notes, note...)
	}
	if entry.Canary != "" {
		if err := f.destroyCanary(ctx, entry.Canary, entry.From, entry.To); err != nil {
			return fail(fmt.Errorf("an interrupted preflight left a guest by which the way from %s to %s was tried (%s), which could not be destroyed: %w", entry.From, entry.To, entry.Canary, err),
				"run the same again, or destroy it yourself: virsh destroy")
		}
	}
	images := entry.Made
	if v.situation == sitSettled && v.at.is(entry.To) {
		images = slices.Concat(images, entry.Old)
	}
	for _, img := range images {
		note, err := f.recoverImage(ctx, v, img)
		if err != nil {
			return fail(fmt.Errorf("an interrupted move left %s on %s, which could not be deleted: %w", img.Path, img.Host, err), "run the same again, or delete it yourself")
		}
		notes = append(notes, note...)
	}
	return notes, forget()
}

// recoverDefinition ends a move of a definition alone: where both hosts have it, the destination's is the
// whole of it, and the source's goes.
func (f *Fleet) recoverDefinition(ctx context.Context, v view, e legacyEntry) ([]string, error) {
	has := func(key string) bool {
		return slices.ContainsFunc(v.definitions, func(s sighting) bool { return s.is(key) && s.persistent })
	}
	if v.situation != sitShutOff || !has(e.From) || !has(e.To) {
		return nil, nil
	}
	d, _, err := f.members[e.From].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := d.Undefine(ctx, v.id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
		return nil, err
	}
	return []string{fmt.Sprintf("an interrupted move had left the guest's definition on %s too; it was removed, the one on %s stays", e.From, e.To)}, nil
}

// recoverAutostart gives the guest the flag that libvirt dropped with the source's definition.
func (f *Fleet) recoverAutostart(ctx context.Context, v view, e legacyEntry) ([]string, error) {
	at := v.at
	if v.situation == sitShutOff {
		if i := slices.IndexFunc(v.definitions, func(s sighting) bool { return s.is(e.To) }); i >= 0 && e.Definition {
			at = &v.definitions[i]
		} else {
			return nil, nil
		}
	}
	if !at.persistent || !at.is(e.To) {
		return nil, nil // it never left, and still has its flag; or somebody made it transient
	}
	d, _, err := f.members[at.host()].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := d.SetAutostart(ctx, v.id.UUID, true); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("an interrupted move had not carried the autostart flag over to %s; it was set", at.host())}, nil
}

// recoverImage deletes an image that an interrupted move left, unless a domain of its host uses it. One
// that the guest itself might use, on the host where it is, is never touched, whatever libvirt says.
func (f *Fleet) recoverImage(ctx context.Context, v view, img legacyImage) ([]string, error) {
	m, known := f.members[img.Host]
	if !known {
		return []string{fmt.Sprintf("an interrupted move may have left %s on %s, which is not among hosts any more", img.Path, img.Host)}, nil
	}
	probe := strings.HasPrefix(path.Base(img.Path), probePrefix)
	if v.at.is(img.Host) && !probe {
		return nil, nil
	}
	d, _, err := m.reach(ctx, true)
	if err != nil {
		return nil, err
	}
	users, err := d.DiskUsers(ctx, img.Path)
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		return []string{fmt.Sprintf("an interrupted move left %s on %s; a domain uses it (%s), and it stays", img.Path, img.Host, users[0].Name)}, nil
	}
	if gone, err := deleteImage(ctx, d, img.Path); err != nil || gone {
		return nil, err
	}
	if probe {
		return nil, nil
	}
	return []string{fmt.Sprintf("an interrupted move had left %s on %s; it was deleted", img.Path, img.Host)}, nil
}
