package migration

import (
	"fmt"
	"time"
)

// Transport names how guest memory travels between the two hosts.
type Transport string

// The transports.
const (
	// TransportAuto is the fastest encrypted transport both hosts can do. It never ends on plain.
	TransportAuto Transport = "auto"
	// TransportPlain is QEMU to QEMU over unencrypted TCP; refused unless AllowPlain.
	TransportPlain Transport = "plain"
	// TransportTLS is QEMU to QEMU over QEMU's own TLS, always on parallel connections.
	TransportTLS Transport = "tls"
)

// Transports lists every value a request may carry, in the order documentation shows them.
var Transports = []Transport{TransportAuto, TransportTLS, TransportPlain}

// Control names who drives a migration.
type Control string

// Who may drive.
const (
	// ControlAuto is controller, unless its round trip is above half of MaxDowntimeMS and peer_to_peer is possible.
	ControlAuto Control = "auto"
	// ControlController: this process drives both ends.
	ControlController Control = "controller"
	// ControlPeerToPeer: the source's libvirtd drives, and logs in to the destination's.
	ControlPeerToPeer Control = "peer_to_peer"
)

// Controls lists every value a request may carry.
var Controls = []Control{ControlAuto, ControlController, ControlPeerToPeer}

// Limits and defaults of a request.
const (
	DefaultParallelConnections = 2
	MaxParallelConnections     = 255 // QEMU's multifd-channels is one byte
	DefaultMaxDowntimeMS       = 300
	MaxMaxDowntimeMS           = 2000000       // QEMU's own limit of downtime-limit: 2000 s
	MaxBandwidthMiBPerSecond   = 8796093022207 // libvirt's: the figure in bytes must fit 63 bits
	DefaultMigrationsPerHost   = 2
	MaxMigrationsPerHost       = 8 // libvirtd has 20 workers by default, and each migration may hold several
)

// GuestRef names a guest by name, by UUID, or by both; then both must agree.
type GuestRef struct {
	Name string
	UUID string
}

func (g GuestRef) String() string {
	if g.Name != "" {
		return g.Name
	}
	return g.UUID
}

// Options are what a user can choose about a move; zero values mean the default. Both faces show them
// under these names.
type Options struct {
	Transport             Transport `json:"transport"`
	AllowPlain            bool      `json:"allow_plain"`
	Control               Control   `json:"control"`
	ParallelConnections   int       `json:"parallel_connections"`
	BandwidthMiBPerSecond uint64    `json:"bandwidth_mib_per_second"`
	MaxDowntimeMS         int64     `json:"max_downtime_ms"`
}

// Request asks for a guest to run on a host.
type Request struct {
	Guest GuestRef
	// Host is the key, in the fleet, of the host on which the guest shall run.
	Host    string
	Options Options
	// Timeout bounds the whole operation; 0 means 10 minutes and 60 s for each GiB of guest memory.
	Timeout time.Duration
	// Watch, when not nil, is called at every step and with every reading of the job, from one
	// goroutine at a time. It must return soon.
	Watch func(Progress)
}

// Progress is one observation of a running move.
type Progress struct {
	At   time.Time
	Step Step
	// The job's figures, nil while there are none.
	MemoryTotalBytes, MemoryRemainingBytes, MemoryProcessedBytes, BytesPerSecond *uint64
	Iterations                                                                   *uint64
}

// Validate checks all that can be checked without a host. It changes nothing.
func (o Options) Validate() error {
	switch o.Transport {
	case "", TransportAuto, TransportTLS:
	case TransportPlain:
		if !o.AllowPlain {
			return fmt.Errorf("transport %q sends guest memory unencrypted and is refused unless allow_plain is true", o.Transport)
		}
	default:
		return fmt.Errorf("transport %q is not one of %s", o.Transport, quoted(Transports))
	}
	switch o.Control {
	case "", ControlAuto, ControlController, ControlPeerToPeer:
	default:
		return fmt.Errorf("control %q is not one of %s", o.Control, quoted(Controls))
	}
	if o.ParallelConnections < 0 || o.ParallelConnections > MaxParallelConnections {
		return fmt.Errorf("parallel_connections is %d, but must be 1 to %d", o.ParallelConnections, MaxParallelConnections)
	}
	if o.ParallelConnections == 1 && o.Transport != TransportPlain {
		return fmt.Errorf("parallel_connections is 1, but transport tls needs at least 2: QEMU before 10.1 can crash after 64 GB on one encrypted connection")
	}
	if o.BandwidthMiBPerSecond > MaxBandwidthMiBPerSecond {
		return fmt.Errorf("bandwidth_mib_per_second is %d, but must be at most %d", o.BandwidthMiBPerSecond, uint64(MaxBandwidthMiBPerSecond))
	}
	if o.MaxDowntimeMS < 0 || o.MaxDowntimeMS > MaxMaxDowntimeMS {
		return fmt.Errorf("max_downtime_ms is %d, but must be 1 to %d", o.MaxDowntimeMS, MaxMaxDowntimeMS)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Transport == "" {
		o.Transport = TransportAuto
	}
	if o.Control == "" {
		o.Control = ControlAuto
	}
	if o.MaxDowntimeMS == 0 {
		o.MaxDowntimeMS = DefaultMaxDowntimeMS
	}
	return o
}

func quoted[T ~string](values []T) string {
	text := ""
	for i, v := range values {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", string(v))
	}
	return text
}
