package host

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// A boot mark names the running system of a host, so that a later look can tell whether the host has been restarted
// since: after a power cut, files that were written shortly before may be older than they were. There are two kinds.
const (
	// bootByID is followed by the kernel's own name of the boot, which takes a login to read.
	bootByID = "id:"
	// bootByPool is followed by the name of a storage pool. libvirt keeps a transient pool in its folder below /run,
	// which outlives the daemon and not the boot (storageStateInitialize in libvirt's src/storage/storage_driver.c).
	bootByPool = "pool:"
)

// bootPools begins the names of such pools.
const bootPools = poolPrefix + "boot-"

// BootMark gives a mark of the host's running system. name is for the pool that is made where the connection gives no
// login, and then must be the caller's own. The mark has to be given back by [Host.DropBootMark].
func (h *Host) BootMark(ctx context.Context, name string) (string, error) {
	id, err := h.bootID(ctx)
	if err == nil {
		return bootByID + id, nil
	}
	if !errors.Is(err, ErrNoLogin) {
		h.cfg.log().Debug("the boot id cannot be read", "host", h.cfg.Name, "error", err)
	}
	name = bootPools + name
	dir := path.Join("/run", name)
	text, err := (&libvirtxml.StoragePool{Type: "dir", Name: name, Target: &libvirtxml.StoragePoolTarget{Path: dir}}).Marshal()
	if err != nil {
		return "", &Error{Host: h.cfg.Name, Call: "mark the boot", Err: err}
	}
	_, err = ask(ctx, h, "mark the boot", callLimit, func(l *libvirt.Libvirt) (libvirt.StoragePool, error) {
		return l.StoragePoolCreateXML(text, libvirt.StoragePoolCreateWithBuild)
	})
	mark := bootByPool + name
	if err != nil && Code(err) == 0 { // whether there is a pool now is not known; it has no other user
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openLimit)
		defer cancel()
		if err := h.DropBootMark(ctx, mark); err != nil {
			h.cfg.log().Warn("a storage pool may be left behind; take it away with virsh pool-destroy", "host", h.cfg.Name, "pool", name, "error", err)
		}
	}
	if err != nil {
		return "", err
	}
	return mark, nil
}

// SameBoot says whether the host still runs the system that a mark was taken of.
func (h *Host) SameBoot(ctx context.Context, mark string) (bool, error) {
	if id, ok := strings.CutPrefix(mark, bootByID); ok {
		now, err := h.bootID(ctx)
		return err == nil && now == id, err
	}
	name, ok := strings.CutPrefix(mark, bootByPool)
	if !ok || !strings.HasPrefix(name, bootPools) {
		return false, &Error{Host: h.cfg.Name, Call: "compare the boot", Err: fmt.Errorf("%q is no mark of a boot", mark)}
	}
	active, err := ask(ctx, h, "compare the boot", callLimit, func(l *libvirt.Libvirt) (int32, error) {
		p, err := l.StoragePoolLookupByName(name)
		if err != nil {
			return 0, err
		}
		return l.StoragePoolIsActive(p)
	})
	if Code(err) == CodeNoPool {
		return false, nil
	}
	return active == 1, err
}

// DropBootMark takes away what a mark left on the host.
func (h *Host) DropBootMark(ctx context.Context, mark string) error {
	name, ok := strings.CutPrefix(mark, bootByPool)
	if !ok || !strings.HasPrefix(name, bootPools) {
		return nil
	}
	// an earlier attempt at this may have come halfway
	left, err := ask(ctx, h, "drop the mark of a boot", callLimit, func(l *libvirt.Libvirt) (bool, error) {
		p, err := l.StoragePoolLookupByName(name)
		if err != nil {
			return false, err
		}
		active, err := l.StoragePoolIsActive(p)
		if err != nil || active != 1 {
			return true, err
		}
		if err := l.StoragePoolDestroy(p); err != nil {
			return false, err
		}
		_, err = l.StoragePoolLookupByName(name)
		if Code(err) == CodeNoPool {
			return false, nil
		}
		return true, err
	})
	switch {
	case Code(err) == CodeNoPool, Code(err) == CodeOperationInvalid: // another controller takes it away just now
		return nil
	case err != nil:
		return err
	case left:
		return h.dropFolder(ctx, name)
	}
	// a transient pool takes no order to delete its folder: a pool that is only defined does
	f, err := h.definedFolder(ctx, "drop the mark of a boot", name, path.Join("/run", name), nil)
	if err != nil {
		return err
	}
	return f.Close(ctx)
}

// bootID is read once for each control connection: a restart of the host ends that.
func (h *Host) bootID(ctx context.Context) (string, error) {
	if _, err := h.connection(ctx); err != nil { // forgets what was read before the host was restarted
		return "", err
	}
	l, err := h.knownLogin(ctx)
	if err != nil {
		return "", err
	}
	if _, err := parseUUID(l.bootID); err != nil {
		return "", &Error{Host: h.cfg.Name, Call: "read the boot id", Err: fmt.Errorf("%w that shows it", ErrNoLogin)}
	}
	return l.bootID, nil
}
