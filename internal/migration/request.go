package migration

import (
	"fmt"
	"slices"
	"time"
)

// Transport names how guest memory travels between the two hosts.
type Transport string

// The transports.
const (
	// TransportAuto is the fastest encrypted transport both hosts can do. It never ends on plain.
	TransportAuto Transport = "auto"
	// TransportRelay is QEMU to a relay process of ours to a relay process to QEMU: TLS 1.3 between the two,
	// nothing installed or configured on the hosts beforehand.
	TransportRelay Transport = "relay"
	// TransportPlain is QEMU to QEMU over unencrypted TCP; refused unless AllowPlain.
	TransportPlain Transport = "plain"
	// TransportTLS is QEMU to QEMU over QEMU's own TLS, always on parallel connections.
	TransportTLS Transport = "tls"
	// TransportTunnel is QEMU to libvirtd to libvirtd to QEMU, through the daemons' own connection and
	// as encrypted as that is. It is always peer_to_peer, and carries no disks.
	TransportTunnel Transport = "tunnel"
	// TransportNone is what a result names when nothing of a guest travelled but its definition.
	TransportNone Transport = "none"
)

// Transports lists every value a request may carry, in the order documentation shows them.
var Transports = []Transport{TransportAuto, TransportRelay, TransportTLS, TransportTunnel, TransportPlain}

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

// Storage says what becomes of the guest's disks that are files or devices of its host.
type Storage string

// What may become of them. Disks on network storage are never copied.
const (
	// StorageShared: both hosts reach them at the same path. It is proved before the guest is touched.
	StorageShared Storage = "shared"
	// StorageCopy: they are copied, whole, over the transport's own encryption.
	StorageCopy Storage = "copy"
	// StorageCopyIncremental: only the topmost image of each is copied; the images below it are on the
	// destination already, at the same paths.
	StorageCopyIncremental Storage = "copy_incremental"
)

// Storages lists every value a request may carry.
var Storages = []Storage{StorageShared, StorageCopy, StorageCopyIncremental}

// SourceImages says what becomes of the source's images once their copies are in use.
type SourceImages string

// What may become of them.
const (
	SourceImagesKeep   SourceImages = "keep"
	SourceImagesDelete SourceImages = "delete"
)

// SourceImagesValues lists every value a request may carry.
var SourceImagesValues = []SourceImages{SourceImagesKeep, SourceImagesDelete}

// ExistingImages says what becomes of an image that lies on the destination where a copy is to go.
type ExistingImages string

// What may become of it. One that another domain uses is never touched.
const (
	ExistingImagesRefuse    ExistingImages = "refuse"
	ExistingImagesOverwrite ExistingImages = "overwrite"
)

// ExistingImagesValues lists every value a request may carry.
var ExistingImagesValues = []ExistingImages{ExistingImagesRefuse, ExistingImagesOverwrite}

// Limits and defaults of a request.
const (
	DefaultParallelConnections = 2
	MaxParallelConnections     = 255 // QEMU's multifd-channels is one byte
	DefaultMaxDowntimeMS       = 300
	MaxMaxDowntimeMS           = 2000000 // QEMU's own limit of downtime-limit: 2000 s
	MinBlackoutTimeoutMS       = 1000
	MaxBlackoutTimeoutMS       = 2 * MaxMaxDowntimeMS
	MaxBandwidthMiBPerSecond   = 8796093022207 // libvirt's: the figure in bytes must fit 63 bits
	DefaultMigrationsPerHost   = 2
	MaxTimeout                 = 30 * 24 * time.Hour // more is a mistake in the unit
	MaxMigrationsPerHost       = 8                   // libvirtd has 20 workers by default, and each migration may hold several
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
	// BlackoutTimeoutMS is for how long the guest may stand still in the switchover before it is called off
	// and the guest runs on on the source; 0 means 10 s beyond twice the downtime that was planned.
	BlackoutTimeoutMS int64       `json:"blackout_timeout_ms"`
	Convergence       Convergence `json:"convergence"`

	// Acknowledge, Compression, ReconnectSeconds and ChunkKiB are the relay's: how chunks of ChunkKiB are
	// acknowledged and compressed, and for how long a broken connection between the relays may be missing.
	Acknowledge      Acknowledge `json:"acknowledge"`
	Compression      Compression `json:"compression"`
	ReconnectSeconds int64       `json:"reconnect_seconds"`
	ChunkKiB         int         `json:"chunk_kib"`

	Storage Storage `json:"storage"`
	// MigrateDisks are the target names ("vda") of the disks to copy; nil means every one that is a file
	// or device of its host and not read-only.
	MigrateDisks []string `json:"migrate_disks"`
	// AssumeSharedDisks are target names of disks of which the user says that both hosts reach them as one
	// and the same, although nothing can prove it: a volume group on a disk of the network, for example.
	AssumeSharedDisks []string       `json:"assume_shared_disks"`
	SourceImages      SourceImages   `json:"source_images"`
	ExistingImages    ExistingImages `json:"existing_images"`

	// ProgressFile is a path on the controller to which [ProgressLine]s are appended, one JSON object a
	// line; "" for none.
	ProgressFile string `json:"progress_file"`
}

