package host

import (
	"context"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Domain is what a guest is made of, as far as it bears on a migration.
type Domain struct {
	ID                    DomainID
	State                 State
	Persistent, Autostart bool

	// MemoryBytes is the most the guest may have, CurrentMemoryBytes what its balloon leaves it now.
	MemoryBytes, CurrentMemoryBytes uint64
	VCPUs                           int
	// Type is the hypervisor's kind: "kvm", "qemu".
	Type                    string
	Arch, Machine, Emulator string
	// CPUXML is the <cpu> element in the form another host compares with its own; empty when the
	// description has none.
	CPUXML string

	Disks      []Disk
	Interfaces []Interface
	// HostDevices are the devices of the host that the guest holds, in words.
	HostDevices []string
	// Blockers are other things in the description that keep a guest on its host, in words.
	Blockers []string

	Snapshots, Checkpoints int
	HasManagedSave         bool
	TPM, NVRAM, HugePages  bool
	// NVRAMPath is the file on the host that holds the firmware's variables, where the description names one.
	NVRAMPath string

	// XML is the description of the running guest, or of the defined one, without secrets.
	XML string
}

// Disk is one of a guest's disks.
type Disk struct {
	// Target is the name in the guest: "vda".
	Target string
	// Device is "disk", "cdrom", "floppy" or "lun"; Type how libvirt reaches it: "file", "block",
	// "network", "volume" and so on.
	Device, Type string
	// Source is where the data is, in words.
	Source string
	// Path is the file or device of the host that holds the data, where it is one.
	Path string
	// Protocol is that of a network disk. Servers are the addresses at which its data is served over TCP, any of
	// which will do; nil where none is known.
	Protocol            string
	Servers             []string
	Format, Cache       string
	ReadOnly, Shareable bool
	Transient           bool
	// Local: the data is reached through a path or a server of this host itself, so that another host may
	// not have it.
	Local bool
	// Empty: a drive without a medium.
	Empty bool
	// Encrypted: the image's contents are encrypted with a secret that the host's daemon keeps.
	Encrypted bool

	// Backing is what the image builds on, the nearest first. BackingKnown: that is the whole chain; of a
	// guest that is shut off it is known only where a storage pool has the images.
	Backing      []Backing
	BackingKnown bool

	// CapacityBytes is what the guest sees, AllocationBytes what is in use, PhysicalBytes the length of
	// the file or device. 0: not known.
	CapacityBytes, AllocationBytes, PhysicalBytes uint64
}

// Interface is one of a guest's network interfaces.
type Interface struct {
	// Type is libvirt's: "bridge", "network", "user" and so on.
	Type string
	// Source is the bridge, network or device on the host, in words.
	Source string
}

// Domain reads all facts about one guest. ErrNoDomain: the daemon has none such.
func (h *Host) Domain(ctx context.Context, uuid string) (Domain, error) {
	id, err := h.Lookup(ctx, uuid)
	if err != nil {
		return Domain{}, err
	}
	text, err := h.describe(ctx, uuid, 0)
	if err != nil {
		return Domain{}, err
	}
	d, err := readDomain(text)
	if err != nil {
		return Domain{}, &Error{Host: h.cfg.Name, Call: "read the description of guest " + id.Name, Err: err}
	}
	d.ID = id
	if h.target.driver == "qemu" {
		// the CPU as another host must give it, which the other form does not always hold
		migratable, err := h.describe(ctx, uuid, libvirt.DomainXMLMigratable)
		if err != nil {
			return Domain{}, err
		}
		d.CPUXML = element(migratable, "domain", "cpu")
	}
	if d.State, err = h.State(ctx, uuid); err != nil {
		return Domain{}, err
	}
	if err := h.flags(ctx, uuid, &d); err != nil {
		return Domain{}, err
	}
	for i := range d.Disks {
		if err := h.measure(ctx, uuid, &d.Disks[i]); err != nil {
			return Domain{}, err
		}
	}
	return d, nil
}

// flags reads what the description does not say.
func (h *Host) flags(ctx context.Context, uuid string, d *Domain) error {
	count := func(what string, into func(int32), f func(*libvirt.Libvirt, libvirt.Domain) (int32, error)) error {
		n, err := askDomain(ctx, h, what, uuid, callLimit, f)
		if notSupported(err) {
			return nil // a driver without such a thing has none
		}
		if err == nil {
			into(n)
		}
		return err
	}
	for _, q := range []struct {
		what string
		into func(int32)
		f    func(*libvirt.Libvirt, libvirt.Domain) (int32, error)
	}{
		{"ask whether there is a definition of", func(n int32) { d.Persistent = n == 1 }, (*libvirt.Libvirt).DomainIsPersistent},
		{"read the autostart of", func(n int32) { d.Autostart = n == 1 }, func(l *libvirt.Libvirt, dom libvirt.Domain) (int32, error) {
			if !d.Persistent {
				return 0, nil // only a defined domain starts with its host; libvirt refuses the question
			}
			return l.DomainGetAutostart(dom)
		}},
		{"count the snapshots of", func(n int32) { d.Snapshots = int(n) }, func(l *libvirt.Libvirt, dom libvirt.Domain) (int32, error) {
			return l.DomainSnapshotNum(dom, 0)
		}},
		{"count the checkpoints of", func(n int32) { d.Checkpoints = int(n) }, func(l *libvirt.Libvirt, dom libvirt.Domain) (int32, error) {
			_, n, err := l.DomainListAllCheckpoints(dom, 0, 0)
			return n, err
		}},
		{"look for a saved image of", func(n int32) { d.HasManagedSave = n == 1 }, func(l *libvirt.Libvirt, dom libvirt.Domain) (int32, error) {
			return l.DomainHasManagedSaveImage(dom, 0)
		}},
	} {
		if err := count(q.what, q.into, q.f); err != nil {
			return err
		}
	}
	return nil
}
