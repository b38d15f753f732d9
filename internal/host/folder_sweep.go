package host

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A controller that was killed leaves the pools of its open folders on the hosts. libvirt keeps those of private
// folders over restarts of its daemon and of the host. So that a later controller knows them, a pool's name says who
// made it, and when:
//
//	virtmigrate-MACHINE-PID-SECONDS-RANDOM
//
// MACHINE is drawn from the machine's boot and the process namespace, so a number of another container, or
// of a time before a restart, is never taken for one of ours. SECONDS are since 1970.
const poolPrefix = "virtmigrate-"

// newPoolName draws a name that nobody can guess.
func newPoolName() (string, error) {
	var random [12]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%s-%d-%d-%x", poolPrefix, machine(), os.Getpid(), time.Now().Unix(), random), nil
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

// poolMaker is what a pool's name says of its maker.
type poolMaker struct {
	machine string
	pid     int
	made    time.Time
}

// parsePoolName knows the names that newPoolName draws.
func parsePoolName(name string) (m poolMaker, ok bool) {
	parts := strings.Split(strings.TrimPrefix(name, poolPrefix), "-")
	if !strings.HasPrefix(name, poolPrefix) || len(parts) != 4 || len(parts[0]) != 12 || len(parts[3]) != 24 {
		return poolMaker{}, false
	}
	_, err1 := hex.DecodeString(parts[0] + parts[3])
	pid, err2 := strconv.Atoi(parts[1])
	seconds, err3 := strconv.ParseInt(parts[2], 10, 64)
	if errors.Join(err1, err2, err3) != nil || pid <= 0 || seconds <= 0 {
		return poolMaker{}, false
	}
	return poolMaker{parts[0], pid, time.Unix(seconds, 0)}, true
}

// poolAge is how old a pool of another machine's controller has to be to count as left behind. A controller holds one
// for minutes, and where it copies large disks for hours; clocks may differ.
const poolAge = 24 * time.Hour

// leftBehind says whether the maker of a pool is gone: a process of this machine that has ended, or one of another
// machine whose pool is older than any that is used. A number that another process has by now counts as alive.
func leftBehind(pool, machine string, now time.Time, alive func(pid int) bool) bool {
	m, ok := parsePoolName(pool)
	switch {
	case !ok:
		return false
	case m.machine == machine:
		return !alive(m.pid)
	}
	return now.Sub(m.made) > poolAge
}

// Bounds of one sweep: what it leaves, the next takes.
const (
	mostSwept  = 16
	sweepLimit = 30 * time.Second
)

// SweepFolders takes away what controllers left that ended without closing their folders, and names it: what was left
// from this machine at once, what was left from others after a day. A private folder that is not empty stays.
func (h *Host) SweepFolders(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	pools, err := h.Pools(ctx)
	if err != nil {
		return nil, err
	}
	alive := func(pid int) bool {
		return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	// what cannot be removed must not be in the way of the rest, time after time
	mathrand.Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
	var gone []string
	var problems []error
	for _, p := range pools {
		if p.Type != "dir" || !leftBehind(p.Name, machine(), time.Now(), alive) {
			continue
		}
		if len(gone)+len(problems) == mostSwept {
			break
		}
		if err := h.drop(ctx, p); err != nil {
			problems = append(problems, err)
			continue
		}
		gone = append(gone, p.Name)
	}
	return gone, errors.Join(problems...)
}

// drop takes away what was made for a folder. A pool that is left when it is not active any more was defined, and so is
// that of a private folder.
func (h *Host) drop(ctx context.Context, p Pool) error {
	if p.Active {
		if err := h.dropPool(ctx, p.Name); err != nil && Code(err) != CodeNoPool {
			return err
		}
	}
	return h.dropFolder(ctx, p.Name)
}
