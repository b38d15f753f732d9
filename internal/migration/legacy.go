package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// probePrefix begins the names of the files by which shared storage is proved.
const probePrefix = "virtmigrate-probe-"

// openPage takes the guest's entry of the journal for as long as one Migrate lasts. A nil page comes with
// the reason why there is none.
func (f *Fleet) openPage(uuid string) (*page, error) {
	p, err := f.journal.open(uuid)
	switch {
	case errors.Is(err, errHeld):
		return nil, err
	case err != nil:
		f.log.Warn("cannot note on this machine what the move is about; should this process be killed, a later one cannot tidy up after it", "error", err)
		return nil, err
	}
	return p, nil
}

// settleEntry brings to an end what an interrupted run of this machine had begun beside the guest itself: the
// autostart flag, the images it made, a definition on its way. The guest stands still. It returns what it
// did; what it could not do is an error, and the entry stays.
func (f *Fleet) settleEntry(ctx context.Context, v view, p *page) (notes []string, err error) {
	entry, interrupted := p.read()
	if !interrupted {
		return nil, p.erase()
	}
	if v.situation != sitSettled && v.situation != sitShutOff {
		return nil, nil // nothing can be judged while it moves
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
	return notes, p.erase()
}

// recoverDefinition ends a move of a definition alone: where both hosts have it, the destination's is the
// whole of it, and the source's goes.
func (f *Fleet) recoverDefinition(ctx context.Context, v view, e journalEntry) ([]string, error) {
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
func (f *Fleet) recoverAutostart(ctx context.Context, v view, e journalEntry) ([]string, error) {
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
func (f *Fleet) recoverImage(ctx context.Context, v view, img image) ([]string, error) {
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

// deleteImage deletes an image file; gone says that it was not there any more.
func deleteImage(ctx context.Context, d daemon, at string) (gone bool, err error) {
	room, err := d.Folder(ctx, path.Dir(at), false)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, room.Close(context.WithoutCancel(ctx))) }()
	err = room.Delete(ctx, path.Base(at))
	if errors.Is(err, host.ErrNoVolume) {
		return true, nil
	}
	return false, err
}
