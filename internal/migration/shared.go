package migration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// probePatience is how long a file made on the source may take to be seen on the destination: NFS clients
// believe what they knew of a folder for up to 60 s (acdirmax, nfs(5)).
var probePatience = 65 * time.Second

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
				switch err := r.probe(ctx, dir, at, from, to); {
				case errors.Is(err, errNotShared):
					return fmt.Errorf("disk %s is %w; choose storage copy, put it on storage that both hosts reach, or name it in assume_shared_disks if it is in truth shared", d.words(), err)
				case err != nil:
					return fmt.Errorf("prove that disk %s is shared: %w; name it in assume_shared_disks if nothing may be made beside it", d.words(), err)
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

// errNotShared: what was made on the source did not appear on the destination.
var errNotShared = errors.New("not on storage that both hosts share")

// probe makes a file in a folder of the source, looks for it on the destination, and deletes it. at is the
// image in that folder that is in question. errNotShared comes with what was seen.
func (r *run) probe(ctx context.Context, dir, at string, from, to *rooms) (err error) {
	there, err := to.in(ctx, dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s has no folder %s", errNotShared, r.plan.To, dir)
	}
	if err != nil {
		return err
	}
	here, err := from.in(ctx, dir, false)
	if err != nil {
		return err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	name := fmt.Sprintf("%s%x.img", probePrefix, random)
	if err := r.noteFile(ctx, r.plan.From, path.Join(dir, name), journal.Probe); err != nil {
		return err
	}
	if err := here.Create(ctx, host.Volume{Name: name, Format: "raw", CapacityBytes: 1 << 20, OwnerUID: -1, OwnerGID: -1}); err != nil {
		return fmt.Errorf("make a file in %s on %s: %w", dir, r.plan.From, err)
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortAnswer)
		defer cancel()
		if gone := here.Delete(within, name); gone != nil && !errors.Is(gone, host.ErrNoVolume) {
			err = errors.Join(err, fmt.Errorf("delete the file %s on %s, by which shared storage was proved: %w", path.Join(dir, name), r.plan.From, gone))
			return
		}
		err = errors.Join(err, r.forgetFile(within, r.plan.From, path.Join(dir, name)))
	}()
	for deadline := time.Now().Add(probePatience); ; {
		switch _, err := there.Volume(ctx, name); {
		case err == nil:
			return nil
		case !errors.Is(err, host.ErrNoVolume):
			return err
		}
		// where not even the image is there, no patience will help
		if _, err := to.volume(ctx, at); errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return fmt.Errorf("%w: a file made in %s on %s does not appear on %s", errNotShared, dir, r.plan.From, r.plan.To)
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
