package relay

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The control channel is lines of JSON: commands to the relay's standard input, events from its standard
// output. The first event is hello, the first command settings.

// Role says at which end of a migration a relay stands.
type Role string

// The roles.
const (
	Source      Role = "source"
	Destination Role = "destination"
)

// Acknowledge says when the next chunk may be sent.
type Acknowledge string

// The ways to acknowledge.
const (
	// AcknowledgeEach: every chunk waits for its reply.
	AcknowledgeEach Acknowledge = "each"
	// AcknowledgeWindow: chunks follow one another within a window; replies come on their own time.
	AcknowledgeWindow Acknowledge = "window"
)

// Compression says what is done to each chunk before it is encrypted.
type Compression string

// The ways to compress.
const (
	CompressionNone Compression = "none"
	CompressionZstd Compression = "zstd"
)

// Settings are all that a relay is told before its peer.
type Settings struct {
	Role Role `json:"role"`
	// Directory for the sockets. It is there already, unless Make says that the relay, started by root, makes
	// it; then it is one that NewDirectory named.
	Directory string `json:"directory"`
	Make      bool   `json:"make"`
	// Sockets gives the file name of each kind's socket in Directory.
	Sockets map[string]string `json:"sockets"`
	// QEMUUID and QEMUGID are QEMU's user and group on this host.
	QEMUUID int `json:"qemu_uid"`
	QEMUGID int `json:"qemu_gid"`
	// Address is where the destination's relay listens, on one of the ports.
	Address   string `json:"address"`
	FirstPort int    `json:"first_port"`
	LastPort  int    `json:"last_port"`

	Acknowledge Acknowledge `json:"acknowledge"`
	Compression Compression `json:"compression"`
	ChunkBytes  int         `json:"chunk_bytes"`
	// Channels is how many connections are expected at most; they share the memory of the window.
	Channels int `json:"channels"`
	// ReconnectMS is how long a channel may be without a connection; 0 makes a broken one final. Once the
	// guest stands still it is BlackoutMS at most, counted from then.
	ReconnectMS int64 `json:"reconnect_ms"`
	BlackoutMS  int64 `json:"blackout_ms"`
	// Detached lets the relay outlive its control channel until its channels have ended.
	Detached bool `json:"detached"`
	// DaemonSockets are where libvirtd listens, the first that answers being taken; needed by a
	// destination that carries [Daemon].
	DaemonSockets []string `json:"daemon_sockets"`
}

// Limits of the settings.
const (
	DefaultChunkBytes = 256 << 10
	MinChunkBytes     = 4 << 10
	MaxChannels       = 64
	// memoryForWindows is shared by the channels of one relay, for each direction.
	memoryForWindows = 32 << 20
	// mostWindow is one channel's share at most: enough for 10 Gbit/s at 10 ms.
	mostWindow = 16 << 20
	// maxSocketPath is what the kernel's sockaddr_un has room for.
	maxSocketPath = 107
)

// DirectoryParent is where a relay started by root makes its directory: Debian's and Ubuntu's AppArmor
// profiles let QEMU have sockets below it whose names end in .tunnelmigrate.dest.GUEST.
const DirectoryParent = "/run/libvirt"

const (
	directoryPrefix = "virtmigrate-"
	directoryRandom = 8 // bytes
)

// NewDirectory draws a name for the directory, which must be the same on both hosts: libvirt gives both
// QEMUs the same path.
func NewDirectory() string {
	var random [directoryRandom]byte
	_, _ = rand.Read(random[:]) // never fails
	return filepath.Join(DirectoryParent, directoryPrefix+hex.EncodeToString(random[:]))
}

// isDirectory says whether a name is one that NewDirectory draws.
func isDirectory(name string) bool {
	random, ours := strings.CutPrefix(name, directoryPrefix)
	raw, err := hex.DecodeString(random)
	return ours && err == nil && len(raw) == directoryRandom
}

// SocketNames gives the sockets' names for a guest, in the form that AppArmor's profile of that guest
// grants. ok is false where the path would be too long for a socket.
func SocketNames(guest string) (names map[string]string, ok bool) {
	names = map[string]string{}
	for kind, name := range map[Kind]string{Memory: "m", Disks: "d"} {
		names[kind.String()] = name + ".tunnelmigrate.dest." + guest
	}
	names[Daemon.String()] = "rpc"
	longest := filepath.Join(NewDirectory(), names[Memory.String()])
	return names, len(longest) <= maxSocketPath && !strings.ContainsAny(guest, "/\x00\n")
}

