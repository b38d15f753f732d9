package migration

import "time"

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

// copies says whether disks are to be copied.
func (o Options) copies() bool {
	return o.Storage == StorageCopy || o.Storage == StorageCopyIncremental
}

// Defaults are the options of a request that chooses none. Those that depend on the transport or on the guest are zero.
func Defaults() Options { return Options{}.withDefaults() }

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
