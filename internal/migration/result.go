package migration

import "time"

// Result is what a move cost. Its JSON form is the one both faces show; a nil figure could not be had,
// and MissingFigures says why.
type Result struct {
	Transport       Transport `json:"transport"`
	TransportReason string    `json:"transport_reason"`
	// Encrypted says whether guest memory, and copied disks, were encrypted between the hosts; nil when
	// none travelled.
	Encrypted *bool `json:"encrypted"`
	// Encryption is nil for plain.
	Encryption      *Encryption `json:"encryption"`
	Control         Control     `json:"control"`
	SourceHost      string      `json:"source_host"`
	DestinationHost string      `json:"destination_host"`
	// StartedAt and FinishedAt are the controller's wall clock, RFC 3339.
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	// TotalMS is from begin until the guest ran on the destination, CopyMS the copy of disks and memory alone,
	// WallMS the whole operation with preflight and verification. All three are the controller's
	// monotonic clock.
	TotalMS *int64 `json:"total_ms"`
	CopyMS  *int64 `json:"copy_ms"`
	WallMS  *int64 `json:"wall_ms"`
	SetupMS *int64 `json:"setup_ms"`
	// DowntimeMS is from the stop of the source's CPUs to the start of the destination's, as the
	// controller saw both happen.
	DowntimeMS *int64 `json:"downtime_ms"`
	// ClockSkewMS is the destination's clock minus the source's.
	ClockSkewMS              *int64 `json:"clock_skew_ms"`
	MemoryTotalBytes         *int64 `json:"memory_total_bytes"`
	TransferredBytes         *int64 `json:"transferred_bytes"`
	ThroughputBytesPerSecond *int64 `json:"throughput_bytes_per_second"`
	Iterations               *int64 `json:"iterations"`
	DirtyBytesPerSecond      *int64 `json:"dirty_bytes_per_second"`
	ParallelConnections      *int64 `json:"parallel_connections"`
	// Reconnects is how often a broken connection between the relays was replaced. WireBytes went over the
	// network between them, both ways. CompressionRatio is what QEMU sent over what was left of it. The
	// relays' CPU seconds are user and system time of their processes. All are nil for other transports.
	Reconnects                 *int64   `json:"reconnects"`
	WireBytes                  *int64   `json:"wire_bytes"`
	CompressionRatio           *float64 `json:"compression_ratio"`
	SourceRelayCPUSeconds      *float64 `json:"source_relay_cpu_seconds"`
	DestinationRelayCPUSeconds *float64 `json:"destination_relay_cpu_seconds"`
	// Storage is the one asked for; CopiedDisks are the target names of the disks that were copied.
	Storage     Storage  `json:"storage"`
	CopiedDisks []string `json:"copied_disks"`
	// DiskTotalBytes is what there was to copy of the disks, and DiskProcessedBytes how far the copy had come,
	// both as the running job told last: libvirt counts the disks' capacity and what the guest wrote again
	// meanwhile. Parts that hold nothing count, and are not sent. nil when no disk was copied. DiskCopyMS is
	// the part of CopyMS before guest memory began to flow.
	DiskTotalBytes     *int64 `json:"disk_total_bytes"`
	DiskProcessedBytes *int64 `json:"disk_processed_bytes"`
	DiskCopyMS         *int64 `json:"disk_copy_ms"`
	SourceCPU          *CPU   `json:"source_cpu"`
	DestinationCPU     *CPU   `json:"destination_cpu"`
	// MissingFigures gives, for each field above that is null although it could have a value, the reason.
	MissingFigures map[string]string `json:"missing_figures"`
}

// Encryption is what is known of the encryption of guest memory.
type Encryption struct {
	Protocol string `json:"protocol"`
	// Cipher is nil where nobody tells: QEMU does not say what its TLS negotiated.
	Cipher *string `json:"cipher"`
}

// CPU is the load of one whole host during the job, by the hypervisor's own counters.
type CPU struct {
	// Idle percentages are idle time over all time, over all CPUs, between two readings 500 ms apart;
	// minimum and maximum are nil with fewer than three samples.
	IdleMinPercent  *float64 `json:"idle_min_percent"`
	IdleMeanPercent *float64 `json:"idle_mean_percent"`
	IdleMaxPercent  *float64 `json:"idle_max_percent"`
	UserPercent     *float64 `json:"user_percent"`
	SystemPercent   *float64 `json:"system_percent"`
	// BusySeconds is user and system time of all CPUs together.
	BusySeconds *float64 `json:"busy_seconds"`
	Samples     int64    `json:"samples"`
}
