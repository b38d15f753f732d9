package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// FakeCPU makes the host's processors look busy to a chosen part: from now until stop is called,
// /proc/stat of the host shows processors that are idle for the given share of the time (0…1) and
// split the rest into two parts user and one part system. All hosts of a lab share the machine's
// processors, so without this they cannot be told apart by them.
//
// The counters are computed from the time since the call and written every 20 ms; they count in
// ticks of 10 ms as the kernel's do.
func (h *Host) FakeCPU(ctx context.Context, idle float64) (stop func() error, err error) {
	file, err := os.Create(filepath.Join(h.dir, "stat"))
	if err != nil {
		return nil, err
	}
	fake := newFakeStat(idle)
	write := func() error {
		_, err := file.WriteAt([]byte(fake.at(time.Since(fake.begin))), 0)
		return err
	}
	if err := write(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := h.Exec(ctx, "mount", "--bind", file.Name(), "/proc/stat"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	done, finished := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				finished <- nil
				return
			case <-ticker.C:
				if err := write(); err != nil {
					finished <- err
					return
				}
			}
		}
	}()
	return sync.OnceValue(func() error {
		close(done)
		_, unmounted := h.Exec(context.WithoutCancel(ctx), "umount", "/proc/stat")
		return errors.Join(<-finished, unmounted, file.Close(), os.Remove(file.Name()))
	}), nil
}

// fakeStat computes a /proc/stat.
type fakeStat struct {
	begin time.Time
	idle  float64
	cpus  int
	rest  string
}

func newFakeStat(idle float64) fakeStat {
	text, _ := os.ReadFile("/proc/stat")
	f := fakeStat{begin: time.Now(), idle: idle}
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "cpu ") || strings.HasPrefix(line, "intr"):
		case strings.HasPrefix(line, "cpu"):
			f.cpus++
		default:
			f.rest += line
		}
	}
	return f
}

// at returns the whole text after a time. Its length never changes, so a reader never sees the
// end of an older one.
func (f fakeStat) at(after time.Duration) string {
	ticks := after.Seconds() * 100
	busy := ticks * (1 - f.idle)
	var out strings.Builder
	line := func(name string, times float64) {
		fmt.Fprintf(&out, "%s %010.0f 0 %010.0f %010.0f 0 0 0 0 0 0\n", name, 1e6+busy*2/3*times, 1e6+busy/3*times, 1e6+ticks*f.idle*times)
	}
	line("cpu ", float64(f.cpus))
	for i := range f.cpus {
		line(fmt.Sprintf("cpu%d", i), 1)
	}
	return out.String() + f.rest
}
