package migration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slots bounds how many guests leave and enter one host at a time. A slot is a locked file of the user
// on the controller, so that it holds across processes (Ansible starts one for each task) and is given
// back by the kernel when a process dies.
type slots struct {
	perHost int
	dir     string // "" = the user's runtime directory
}

// slotPoll is how often a waiting migration looks for a free slot.
const slotPoll = 200 * time.Millisecond

// take waits for one slot out of source and one into destination. Slots are always taken in one order,
// so that two migrations in opposite directions cannot wait for each other.
func (s slots) take(ctx context.Context, source, destination identity, waiting func()) (release func(), err error) {
	dir, err := s.directory()
	if err != nil {
		return nil, err
	}
	names := []string{slotName(source, "out"), slotName(destination, "in")}
	slices.Sort(names)
	var held []*os.File
	release = func() {
		for _, f := range held {
			_ = f.Close() // closing gives the lock back
		}
	}
	for _, name := range names {
		f, err := s.wait(ctx, filepath.Join(dir, name), waiting)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, f)
	}
	return release, nil
}

func (s slots) wait(ctx context.Context, stem string, waiting func()) (*os.File, error) {
	told := false
	for {
		for i := range s.perHost {
			f, err := os.OpenFile(fmt.Sprintf("%s.%d", stem, i), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
			if err != nil {
				return nil, fmt.Errorf("open a slot file: %w", err)
			}
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			if err == nil {
				return f, nil
			}
			_ = f.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock a slot file: %w", err)
			}
		}
		if !told {
			told = true
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(slotPoll):
		}
	}
}

// directory makes the private directory of the slot files. In a shared /tmp somebody else may have made
// it first: then it is refused rather than trusted.
func (s slots) directory() (string, error) {
	dir := s.dir
	if dir == "" {
		// sudo and cron name a runtime directory that may not be there
		if base := os.Getenv("XDG_RUNTIME_DIR"); base != "" && isDirectory(base) {
			dir = filepath.Join(base, "virtmigrate")
		} else {
			dir = filepath.Join(os.TempDir(), fmt.Sprintf("virtmigrate-%d", os.Getuid()))
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make the directory of migration slots: %w", err)
	}
	if err := mustBePrivate(dir); err != nil {
		return "", err
	}
	return dir, nil
}

// mustBePrivate refuses a directory that somebody else may have made, or may write in.
func mustBePrivate(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("look at the directory %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of yours alone: remove it, or set XDG_RUNTIME_DIR to a private directory", dir)
	}
	return nil
}

// errHeld: another process of this user, or another move of this one, moves the guest.
var errHeld = errors.New("another process on this machine is moving the guest")

// hold takes the guest into this process' hands for as long as one move lasts. The lock goes with the process.
func (s slots) hold(uuid string) (release func(), err error) {
	dir, err := s.directory()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, uuid+".guest")
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the guest's lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errHeld
			}
			return nil, fmt.Errorf("lock the guest: %w", err)
		}
		if isStill(f, name) {
			return func() {
				_ = os.Remove(name)
				_ = f.Close()
			}, nil
		}
		_ = f.Close() // its holder has removed it since we opened it
	}
}

// isStill says that an open file is the one of that name.
func isStill(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(mine, there)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func slotName(id identity, direction string) string {
	sum := sha256.Sum256([]byte(id.uuid + "\x00" + id.hostname))
	return hex.EncodeToString(sum[:8]) + "." + direction
}
