package migration

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// witness is what others than the product saw of one move.
type witness struct {
	clockMS float64 // a clock around the whole call
	// copyMS is how long the source's link was busy, sentBytes what it sent meanwhile.
	copyMS, sentBytes float64
	gapMS             float64            // between the guest's last beat on one host and its first on the other
	virsh             map[string]float64 // virsh domjobinfo --completed, in ms and bytes
	idle              map[string]float64 // what each host's /proc/stat shows, percent
	skewMS            float64            // by how much beta's clock was put off
	lengthened        bool
	connections       float64
	cpus              float64
	dirtyRates        map[int64]bool // every rate in bytes per second that virsh domjobinfo showed on the way
}

// over is by how many milliseconds the guest's silence exceeds the reported downtime.
func (w witness) over(r *Result) float64 { return w.gapMS - float64(*r.DowntimeMS) }

// checkTruth compares every figure of a result with the witness, and lists what does not agree.
func checkTruth(r *Result, w witness) []string {
	var wrong []string
	near := func(figure string, got *int64, want, relative, absolute float64) {
		switch {
		case got == nil:
			wrong = append(wrong, fmt.Sprintf("%s is missing (%s)", figure, r.MissingFigures[figure]))
		case math.Abs(float64(*got)-want) > max(relative*math.Abs(want), absolute):
			wrong = append(wrong, fmt.Sprintf("%s is %d, witnessed %.0f", figure, *got, want))
		}
	}
	near("wall_ms", r.WallMS, w.clockMS, 0.05, 0)
	near("total_ms", r.TotalMS, w.virsh["time elapsed"]-w.skewMS, 0.05, 0)
	// the handshakes come before the first byte of memory
	copied := w.copyMS + w.virsh["setup time"]
	near("copy_ms", r.CopyMS, copied, 0.06, 0)
	near("transferred_bytes", r.TransferredBytes, w.sentBytes, 0.05, 0)
	near("throughput_bytes_per_second", r.ThroughputBytesPerSecond, w.sentBytes/copied*1000, 0.1, 0)
	near("memory_total_bytes", r.MemoryTotalBytes, w.virsh["memory total"], 0.002, 0)
	near("iterations", r.Iterations, w.virsh["iteration"], 0, 0)
	near("setup_ms", r.SetupMS, w.virsh["setup time"], 0, 0)
	// QEMU tells it only on the way, and may have told virsh and not us
	if r.DirtyBytesPerSecond != nil && !w.dirtyRates[*r.DirtyBytesPerSecond] {
		wrong = append(wrong, fmt.Sprintf("dirty_bytes_per_second is %d, virsh saw %v", *r.DirtyBytesPerSecond, w.dirtyRates))
	}
	near("parallel_connections", r.ParallelConnections, w.connections, 0, 0)
	if !w.lengthened { // then nobody can compare the clocks
		near("clock_skew_ms", r.ClockSkewMS, w.skewMS, 0.01, 60)
	}
	if r.DowntimeMS == nil {
		wrong = append(wrong, "downtime_ms is missing: "+r.MissingFigures["downtime_ms"])
	} else if w.over(r) < -10 {
		// How far the silence may exceed the downtime is judged over several moves: an emulated guest
		// hiccups now and then after it started.
		wrong = append(wrong, fmt.Sprintf("downtime_ms is %d, the guest was silent for %.0f ms only", *r.DowntimeMS, w.gapMS))
	}
	for name, cpu := range map[string]*CPU{r.SourceHost: r.SourceCPU, r.DestinationHost: r.DestinationCPU} {
		wrong = append(wrong, checkCPU(name, cpu, w, r)...)
	}
	return wrong
}

func checkCPU(name string, c *CPU, w witness, r *Result) []string {
	if c == nil {
		return []string{"no CPU figures of " + name}
	}
	var wrong []string
	idle := w.idle[name]
	for figure, want := range map[string]struct {
		got  *float64
		want float64
	}{
		"idle_min_percent": {c.IdleMinPercent, idle}, "idle_mean_percent": {c.IdleMeanPercent, idle}, "idle_max_percent": {c.IdleMaxPercent, idle},
		"user_percent": {c.UserPercent, (100 - idle) * 2 / 3}, "system_percent": {c.SystemPercent, (100 - idle) / 3},
	} {
		if want.got == nil || math.Abs(*want.got-want.want) > min(3, want.want*0.15) {
			wrong = append(wrong, fmt.Sprintf("%s of %s is %v, its /proc/stat shows %.1f", figure, name, show(want.got), want.want))
		}
	}
	// the counters are read from shortly before the job to shortly after it
	busy := (100 - idle) / 100 * w.cpus
	if r.TotalMS == nil || r.WallMS == nil || c.BusySeconds == nil {
		return append(wrong, "no busy_seconds of "+name)
	}
	low, high := busy*float64(*r.TotalMS)/1000*0.95, busy*float64(*r.WallMS)/1000*1.05
	if *c.BusySeconds < low || *c.BusySeconds > high {
		wrong = append(wrong, fmt.Sprintf("busy_seconds of %s is %.3f, not between %.3f and %.3f", name, *c.BusySeconds, low, high))
	}
	every := float64(cpuInterval.Milliseconds())
	if n := float64(c.Samples); n < float64(*r.TotalMS)/every*0.9-2 || n > float64(*r.WallMS)/every+1 {
		wrong = append(wrong, fmt.Sprintf("%d samples of %s in %d ms", c.Samples, name, *r.TotalMS))
	}
	return wrong
}

