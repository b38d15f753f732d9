package migration

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// figures are what was measured around the run besides its instants.
type figures struct {
	sourceCPU, destinationCPU       *CPU
	sourceCPUErr, destinationCPUErr error
	relay                           relayFigures
}

// readCompleted fetches the job's statistics from the destination; the source forgets them with the
// domain.
func (r *run) readCompleted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	job, err := r.destination.CompletedJob(ctx, r.id.UUID)
	if err != nil {
		r.completedErr = err
		return
	}
	r.completed = &job
}

// result puts the figures together. What could not be measured stays nil, with the reason.
func (r *run) result(fig figures) *Result {
	res := &Result{
		Transport: r.plan.Transport, TransportReason: r.plan.Reason, Encrypted: &r.plan.Encrypted, Encryption: r.recipe.encryption,
		Control: r.plan.Control, SourceHost: r.plan.From, DestinationHost: r.plan.To,
		Storage: r.plan.Storage, CopiedDisks: append([]string{}, r.recipe.params.MigrateDisks...),
		SourceCPU: fig.sourceCPU, DestinationCPU: fig.destinationCPU, MissingFigures: map[string]string{},
	}
	miss := func(figure, why string) { res.MissingFigures[figure] = why }
	r.durations(res, miss)
	r.jobFigures(res, miss)
	r.diskFigures(res, miss)
	r.relayResult(res, fig.relay, miss)
	for _, h := range []struct {
		field string
		cpu   *CPU
		err   error
	}{{"source_cpu", fig.sourceCPU, fig.sourceCPUErr}, {"destination_cpu", fig.destinationCPU, fig.destinationCPUErr}} {
		switch {
		case h.cpu == nil && h.err != nil:
			miss(h.field, h.err.Error())
		case h.cpu == nil:
			miss(h.field, "the job was too short for two readings")
		case h.cpu.Samples < 3:
			miss(h.field+".idle_min_percent", "fewer than three samples")
			miss(h.field+".idle_max_percent", "fewer than three samples")
		}
	}
	if n := int64(r.recipe.params.ParallelConnections); n > 0 {
		res.ParallelConnections = &n
	} else {
		one := int64(1)
		res.ParallelConnections = &one
	}
	return res
}

// durations come from this machine's monotonic clock alone.
func (r *run) durations(res *Result, miss func(figure, why string)) {
	stopped, _, resumed := r.moments.read()
	noEvent := "the event that marks it did not arrive"
	if res.TotalMS = between(r.began, r.ran); res.TotalMS == nil {
		miss("total_ms", noEvent)
	}
	if res.CopyMS = between(r.performing, r.performed); res.CopyMS == nil {
		miss("copy_ms", noEvent)
	}
	switch {
	case r.recipe.paused:
		miss("downtime_ms", "the guest was paused before the move")
	default:
		if res.DowntimeMS = between(stopped, resumed); res.DowntimeMS == nil {
			miss("downtime_ms", noEvent)
		}
	}
	r.clockSkew(res, miss)
}

// handoverLimit is how long the source's last word may take to the destination for the two clocks still
// to be compared by it.
const handoverLimit = 500 * time.Millisecond

// clockSkew is how far the destination's clock is ahead of the source's. The destination notes what its
// own clock shows when the source's last time stamp arrives. That contains the way of the stamp, which
// under controller goes through this machine, and is taken off as far as it can be seen from here. Under
// peer_to_peer only the reported statistics tell, as the difference of the elapsed time with and without
// it, and not when it is negative.
func (r *run) clockSkew(res *Result, miss func(figure, why string)) {
	c := r.completed
	switch {
	case r.clockDelta != nil && r.ran.Sub(r.performed) > handoverLimit:
		miss("clock_skew_ms", "the switchover took too long for the hosts' clocks to be compared")
	case r.clockDelta != nil:
		ms := *r.clockDelta - r.finishing.Sub(r.performed).Milliseconds()
		res.ClockSkewMS = &ms
	case r.plan.Control == ControlPeerToPeer && c != nil && c.ElapsedMS != nil && c.ElapsedNetMS != nil:
		ms := int64(*c.ElapsedMS) - int64(*c.ElapsedNetMS)
		res.ClockSkewMS = &ms
	default:
		miss("clock_skew_ms", "libvirt told nothing from which it could be known")
	}
}

func (r *run) jobFigures(res *Result, miss func(figure, why string)) {
	why := "libvirt did not report it"
	job := r.completed
	if job == nil {
		job = &host.Job{}
		if r.completedErr != nil {
			why = fmt.Sprintf("the statistics of the job could not be read: %v", r.completedErr)
		}
	}
	for _, fig := range []struct {
		name string
		to   **int64
		from *uint64
	}{
		{"setup_ms", &res.SetupMS, job.SetupMS},
		{"memory_total_bytes", &res.MemoryTotalBytes, job.MemoryTotalBytes},
		{"transferred_bytes", &res.TransferredBytes, job.MemoryProcessedBytes},
		{"iterations", &res.Iterations, job.Iterations},
	} {
		if fig.from == nil || *fig.from > math.MaxInt64 {
			miss(fig.name, why)
			continue
		}
		v := int64(*fig.from)
		*fig.to = &v
	}
	if r.dirtyBytesPerSecond != nil {
		v := int64(*r.dirtyBytesPerSecond)
		res.DirtyBytesPerSecond = &v
	} else {
		miss("dirty_bytes_per_second", "QEMU counts it over a second, and the copy ended before it had a figure")
	}
	if res.TransferredBytes != nil && res.CopyMS != nil && *res.CopyMS > 0 {
		v := int64(float64(*res.TransferredBytes) / float64(*res.CopyMS) * 1000)
		res.ThroughputBytesPerSecond = &v
	} else {
		miss("throughput_bytes_per_second", "it is transferred_bytes over copy_ms, and one of them is missing")
	}
}

// diskFigures are those of the copied disks, null without a word when there are none.
func (r *run) diskFigures(res *Result, miss func(figure, why string)) {
	if len(res.CopiedDisks) == 0 {
		return
	}
	for _, fig := range []struct {
		name string
		to   **int64
		from *uint64
	}{{"disk_total_bytes", &res.DiskTotalBytes, r.diskTotal}, {"disk_processed_bytes", &res.DiskProcessedBytes, r.diskProcessed}} {
		if fig.from == nil || *fig.from > math.MaxInt64 {
			miss(fig.name, "libvirt tells it only of a running job, and this one was over before it could be asked")
			continue
		}
		v := int64(*fig.from)
		*fig.to = &v
	}
	if res.DiskCopyMS = between(r.performing, r.moments.memoryBegan()); res.DiskCopyMS == nil {
		miss("disk_copy_ms", "the event that marks the beginning of the memory's copy did not arrive")
	}
}

func product(a, b *uint64) *uint64 {
	if a == nil || b == nil {
		return nil
	}
	v := *a * *b
	return &v
}

// between is the time from a to b in milliseconds, nil when one of them did not come or b came first.
func between(a, b time.Time) *int64 {
	if a.IsZero() || b.IsZero() || b.Before(a) {
		return nil
	}
	ms := b.Sub(a).Milliseconds()
	return &ms
}
