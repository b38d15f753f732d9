package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// CutPower ends all that runs on the host at once, as a power cut does, and starts it again: guests, libvirtd and logins
// are gone, and so is what was in /run; the kernel's boot id is another one. Files on disk are as they were at that
// moment, but for those in revert, which get the text that they had before: a file system may lose what was written
// shortly before the cut.
func (h *Host) CutPower(ctx context.Context, revert map[string][]byte) error {
	listener, _ := os.ReadFile(h.Path("/run/sshd.pid"))
	for _, pid := range h.processes() {
		if pid == h.pid || isNamed(pid, listener) {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	if err := ignoreMissing(os.Remove(h.Path(daemonPIDFile))); err != nil {
		return err
	}
	for path, text := range revert {
		if err := os.WriteFile(h.Path(path), text, 0o600); err != nil {
			return err
		}
	}
	for _, pattern := range []string{"/run/libvirt", "/run/virtmigrate*"} {
		found, err := filepath.Glob(h.Path(pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	if err := h.newBootID(ctx); err != nil {
		return fmt.Errorf("give %s another boot id: %w", h.Name, err)
	}
	return h.StartDaemon(ctx)
}

// isNamed says whether a process is the one that has the given number in its own count.
func isNamed(pid int, inside []byte) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			return len(fields) > 0 && fields[len(fields)-1] == strings.TrimSpace(string(inside))
		}
	}
	return false
}

// newBootID lays a file over the kernel's.
func (h *Host) newBootID(ctx context.Context) error {
	const name = "/proc/sys/kernel/random/boot_id"
	file := filepath.Join(h.dir, "boot_id")
	_, err := os.Stat(file)
	laid := err == nil // at an earlier cut, and shows whatever the file has
	if err := os.WriteFile(file, []byte(uuid.NewString()+"\n"), 0o644); err != nil || laid {
		return err
	}
	_, err = h.Exec(ctx, "mount", "--bind", file, name)
	return err
}
