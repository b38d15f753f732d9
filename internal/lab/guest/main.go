//go:build linux

// Command guest is the whole user space of a lab guest: it runs as process 1 of a small Linux
// whose other half is Debian's kernel, does the work that its kernel command line asks for
// (fill memory, dirty it, write and check a disk, hold a TCP session), and tells about it in
// the words of package beat on its second serial port. The first port is the console.
//
// It must never recover quietly: a broken session stays broken, a wrong block stays counted.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/beat"
)

// self is everything this guest knows about itself; each counter has one writer.
type self struct {
	boot          uint32
	filled        atomic.Uint64
	dirtied       atomic.Uint64
	memoryChecked atomic.Uint64
	memoryErrors  atomic.Uint64
	diskWritten   atomic.Uint64
	diskChecked   atomic.Uint64
	diskErrors    atomic.Uint64
	netSent       atomic.Uint64
	netEchoed     atomic.Uint64
	netBroken     atomic.Bool
	working       atomic.Int32 // parts of the work that have not got going yet
	note          atomic.Pointer[string]

	dirtyRate atomic.Int64 // MiB/s, changed by an order from outside
	verify    atomic.Bool  // an order to check all memory at once
	verified  atomic.Uint64
}

func (s *self) status() beat.Status {
	st := beat.Status{
		Boot: s.boot, FilledBytes: s.filled.Load(), Ready: s.working.Load() == 0,
		DirtiedBytes: s.dirtied.Load(), MemoryChecked: s.memoryChecked.Load(), MemoryErrors: s.memoryErrors.Load(), Verified: s.verified.Load(),
		DiskWritten: s.diskWritten.Load(), DiskChecked: s.diskChecked.Load(), DiskErrors: s.diskErrors.Load(),
		NetSent: s.netSent.Load(), NetEchoed: s.netEchoed.Load(), NetBroken: s.netBroken.Load(),
	}
	if note := s.note.Load(); note != nil {
		st.Note = *note
	}
	return st
}

// complain keeps the first complaint for the status and writes all of them to the console.
func (s *self) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.note.CompareAndSwap(nil, &text)
	fmt.Fprintln(os.Stderr, "guest:", text)
}

func main() {
	// The beating thread needs a processor of the Go scheduler that is always free, and no
	// collection must ever get in its way; hardly anything here allocates.
	runtime.GOMAXPROCS(6)
	debug.SetGCPercent(400)

	mountBasics()
	config := readConfig("/proc/cmdline")
	s := &self{}
	// The moment of boot tells boots apart. Random numbers would cost a second of waiting: a guest
	// without devices has nothing to draw them from.
	var now [8]byte
	binary.LittleEndian.PutUint64(now[:], uint64(time.Now().UnixNano()))
	s.boot = crc32.ChecksumIEEE(now[:])
	loadModules(s)

	port, err := openPort("lab.beat")
	if err != nil {
		s.complain("heartbeat port: %v", err)
		select {}
	}
	s.dirtyRate.Store(int64(config.number("dirty")))
	parts := []func(ready func()){
		func(ready func()) { s.holdMemory(config, ready) },
	}
	if config["ip"] != "" {
		parts = append(parts, func(ready func()) { s.holdSession(config, ready) })
	}
	if config["disk"] != "" {
		parts = append(parts, func(ready func()) { s.useDisk(config["disk"], ready) })
	}
	s.working.Store(int32(len(parts)))
	for _, part := range parts {
		go part(func() { s.working.Add(-1) })
	}
	go s.obey(port)
	flushEvery := uint64(beat.StatusEvery)
	if config["flush"] == "often" {
		flushEvery = 1
	}
	interval := beat.Interval
	if ms := config.number("beat_ms"); ms > 0 {
		interval = time.Duration(ms) * time.Millisecond
	}
	s.beatForEver(port, interval, flushEvery)
}

// beatForEver owns the heartbeat. A late beat moves all later ones: there is never a burst that
// would hide how long nothing was sent.
func (s *self) beatForEver(port *os.File, interval time.Duration, flushEvery uint64) {
	runtime.LockOSThread()
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		s.complain("real-time priority: %v", err)
	}
	fd := int(port.Fd())
	translations, err := newFlusher()
	if err != nil {
		s.complain("memory for flushing: %v", err)
	}
	var line []byte
	next := monotonic()
	for seq := uint64(1); ; seq++ {
		line = beat.AppendPulse(line[:0], beat.Pulse{Boot: s.boot, Seq: seq, Uptime: monotonic()})
		if seq%beat.StatusEvery == 0 {
			line = beat.AppendStatus(line, s.status())
		}
		for rest := line; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err != nil && err != unix.EINTR && err != unix.EAGAIN {
				s.complain("heartbeat: %v", err)
				break
			}
			rest = rest[max(n, 0):]
		}
		if seq%flushEvery == 0 {
			if err := translations.flush(); err != nil {
				s.complain("flush: %v", err)
			}
		}
		next += interval
		if now := monotonic(); now > next {
			next = now + interval/2
		}
		until := unix.NsecToTimespec(int64(next))
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
		}
	}
}

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// obey takes one-line commands from whoever listens at the other end of the port.
func (s *self) obey(port *os.File) {
	lines := bufio.NewScanner(port)
	for lines.Scan() {
		word, argument, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch word {
		case "dirty":
			if rate, err := strconv.ParseInt(argument, 10, 64); err == nil {
				s.dirtyRate.Store(rate)
			}
		case "verify":
			s.verify.Store(true)
		case "poweroff":
			unix.Sync()
			_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		case "reboot":
			_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		}
	}
}