func (s Settings) check() error {
	switch {
	case s.Role != Source && s.Role != Destination:
		return fmt.Errorf("role %q", s.Role)
	case s.Acknowledge != AcknowledgeEach && s.Acknowledge != AcknowledgeWindow:
		return fmt.Errorf("acknowledge %q", s.Acknowledge)
	case s.Compression != CompressionNone && s.Compression != CompressionZstd:
		return fmt.Errorf("compression %q", s.Compression)
	case s.ChunkBytes < MinChunkBytes || s.ChunkBytes > MaxChunkBytes:
		return fmt.Errorf("chunk_bytes %d", s.ChunkBytes)
	case s.Channels < 1 || s.Channels > MaxChannels:
		return fmt.Errorf("channels %d", s.Channels)
	case s.ReconnectMS < 0 || s.BlackoutMS < 0:
		return errors.New("a negative time")
	case !filepath.IsAbs(s.Directory) || s.Make && (filepath.Dir(s.Directory) != DirectoryParent || !isDirectory(filepath.Base(s.Directory))):
		return fmt.Errorf("directory %q", s.Directory)
	case len(s.Sockets) == 0:
		return errors.New("no sockets")
	case s.Role == Destination && (s.FirstPort < 1 || s.LastPort > 65535 || s.LastPort < s.FirstPort):
		return fmt.Errorf("ports %d-%d", s.FirstPort, s.LastPort)
	}
	for kind, name := range s.Sockets {
		if kindOf(kind) == 0 || name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			return fmt.Errorf("socket %q for %q", name, kind)
		}
	}
	return nil
}

func kindOf(name string) Kind {
	for _, k := range []Kind{Memory, Disks, Daemon} {
		if k.String() == name {
			return k
		}
	}
	return 0
}

func (s Settings) path(k Kind) string { return filepath.Join(s.Directory, s.Sockets[k.String()]) }

func (s Settings) windowChunks() int {
	if s.Acknowledge == AcknowledgeEach {
		return 1
	}
	return max(1, min(mostWindow, memoryForWindows/s.Channels)/s.ChunkBytes)
}

// processors is how many of a host's this relay works on. One connection is fastest on one: what QEMU wrote is then
// still in that processor's cache when it is encrypted, and QEMU keeps the others. Compression takes all there are.
func (s Settings) processors(there int) int {
	if s.Compression == CompressionZstd {
		return there
	}
	// QEMU's main connection and the daemon's are hardly busy while others are
	return max(1, min(s.Channels-2, there))
}

func (s Settings) patience() patience {
	return patience{reconnect: time.Duration(s.ReconnectMS) * time.Millisecond, blackout: time.Duration(s.BlackoutMS) * time.Millisecond}
}

// command is one line to a relay.
type command struct {
	Command string `json:"command"`
	// Settings come with "settings", exactly once and first.
	Settings *Settings `json:"settings,omitempty"`
	// Pin is the hash of the peer's certificate, and Address where it listens: with "connect".
	Pin     string `json:"pin,omitempty"`
	Address string `json:"address,omitempty"`
}

const (
	commandSettings = "settings"
	commandConnect  = "connect"
	commandPaused   = "paused"
	commandFigures  = "figures"
	commandAlive    = "alive" // says only that the controller lives
	commandFinish   = "finish"
	// commandOrphaned is what a supervisor tells its relay when the control channel has ended.
	commandOrphaned = "orphaned"
)

// event is one line from a relay.
type event struct {
	Event string `json:"event"`
	Text  string `json:"text,omitempty"`
	// with hello
	Version int  `json:"version,omitempty"`
	UID     *int `json:"uid,omitempty"`
	GID     *int `json:"gid,omitempty"`
	// with ready
	Pin       string `json:"pin,omitempty"`
	Port      int    `json:"port,omitempty"`
	Directory string `json:"directory,omitempty"`
	// with connected
	Protocol string `json:"protocol,omitempty"`
	Cipher   string `json:"cipher,omitempty"`
	// with figures
	Figures *Figures `json:"figures,omitempty"`
}

const (
	eventHello     = "hello"
	eventReady     = "ready"
	eventConnected = "connected"
	eventFailed    = "failed" // one channel, or all of it
	eventRemark    = "remark"
	eventNote      = "note"
	eventFigures   = "figures"
)

// Figures are what one relay has counted.
type Figures struct {
	Channels   int64 `json:"channels"`
	Reconnects int64 `json:"reconnects"`
	// PayloadBytes came from QEMU's sockets on this host, PressedBytes is what was left of them after
	// compression, and WireBytes is what went over the network both ways.
	PayloadBytes uint64  `json:"payload_bytes"`
	PressedBytes uint64  `json:"pressed_bytes"`
	WireBytes    uint64  `json:"wire_bytes"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	// PeakMemoryBytes is the most memory the relay ever had.
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
}
