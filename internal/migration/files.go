package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// filesRecord is the record of the files of one attempt on one host, as it stands there.
type filesRecord struct {
	daemon daemon
	// id is the UUID of the definition that holds it.
	id    string
	files journal.Files
}

// noteFile writes down a file before it is made, or before it is given up.
func (r *run) noteFile(ctx context.Context, key, at string, kind journal.FileKind) error {
	fail := func(err error) error {
		return fmt.Errorf("write down on %s that %s belongs to this move: %w", key, at, err)
	}
	if rec, known := r.files[key]; known {
		rec.files.List = append(rec.files.List, journal.File{Path: at, Kind: kind})
		if err := rec.save(ctx); err != nil {
			return fail(err)
		}
		return nil
	}
	rec := &filesRecord{daemon: r.source, files: journal.Files{
		Attempt: r.record.Attempt, Guest: r.id.UUID, From: r.record.From, To: r.record.To,
		Controller: r.record.Controller, Since: r.record.Since, List: []journal.File{{Path: at, Kind: kind}},
	}}
	if key == r.plan.To {
		rec.daemon = r.destination
	}
	text, id, err := journal.FilesDefinition(rec.files, r.id.Name, r.machine())
	if err != nil {
		return fail(err)
	}
	rec.id = id
	if err := rec.daemon.Define(ctx, text); err != nil {
		return fail(err)
	}
	r.files[key] = rec
	return nil
}

// forgetFile takes back that a file is there.
func (r *run) forgetFile(ctx context.Context, key, at string) error {
	rec, known := r.files[key]
	if !known {
		return nil
	}
	rec.files.List = slices.DeleteFunc(rec.files.List, func(f journal.File) bool { return f.Path == at })
	if len(rec.files.List) == 0 {
		delete(r.files, key)
	}
	return rec.save(ctx)
}

// save brings the host's record up to date; with no file left, the definition goes.
func (rec *filesRecord) save(ctx context.Context) error {
	if len(rec.files.List) == 0 {
		if err := rec.daemon.Undefine(ctx, rec.id); err != nil && !errors.Is(err, host.ErrNoDomain) {
			return err
		}
		return nil
	}
	text, err := rec.files.Encode()
	if err != nil {
		return err
	}
	return rec.daemon.SetMetadata(ctx, rec.id, journal.Prefix, journal.Namespace, text, host.FormConfig)
}

// list are the paths of one kind.
func (rec *filesRecord) list(kinds ...journal.FileKind) []string {
	var paths []string
	if rec == nil {
		return nil
	}
	for _, f := range rec.files.List {
		if slices.Contains(kinds, f.Kind) {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// dropMade deletes the probes, and the images that were made for a guest that did not move. An image that its copy may
// have run on stays (neverRan is false then), and so does one that a domain uses; each is named.
func (r *run) dropMade(ctx context.Context, neverRan bool) (left []string) {
	for _, key := range []string{r.plan.From, r.plan.To} {
		rec := r.files[key]
		for _, at := range rec.list(journal.Probe, journal.Made) {
			kind := rec.files.List[slices.IndexFunc(rec.files.List, func(f journal.File) bool { return f.Path == at })].Kind
			if kind == journal.Made && !neverRan {
				left = append(left, fmt.Sprintf("the image %s on %s stays: the guest may have run on it", at, key))
				continue
			}
			if err := deleteUnused(ctx, rec.daemon, at, kind); err != nil {
				left = append(left, fmt.Sprintf("%s on %s could not be deleted, the next run tries again: %v", at, key, err))
				continue
			}
			if err := r.forgetFile(ctx, key, at); err != nil {
				r.log.Warn("the record of the move's files is not up to date", "host", key, "error", err)
			}
		}
	}
	return left
}

// deleteUnused deletes a file that no domain of its host uses.
func deleteUnused(ctx context.Context, d daemon, at string, kind journal.FileKind) error {
	if kind != journal.Probe { // nobody can have taken a file of a random name for a disk
		users, err := d.DiskUsers(ctx, at)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return fmt.Errorf("%w: %s", errInUse, domainNames(users))
		}
	}
	_, err := deleteImage(ctx, d, at)
	return err
}

// errInUse: a domain has the file for a disk.
var errInUse = errors.New("a domain uses it")

// adopt ends the record of the images that the guest runs on now.
func (r *run) adopt(ctx context.Context) {
	rec := r.files[r.plan.To]
	if rec == nil {
		return
	}
	rec.files.List = slices.DeleteFunc(rec.files.List, func(f journal.File) bool { return f.Kind == journal.Made })
	if len(rec.files.List) == 0 {
		delete(r.files, r.plan.To)
	}
	if err := rec.save(ctx); err != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("the guest is on %s, but the record of the images made for it is left there: %v", r.plan.To, err))
	}
}

// dropOld deletes the source's images of a guest that has moved and uses their copies.
func (r *run) dropOld(ctx context.Context) {
	rec := r.files[r.plan.From]
	for _, at := range rec.list(journal.Old) {
		if err := deleteUnused(ctx, r.source, at, journal.Old); err != nil {
			r.warnings = append(r.warnings, fmt.Sprintf("the image %s stays on %s: %v", at, r.plan.From, err))
		}
		if err := r.forgetFile(ctx, r.plan.From, at); err != nil {
			r.log.Warn("the record of the move's files is not up to date", "host", r.plan.From, "error", err)
		}
	}
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
