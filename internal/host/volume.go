package host

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// Volume is one disk image, or another thing that a storage pool gives to a guest as a disk.
type Volume struct {
	Name, Path string
	// Format is "raw", "qcow2" and so on.
	Format string
	// CapacityBytes is what a guest sees, AllocationBytes what it takes of the host's disk.
	CapacityBytes, AllocationBytes uint64
	// Backing is the image below it, nil when there is none.
	Backing *Backing
	// OwnerUID and OwnerGID are the file's, -1 when not known or left to the daemon.
	OwnerUID, OwnerGID int
	// Mode holds the file's permissions, 0 when not known or left to the daemon.
	Mode fs.FileMode
}

// Backing is an image that another one builds on: what that one does not hold is read from here.
type Backing struct {
	// Path is where the image is: a path of the host, or a network image's address in words.
	Path   string
	Format string
	// Local: the image is reached through the host itself, so that another host may not have it.
	Local bool
}

// Pool is a storage pool that the daemon knows.
type Pool struct {
	Name string
	// Type is libvirt's: "dir", "netfs", "logical" and so on.
	Type string
	// TargetPath is where its volumes appear on the host.
	TargetPath string
	Active     bool
	// SourceHosts, SourceDir, SourceName and SourceFormat say what a network pool is made of.
	SourceHosts                         []string
	SourceDir, SourceName, SourceFormat string
}

// Volume describes the volume at a path of the host, if an active pool has it, as it is now. Files that
// came into a pool's folder without the daemon's help are not found before the pool is refreshed; see
// [Host.Folder]. ErrNoVolume: no pool has it, which says nothing about the file.
func (h *Host) Volume(ctx context.Context, at string) (Volume, error) {
	v, err := h.volumeAt(ctx, at)
	if err != nil {
		return Volume{}, err
	}
	return h.describeVolume(ctx, v)
}

func (h *Host) volumeAt(ctx context.Context, at string) (libvirt.StorageVol, error) {
	return ask(ctx, h, "look up the volume "+at, callLimit, func(l *libvirt.Libvirt) (libvirt.StorageVol, error) {
		return l.StorageVolLookupByPath(path.Clean(at))
	})
}

func (h *Host) describeVolume(ctx context.Context, v libvirt.StorageVol) (Volume, error) {
	what := "read the description of volume " + v.Name
	text, err := ask(ctx, h, what, callLimit, func(l *libvirt.Libvirt) (string, error) {
		return l.StorageVolGetXMLDesc(v, 0)
	})
	if err != nil {
		return Volume{}, err
	}
	vol, err := readVolume(text)
	if err != nil {
		return Volume{}, &Error{Host: h.cfg.Name, Call: what, Err: err}
	}
	return vol, nil
}

// readVolume takes the facts from libvirt's description of a volume.
func readVolume(text string) (Volume, error) {
	var x libvirtxml.StorageVolume
	if err := x.Unmarshal(text); err != nil {
		return Volume{}, fmt.Errorf("it is not understood: %w", err)
	}
	v := Volume{Name: x.Name, OwnerUID: -1, OwnerGID: -1}
	if x.Capacity != nil {
		v.CapacityBytes = volumeBytes(x.Capacity)
	}
	if x.Allocation != nil {
		v.AllocationBytes = volumeBytes(x.Allocation)
	}
	if t := x.Target; t != nil {
		v.Path = t.Path
		if t.Format != nil {
			v.Format = t.Format.Type
		}
		if p := t.Permissions; p != nil {
			v.OwnerUID, v.OwnerGID = accountNumber(p.Owner), accountNumber(p.Group)
			if mode, err := strconv.ParseUint(p.Mode, 8, 12); err == nil {
				v.Mode = fs.FileMode(mode) & fs.ModePerm
			}
		}
	}
	if b := x.BackingStore; b != nil && b.Path != "" {
		v.Backing = &Backing{Path: b.Path, Local: path.IsAbs(b.Path)}
		if b.Format != nil {
			v.Backing.Format = b.Format.Type
		}
	}
	return v, nil
}

// volumeBytes reads a size, which without a unit is in bytes here.
func volumeBytes(s *libvirtxml.StorageVolumeSize) uint64 {
	if s.Unit == "" {
		return s.Value
	}
	return inBytes(s.Value, s.Unit)
}

