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

// sharing is what is known of whether two hosts reach one and the same data at a path.
type sharing int

const (
	// sharingOpen: to be proved when the move runs, by a file made on the one host and found on the other.
	sharingOpen sharing = iota
	// sharingProved: both reach it through network storage of the same source.
	sharingProved
	// sharingDisproved: it was looked for at the destination, and is not there.
	sharingDisproved
)

// diskFacts is one disk that is a file or device of the source.
type diskFacts struct {
	host.Disk
	sharing sharing
	// there says that the destination has something at the disk's path; thereKnown, that this is known.
	there, thereKnown bool
	// usedBy are other domains of the destination that use that path.
	usedBy []string
}

// dir is where the image lies.
func (d diskFacts) dir() string { return path.Dir(d.Path) }

// words name a disk for people.
func (d diskFacts) words() string { return fmt.Sprintf("%s (%s)", d.Target, d.Source) }

// file says that the disk is an image file, which a folder's volumes are.
func (d diskFacts) file() bool { return d.Type == "file" && d.Path != "" }

// inspectDisks looks at where the source's own disks are, creating nothing.
func (f *Fleet) inspectDisks(ctx context.Context, fa *facts) error {
	if !slices.ContainsFunc(fa.guest.Disks, func(d host.Disk) bool { return d.Local && !d.Empty }) {
		return nil
	}
	source, _, err := f.members[fa.source.key].reach(ctx, true)
	if err != nil {
		return err
	}
	destination, _, err := f.members[fa.destination.key].reach(ctx, true)
	if err != nil {
		return err
	}
	from, err := source.Pools(ctx)
	if err != nil {
		return err
	}
	to, err := destination.Pools(ctx)
	if err != nil {
		return err
	}
	files, err := destination.Files(ctx)
	if err == nil {
		defer files.Close()
	}
	if err != nil || !seesHost(files) {
		files = nil // without a login the daemon's word must do
	}
	for _, d := range fa.guest.Disks {
		if !d.Local || d.Empty {
			continue
		}
		df := diskFacts{Disk: d}
		if d.Path != "" {
			if samePool(from, to, d.Path) {
				df.sharing = sharingProved
			}
			df.there, df.thereKnown = isThere(ctx, destination, files, d.Path)
			if df.thereKnown && !df.there && df.sharing == sharingOpen {
				df.sharing = sharingDisproved
			}
			users, err := destination.DiskUsers(ctx, d.Path)
			if err != nil {
				return err
			}
			for _, u := range users {
				if u.UUID != fa.guest.ID.UUID {
					df.usedBy = append(df.usedBy, u.Name)
				}
			}
		}
		fa.disks = append(fa.disks, df)
	}
	return nil
}

// isThere asks whether a host has something at a path: its files if there is a login, else its pools,
// whose silence says nothing.
func isThere(ctx context.Context, d daemon, files publicFiles, at string) (there, known bool) {
	if files != nil {
		_, err := files.Stat(at)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return err == nil, true
		}
	}
	_, err := d.Volume(ctx, at)
	return err == nil, err == nil
}

// samePool says whether a path lies, on both hosts, in storage pools that are mounted from one network
// source.
func samePool(from, to []host.Pool, at string) bool {
	holds := func(p host.Pool) bool {
		return p.Active && p.TargetPath != "" && len(p.SourceHosts) > 0 && strings.HasPrefix(path.Clean(at)+"/", path.Clean(p.TargetPath)+"/")
	}
	for _, a := range from {
		for _, b := range to {
			if holds(a) && holds(b) && a.Type == b.Type && path.Clean(a.TargetPath) == path.Clean(b.TargetPath) && a.SourceDir == b.SourceDir && a.SourceName == b.SourceName &&
				slices.Equal(a.SourceHosts, b.SourceHosts) && !slices.ContainsFunc(a.SourceHosts, loopback) {
				return true
			}
		}
	}
	return false
}

// loopback says that a server's name means another machine on every host.
func loopback(name string) bool {
	return name == "localhost" || strings.HasPrefix(name, "localhost.") || strings.HasPrefix(name, "127.") || name == "::1"
}
