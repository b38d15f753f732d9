package migration

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// HostInfo is what one configured host says of itself. Its JSON form is the one both faces show.
type HostInfo struct {
	// Key is the host's name in the configuration; Aliases are all names that lead to the same daemon.
	Key string `json:"host"`
	// URI is the configured one without its parameters.
	URI      string `json:"uri"`
	Hostname string `json:"hostname"`
	UUID     string `json:"uuid"`
	// HypervisorVersion is QEMU's.
	LibvirtVersion    string `json:"libvirt_version"`
	HypervisorVersion string `json:"hypervisor_version"`
	Arch              string `json:"arch"`
	CPUs              int64  `json:"cpus"`
	MemoryBytes       int64  `json:"memory_bytes"`
	// FreeMemoryBytes leaves out what caches hold.
	FreeMemoryBytes int64 `json:"free_memory_bytes"`
	// ControlEncrypted says whether the connection of this machine to the daemon cannot be read on its way.
	ControlEncrypted bool `json:"control_encrypted"`
	// RoundTripMS is the time one small call took.
	RoundTripMS      float64 `json:"round_trip_ms"`
	MigrationAddress string  `json:"migration_address"`
	// Transports has every transport: whether guests can come to this host by it, as far as this host
	// alone decides that, and why.
	Transports map[Transport]Possibility `json:"transports"`
	// Guests are the names of all domains of the host, running or not, sorted.
	Guests []string `json:"guests"`
}

// Possibility says whether something can be done.
type Possibility struct {
	Possible bool `json:"possible"`
	// Reason is the fact that rules it out, or what is still to be confirmed; may be empty.
	Reason string `json:"reason"`
}

// DomainInfo is what the fleet knows of one guest. Its JSON form is the one both faces show.
type DomainInfo struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	// Host is the key of the host that has the guest.
	Host string `json:"host"`
	// State is libvirt's, in words.
	State       string          `json:"state"`
	Persistent  bool            `json:"persistent"`
	Autostart   bool            `json:"autostart"`
	MemoryBytes int64           `json:"memory_bytes"`
	VCPUs       int64           `json:"vcpus"`
	Arch        string          `json:"arch"`
	Machine     string          `json:"machine"`
	Disks       []DiskInfo      `json:"disks"`
	Interfaces  []InterfaceInfo `json:"interfaces"`
	// Blockers keep the guest on its host wherever it is to go, in words.
	Blockers []string `json:"blockers"`
	// Interrupted says what an interrupted migration left; empty when nothing.
	Interrupted string `json:"interrupted"`
	// Warnings name silent hosts and the like.
	Warnings []string `json:"-"`
}

// DiskInfo is one disk of a guest.
type DiskInfo struct {
	Target string `json:"target"`
	Device string `json:"device"`
	Type   string `json:"type"`
	Source string `json:"source"`
	Format string `json:"format"`
	Cache  string `json:"cache"`
	// Local says that it is a file or device of the host.
	Local    bool `json:"local"`
	ReadOnly bool `json:"read_only"`
}

// InterfaceInfo is one network interface of a guest.
type InterfaceInfo struct {
	Type   string `json:"type"`
	Source string `json:"source"`
}