func accountNumber(s string) int {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<32-2 {
		return -1
	}
	return int(n)
}

// volumeXML describes a volume to be made. Its name is all that says where.
func volumeXML(v Volume) (string, error) {
	x := libvirtxml.StorageVolume{
		Name:       v.Name,
		Capacity:   &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: v.CapacityBytes},
		Allocation: &libvirtxml.StorageVolumeSize{Unit: "bytes"}, // nothing: it stays sparse
		Target: &libvirtxml.StorageVolumeTarget{
			Format: &libvirtxml.StorageVolumeTargetFormat{Type: v.Format},
		},
	}
	switch {
	case v.Format == "qcow2":
		x.Target.Compat = "1.1" // left alone, older daemons make images that only old QEMUs need
	case v.Format != "raw":
		return "", fmt.Errorf("volumes of format %q are not made here, only raw and qcow2", v.Format)
	case v.Backing != nil:
		return "", fmt.Errorf("a raw volume has nothing below it, %s neither", v.Backing.Path)
	}
	var p libvirtxml.StorageVolumeTargetPermissions
	if v.OwnerUID >= 0 {
		p.Owner = strconv.Itoa(v.OwnerUID)
	}
	if v.OwnerGID >= 0 {
		p.Group = strconv.Itoa(v.OwnerGID)
	}
	if v.Mode != 0 {
		p.Mode = fmt.Sprintf("0%o", v.Mode.Perm())
	}
	if p != (libvirtxml.StorageVolumeTargetPermissions{}) {
		x.Target.Permissions = &p
	}
	if b := v.Backing; b != nil {
		if b.Path == "" || b.Format == "" {
			return "", fmt.Errorf("the image below the volume needs a path and a format; a guest could choose the format of one that has none")
		}
		x.BackingStore = &libvirtxml.StorageVolumeBackingStore{Path: b.Path, Format: &libvirtxml.StorageVolumeTargetFormat{Type: b.Format}}
	}
	return x.Marshal()
}

// Pools lists all pools of the daemon.
func (h *Host) Pools(ctx context.Context) ([]Pool, error) {
	var pools []Pool
	for _, active := range []bool{true, false} {
		flags := libvirt.ConnectListStoragePoolsInactive
		if active {
			flags = libvirt.ConnectListStoragePoolsActive
		}
		list, err := ask(ctx, h, "list the storage pools", callLimit, func(l *libvirt.Libvirt) ([]libvirt.StoragePool, error) {
			list, _, err := l.ConnectListAllStoragePools(1, flags)
			return list, err
		})
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			pool, err := h.describePool(ctx, p)
			if Code(err) == CodeNoPool {
				continue // gone since
			}
			if err != nil {
				return nil, err
			}
			pool.Active = active
			pools = append(pools, pool)
		}
	}
	return pools, nil
}

func (h *Host) describePool(ctx context.Context, p libvirt.StoragePool) (Pool, error) {
	what := "read the description of storage pool " + p.Name
	text, err := ask(ctx, h, what, callLimit, func(l *libvirt.Libvirt) (string, error) { return l.StoragePoolGetXMLDesc(p, 0) })
	if err != nil {
		return Pool{}, err
	}
	pool, err := readPool(text)
	if err != nil {
		return Pool{}, &Error{Host: h.cfg.Name, Call: what, Err: err}
	}
	return pool, nil
}

// readPool takes the facts from libvirt's description of a pool.
func readPool(text string) (Pool, error) {
	var x libvirtxml.StoragePool
	if err := x.Unmarshal(text); err != nil {
		return Pool{}, fmt.Errorf("it is not understood: %w", err)
	}
	p := Pool{Name: x.Name, Type: x.Type}
	if x.Target != nil {
		p.TargetPath = x.Target.Path
	}
	if s := x.Source; s != nil {
		p.SourceName = s.Name
		for _, h := range s.Host {
			p.SourceHosts = append(p.SourceHosts, h.Name)
		}
		if s.Dir != nil {
			p.SourceDir = s.Dir.Path
		}
		if s.Format != nil {
			p.SourceFormat = s.Format.Type
		}
	}
	return p, nil
}