func show(v *float64) string {
	if v == nil {
		return "missing"
	}
	return fmt.Sprintf("%.1f", *v)
}

// busyLink measures how long the host's link sends, from outside: it polls the interface's counters and
// keeps the first and last moment at which they grew fast.
func busyLink(t *testing.T, h *lab.Host) (stop func() (ms, bytes float64)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type span struct{ ms, bytes float64 }
	done := make(chan span, 1)
	first, err := h.Counters(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		var start, end time.Time
		last, at := first, time.Now()
		for ctx.Err() == nil {
			c, err := h.Counters(context.WithoutCancel(ctx))
			now := time.Now()
			if err == nil && c.Sent-last.Sent > 64<<10 { // more than anything but guest memory sends in such a time
				if start.IsZero() {
					start = at
				}
				end = now
			}
			last, at = c, now
			time.Sleep(25 * time.Millisecond) // the pace of a poll, slow enough not to disturb what it measures
		}
		done <- span{float64(end.Sub(start).Microseconds()) / 1000, float64(last.Sent - first.Sent)}
	}()
	return func() (float64, float64) {
		cancel()
		s := <-done
		return s.ms, s.bytes
	}
}

// liveJobs polls virsh domjobinfo on the source, and gives the dirty rates it saw.
func liveJobs(t *testing.T, h *lab.Host, guest string) (stop func() map[int64]bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan map[int64]bool, 1)
	go func() {
		seen := map[int64]bool{}
		for ctx.Err() == nil {
			time.Sleep(120 * time.Millisecond) // likewise
			out, err := h.Virsh(context.WithoutCancel(ctx), "domjobinfo", guest, "--rawstats")
			if err != nil {
				continue // not begun, or over
			}
			job := rawJob(out)
			if rate, told := job["dirty rate"]; told && job["iteration"] > 1 {
				seen[int64(rate*job["page size"])] = true
			}
		}
		done <- seen
	}()
	return func() map[int64]bool {
		cancel()
		return <-done
	}
}

// virshJob reads virsh domjobinfo --completed of a host into milliseconds and bytes.
func virshJob(t *testing.T, h *lab.Host, guest string) map[string]float64 {
	t.Helper()
	out, err := h.Virsh(t.Context(), "domjobinfo", guest, "--completed", "--keep-completed", "--rawstats")
	if err != nil {
		t.Fatal(err)
	}
	job := rawJob(out)
	if len(job) == 0 {
		t.Fatalf("virsh domjobinfo says nothing: %q", out)
	}
	return job
}

// rawJob picks what the witness needs from virsh's raw statistics.
func rawJob(out string) map[string]float64 {
	names := map[string]string{
		"time_elapsed": "time elapsed", "memory_total": "memory total", "memory_iteration": "iteration",
		"setup_time": "setup time", "memory_dirty_rate": "dirty rate", "memory_page_size": "page size",
	}
	job := map[string]float64{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name, wanted := names[key]; wanted {
			if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				job[name] = v
			}
		}
	}
	return job
}

// lengthened delays the finish of every migration through a fleet, and with it the switchover.
func lengthened(f *Fleet, by time.Duration) {
	for _, m := range f.members {
		dial := m.dial
		m.dial = func(ctx context.Context) (daemon, error) {
			d, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return slowDaemon{d, by}, nil
		}
	}
}

type slowDaemon struct {
	daemon
	by time.Duration
}

func (d slowDaemon) Session(ctx context.Context) (session, error) {
	s, err := d.daemon.Session(ctx)
	return slowSession{s, d.by}, err
}

type slowSession struct {
	session
	by time.Duration
}

func (s slowSession) Finish(ctx context.Context, p host.Params, c []byte, f host.Flags, cancelled bool) (host.DomainID, []byte, error) {
	time.Sleep(s.by) // this is the fault itself
	return s.session.Finish(ctx, p, c, f, cancelled)
}