// HostInfo asks one host about itself. It changes nothing.
func (f *Fleet) HostInfo(ctx context.Context, key string) (HostInfo, error) {
	m, configured := f.members[key]
	if !configured {
		return HostInfo{}, &Error{Phase: PhaseRequest, Err: f.unknownHost(key)}
	}
	fail := func(err error) (HostInfo, error) {
		e := &Error{Phase: PhaseInspect, Err: cause(ctx, err)}
		if _, silent := silentHost(err); silent {
			e.Hint, e.Silent = fmt.Sprintf("look at host %q and try again", key), []string{key}
		}
		return HostInfo{}, e
	}
	d, _, err := m.reach(ctx, true)
	if err != nil {
		return fail(err)
	}
	known, err := d.Facts(ctx) // anew: free memory changes
	if err != nil {
		return fail(err)
	}
	domains, err := d.Domains(ctx)
	if err != nil {
		return fail(err)
	}
	h := hostFacts{key: key, cfg: m.cfg, Facts: known, cannotRun: reasonAgainst(d.CanRun(ctx))}
	info := HostInfo{
		Key: key, URI: withoutParameters(m.cfg.URI), Hostname: known.Hostname, UUID: known.UUID,
		LibvirtVersion: known.LibvirtVersion.String(), HypervisorVersion: known.HypervisorVersion.String(),
		Arch: known.Arch, CPUs: int64(known.CPUs), MemoryBytes: int64(known.MemoryBytes), FreeMemoryBytes: int64(known.FreeMemoryBytes),
		ControlEncrypted: known.ControlEncrypted, RoundTripMS: float64(known.RoundTrip.Microseconds()) / 1000,
		MigrationAddress: m.cfg.migrationAddress(), Transports: map[Transport]Possibility{}, Guests: names(domains),
	}
	for _, row := range transportRows {
		why := row.hostRuledOut(h)
		possible := why == ""
		if possible && row.encryption(facts{destination: h}) == nil {
			why = "it is not encrypted here, and so needs allow_plain"
		}
		info.Transports[row.name] = Possibility{Possible: possible, Reason: why}
	}
	return info, nil
}

// DomainInfo finds a guest and asks its host about it. It changes nothing. Errors are those of Locate.
func (f *Fleet) DomainInfo(ctx context.Context, guest GuestRef) (DomainInfo, error) {
	v, err := f.locate(ctx, guest, false)
	if err != nil {
		return DomainInfo{}, err
	}
	loc, err := v.location()
	if err != nil {
		return DomainInfo{}, err
	}
	fail := func(err error) (DomainInfo, error) {
		words, at := v.where()
		return DomainInfo{}, &Error{Phase: PhaseInspect, Guest: v.id.Name, GuestAt: words, Host: at, Err: cause(ctx, err)}
	}
	d, _, err := f.members[loc.Host].reach(ctx, true)
	if err != nil {
		return fail(err)
	}
	g, err := d.Domain(ctx, v.id.UUID)
	if err != nil {
		return fail(err)
	}
	info := DomainInfo{
		Name: loc.Name, UUID: loc.UUID, Host: loc.Host, State: loc.State, Persistent: g.Persistent, Autostart: g.Autostart,
		MemoryBytes: int64(g.MemoryBytes), VCPUs: int64(g.VCPUs), Arch: g.Arch, Machine: g.Machine,
		Disks: []DiskInfo{}, Interfaces: []InterfaceInfo{}, Blockers: []string{}, Interrupted: loc.Interrupted, Warnings: loc.Warnings,
	}
	for _, disk := range g.Disks {
		info.Disks = append(info.Disks, DiskInfo{Target: disk.Target, Device: disk.Device, Type: disk.Type, Source: disk.Source,
			Format: disk.Format, Cache: disk.Cache, Local: disk.Local, ReadOnly: disk.ReadOnly})
	}
	for _, i := range g.Interfaces {
		info.Interfaces = append(info.Interfaces, InterfaceInfo{Type: i.Type, Source: i.Source})
	}
	block := func(_, _, format string, args ...any) {
		info.Blockers = append(info.Blockers, fmt.Sprintf(format, args...))
	}
	blockDevices(g, loc.Host, block)
	blockSnapshots(g, block)
	blockCheckpoints(g, block)
	return info, nil
}

func names(domains []host.DomainID) []string {
	set := map[string]bool{}
	for _, d := range domains {
		set[d.Name] = true
	}
	out := slices.Sorted(maps.Keys(set))
	if out == nil {
		out = []string{}
	}
	return out
}

// withoutParameters drops what only means something on the controller.
func withoutParameters(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	u.RawQuery, u.User = "", url.User(u.User.Username())
	if u.User.Username() == "" {
		u.User = nil
	}
	return u.String()
}
