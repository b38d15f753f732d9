package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// faketimeLibrary shifts the clock of a program it is loaded into.
const faketimeLibrary = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

// KillDaemon kills the host's libvirtd without a warning and returns when it is gone. Guests run on.
func (h *Host) KillDaemon(ctx context.Context) error { return h.endDaemon(ctx, unix.SIGKILL) }

// StopDaemon ends libvirtd in good order and returns when it is gone.
func (h *Host) StopDaemon(ctx context.Context) error { return h.endDaemon(ctx, unix.SIGTERM) }

// RestartDaemon ends libvirtd, if it runs, and starts it again.
func (h *Host) RestartDaemon(ctx context.Context) error {
	if err := h.StopDaemon(ctx); err != nil && !errors.Is(err, errNoDaemon) {
		return err
	}
	return h.StartDaemon(ctx)
}

// FreezeDaemon stops libvirtd in its tracks: connections stay open and nobody answers.
// ThawDaemon lets it go on.
func (h *Host) FreezeDaemon() error { return h.signalDaemon(unix.SIGSTOP) }

// ThawDaemon lets a frozen libvirtd go on.
func (h *Host) ThawDaemon() error { return h.signalDaemon(unix.SIGCONT) }

// ShiftClock restarts the host's libvirtd with a clock that is ahead by offset, or behind if it is
// negative; 0 gives it the true time again. Only the daemon is deceived: its library is loaded by
// the dynamic loader's option and not by the environment, so that QEMU does not inherit it.
func (h *Host) ShiftClock(ctx context.Context, offset time.Duration) error {
	if err := h.StopDaemon(ctx); err != nil && !errors.Is(err, errNoDaemon) {
		return err
	}
	if offset == 0 {
		return h.StartDaemon(ctx)
	}
	env := []string{fmt.Sprintf("FAKETIME=%+f", offset.Seconds()), "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_RESET=1"}
	return h.startDaemon(ctx, env, "/lib64/ld-linux-x86-64.so.2", "--preload", faketimeLibrary, "/usr/sbin/libvirtd")
}

// DaemonPID is libvirtd's number in the machine's count.
func (h *Host) DaemonPID() (int, error) {
	inside, err := h.daemonPID()
	if err != nil {
		return 0, err
	}
	return h.outside(inside)
}

func (h *Host) signalDaemon(signal syscall.Signal) error {
	inside, err := h.daemonPID()
	if err != nil {
		return err
	}
	return h.signal(inside, signal)
}

func (h *Host) endDaemon(ctx context.Context, signal syscall.Signal) error {
	inside, err := h.daemonPID()
	if err != nil {
		return err
	}
	if err := h.signal(inside, signal); err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		_, err := h.outside(inside)
		return errors.Is(err, unix.ESRCH), nil
	})
	if err != nil {
		return fmt.Errorf("wait for libvirtd on %s to end: %w", h.Name, err)
	}
	return ignoreMissing(os.Remove(h.Path(daemonPIDFile)))
}

// KillQEMU kills the guest's QEMU process on a host; a destination's that only waits for the
// guest counts. FreezeQEMU and ThawQEMU stop it and let it go on.
func (g *Guest) KillQEMU(host *Host) error { return g.signalQEMU(host, unix.SIGKILL) }

// FreezeQEMU stops the guest's QEMU process on a host in its tracks.
func (g *Guest) FreezeQEMU(host *Host) error { return g.signalQEMU(host, unix.SIGSTOP) }

// ThawQEMU lets a frozen QEMU process go on.
func (g *Guest) ThawQEMU(host *Host) error { return g.signalQEMU(host, unix.SIGCONT) }

// SpoilDisk overwrites with zeroes, behind the guest's back, all blocks that it has written to its
// network disk so far, as a server does that loses writes. It returns how many there were.
func (g *Guest) SpoilDisk() (int, error) {
	file, err := os.OpenFile(g.diskPath(), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	block, spoiled := make([]byte, 4096), 0
	for at := int64(0); at < diskMiB<<20; at += int64(len(block)) {
		if _, err := file.ReadAt(block, at); err != nil {
			return spoiled, err
		}
		if binary.LittleEndian.Uint32(block) != crc32.ChecksumIEEE(block[8:]) {
			continue
		}
		spoiled++
		if _, err := file.WriteAt(make([]byte, len(block)), at); err != nil {
			return spoiled, err
		}
	}
	return spoiled, nil
}

// ResetSession resets the guest's TCP session from outside, which Check must notice.
func (g *Guest) ResetSession(ctx context.Context) error {
	_, err := run(ctx, "ss", "--no-header", "--tcp", "--kill", "dst", g.lab.address(firstGuestNumber+g.Index).String())
	return err
}

func (g *Guest) signalQEMU(host *Host, signal syscall.Signal) error {
	inside, err := g.qemuPID(host)
	if err != nil {
		return err
	}
	return host.signal(inside, signal)
}

// qemuPID is the number, in the host's own count, of the guest's QEMU process there.
func (g *Guest) qemuPID(host *Host) (int, error) {
	text, err := os.ReadFile(host.Path("/run/libvirt/qemu/" + g.Name + ".pid"))
	if err != nil {
		return 0, fmt.Errorf("guest %q has no QEMU process on %s: %w", g.Name, host.Name, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// signal sends a signal to a process that has number inside in the host's own count.
func (h *Host) signal(inside int, signal syscall.Signal) error {
	pid, err := h.outside(inside)
	if err == nil {
		err = unix.Kill(pid, signal)
	}
	if err != nil {
		return fmt.Errorf("send %v to process %d of host %s: %w", signal, inside, h.Name, err)
	}
	return nil
}

// outside translates a process number of the host to the machine's; a process that is dead but
// not buried counts as gone (ESRCH).
func (h *Host) outside(inside int) (int, error) {
	for _, pid := range h.processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		var last, state string
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			switch fields := strings.Fields(value); key {
			case "State":
				state = fields[0]
			case "NSpid":
				last = fields[len(fields)-1]
			}
		}
		if last == strconv.Itoa(inside) && state != "Z" {
			return pid, nil
		}
	}
	return 0, unix.ESRCH
}

// processes lists the host's processes in the machine's count.
func (h *Host) processes() []int {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", h.pid))
	if err != nil {
		return nil
	}
	var found []int
	for _, pid := range processes() {
		if space, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns/pid")); err == nil && space == own {
			found = append(found, pid)
		}
	}
	return found
}
