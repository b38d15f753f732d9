package lab

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const daemonPIDFile = "/run/libvirtd.pid"

// StartDaemon starts the host's libvirtd and returns when it answers.
func (h *Host) StartDaemon(ctx context.Context) error {
	return h.startDaemon(ctx, nil, "/usr/sbin/libvirtd")
}

func (h *Host) startDaemon(ctx context.Context, env []string, program ...string) error {
	cmd := h.Command(ctx, append(program, "--daemon", "--listen", "--pid-file", daemonPIDFile)...)
	cmd.Env = append(cmd.Env, env...)
	if _, err := output(cmd); err != nil {
		text, _ := os.ReadFile(h.Path("/var/log/libvirt/libvirtd.log"))
		return fmt.Errorf("start libvirtd on %s: %w: %s", h.Name, err, strings.TrimSpace(string(text)))
	}
	err := until(ctx, func() (bool, error) {
		_, err := h.Virsh(ctx, "capabilities")
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for libvirtd on %s to answer: %w", h.Name, err)
	}
	return nil
}

// daemonPID returns the daemon's process number in the host's own count.
func (h *Host) daemonPID() (int, error) {
	text, err := os.ReadFile(h.Path(daemonPIDFile))
	if err != nil {
		return 0, fmt.Errorf("libvirtd on %s: %w", h.Name, errNoDaemon)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
