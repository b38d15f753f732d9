package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func inNewNamespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Setsid:     true,
	}
}

// HostInit is the life of a host's process 1: it puts the host's own files in their places, says
// so, and from then on only buries the dead. When it is killed, the kernel kills the whole host.
func HostInit(dir, name string) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("host-init is started by the lab, as process 1 of a host")
	}
	if err := mountHost(dir); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "init.ready"), nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			// Nobody to bury: sleep until a signal comes, at latest a second.
			ts := unix.Timespec{Sec: 1}
			_ = unix.Nanosleep(&ts, nil)
		}
	}
}

func mountHost(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// A fresh view of processes and of network devices: ours, not the machine's.
	for _, m := range []struct{ kind, path string }{{"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m.kind, m.path, m.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.path, err)
		}
	}
	layers := fmt.Sprintf("lowerdir=/etc,upperdir=%s/root/etc,workdir=%s/etc-work", dir, dir)
	if err := unix.Mount("overlay", "/etc", "overlay", 0, layers); err != nil {
		return fmt.Errorf("lay the host's own /etc over the machine's (is the overlay file system there?): %w", err)
	}
	for path := range ownDirs {
		if err := unix.Mount(filepath.Join(dir, "root", path), path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("put the host's own %s in place: %w", path, err)
		}
	}
	if _, err := os.Stat("/dev/kvm"); err == nil {
		// Nobody but root may open what is put there: were it open to QEMU's account, as /dev/null
		// is, libvirtd would believe that KVM has just appeared and find out again what QEMU can
		// do, seven seconds long, for every guest.
		locked := filepath.Join(dir, "no-kvm")
		if err := os.WriteFile(locked, nil, 0); err != nil {
			return err
		}
		if err := unix.Mount(locked, "/dev/kvm", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hide /dev/kvm: %w", err)
		}
	}
	return nil
}
