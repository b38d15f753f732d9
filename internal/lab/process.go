package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// until asks done again and again, every 20 ms, until it says yes or fails or ctx ends. Without a
// deadline in ctx it gives up after 30 seconds.
func until(ctx context.Context, done func() (bool, error)) error {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// arguments returns the command line of a process, nil when there is none.
func arguments(pid int) []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimRight(text, "\x00")), "\x00")
}

// isProgram says whether a process is one of the lab's own, started for the folder dir.
func isProgram(pid int, dir string) bool {
	args := arguments(pid)
	if len(args) < 2 {
		return false
	}
	name := filepath.Base(args[0])
	if !strings.HasPrefix(name, "virtmigrate-lab-") && name != "nbdkit" {
		return false
	}
	return slices.ContainsFunc(args[1:], func(arg string) bool {
		_, path, found := strings.Cut(arg, "=")
		if !found {
			path = arg
		}
		return path == dir || strings.HasPrefix(path, dir+"/")
	})
}

// processes lists the numbers of the machine's processes.
func processes() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll sends SIGKILL to what find finds until it finds nothing any more.
func killAll(ctx context.Context, find func() []int) error {
	return until(ctx, func() (bool, error) {
		pids := find()
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return false, err
			}
		}
		return len(pids) == 0, nil
	})
}
