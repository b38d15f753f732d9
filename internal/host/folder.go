package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// Folder is a directory of a host as the daemon's storage driver sees it: its files are volumes that can be
// described, made and deleted. A directory that is no pool's becomes one for as long as the Folder is open.
//
// libvirt allows one pool to a directory. So where two controllers work on one, the second uses the first
// one's pool, and opens its own when that goes away under it.
type Folder struct {
	host *Host
	dir  string

	mu   sync.Mutex
	pool libvirt.StoragePool
	own  bool // made by this Folder, which takes it away again
}

// busyPause lies between two tries at a pool in which the daemon still makes or copies a volume.
const busyPause = 100 * time.Millisecond

// Folder opens a directory of the host. With create it is made when it is not there, with its parents.
// Where it is not there otherwise, the error is fs.ErrNotExist.
func (h *Host) Folder(ctx context.Context, dir string, create bool) (*Folder, error) {
	if !path.IsAbs(dir) || path.Clean(dir) == "/" {
		return nil, &Error{Host: h.cfg.Name, Call: "open folder " + dir, Err: errors.New("an absolute path below / is needed")}
	}
	f := &Folder{host: h, dir: path.Clean(dir)}
	if err := f.open(ctx, create); err != nil {
		return nil, err
	}
	return f, nil
}

// Path is the directory.
func (f *Folder) Path() string { return f.dir }

// open finds the directory's pool or makes one. Another controller may do the same, or the opposite, at the
// same time, so it looks again when it was refused.
func (f *Folder) open(ctx context.Context, create bool) error {
	const tries = 5
	var refusal error
	for range tries {
		found, err := f.find(ctx)
		if err != nil || found {
			return err
		}
		if refusal = f.make(ctx, false); refusal != nil && create {
			// libvirt would not complain of a directory that is there, only it need not be told to
			// make what most often is.
			refusal = f.make(ctx, true)
		}
		if refusal == nil || Code(refusal) == 0 {
			return refusal
		}
	}
	if err := f.inTheWay(ctx); err != nil {
		return err
	}
	if notThere(refusal) {
		return &Error{Host: f.host.cfg.Name, Call: "open folder " + f.dir, Err: fs.ErrNotExist}
	}
	return refusal
}

