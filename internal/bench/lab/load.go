package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
)

// ticks is the kernel's USER_HZ, which is 100 on every architecture that libvirt's hosts have.
const ticks = 100

// load watches the whole machine, by the kernel's own counters.
type load struct {
	halt     chan struct{}
	done     sync.WaitGroup
	begin    times
	last     times
	idle     []float64
	programs map[int]process
	err      error
}

// times of all CPUs together, in ticks.
type times struct{ busy, idle, all float64 }

type process struct {
	program    string
	first, now float64
}

const (
	idleEvery    = 500 * time.Millisecond
	programEvery = 100 * time.Millisecond
)

func watchLoad() (*load, error) {
	l := &load{halt: make(chan struct{}), programs: map[int]process{}}
	var err error
	if l.begin, err = readTimes(); err != nil {
		return nil, err
	}
	l.last = l.begin
	l.findPrograms(true)
	l.done.Go(l.watch)
	return l, nil
}

func (l *load) watch() {
	idle, programs := time.NewTicker(idleEvery), time.NewTicker(programEvery)
	defer idle.Stop()
	defer programs.Stop()
	for {
		select {
		case <-l.halt:
			return
		case <-programs.C:
			l.readPrograms()
		case <-idle.C:
			l.findPrograms(false)
			now, err := readTimes()
			if err != nil {
				l.err = err
				return
			}
			if all := now.all - l.last.all; all > 0 {
				l.idle = append(l.idle, 100*(now.idle-l.last.idle)/all)
			}
			l.last = now
		}
	}
}

// stop gives the idle percentages, the busy seconds, and those by program. A process that ended has been seen
// last up to a tenth of a second before.
func (l *load) stop() (idle *bench.Range, busy float64, programs map[string]float64, err error) {
	close(l.halt)
	l.done.Wait()
	l.findPrograms(false)
	l.readPrograms()
	end, err := readTimes()
	if err == nil {
		err = l.err
	}
	programs = map[string]float64{}
	for _, p := range l.programs {
		programs[p.program] += (p.now - p.first) / ticks
	}
	return bench.Span(l.idle), (end.busy - l.begin.busy) / ticks, programs, err
}

// readTimes reads the first line of /proc/stat, see proc(5).
func readTimes() (times, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return times{}, err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) < 8 || fields[0] != "cpu" {
		return times{}, fmt.Errorf("/proc/stat begins with %q: %w", line, err)
	}
	var t times
	for i, field := range fields[1:9] {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return times{}, err
		}
		t.all += v
		switch i {
		case 3, 4: // idle, waiting for input and output
			t.idle += v
		case 0, 1, 2, 5, 6: // user, nice, system, interrupts
			t.busy += v
		}
	}
	return t, nil
}

// findPrograms looks for processes that carry guests among all there are, which costs as much as a tenth of a
// processor when it is done every tenth of a second.
func (l *load) findPrograms(first bool) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if _, known := l.programs[pid]; known {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// a process that runs another program by then is no known one yet, and is looked at again
		program := programOf(string(text))
		if program == "" {
			continue
		}
		if taken, ok := processTicks(pid); ok {
			p := process{program: program, now: taken}
			if first {
				p.first = taken
			}
			l.programs[pid] = p
		}
	}
}

// readPrograms notes how much time those that were found have taken.
func (l *load) readPrograms() {
	for pid, p := range l.programs {
		if taken, ok := processTicks(pid); ok && taken > p.now {
			p.now = taken
			l.programs[pid] = p
		}
	}
}

// processTicks is a process's user and system time, see proc(5).
func processTicks(pid int) (float64, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// after the name, which may hold anything, utime and stime are the 12th and 13th fields
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return user + system, err1 == nil && err2 == nil
}

func programOf(commandLine string) string {
	switch {
	case strings.Contains(commandLine, "qemu-system"):
		return "QEMU"
	case strings.Contains(commandLine, "below-supervisor"), strings.HasPrefix(commandLine, "/proc/self/fd/3"):
		return "relay"
	case strings.HasPrefix(commandLine, "/usr/sbin/libvirtd"):
		return "libvirtd"
	}
	return ""
}
