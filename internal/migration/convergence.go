package migration

import (
	"fmt"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// OnTimeout says what is done about a copy that does not come to an end.
type OnTimeout string

// What may be done.
const (
	// OnTimeoutAbort gives up: the guest goes on on the source.
	OnTimeoutAbort OnTimeout = "abort"
	// OnTimeoutPostCopy lets the guest run on the destination and fetch what is missing of its memory over
	// the network. From then on both hosts have a part of it, and losing either, or the way, stops it.
	OnTimeoutPostCopy OnTimeout = "post_copy"
	// OnTimeoutSuspend pauses the guest until all of it is on the destination.
	OnTimeoutSuspend OnTimeout = "suspend"
	// OnTimeoutKeepTrying goes on until the time-out of the whole operation.
	OnTimeoutKeepTrying OnTimeout = "keep_trying"
)

// OnTimeouts lists every value a request may carry.
var OnTimeouts = []OnTimeout{OnTimeoutAbort, OnTimeoutPostCopy, OnTimeoutSuspend, OnTimeoutKeepTrying}

// Convergence says when the copy of a guest counts as not coming to an end, as that of one which writes
// memory faster than it can be sent, and what is done then. Zero values mean the default.
type Convergence struct {
	// TimeoutSecondsPerGiB is how long the copy may take for each GiB of guest memory and copied disks.
	TimeoutSecondsPerGiB int64 `json:"timeout_seconds_per_gib"`
	// StallSeconds is for how long what remains may stay above the least that it has been.
	StallSeconds int64 `json:"stall_seconds"`
	// DowntimeSteps is how often, before that, max_downtime_ms may be doubled.
	DowntimeSteps int `json:"downtime_steps"`
	// AutoConverge lets QEMU take processor time from the guest until it writes more slowly.
	AutoConverge bool      `json:"auto_converge"`
	OnTimeout    OnTimeout `json:"on_timeout"`
}

// Limits and defaults of it.
const (
	DefaultTimeoutSecondsPerGiB = 150
	MaxTimeoutSecondsPerGiB     = 86400
	DefaultStallSeconds         = 120
	MaxStallSeconds             = 86400
	MaxDowntimeSteps            = 10
)

// postCopyQEMU: before it, QEMU had no way to go on with a post-copy migration whose network broke.
const postCopyQEMU host.Version = 3000000

func (c Convergence) withDefaults() Convergence {
	if c.TimeoutSecondsPerGiB == 0 {
		c.TimeoutSecondsPerGiB = DefaultTimeoutSecondsPerGiB
	}
	if c.StallSeconds == 0 {
		c.StallSeconds = DefaultStallSeconds
	}
	if c.OnTimeout == "" {
		c.OnTimeout = OnTimeoutAbort
	}
	return c
}

// postCopyRuledOut gives the fact that keeps a transport from post-copy when the request wants it.
func postCopyRuledOut(t Transport, fa facts, o Options) string {
	if o.Convergence.OnTimeout != OnTimeoutPostCopy {
		return ""
	}
	switch t {
	case TransportTLS:
		return "post-copy does not go together with tls, which is always on parallel connections"
	case TransportTunnel:
		return "libvirt has no post-copy through a tunnel"
	}
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if h.HypervisorVersion < postCopyQEMU {
			return fmt.Sprintf("QEMU on %s is %s, and post-copy needs %s", h.key, h.HypervisorVersion, postCopyQEMU)
		}
	}
	return ""
}

// pacing is what the run needs to judge the copy's progress.
type pacing struct {
	Convergence
	// limit is how long the copy may take, downtime the limit it begins with, blackout how long the guest
	// may stand still in a switchover.
	limit, downtime, blackout time.Duration
}

// BlackoutBase is how long beyond twice the greatest downtime a switchover may last, unless the request says otherwise.
const BlackoutBase = 10 * time.Second

func pacingOf(o Options, bytes uint64) pacing {
	o = o.withDefaults()
	p := pacing{
		Convergence: o.Convergence, limit: time.Duration(gibs(bytes)) * time.Duration(o.Convergence.TimeoutSecondsPerGiB) * time.Second,
		downtime: time.Duration(o.MaxDowntimeMS) * time.Millisecond, blackout: time.Duration(o.BlackoutTimeoutMS) * time.Millisecond,
	}
	if p.blackout == 0 {
		p.blackout = BlackoutBase + 2*p.downtime<<o.Convergence.DowntimeSteps
	}
	if mib := bytes >> 20; o.BandwidthMiBPerSecond > 0 { // three passes must fit, whatever the limit says
		p.limit = max(p.limit, 3*time.Duration(mib/o.BandwidthMiBPerSecond)*time.Second)
	}
	return p
}

// gibs counts whole GiB, the last one as soon as it is begun.
func gibs(bytes uint64) uint64 { return max(1, (bytes+1<<30-1)>>30) }

// deed is what is to be done about a copy.
type deed int

const (
	deedNone deed = iota
	deedRaise
	deedAbort
	deedPostCopy
	deedSuspend
)

// pace judges a running copy by the readings of its job. It is pure: what it says is done elsewhere.
type pace struct {
	pacing
	began time.Time
	// least is the least that remained, at leastAt; counted anew when the memory follows the disks.
	least   uint64
	leastAt time.Time
	memory  bool
	steps   int
	// acted: what the policy says was done. Suspended: it was to pause the guest.
	acted, suspended bool
}

// next says what to do after a reading, why, and for deedRaise the new limit of downtime.
func (p *pace) next(now time.Time, job host.Job) (what deed, why string, downtime time.Duration) {
	memory := flows(job.MemoryProcessedBytes)
	remaining := job.DiskRemainingBytes
	if memory {
		remaining = job.MemoryRemainingBytes
	}
	switch {
	case p.OnTimeout == OnTimeoutKeepTrying, p.acted && !p.suspended, remaining == nil:
		return deedNone, "", 0
	case p.began.IsZero():
		p.began = now
		fallthrough
	case memory != p.memory, *remaining < p.least:
		p.memory, p.least, p.leastAt = memory, *remaining, now
	}
	stall := time.Duration(p.StallSeconds) * time.Second
	stalled, took := now.Sub(p.leastAt), now.Sub(p.began)
	switch {
	case stalled >= stall:
		why = fmt.Sprintf("the copy came no nearer to its end for %s (stall_seconds)", stall)
	case took >= p.limit && !p.suspended:
		why = fmt.Sprintf("the copy did not come to an end in %s (timeout_seconds_per_gib)", p.limit)
	case p.suspended:
		return deedNone, "", 0
	default:
		// the steps are spread evenly over whichever time is up first
		parts := time.Duration(p.DowntimeSteps + 1)
		due := min(p.DowntimeSteps, int(max(stalled*parts/stall, took*parts/max(p.limit, 1))))
		if !memory || due <= p.steps {
			return deedNone, "", 0
		}
		p.steps = due
		return deedRaise, "the copy has not come to an end yet", p.downtime << due
	}
	p.acted = true
	switch {
	case p.OnTimeout == OnTimeoutPostCopy && memory:
		return deedPostCopy, why, 0
	case p.OnTimeout == OnTimeoutSuspend && !p.suspended:
		p.suspended, p.leastAt = true, now
		return deedSuspend, why, 0
	}
	p.suspended = false
	return deedAbort, why, 0
}
