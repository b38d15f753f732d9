package host

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A controller that was killed leaves the pools of its open folders on the hosts. So that a later one on
// the same machine knows them, a pool's name says who made it:
//
//	virtmigrate-MACHINE-PID-RANDOM
//
// MACHINE is drawn from the machine's boot and the process namespace, so a number of another container, or
// of a time before a restart, is never taken for one of ours. What a controller left that never comes back
// stays until the host restarts; it is a name for a directory and holds nothing.
const poolPrefix = "virtmigrate-"

// newPoolName draws a name that nobody can guess.
func newPoolName() (string, error) {
	var random [12]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%s-%d-%x", poolPrefix, machine(), os.Getpid(), random), nil
}

// machine names this machine, boot and process namespace. Where the system does not tell them, it is a name
// that only this process knows.
var machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, err2 := os.Readlink("/proc/self/ns/pid")
	if err != nil || err2 != nil {
		boot = make([]byte, 16)
		_, _ = rand.Read(boot) // never fails
	}
	sum := sha256.Sum256([]byte(string(boot) + space))
	return hex.EncodeToString(sum[:6])
})

// leftBehind says whether the maker of a pool was a process of this machine that has ended. A number that
// another process has by now counts as alive.
func leftBehind(pool, machine string, alive func(pid int) bool) bool {
	rest, ok := strings.CutPrefix(pool, poolPrefix+machine+"-")
	if !ok {
		return false
	}
	number, _, ok := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return ok && err == nil && pid > 0 && !alive(pid)
}

// SweepFolders takes away what controllers on this machine left that ended without closing their folders,
// and names it. What other machines' controllers left cannot be told from what they use, and stays.
func (h *Host) SweepFolders(ctx context.Context) ([]string, error) {
	pools, err := h.Pools(ctx)
	if err != nil {
		return nil, err
	}
	alive := func(pid int) bool {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	var gone []string
	var problems []error
	for _, p := range pools {
		if p.Type != "dir" || !leftBehind(p.Name, machine(), alive) {
			continue
		}
		drop := h.dropPool
		if !p.Active {
			drop = h.dropFolder // a private one is never started
		}
		if err := drop(ctx, p.Name); err != nil && Code(err) != CodeNoPool {
			problems = append(problems, err)
			continue
		}
		gone = append(gone, p.Name)
	}
	return gone, errors.Join(problems...)
}