// Request asks for a guest to run on a host.
type Request struct {
	Guest GuestRef
	// Host is the key, in the fleet, of the host on which the guest shall run.
	Host string
	// From, when not empty, is the key of the host on which the guest must be found; elsewhere it is not
	// touched.
	From    string
	Options Options
	// Timeout bounds the whole operation; 0 means 10 minutes beyond what the copy may
	// take: convergence.timeout_seconds_per_gib for each GiB of guest memory and copied disks.
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
	DiskTotalBytes, DiskRemainingBytes, DiskProcessedBytes                       *uint64
	Iterations                                                                   *uint64
}

// Validate checks all that can be checked without a host. It changes nothing.
func (o Options) Validate() error {
	switch o.Transport {
	case "", TransportAuto, TransportRelay, TransportTLS, TransportTunnel:
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
	if o.ParallelConnections == 1 && (o.Transport == "" || o.Transport == TransportAuto || o.Transport == TransportTLS) {
		return fmt.Errorf("parallel_connections is 1, but transport tls needs at least 2: QEMU before 10.1 can crash after 64 GB on one encrypted connection")
	}
	if o.BandwidthMiBPerSecond > MaxBandwidthMiBPerSecond {
		return fmt.Errorf("bandwidth_mib_per_second is %d, but must be at most %d", o.BandwidthMiBPerSecond, uint64(MaxBandwidthMiBPerSecond))
	}
	if o.MaxDowntimeMS < 0 || o.MaxDowntimeMS > MaxMaxDowntimeMS {
		return fmt.Errorf("max_downtime_ms is %d, but must be 1 to %d", o.MaxDowntimeMS, MaxMaxDowntimeMS)
	}
	if err := o.validateConvergence(); err != nil {
		return err
	}
	if err := o.validateTunnel(); err != nil {
		return err
	}
	if err := o.validateRelay(); err != nil {
		return err
	}
	return o.validateStorage()
}

func (o Options) validateTunnel() error {
	switch {
	case o.Transport != TransportTunnel:
		return nil
	case o.Control == ControlController:
		return fmt.Errorf("control is %q, but a tunnel leads from daemon to daemon and is always %s", o.Control, ControlPeerToPeer)
	case o.ParallelConnections > 1:
		return fmt.Errorf("parallel_connections is %d, but a tunnel is always one connection", o.ParallelConnections)
	case o.copies():
		return fmt.Errorf("storage is %q, but libvirt cannot copy disks through a tunnel; choose transport tls", o.Storage)
	}
	return nil
}

func (o Options) validateStorage() error {
	if o.Storage != "" && !slices.Contains(Storages, o.Storage) {
		return fmt.Errorf("storage %q is not one of %s", o.Storage, quoted(Storages))
	}
	if o.SourceImages != "" && !slices.Contains(SourceImagesValues, o.SourceImages) {
		return fmt.Errorf("source_images %q is not one of %s", o.SourceImages, quoted(SourceImagesValues))
	}
	if o.ExistingImages != "" && !slices.Contains(ExistingImagesValues, o.ExistingImages) {
		return fmt.Errorf("existing_images %q is not one of %s", o.ExistingImages, quoted(ExistingImagesValues))
	}
	if err := o.validateNames(); err != nil {
		return err
	}
	if o.copies() {
		return nil
	}
	switch {
	case len(o.MigrateDisks) > 0:
		return fmt.Errorf("migrate_disks is %q, disks to copy, but storage is not %q or %q", o.MigrateDisks, StorageCopy, StorageCopyIncremental)
	case o.SourceImages == SourceImagesDelete:
		return fmt.Errorf("source_images is %q, but without storage %q or %q there is no other copy of them", o.SourceImages, StorageCopy, StorageCopyIncremental)
	case o.ExistingImages == ExistingImagesOverwrite:
		return fmt.Errorf("existing_images is %q, but without storage %q or %q nothing is written", o.ExistingImages, StorageCopy, StorageCopyIncremental)
	}
	return nil
}

// copies says whether disks are to be copied.
func (o Options) copies() bool {
	return o.Storage == StorageCopy || o.Storage == StorageCopyIncremental
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
	o.Convergence = o.Convergence.withDefaults()
	if o.Acknowledge == "" {
		o.Acknowledge = AcknowledgeWindow
	}
	if o.Compression == "" {
		o.Compression = CompressionNone
	}
	if o.ReconnectSeconds == 0 {
		o.ReconnectSeconds = DefaultReconnectSeconds
	}
	if o.ChunkKiB == 0 {
		o.ChunkKiB = DefaultChunkKiB
	}
	if o.Storage == "" {
		o.Storage = StorageShared
	}
	if o.SourceImages == "" {
		o.SourceImages = SourceImagesKeep
	}
	if o.ExistingImages == "" {
		o.ExistingImages = ExistingImagesRefuse
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
