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
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

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
// comes before libvirt hears of the move. What it makes is written down on its host before it exists.
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
	capacity := capacityOf(d, here)
	if capacity == 0 {
		return fail(fmt.Errorf("libvirt on %s does not say how large the disk is", r.plan.From))
	}
	wanted := host.Volume{Name: path.Base(d.Path), Format: d.Format, CapacityBytes: capacity,
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
	if err := r.makeRoom(ctx, room, d, from, to); err != nil {
		return err
	}
	if err := r.noteFile(ctx, r.plan.To, d.Path, journal.Made); err != nil {
		return err
	}
	err = room.Create(ctx, wanted)
	if errors.Is(err, host.ErrVolumeExists) { // somebody else's, made in this very moment
		return errors.Join(fail(err), r.forgetFile(ctx, r.plan.To, d.Path))
	}
	if err != nil {
		return fail(err)
	}
	r.log.Info("made an image for the copy of a disk", "disk", d.Target, "host", r.plan.To, "path", d.Path, "format", wanted.Format, "capacity_bytes", wanted.CapacityBytes)
	return nil
}

// capacityOf is how large the guest sees a disk, and so how large its copy has to be. Of a raw image QEMU alone is
// believed, whose word the block information is: the storage pool takes what the guest wrote to the first bytes for the
// header of another format, and so the guest would choose.
func capacityOf(d diskFacts, here host.Volume) uint64 {
	if d.Format == "raw" {
		return d.CapacityBytes
	}
	return max(d.CapacityBytes, here.CapacityBytes)
}

// makeRoom deals with an image that lies where a copy is to go: it was asked for whether it may be lost,
// and what another domain uses never is. Nor is the disk itself, which is there too if the storage is shared
// after all.
func (r *run) makeRoom(ctx context.Context, room folder, d diskFacts, from, to *rooms) error {
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
	switch err := r.probe(ctx, d.dir(), d.Path, from, to); {
	case err == nil:
		return fmt.Errorf("disk %s is on storage that both hosts share: a copy would overwrite it with itself; choose storage shared, or leave it out of migrate_disks", d.words())
	case !errors.Is(err, errNotShared):
		return fmt.Errorf("make sure that %s on %s is not disk %s itself, on shared storage: %w", d.Path, r.plan.To, d.Target, err)
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
