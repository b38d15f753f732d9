package host

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnreachable marks an error that says nothing about what the host has: it did not answer.
var ErrUnreachable = errors.New("host did not answer")

// ErrNoDomain marks the answer of a daemon that it has no such domain.
var ErrNoDomain = errors.New("no such domain")

// DomainID names a domain as libvirt does in its calls.
type DomainID struct {
	Name string
	// UUID in its canonical, lower-case form.
	UUID string
	// ID is the number of the running instance, -1 when the domain is shut off.
	ID int32
}

// Active says whether the domain had a running instance (paused ones included) when it was listed.
func (d DomainID) Active() bool { return d.ID >= 0 }

// Facts are what a daemon says of itself and of its host.
type Facts struct {
	// Hostname is libvirt's own name of the host, UUID that of its capabilities.
	Hostname, UUID string
	// BootID and Process are those of Identity.
	BootID, Process string
	// Driver is the hypervisor driver's name, "QEMU" for the one that can migrate.
	Driver string
	// LibvirtVersion and HypervisorVersion as libvirt counts them: major*1000000 + minor*1000 + release.
	LibvirtVersion, HypervisorVersion Version
	Arch                              string
	// CPUModel is the vendor and libvirt's nearest model of the host's CPUs, CPUFeatures what they have beyond
	// that model, sorted and parted by blanks.
	CPUModel, CPUFeatures string
	CPUs                  int
	MemoryBytes           uint64
	// FreeMemoryBytes is the host's free memory without caches.
	FreeMemoryBytes uint64
	// QEMUUser is as whom libvirt starts QEMU, nil where the daemon does not say.
	QEMUUser *User
	// ControlEncrypted says whether the controller's connection to the daemon cannot be read on the
	// way: tls, ssh, or a UNIX socket.
	ControlEncrypted bool
	// RoundTrip is the time one small call to the daemon took, the least of a few.
	RoundTrip time.Duration
}

// User is a user and a group of a host, by their numbers.
type User struct{ UID, GID int }

// Version is libvirt's number for a version: major*1000000 + minor*1000 + release.
type Version uint64

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v/1000000, v/1000%1000, v%1000)
}

// State is a domain's state and the reason the daemon gives for it, both as libvirt numbers them.
type State struct {
	State, Reason int
}

// Params are the typed parameters of a migration call. A zero field is not sent.
type Params struct {
	DestinationName     string
	MigrateURI          string
	TLSDestination      string
	ListenAddress       string
	DestinationXML      string
	PersistentXML       string
	ParallelConnections int
	// BandwidthMiBPerSecond limits the copy of memory.
	BandwidthMiBPerSecond uint64
	// MigrateDisks are the target names of the disks to copy; DisksURI and DisksPort say where to.
	MigrateDisks []string
	DisksURI     string
	DisksPort    int
}

// Flags are libvirt's flags of a migration (VIR_MIGRATE_*), with libvirt's values.
type Flags uint32

// The flags the engine uses.
const (
	FlagLive             Flags = 1 << 0
	FlagPeerToPeer       Flags = 1 << 1
	FlagTunnelled        Flags = 1 << 2
	FlagPersistDest      Flags = 1 << 3
	FlagUndefineSource   Flags = 1 << 4
	FlagPaused           Flags = 1 << 5
	FlagNonSharedDisk    Flags = 1 << 6
	FlagNonSharedInc     Flags = 1 << 7
	FlagChangeProtection Flags = 1 << 8
	FlagUnsafe           Flags = 1 << 9
	FlagAbortOnError     Flags = 1 << 12
	FlagAutoConverge     Flags = 1 << 13
	FlagPostCopy         Flags = 1 << 15
	FlagTLS              Flags = 1 << 16
	FlagParallel         Flags = 1 << 17
)

// JobKind is what a domain's job does.
type JobKind int

const (
	// JobNone: no job runs.
	JobNone JobKind = iota
	// JobMigrationOut: the domain is leaving this host.
	JobMigrationOut
	// JobMigrationIn: the domain is arriving on this host; libvirt gives no figures here.
	JobMigrationIn
	// JobOther: a save, dump, snapshot, backup or block job.
	JobOther
)

// Job is a domain's running or completed job. Pointers are nil where the daemon gave no such figure;
// a figure that is not there is never zero.
type Job struct {
	Kind JobKind
	// At is when the figures arrived, on this machine's clock.
	At time.Time
	// Elapsed and ElapsedNet as libvirt reports them; the first may carry two hosts' clocks.
	ElapsedMS, ElapsedNetMS   *uint64
	DowntimeMS, DowntimeNetMS *uint64
	SetupMS                   *uint64
	MemoryTotalBytes          *uint64
	MemoryProcessedBytes      *uint64
	MemoryRemainingBytes      *uint64
	MemoryBytesPerSecond      *uint64
	DiskTotalBytes            *uint64
	DiskProcessedBytes        *uint64
	DiskRemainingBytes        *uint64
	DirtyPagesPerSecond       *uint64
	PageSizeBytes             *uint64
	Iterations                *uint64
	// ErrorMessage is the daemon's text for a failed job, where it keeps one (libvirt 6.9 and later).
	ErrorMessage string
}

// CPUTimes are the host's CPU counters since it booted, summed over all CPUs. Steal time is in none of
// them: libvirt leaves it out.
type CPUTimes struct {
	User, System, Idle, IOWait time.Duration
	CPUs                       int
	// At is when the answer arrived, on this machine's clock.
	At time.Time
}

// Event is a change in a domain's life, stamped when it arrived here, on this machine's monotonic clock.
type Event struct {
	UUID string
	// Kind and Detail are libvirt's numbers of the lifecycle event (VIR_DOMAIN_EVENT_*). EventMemoryPass and
	// EventIOError are not among those.
	Kind, Detail int
	At           time.Time
}
