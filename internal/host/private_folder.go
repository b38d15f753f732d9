package host

import (
	"context"
	"fmt"
	"strconv"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// PrivateFolder is a directory that the daemon made for us, with an owner of our choice, for a login that
// may not make it itself. To the daemon it is the target of a storage pool that we never start.
type PrivateFolder struct {
	host *Host
	pool string
	dir  string
}

// PrivateFolder makes a directory that only owner can enter.
func (h *Host) PrivateFolder(ctx context.Context, dir string, owner, group int) (*PrivateFolder, error) {
	const what = "make a private folder"
	pool, err := newPoolName()
	if err != nil {
		return nil, &Error{Host: h.cfg.Name, Call: what, Err: err}
	}
	return h.definedFolder(ctx, what, pool, dir, &libvirtxml.StoragePoolTargetPermissions{Owner: strconv.Itoa(owner), Group: strconv.Itoa(group), Mode: "0700"})
}

// definedFolder makes a directory as the target of a pool that is defined and not started.
func (h *Host) definedFolder(ctx context.Context, what, pool, dir string, mode *libvirtxml.StoragePoolTargetPermissions) (*PrivateFolder, error) {
	f := &PrivateFolder{host: h, pool: pool, dir: dir}
	text, err := (&libvirtxml.StoragePool{Type: "dir", Name: f.pool, Target: &libvirtxml.StoragePoolTarget{Path: f.dir, Permissions: mode}}).Marshal()
	if err != nil {
		return nil, &Error{Host: h.cfg.Name, Call: what, Err: err}
	}
	_, err = ask(ctx, h, what, callLimit, func(l *libvirt.Libvirt) (struct{}, error) {
		p, err := l.StoragePoolDefineXML(text, 0)
		if err == nil {
			err = l.StoragePoolBuild(p, 0)
		}
		return struct{}{}, err
	})
	if err != nil {
		_ = f.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return f, nil
}

// Path is the directory.
func (f *PrivateFolder) Path() string { return f.dir }

// Close removes the directory, which must be empty, and the daemon's note of it. It may be called again.
func (f *PrivateFolder) Close(ctx context.Context) error { return f.host.dropFolder(ctx, f.pool) }

// dropFolder removes what PrivateFolder made. A daemon that is started anew takes the pool for an active one, since its
// directory is there.
func (h *Host) dropFolder(ctx context.Context, name string) error {
	const what = "remove a private folder"
	do := func(f func(*libvirt.Libvirt, libvirt.StoragePool) error) error {
		_, err := ask(ctx, h, what, callLimit, func(l *libvirt.Libvirt) (struct{}, error) {
			p, err := l.StoragePoolLookupByName(name)
			if err == nil {
				err = f(l, p)
			}
			return struct{}{}, err
		})
		return err
	}
	err := do(func(l *libvirt.Libvirt, p libvirt.StoragePool) error {
		active, err := l.StoragePoolIsActive(p)
		if err == nil && active != 0 {
			err = l.StoragePoolDestroy(p)
		}
		return err
	})
	if err == nil { // it fails while the directory is not empty; the pool stays as the note of it
		err = do(func(l *libvirt.Libvirt, p libvirt.StoragePool) error { return l.StoragePoolDelete(p, 0) })
	}
	if err == nil || notThere(err) {
		err = do(func(l *libvirt.Libvirt, p libvirt.StoragePool) error { return l.StoragePoolUndefine(p) })
	}
	if Code(err) == CodeNoPool {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storage pool %s: %w", name, err)
	}
	return nil
}
