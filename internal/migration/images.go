package migration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// probePatience is how long a file made on the source may take to be seen on the destination: NFS clients
// believe what they knew of a folder for up to 30 s (acdirmax, nfs(5)).
var probePatience = 35 * time.Second

// rooms are the folders of one host that a run works in, each opened once.
type rooms struct {
	daemon daemon
	open   map[string]folder
}

func (r *rooms) in(ctx context.Context, dir string, create bool) (folder, error) {
	if f, ok := r.open[dir]; ok {
		return f, nil
	}
	f, err := r.daemon.Folder(ctx, dir, create)
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[string]folder{}
	}
	r.open[dir] = f
	return f, nil
}

// volume describes an image of the host. fs.ErrNotExist stands for a folder that is not there, too.
func (r *rooms) volume(ctx context.Context, at string) (host.Volume, error) {
	room, err := r.in(ctx, path.Dir(at), false)
	if err != nil {
		return host.Volume{}, err
	}
	v, err := room.Volume(ctx, path.Base(at))
	if errors.Is(err, host.ErrNoVolume) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return v, err
}

func (r *rooms) close(ctx context.Context) error {
	var errs []error
	for _, room := range r.open {
		errs = append(errs, room.Close(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

// readyImages proves what the plan takes to be shared, and makes the images that libvirt copies into. It
// comes before libvirt hears of the move. What it made is in the journal before it exists.
func (r *run) readyImages(ctx context.Context) (err error) {
	work := r.recipe.disks
	if len(work.prove)+len(work.find)+len(work.copied) == 0 {
		return nil
	}
	from, to := &rooms{daemon: r.source}, &rooms{daemon: r.destination}
	defer func() {
		if left := errors.Join(from.close(ctx), to.close(ctx)); left != nil {
			r.log.Warn("a storage pool that was opened for this move may be left; virsh pool-list shows it", "error", left)
		}
	}()
	for _, d := range []daemon{r.source, r.destination} {
		if swept, err := d.SweepFolders(ctx); err != nil || len(swept) > 0 {
			r.log.Debug("storage pools of controllers that died", "taken_away", swept, "error", err)
		}
	}
	if err := r.proveShared(ctx, work.prove, from, to); err != nil {
		return err
	}
	for _, d := range work.find {
		if err := r.sameThere(ctx, d.Path, d.words(), from, to); err != nil {
			return err
		}
	}
	for _, d := range work.copied {
		if err := r.makeTarget(ctx, d, from, to); err != nil {
			return err
		}
	}
	return nil
}

// proveShared shows, folder by folder, that a file made on the source appears on the destination, and
// that the images themselves do.
func (r *run) proveShared(ctx context.Context, disks []diskFacts, from, to *rooms) error {
	proved := map[string]bool{}
	for _, d := range disks {
		images := []string{d.Path}
		chain := d.Backing
		if !d.BackingKnown {
			var err error
			if chain, err = below(ctx, d.Path, from); err != nil {
				return fmt.Errorf("what disk %s builds on cannot be told: %w", d.words(), err)
			}
		}
		for _, b := range chain {
			if b.Local {
				images = append(images, b.Path)
			}
		}
		for _, at := range images {
			if dir := path.Dir(at); !proved[dir] {
				if err := r.probe(ctx, dir, at, d, from, to); err != nil {
					return err
				}
				proved[dir] = true
			}
			if err := r.sameThere(ctx, at, d.words(), from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// below follows an image down through the source's folders.
func below(ctx context.Context, at string, from *rooms) ([]host.Backing, error) {
	const deepest = 200
	var chain []host.Backing
	for range deepest {
		v, err := from.volume(ctx, at)
		if err != nil {
			return nil, err
		}
		if v.Backing == nil {
			return chain, nil
		}
		chain = append(chain, *v.Backing)
		if !v.Backing.Local || v.Backing.Format == "raw" {
			return chain, nil
		}
		at = v.Backing.Path
	}
	return nil, errors.New("the chain of images has no end")
}

// probe makes a file in a folder of the source, looks for it on the destination, and deletes it.
func (r *run) probe(ctx context.Context, dir, at string, d diskFacts, from, to *rooms) (err error) {
	const hint = "choose storage copy, put it on storage that both hosts reach, or name it in assume_shared_disks if it is in truth shared"
	notShared := func() error {
		return fmt.Errorf("disk %s is not on storage that both hosts share: a file made in %s on %s does not appear on %s; %s", d.words(), dir, r.plan.From, r.plan.To, hint)
	}
	there, err := to.in(ctx, dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("disk %s is not on storage that both hosts share: %s has no folder %s; %s", d.words(), r.plan.To, dir, hint)
	}
	if err != nil {
		return fmt.Errorf("prove that disk %s is shared: %w", d.words(), err)
	}
	here, err := from.in(ctx, dir, false)
	if err != nil {
		return fmt.Errorf("prove that disk %s is shared: %w", d.words(), err)
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	name := fmt.Sprintf("%s%x.img", probePrefix, random)
	if err := r.noteImage(image{r.plan.From, path.Join(dir, name)}); err != nil {
		return err
	}
	if err := here.Create(ctx, host.Volume{Name: name, Format: "raw", CapacityBytes: 1 << 20, OwnerUID: -1, OwnerGID: -1}); err != nil {
		return fmt.Errorf("prove that disk %s is shared, by a file in %s on %s: %w; name the disk in assume_shared_disks if nothing may be made there", d.words(), dir, r.plan.From, err)
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortAnswer)
		defer cancel()
		if gone := here.Delete(within, name); gone != nil && !errors.Is(gone, host.ErrNoVolume) {
			err = errors.Join(err, fmt.Errorf("delete the file %s on %s, by which shared storage was proved: %w", path.Join(dir, name), r.plan.From, gone))
			return
		}
		err = errors.Join(err, r.forgetImage(image{r.plan.From, path.Join(dir, name)}))
	}()
	for deadline := time.Now().Add(probePatience); ; {
		switch _, err := there.Volume(ctx, name); {
		case err == nil:
			return nil
		case !errors.Is(err, host.ErrNoVolume):
			return fmt.Errorf("prove that disk %s is shared: %w", d.words(), err)
		}
		// where not even the image is there, no patience will help
		if _, err := to.volume(ctx, at); errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return notShared()
		}
		select {
		case <-ctx.Done():
			return cause(ctx, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// sameThere checks that both hosts have an image of the same size at a path.
func (r *run) sameThere(ctx context.Context, at, words string, from, to *rooms) error {
	here, err := from.volume(ctx, at)
	if err != nil {
		return fmt.Errorf("look at disk %s on %s: %w", words, r.plan.From, err)
	}
	there, err := to.volume(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("host %q has no %s, which disk %s needs", r.plan.To, at, words)
	}
	if err != nil {
		return fmt.Errorf("look at disk %s on %s: %w", words, r.plan.To, err)
	}
	if here.CapacityBytes != there.CapacityBytes || here.Format != there.Format {
		return fmt.Errorf("%s is not the same on both hosts: %s of %d bytes on %s, %s of %d bytes on %s",
			at, here.Format, here.CapacityBytes, r.plan.From, there.Format, there.CapacityBytes, r.plan.To)
	}
	return nil
}

// makeTarget makes the image that one disk is copied into, of the same form as the source's, empty and
// sparse. A block device has to be there.
func (r *run) makeTarget(ctx context.Context, d diskFacts, from, to *rooms) error {
	if !d.file() {
		return nil // the destination's QEMU opens it, or says that it cannot
	}
	fail := func(err error) error {
		return fmt.Errorf("make %s on %s for the copy of disk %s: %w", d.Path, r.plan.To, d.Target, err)
	}
	here, err := from.volume(ctx, d.Path)
	if err != nil {
		return fmt.Errorf("look at disk %s on %s: %w", d.words(), r.plan.From, err)
	}
	wanted := host.Volume{Name: path.Base(d.Path), Format: d.Format, CapacityBytes: max(d.CapacityBytes, here.CapacityBytes),
		OwnerUID: here.OwnerUID, OwnerGID: here.OwnerGID, Mode: here.Mode}
	if r.recipe.disks.incremental {
		for _, b := range d.Backing {
			if b.Local {
				if err := r.sameThere(ctx, b.Path, d.words(), from, to); err != nil {
					return err
				}
			}
		}
		wanted.Backing = &d.Backing[0]
	}
	room, err := to.in(ctx, d.dir(), true)
	if err != nil {
		return fail(err)
	}
	if err := r.makeRoom(ctx, room, d); err != nil {
		return err
	}
	if err := r.noteImage(image{r.plan.To, d.Path}); err != nil {
		return err
	}
	err = room.Create(ctx, wanted)
	if errors.Is(err, host.ErrVolumeExists) { // somebody else's, made in this very moment
		return errors.Join(fail(err), r.forgetImage(image{r.plan.To, d.Path}))
	}
	if err != nil {
		return fail(err)
	}
	r.log.Info("made an image for the copy of a disk", "disk", d.Target, "host", r.plan.To, "path", d.Path, "format", wanted.Format, "capacity_bytes", wanted.CapacityBytes)
	return nil
}

// makeRoom deals with an image that lies where a copy is to go: it was asked for whether it may be lost,
// and what another domain uses never is.
func (r *run) makeRoom(ctx context.Context, room folder, d diskFacts) error {
	_, err := room.Volume(ctx, path.Base(d.Path))
	switch {
	case errors.Is(err, host.ErrNoVolume):
		return nil
	case err != nil:
		return fmt.Errorf("look for %s on %s: %w", d.Path, r.plan.To, err)
	case !r.recipe.disks.overwrite:
		return fmt.Errorf("host %q already has %s, which the copy of disk %s would overwrite: remove it there, or set existing_images = overwrite if nobody needs what is in it", r.plan.To, d.Path, d.Target)
	}
	users, err := r.destination.DiskUsers(ctx, d.Path)
	if err != nil {
		return fmt.Errorf("ask who uses %s on %s: %w", d.Path, r.plan.To, err)
	}
	users = slices.DeleteFunc(users, func(u host.DomainID) bool { return u.UUID == r.id.UUID && !u.Active() })
	if len(users) > 0 {
		return fmt.Errorf("host %q has a domain that uses %s: %s", r.plan.To, d.Path, domainNames(users))
	}
	r.log.Warn("overwriting an image, as existing_images asks", "host", r.plan.To, "path", d.Path)
	if err := room.Delete(ctx, path.Base(d.Path)); err != nil && !errors.Is(err, host.ErrNoVolume) {
		return fmt.Errorf("replace %s on %s: %w", d.Path, r.plan.To, err)
	}
	return nil
}

func domainNames(list []host.DomainID) string {
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// noteImage remembers an image that is about to be made.
func (r *run) noteImage(img image) error {
	r.entry.Made = append(r.entry.Made, img)
	return r.remember()
}

// forgetImage takes back that an image was made.
func (r *run) forgetImage(img image) error {
	r.entry.Made = slices.DeleteFunc(r.entry.Made, func(i image) bool { return i == img })
	return r.remember()
}

// remember writes the run's entry of the journal. Without a journal the run goes on: only a crash would
// miss it.
func (r *run) remember() error {
	if r.page == nil {
		return nil
	}
	if err := r.page.write(r.entry); err != nil {
		return fmt.Errorf("note on this machine what the move is about: %w", err)
	}
	return nil
}

// dropMade deletes the images that were made for a guest that did not move. What cannot be deleted stays
// in the journal, and is named.
func (r *run) dropMade(ctx context.Context) (left []string) {
	for _, img := range slices.Clone(r.entry.Made) {
		d := r.destination
		if img.Host == r.plan.From {
			d = r.source
		}
		if _, err := deleteImage(ctx, d, img.Path); err != nil {
			left = append(left, fmt.Sprintf("%s on %s (%v)", img.Path, img.Host, err))
			continue
		}
		r.entry.Made = slices.DeleteFunc(r.entry.Made, func(i image) bool { return i == img })
	}
	return left
}

// dropOld deletes the source's images of a guest that has moved and uses their copies.
func (r *run) dropOld(ctx context.Context) {
	for _, img := range slices.Clone(r.entry.Old) {
		stays := func(why string) {
			r.warnings = append(r.warnings, fmt.Sprintf("the image %s stays on %s: %s", img.Path, img.Host, why))
		}
		users, err := r.source.DiskUsers(ctx, img.Path)
		switch {
		case err != nil:
			stays(err.Error())
		case len(users) > 0:
			stays("a domain there uses it: " + domainNames(users))
		default:
			if _, err := deleteImage(ctx, r.source, img.Path); err != nil {
				stays(err.Error())
			}
		}
	}
	r.entry.Old = nil
}
