package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// CloneIdentity gives the host the UUID and the host name of another one, as two cloned machines have them, and restarts
// its daemon. undo gives it back its own.
func (h *Host) CloneIdentity(ctx context.Context, of *Host) (undo func(context.Context) error, err error) {
	undo = func(ctx context.Context) error { return h.rename(ctx, of.UUID, h.UUID, h.Name) }
	if err := h.rename(ctx, h.UUID, of.UUID, of.Name); err != nil {
		return nil, errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	return undo, nil
}

func (h *Host) rename(ctx context.Context, oldUUID, uuid, name string) error {
	const path = "/etc/libvirt/libvirtd.conf"
	text, err := h.Exec(ctx, "cat", path)
	if err != nil {
		return err
	}
	cmd := h.Command(ctx, "tee", path)
	cmd.Stdin = strings.NewReader(strings.Replace(text, oldUUID, uuid, 1))
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("change the UUID of host %s: %w", h.Name, err)
	}
	if _, err := h.Exec(ctx, "hostname", name); err != nil {
		return fmt.Errorf("rename host %s: %w", h.Name, err)
	}
	return h.RestartDaemon(ctx)
}
