package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// ErrNoMemoryLimit says that this machine lets nobody limit a process' memory.
var ErrNoMemoryLimit = errors.New("this machine has no memory limits to set")

// starved is what a starved QEMU may take beyond what it has.
const starved = 1 << 20

// StarveQEMU takes from the guest's QEMU process on a host the right to any more memory, so that the kernel
// kills it as it does on a host that has none left. undo removes the limit, and is called when the process has ended.
func (g *Guest) StarveQEMU(host *Host) (undo func() error, err error) {
	inside, err := g.qemuPID(host)
	if err != nil {
		return nil, err
	}
	pid, err := host.outside(inside)
	if err != nil {
		return nil, err
	}
	// the two versions of control groups; what a process took before it came does not count in either
	for _, form := range []struct{ parent, file string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		group := filepath.Join(form.parent, "virtmigrate-lab-"+g.lab.Name)
		if !exists(filepath.Join(form.parent, "cgroup.procs")) || os.Mkdir(group, 0o755) != nil && !exists(group) {
			continue
		}
		undo = func() error { return ignoreMissing(os.Remove(group)) }
		if err = os.WriteFile(filepath.Join(group, form.file), []byte(strconv.Itoa(starved)), 0o644); err == nil {
			err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
		}
		if err == nil {
			return undo, nil
		}
		_ = undo() // the next form is tried
	}
	return nil, errors.Join(ErrNoMemoryLimit, err)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// LoseDisks makes the host lose the server of the guests' network disks: it resets what is open and lets nothing
// new through. Heal undoes it.
func (h *Host) LoseDisks(ctx context.Context) error {
	_, err := h.Exec(ctx, "iptables", "--wait", "--append", "OUTPUT", "--protocol", "tcp", "--destination", h.lab.Controller.String(),
		"--dport", strconv.Itoa(diskPort), "--jump", "REJECT", "--reject-with", "tcp-reset")
	return err
}
