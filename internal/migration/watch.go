package migration

import (
	"context"
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

// teller calls a request's Watch, one call at a time. A nil watch is told nothing.
type teller struct {
	mu    sync.Mutex
	watch func(Progress)
	last  Step
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
	if t.watch != nil {
		t.watch(p)
	}
}

// moments are the instants of a switchover, stamped on arrival on this machine's monotonic clock, so that
// the hosts' own clocks do not matter.
type moments struct {
	mu sync.Mutex
	// stopped: the source's CPUs stopped. received: the destination's QEMU was ready to receive.
	// resumed: the destination's CPUs started.
	stopped, received, resumed time.Time
}

func (m *moments) read() (stopped, received, resumed time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped, m.received, m.resumed
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
			} else if e.UUID == uuid && e.Kind == host.EventResumed {
				m.note(&m.stopped, time.Time{}) // the switchover was called off
			}
		case e, open := <-destination:
			if !open {
				destination = nil
			} else if e.UUID == uuid && e.Kind == host.EventStarted {
				m.note(&m.received, e.At)
			} else if e.UUID == uuid && e.Kind == host.EventResumed {
				m.note(&m.resumed, e.At)
			}
		}
	}
}

func (m *moments) note(which *time.Time, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*which = at
}

// watchJob reads the job until ctx ends, and tells of it.
func (r *run) watchJob(ctx context.Context) {
	ticker := time.NewTicker(jobInterval)
	defer ticker.Stop()
	logged := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// a question that is under way when the watching ends is let come to its answer: libvirt's RPC
		// cannot take it back, and giving it up would cost the connection
		job, err := r.source.Job(context.WithoutCancel(ctx), r.id.UUID)
		if err != nil || job.Kind != host.JobMigrationOut || job.MemoryProcessedBytes == nil {
			continue
		}
		r.noteDirtyRate(job)
		p := Progress{
			MemoryTotalBytes: job.MemoryTotalBytes, MemoryRemainingBytes: job.MemoryRemainingBytes,
			MemoryProcessedBytes: job.MemoryProcessedBytes, BytesPerSecond: job.MemoryBytesPerSecond, Iterations: job.Iterations,
		}
		if *job.MemoryProcessedBytes > 0 && r.tell.at() == StepPerform {
			p.Step = StepCopy
		}
		r.tell.tell(p)
		if time.Since(logged) > 3*time.Second && job.MemoryRemainingBytes != nil {
			logged = time.Now()
			r.log.Info("copying guest memory", "remaining_bytes", *job.MemoryRemainingBytes, "processed_bytes", *job.MemoryProcessedBytes)
		}
	}
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