// find takes the active pool whose target the directory is.
func (f *Folder) find(ctx context.Context) (bool, error) {
	h := f.host
	pool, err := ask(ctx, h, "look for the storage pool of "+f.dir, callLimit, func(l *libvirt.Libvirt) (libvirt.StoragePool, error) {
		return l.StoragePoolLookupByTargetPath(f.dir)
	})
	if Code(err) == CodeNoPool {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	facts, err := h.describePool(ctx, pool)
	if Code(err) == CodeNoPool {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !slices.Contains([]string{"dir", "fs", "netfs", "vstorage"}, facts.Type) {
		return false, &Error{Host: h.cfg.Name, Call: "open folder " + f.dir,
			Err: fmt.Errorf("it belongs to storage pool %s of type %s, whose volumes are no image files", facts.Name, facts.Type)}
	}
	f.pool, f.own = pool, false
	return true, nil
}

// make turns the directory into a transient pool.
func (f *Folder) make(ctx context.Context, build bool) error {
	name, err := newPoolName()
	if err != nil {
		return &Error{Host: f.host.cfg.Name, Call: "open folder " + f.dir, Err: err}
	}
	text, err := (&libvirtxml.StoragePool{Type: "dir", Name: name, Target: &libvirtxml.StoragePoolTarget{Path: f.dir}}).Marshal()
	if err != nil {
		return &Error{Host: f.host.cfg.Name, Call: "open folder " + f.dir, Err: err}
	}
	flags := libvirt.StoragePoolCreateNormal
	if build {
		flags = libvirt.StoragePoolCreateWithBuild
	}
	pool, err := ask(ctx, f.host, "open folder "+f.dir, jobLimit, func(l *libvirt.Libvirt) (libvirt.StoragePool, error) {
		return l.StoragePoolCreateXML(text, flags)
	})
	if err == nil {
		f.pool, f.own = pool, true
		return nil
	}
	if Code(err) == 0 {
		// Whether there is a pool now is not known; it has no other user.
		f.abandon(ctx, name)
	}
	return err
}

// abandon takes a pool away whose making was not answered, if the host still answers.
func (f *Folder) abandon(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openLimit)
	defer cancel()
	if err := f.host.dropPool(ctx, name); err != nil && Code(err) != CodeNoPool {
		f.host.cfg.log().Warn("a storage pool may be left behind; take it away with virsh pool-destroy", "host", f.host.cfg.Name, "pool", name, "error", err)
	}
}

// inTheWay names the pool that the daemon has for the directory and that nobody has started.
func (f *Folder) inTheWay(ctx context.Context) error {
	pools, err := f.host.Pools(ctx)
	if err != nil {
		return nil // the refusal says more
	}
	for _, p := range pools {
		if !p.Active && path.Clean(p.TargetPath) == f.dir {
			return &Error{Host: f.host.cfg.Name, Call: "open folder " + f.dir,
				Err: fmt.Errorf("it is the target of storage pool %s, which is not active; start that first: virsh pool-start %s", p.Name, p.Name)}
		}
	}
	return nil
}

// Volume describes a file of the directory as it is now, whoever made it. ErrNoVolume: there is none.
func (f *Folder) Volume(ctx context.Context, name string) (Volume, error) {
	v, err := f.lookup(ctx, name)
	if err != nil {
		return Volume{}, err
	}
	return f.host.describeVolume(ctx, v)
}

// lookup refreshes the pool and finds a volume in it.
func (f *Folder) lookup(ctx context.Context, name string) (libvirt.StorageVol, error) {
	if err := f.checkName(name); err != nil {
		return libvirt.StorageVol{}, err
	}
	return inFolder(ctx, f, "look for "+name+" in "+f.dir, func(l *libvirt.Libvirt, pool libvirt.StoragePool) (libvirt.StorageVol, error) {
		if err := l.StoragePoolRefresh(pool, 0); err != nil {
			return libvirt.StorageVol{}, err
		}
		return l.StorageVolLookupByName(pool, name)
	})
}

// Create makes a volume, sparse: it takes only the place of what is written to it. Format is "raw" or
// "qcow2". ErrVolumeExists: something of that name is there, which is left as it is.
func (f *Folder) Create(ctx context.Context, v Volume) error {
	if err := f.checkName(v.Name); err != nil {
		return err
	}
	what := "make volume " + v.Name + " in " + f.dir
	text, err := volumeXML(v)
	if err != nil {
		return &Error{Host: f.host.cfg.Name, Call: what, Err: err}
	}
	// libvirt asks the folder itself, too, whether the name is free.
	_, err = inFolder(ctx, f, what, func(l *libvirt.Libvirt, pool libvirt.StoragePool) (libvirt.StorageVol, error) {
		return l.StorageVolCreateXML(pool, text, 0)
	})
	// the path is among the words in every language
	if Code(err) == CodeOperationInvalid && strings.Contains(err.Error(), path.Join(f.dir, v.Name)) {
		return &Error{Host: f.host.cfg.Name, Call: what, Err: ErrVolumeExists}
	}
	return err
}

// Delete removes a volume. Anything else of that name, such as a directory, is left alone.
func (f *Folder) Delete(ctx context.Context, name string) error {
	v, err := f.lookup(ctx, name)
	if err != nil {
		return err
	}
	what := "delete volume " + name + " in " + f.dir
	const image = 0 // libvirt's number for a volume that is a file
	kind, err := ask(ctx, f.host, what, callLimit, func(l *libvirt.Libvirt) (int8, error) {
		kind, _, _, err := l.StorageVolGetInfo(v)
		return kind, err
	})
	if err == nil && kind != image {
		err = &Error{Host: f.host.cfg.Name, Call: what, Err: errors.New("it is not an image file")}
	}
	if err != nil {
		return err
	}
	_, err = inFolder(ctx, f, what, func(l *libvirt.Libvirt, pool libvirt.StoragePool) (struct{}, error) {
		v, err := l.StorageVolLookupByName(pool, name) // the pool may be another by now
		if err == nil {
			err = l.StorageVolDelete(v, 0)
		}
		return struct{}{}, err
	})
	return err
}

// Close takes the pool away that was made for the directory. The files in it stay. It may be called again.
func (f *Folder) Close(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.own {
		return nil
	}
	if err := f.host.dropPool(ctx, f.pool.Name); err != nil && Code(err) != CodeNoPool {
		return err
	}
	f.own = false
	return nil
}

// dropPool takes a transient pool away, once the daemon is done with what it does there.
func (h *Host) dropPool(ctx context.Context, name string) error {
	return whenIdle(ctx, name, func() error {
		_, err := ask(ctx, h, "close storage pool "+name, callLimit, func(l *libvirt.Libvirt) (struct{}, error) {
			pool, err := l.StoragePoolLookupByName(name)
			if err == nil {
				err = l.StoragePoolDestroy(pool)
			}
			return struct{}{}, err
		})
		return err
	})
}

// inFolder makes calls on the directory's pool. When another controller has taken the pool away that it
// shared with us, the directory is opened again.
func inFolder[T any](ctx context.Context, f *Folder, what string, do func(*libvirt.Libvirt, libvirt.StoragePool) (T, error)) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	const tries = 5
	var value T
	var err error
	for range tries {
		err = whenIdle(ctx, f.pool.Name, func() error {
			pool := f.pool
			value, err = ask(ctx, f.host, what, jobLimit, func(l *libvirt.Libvirt) (T, error) { return do(l, pool) })
			return err
		})
		if gone, asked := f.poolGone(ctx, err); asked != nil || !gone {
			return value, errors.Join(err, asked)
		}
		if err := f.open(ctx, false); err != nil {
			return value, err
		}
	}
	return value, err
}

// poolGone says whether a call failed because the pool is not there any more. It needs f.mu.
func (f *Folder) poolGone(ctx context.Context, failure error) (bool, error) {
	switch Code(failure) {
	case CodeNoPool:
		return true, nil
	case CodeOperationInvalid: // also what a pool says that is just going
	default:
		return false, nil
	}
	active, err := ask(ctx, f.host, "look at storage pool "+f.pool.Name, callLimit, func(l *libvirt.Libvirt) (int32, error) {
		return l.StoragePoolIsActive(f.pool)
	})
	if Code(err) == CodeNoPool {
		return true, nil
	}
	return active == 0, err
}

// whenIdle repeats a call that a pool refuses while the daemon makes or copies a volume in it, for as long
// as one call may take.
func whenIdle(ctx context.Context, pool string, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, jobLimit)
	defer cancel()
	tick := time.NewTicker(busyPause)
	defer tick.Stop()
	for {
		err := do()
		if !poolIsBusy(err, pool) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (f *Folder) checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00\n") {
		return &Error{Host: f.host.cfg.Name, Call: "look into " + f.dir, Err: fmt.Errorf("%q cannot be the name of a volume", name)}
	}
	return nil
}
