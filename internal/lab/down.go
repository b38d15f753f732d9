package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Down removes everything the lab of that name has on this machine: processes, namespaces,
// interfaces, mounts and files. It needs nothing but the name, so it also works for a lab that
// was never finished, and does nothing where there is no lab.
func Down(ctx context.Context, name string) error {
	if !labNameForm.MatchString(name) {
		return fmt.Errorf("lab name %q: 1 to 11 lower-case letters and digits", name)
	}
	if err := requireRoot(); err != nil {
		return err
	}
	dir := filepath.Join(stateRoot, name)
	find := func() []int { return processesOf(name, dir) }
	if err := killAll(ctx, find); err != nil {
		return fmt.Errorf("end the processes of lab %q: %w", name, err)
	}
	var problems []error
	for _, space := range spaces(name) {
		_, err := run(ctx, "ip", "netns", "delete", space)
		problems = append(problems, err)
	}
	uplink := "vm-" + name
	// The interface goes by itself, a moment after the namespace that holds its other end; who
	// comes first does not matter.
	err := until(ctx, func() (bool, error) {
		if _, err := os.Stat("/sys/class/net/" + uplink); errors.Is(err, os.ErrNotExist) {
			return true, nil
		}
		_, _ = run(ctx, "ip", "link", "delete", uplink)
		return false, nil
	})
	problems = append(problems, err, unmountBelow(dir), os.RemoveAll(dir))
	if release, err := lockFile(labsLock); err == nil {
		_ = os.Remove(stateRoot) // stays while another lab's folder is in it
		release()
	}
	return errors.Join(problems...)
}

// processesOf finds the lab's processes: those in its network namespaces, and those of its own
// programs that carry its folder in their arguments.
func processesOf(name, dir string) []int {
	var inodes []uint64
	for _, space := range spaces(name) {
		var st unix.Stat_t
		if unix.Stat("/run/netns/"+space, &st) == nil {
			inodes = append(inodes, st.Ino)
		}
	}
	var found []int
	for _, pid := range processes() {
		if pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		inside := unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/net", &st) == nil && slices.Contains(inodes, st.Ino)
		if inside || isProgram(pid, dir) {
			found = append(found, pid)
		}
	}
	return found
}

// unmountBelow takes away mounts that ended up in the machine's own name space.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var problems []error
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			if err := unix.Unmount(fields[1], unix.MNT_DETACH); err != nil {
				problems = append(problems, fmt.Errorf("unmount %s: %w", fields[1], err))
			}
		}
	}
	return errors.Join(problems...)
}
