package bench

import (
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// Names are the engine's cases: the four ways of 2009 as they are today.
var Names = []string{"plain", "tls", "tunnel", "relay-each", "relay-window", "relay-zstd"}

// Options are those of a case of the engine. All are driven by the controller but the tunnel, which always leads
// from daemon to daemon.
func Options(name string, chunkKiB int) (o migration.Options, known bool) {
	o.Control = migration.ControlController
	switch name {
	case "plain":
		o.Transport, o.AllowPlain = migration.TransportPlain, true
		return o, true
	case "tls":
		o.Transport = migration.TransportTLS
		return o, true
	case "tunnel":
		o.Transport, o.Control = migration.TransportTunnel, migration.ControlAuto
		return o, true
	case "relay-each":
		o.Acknowledge = migration.AcknowledgeEach
	case "relay-window":
	case "relay-zstd":
		o.Compression = migration.CompressionZstd
	default:
		return o, false
	}
	o.Transport, o.ChunkKiB = migration.TransportRelay, chunkKiB
	return o, true
}

// OfResult is the sample that a move's own result holds.
func OfResult(r migration.Result) Sample {
	s := Sample{
		TotalMS: number(r.TotalMS), CopyMS: number(r.CopyMS), WallMS: number(r.WallMS), DowntimeMS: number(r.DowntimeMS), TransferredBytes: number(r.TransferredBytes),
		SourceIdlePercent: idle(r.SourceCPU), DestinationIdlePercent: idle(r.DestinationCPU),
	}
	if r.SourceCPU != nil && r.DestinationCPU != nil && r.SourceCPU.BusySeconds != nil && r.DestinationCPU.BusySeconds != nil {
		busy := *r.SourceCPU.BusySeconds + *r.DestinationCPU.BusySeconds
		s.CPUSeconds = &busy
	}
	if r.SourceRelayCPUSeconds != nil && r.DestinationRelayCPUSeconds != nil {
		s.CPUByProgram = map[string]float64{"relay": *r.SourceRelayCPUSeconds + *r.DestinationRelayCPUSeconds}
	}
	return s
}

func number(v *int64) *float64 {
	if v == nil {
		return nil
	}
	f := float64(*v)
	return &f
}

func idle(c *migration.CPU) *Range {
	if c == nil || c.IdleMinPercent == nil || c.IdleMeanPercent == nil || c.IdleMaxPercent == nil {
		return nil
	}
	return &Range{Min: *c.IdleMinPercent, Mean: *c.IdleMeanPercent, Max: *c.IdleMaxPercent}
}

// Course notes how a running job goes on. Its Watch is for a request, and not for two moves at a time.
type Course struct {
	begun  time.Time
	Points []Point
}

// Watch hears of a job's progress.
func (c *Course) Watch(p migration.Progress) {
	if p.MemoryProcessedBytes == nil || p.MemoryRemainingBytes == nil {
		return
	}
	c.Note(p.At, *p.MemoryProcessedBytes, *p.MemoryRemainingBytes)
}

// Note is Watch for whoever asks libvirt themselves.
func (c *Course) Note(at time.Time, processed, remaining uint64) {
	if c.begun.IsZero() {
		c.begun = at
	}
	c.Points = append(c.Points, Point{AtMS: float64(at.Sub(c.begun).Milliseconds()), ProcessedBytes: float64(processed), RemainingBytes: float64(remaining)})
}
