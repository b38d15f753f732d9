package migration

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay/programs"
)

// Acknowledge says, for the relay, when the next chunk of guest memory may be sent.
type Acknowledge string

// The ways to acknowledge.
const (
	// AcknowledgeWindow: chunks follow one another within a window; replies come on their own time.
	AcknowledgeWindow Acknowledge = "window"
	// AcknowledgeEach: every chunk waits for its reply.
	AcknowledgeEach Acknowledge = "each"
)

// Acknowledges lists every value a request may carry.
var Acknowledges = []Acknowledge{AcknowledgeWindow, AcknowledgeEach}

// Compression says what the relay does to each chunk before it encrypts it.
type Compression string

// The ways to compress.
const (
	CompressionNone Compression = "none"
	CompressionZstd Compression = "zstd"
)

// Compressions lists every value a request may carry.
var Compressions = []Compression{CompressionNone, CompressionZstd}

// Limits and defaults of what concerns the relay.
const (
	DefaultReconnectSeconds = 30
	MaxReconnectSeconds     = 600
	DefaultChunkKiB         = relay.DefaultChunkBytes >> 10
	MinChunkKiB             = relay.MinChunkBytes >> 10
	MaxChunkKiB             = relay.MaxChunkBytes >> 10
	// MaxRelayConnections bounds parallel_connections over the relay: they share its memory.
	MaxRelayConnections = relay.MaxChannels / 2
	// DefaultRelayPorts is the range that libvirt's own migrations use, for which firewalls are open.
	DefaultRelayPorts = "49152-49215"
)

// relayLibvirt is when migrations to UNIX sockets came: https://libvirt.org/news.html, 6.8.0.
const relayLibvirt host.Version = 6008000

// relayWork is what the run has to do for a relay: nil in a recipe of another transport.
type relayWork struct {
	settings relay.Settings // of both sides, as far as they are the same
	// source and destination say how each is started.
	source, destination relayHost
	disks               bool
}

// relayHost is how a relay is started on one host.
type relayHost struct {
	program   host.Program
	user      host.User // QEMU's
	address   string
	firstPort int
	lastPort  int
}

var relayRow = transportRow{
	name:         TransportRelay,
	encryption:   func(facts) *Encryption { return &Encryption{Protocol: "TLS 1.3 (by the relay)"} },
	hostRuledOut: relayRuledOutOn,
	ruledOut:     relayRuledOut,
	toBeConfirmed: func(fa facts) []string {
		return []string{fmt.Sprintf("that a relay can run on %s and %s, and that %s reaches %s on one of the ports %s", fa.source.key, fa.destination.key,
			fa.source.key, fa.destination.cfg.migrationAddress(), fa.destination.cfg.relayPorts())}
	},
	carry: func(fa facts, o Options, r *recipe) {
		r.spread(TransportRelay, o)
		r.relay = &relayWork{
			source: fa.source.relayHost(), destination: fa.destination.relayHost(), disks: len(r.params.MigrateDisks) > 0,
			settings: relay.Settings{
				Acknowledge: relay.Acknowledge(o.Acknowledge), Compression: relay.Compression(o.Compression), ChunkBytes: o.ChunkKiB << 10,
				// QEMU's main connection, the parallel ones beside it, one for each disk, and the daemon's
				Channels:    2 + o.ParallelConnections + len(r.params.MigrateDisks),
				ReconnectMS: o.ReconnectSeconds * 1000, BlackoutMS: r.pacing.blackout.Milliseconds(),
			},
		}
	},
}

func relayRuledOutOn(h hostFacts) string {
	switch {
	case h.cannotRun != "":
		return h.cannotRun
	case h.LibvirtVersion < relayLibvirt:
		return fmt.Sprintf("libvirt on %s is %s, and the relay needs %s", h.key, h.LibvirtVersion, relayLibvirt)
	case h.cfg.RelayProgram == "" && programs.SHA256(h.Arch) == "":
		return fmt.Sprintf("host %s is %s, and there are relays for %s only; name one that it has with relay_program", h.key, h.Arch, strings.Join(programs.Architectures(), " and "))
	case h.QEMUUser == nil:
		return fmt.Sprintf("libvirt on %s does not say as which user QEMU runs", h.key)
	}
	return ""
}

func relayRuledOut(fa facts, o Options) string {
	if _, ok := relay.SocketNames(fa.guest.ID.Name); !ok {
		return "the guest's name is too long to be part of a socket's path, or has a slash"
	}
	if o.ParallelConnections > MaxRelayConnections {
		return fmt.Sprintf("parallel_connections is above %d", MaxRelayConnections)
	}
	if copied := len(fa.disks); o.copies() && 2+o.ParallelConnections+copied > relay.MaxChannels {
		return fmt.Sprintf("the guest has %d disks to copy, too many connections for one relay", copied)
	}
	return ""
}

func (h hostFacts) relayHost() relayHost {
	arch := h.Arch
	first, last, _ := parsePorts(h.cfg.relayPorts()) // checked with the configuration
	return relayHost{
		program: host.Program{Name: "relay", Argument: "serve", SHA256: programs.SHA256(arch), Installed: h.cfg.RelayProgram, Image: func() ([]byte, error) { return programs.Image(arch) }},
		user:    *h.QEMUUser, address: h.cfg.migrationAddress(), firstPort: first, lastPort: last,
	}
}

func (h HostConfig) relayPorts() string {
	if h.RelayPorts == "" {
		return DefaultRelayPorts
	}
	return h.RelayPorts
}

// parsePorts reads "49152-49215", or one port.
func parsePorts(s string) (first, last int, err error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.Atoi(strings.TrimSpace(low))
	last, err2 := strconv.Atoi(strings.TrimSpace(high))
	if errors.Join(err1, err2) != nil || first < 1 || last > 65535 || last < first {
		return 0, 0, fmt.Errorf("%q is not a range of ports such as %s", s, DefaultRelayPorts)
	}
	return first, last, nil
}

// unixURI is libvirt's URI of a socket.
func unixURI(path string) string { return (&url.URL{Scheme: "unix", Path: path}).String() }

// daemonURI leads a daemon to another one through a socket of its own host.
func daemonURI(path string) string {
	return "qemu+unix:///system?" + url.Values{"socket": {path}}.Encode()
}
