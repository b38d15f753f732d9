package migration

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// jobInterval is how often the running job is asked how far it is; cpuInterval how often the hosts'
// CPU counters are read.
const (
	jobInterval = 250 * time.Millisecond
	cpuInterval = 500 * time.Millisecond
)

// teller calls a request's Watch, one call at a time, and writes its progress file. A nil watch is told
// nothing.
type teller struct {
	mu    sync.Mutex
	watch func(Progress)
	meter meter
	file  *progressFile // nil for none
	last  Step
	// latest is the last line with figures, for the log.
	latest ProgressLine
}

// newTeller opens the progress file, if the request names one.
func newTeller(req Request) (*teller, error) {
	t := &teller{watch: req.Watch, meter: meter{guest: req.Guest.String(), to: req.Host}}
	if req.Options.ProgressFile == "" {
		return t, nil
	}
	var err error
	t.file, err = openProgress(req.Options.ProgressFile)
	return t, err
}

// close ends the progress file; the error is the first write that failed.
func (t *teller) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return nil
	}
	return t.file.close()
}

func (t *teller) step(s Step) { t.tell(Progress{Step: s}) }

func (t *teller) tell(p Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Step == "" {
		p.Step = t.last
	}
	t.last = p.Step
	p.At = time.Now()
	t.latest = t.meter.line(p)
	if t.file != nil {
		t.file.write(t.latest)
	}
	if t.watch != nil {
		t.watch(p)
	}
}

// line is what was told last.
func (t *teller) line() ProgressLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}

// moments are the instants of a switchover, stamped on arrival on this machine's monotonic clock, so that
// the hosts' own clocks do not matter.
type moments struct {
	mu sync.Mutex
	// stopped: the source's CPUs stopped. received: the destination's QEMU was ready to receive.
	// resumed: the destination's CPUs started.
	stopped, received, resumed time.Time
	// flowing: the source's QEMU began with the memory; disks have been copied by then.
	flowing time.Time
	// ended: the destination's copy stopped.
	ended bool
	// failed: QEMU on the destination reported an I/O error of the guest's disks after it was let run there.
	failed bool
	// paused is called when the source's CPUs stop; nil for nothing.
	paused func()
}

func (m *moments) read() (stopped, received, resumed time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped, m.received, m.resumed
}

// memoryBegan is when guest memory began to flow, zero while it has not.
func (m *moments) memoryBegan() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flowing
}

// listen notes the moments among the events of both ends until both streams close.
func (m *moments) listen(uuid string, source, destination <-chan host.Event, tell *teller) {
	for source != nil || destination != nil {
		select {
		case e, open := <-source:
			if !open {
				source = nil
			} else if e.UUID == uuid && e.Kind == host.EventSuspended && e.Detail == host.SuspendedMigrated {
				m.note(&m.stopped, e.At)
				tell.step(StepSwitch)
				if m.paused != nil {
					m.paused()
				}
			} else if e.UUID == uuid && e.Kind == host.EventMemoryPass && e.Detail == 1 {
				m.note(&m.flowing, e.At)
			} else if e.UUID == uuid && e.Kind == host.EventResumed {
				m.note(&m.stopped, time.Time{}) // the switchover was called off
			}
		case e, open := <-destination:
			if !open {
				destination = nil
			} else if e.UUID == uuid && e.Kind == host.EventIOError {
				m.noteFailure()
			} else if e.UUID == uuid && e.Kind == host.EventStopped {
				m.noteEnd()
			} else if e.UUID == uuid && e.Kind == host.EventStarted {
				m.note(&m.received, e.At)
			} else if _, _, resumed := m.read(); e.UUID == uuid && e.Kind == host.EventResumed && resumed.IsZero() && !switchedOff.resumed {
				m.note(&m.resumed, e.At) // after post-copy comes another one
			}
		}
	}
}

func (m *moments) note(which *time.Time, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*which = at
}

func (m *moments) noteEnd() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
}

// endedThere says whether the destination's copy was seen to stop. Events come in order: without an earlier start it
// never ran.
func (m *moments) endedThere() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

func (m *moments) noteFailure() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = true
}

// disksFailed says whether the guest's disks have failed it on the destination, as far as QEMU has told by now.
func (m *moments) disksFailed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// watchJob reads the job until ctx ends, and tells of it.
func (r *run) watchJob(ctx context.Context) {
	ticker := time.NewTicker(jobInterval)
	defer ticker.Stop()
	logged := time.Now()
	judge := pace{pacing: r.recipe.pacing}
	var broken time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// a question that is under way when the watching ends is let come to its answer: libvirt's RPC
		// cannot take it back, and giving it up would cost the connection
		if r.fetching.Load() {
			broken = r.watchFetching(context.WithoutCancel(ctx), broken)
		}
		job, err := r.source.Job(context.WithoutCancel(ctx), r.id.UUID)
		if err != nil || job.Kind != host.JobMigrationOut || (job.MemoryProcessedBytes == nil && job.DiskProcessedBytes == nil) {
			continue
		}
		r.noteDirtyRate(job)
		if len(r.recipe.disks.copied) > 0 && flows(job.DiskTotalBytes) {
			r.diskTotal, r.diskProcessed = job.DiskTotalBytes, job.DiskProcessedBytes
		}
		p := Progress{
			DiskTotalBytes: job.DiskTotalBytes, DiskRemainingBytes: job.DiskRemainingBytes, DiskProcessedBytes: job.DiskProcessedBytes,
			MemoryTotalBytes: job.MemoryTotalBytes, MemoryRemainingBytes: job.MemoryRemainingBytes,
			MemoryProcessedBytes: job.MemoryProcessedBytes, BytesPerSecond: job.MemoryBytesPerSecond, Iterations: job.Iterations,
		}
		if flows(job.MemoryProcessedBytes) || flows(job.DiskProcessedBytes) {
			r.left.Store(true)
			if r.tell.at() == StepPerform {
				p.Step = StepCopy
			}
		}
		r.tell.tell(p)
		r.steer(context.WithoutCancel(ctx), &judge, job)
		if time.Since(logged) > 3*time.Second {
			logged = time.Now()
			r.logProgress(r.tell.line())
		}
	}
}

func flows(bytes *uint64) bool { return bytes != nil && *bytes > 0 }

// logProgress says how far the copy is, in the figures of a progress file.
func (r *run) logProgress(l ProgressLine) {
	if l.Percent == nil {
		return
	}
	// as text: a log in JSON would make floating-point numbers of large counts
	args := []any{"percent", fmt.Sprintf("%.1f", *l.Percent), "remaining_bytes", fmt.Sprint(*l.RemainingBytes)}
	if l.ExpectedEnd != nil {
		args = append(args, "bytes_per_second", fmt.Sprint(*l.BytesPerSecond), "expected_end", l.ExpectedEnd.Format(time.RFC3339))
	}
	r.log.Info("copying the guest", args...)
}

// noteDirtyRate keeps the last rate QEMU has really counted: it counts over a second at least, and says 0
// until then. A guest that runs writes something in every second, so that 0 is never its rate.
func (r *run) noteDirtyRate(job host.Job) {
	if rate := product(job.DirtyPagesPerSecond, job.PageSizeBytes); rate != nil && *rate > 0 {
		r.dirtyBytesPerSecond = rate
	}
}

func (t *teller) at() Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
