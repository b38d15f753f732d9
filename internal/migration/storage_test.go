package migration

import (
	"slices"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// localDisk is a disk that is a file of the source, with nothing wrong with it.
func localDisk(change ...func(*diskFacts)) diskFacts {
	d := diskFacts{Disk: host.Disk{Target: "vdb", Device: "disk", Type: "file", Source: "/images/web.qcow2", Path: "/images/web.qcow2",
		Format: "qcow2", Cache: "none", Local: true, BackingKnown: true, CapacityBytes: 1 << 30}}
	for _, c := range change {
		c(&d)
	}
	return d
}

func withDisks(disks ...diskFacts) facts {
	fa := someFacts()
	for _, d := range disks {
		fa.disks = append(fa.disks, d)
		fa.guest.Disks = append(fa.guest.Disks, d.Disk)
	}
	return fa
}

func TestDecideStorageBlocks(t *testing.T) {
	copied, incremental := Options{Storage: StorageCopy}, Options{Storage: StorageCopyIncremental}
	named := Options{Storage: StorageCopy, MigrateDisks: []string{"vdb"}}
	for name, c := range map[string]struct {
		options Options
		disk    func(*diskFacts)
		id      string
		says    string
	}{
		"shared, known to be absent":           {disk: func(d *diskFacts) { d.sharing = sharingDisproved }, id: "not_shared", says: "/images/web.qcow2"},
		"shared, a block device":               {disk: func(d *diskFacts) { d.Type = "block" }, id: "not_proved", says: "vdb"},
		"shared, cache mode unsafe":            {disk: func(d *diskFacts) { d.Cache = "unsafe" }, id: "cache_mode", says: "lost"},
		"shared on one network, cache unsafe":  {disk: func(d *diskFacts) { d.Cache, d.sharing = "unsafe", sharingProved }, id: "cache_mode", says: "unsafe"},
		"shared, assumed, cache unsafe":        {options: Options{AssumeSharedDisks: []string{"vdb"}}, disk: func(d *diskFacts) { d.Cache = "unsafe" }, id: "cache_mode", says: "unsafe"},
		"a read-only medium that is not there": {disk: func(d *diskFacts) { d.Device, d.ReadOnly, d.sharing = "cdrom", true, sharingDisproved }, id: "read_only_disk", says: "vdb"},
		"a disk nobody has":                    {options: Options{Storage: StorageCopy, MigrateDisks: []string{"vdz"}}, id: "disk_name", says: `"vdz"`},
		"a disk on the network":                {options: Options{Storage: StorageCopy, MigrateDisks: []string{"vda"}}, id: "disk_name", says: "no file or device"},
		"copied and assumed to be shared":      {options: Options{Storage: StorageCopy, MigrateDisks: []string{"vdb"}, AssumeSharedDisks: []string{"vdb"}}, id: "disk_name", says: "copied and assumed"},
		"copy of a read-only disk":             {options: named, disk: func(d *diskFacts) { d.ReadOnly = true }, id: "copy_read_only", says: "read-only"},
		"copy of a shareable disk":             {options: named, disk: func(d *diskFacts) { d.Shareable = true }, id: "copy_shareable", says: "other guests"},
		"copy of a transient disk":             {options: copied, disk: func(d *diskFacts) { d.Transient = true }, id: "copy_transient", says: "temporary"},
		"copy of an NVMe device":               {options: copied, disk: func(d *diskFacts) { d.Type, d.Path = "nvme", "" }, id: "copy_type", says: "neither"},
		"copy of a strange format":             {options: copied, disk: func(d *diskFacts) { d.Format = "vmdk" }, id: "copy_format", says: "vmdk"},
		"copy of an encrypted image":           {options: copied, disk: func(d *diskFacts) { d.Encrypted = true }, id: "copy_encrypted", says: "secret"},
		"copy onto itself":                     {options: copied, disk: func(d *diskFacts) { d.sharing = sharingProved }, id: "copy_shared", says: "itself"},
		"copy over another domain's":           {options: Options{Storage: StorageCopy, ExistingImages: ExistingImagesOverwrite}, disk: func(d *diskFacts) { d.there, d.thereKnown, d.usedBy = true, true, []string{"db"} }, id: "image_in_use", says: "db"},
		"copy over an image":                   {options: copied, disk: func(d *diskFacts) { d.there, d.thereKnown = true, true }, id: "image_exists", says: "already has"},
		"copy over a device":                   {options: copied, disk: func(d *diskFacts) { d.Type, d.Format = "block", "raw" }, id: "image_exists", says: "device"},
		"copy to a device that is not there":   {options: copied, disk: func(d *diskFacts) { d.Type, d.Format, d.thereKnown = "block", "raw", true }, id: "no_device", says: "no device"},
		"incremental without an image below":   {options: incremental, id: "no_backing", says: "below"},
		"incremental with an unknown chain":    {options: incremental, disk: func(d *diskFacts) { d.BackingKnown, d.Backing = false, []host.Backing{{Path: "/b"}} }, id: "no_backing", says: "below"},
	} {
		t.Run(name, func(t *testing.T) {
			d := localDisk()
			if c.disk != nil {
				c.disk(&d)
			}
			p := decide(c.options, withDisks(d))
			if len(p.Blockers) != 1 || p.Blockers[0].ID != c.id || !strings.Contains(p.Blockers[0].Text, c.says) {
				t.Errorf("blockers %+v", p.Blockers)
			}
		})
	}
}

func TestDecideStorageChooses(t *testing.T) {
	other := localDisk(func(d *diskFacts) {
		d.Target, d.Path, d.Source = "vdc", "/images/data.raw", "/images/data.raw"
		d.Format = "raw"
	})
	for name, c := range map[string]struct {
		options Options
		disks   []diskFacts
		copied  string
		flags   host.Flags
		without host.Flags
		proved  int
	}{
		"shared is proved, and libvirt told so": {disks: []diskFacts{localDisk()}, flags: host.FlagUnsafe, without: host.FlagNonSharedDisk, proved: 1},
		"shared with a cache: libvirt's word counts": {disks: []diskFacts{localDisk(func(d *diskFacts) { d.Cache = "writeback" })},
			without: host.FlagUnsafe, proved: 1},
		"one cache among two is enough for that": {disks: []diskFacts{localDisk(), localDisk(func(d *diskFacts) { d.Target, d.Cache = "vdc", "" })},
			without: host.FlagUnsafe, proved: 2},
		"one network pool on both needs no proof": {disks: []diskFacts{localDisk(func(d *diskFacts) { d.sharing = sharingProved })}, flags: host.FlagUnsafe},
		"the user's word needs none either": {options: Options{AssumeSharedDisks: []string{"vdb"}},
			disks: []diskFacts{localDisk(func(d *diskFacts) { d.Type = "block" })}, flags: host.FlagUnsafe},
		"all are copied":        {options: Options{Storage: StorageCopy}, disks: []diskFacts{localDisk(), other}, copied: "vdb vdc", flags: host.FlagNonSharedDisk, without: host.FlagUnsafe},
		"one is, one is shared": {options: Options{Storage: StorageCopy, MigrateDisks: []string{"vdc"}}, disks: []diskFacts{localDisk(), other}, copied: "vdc", flags: host.FlagNonSharedDisk | host.FlagUnsafe, proved: 1},
		"only the top": {options: Options{Storage: StorageCopyIncremental},
			disks:  []diskFacts{localDisk(func(d *diskFacts) { d.Backing = []host.Backing{{Path: "/b", Format: "qcow2", Local: true}} })},
			copied: "vdb", flags: host.FlagNonSharedInc, without: host.FlagNonSharedDisk},
		"read-only media are not copied": {options: Options{Storage: StorageCopy},
			disks: []diskFacts{localDisk(func(d *diskFacts) { d.Device, d.ReadOnly = "cdrom", true })}, without: host.FlagNonSharedDisk},
		"overwriting, when asked to": {options: Options{Storage: StorageCopy, ExistingImages: ExistingImagesOverwrite},
			disks: []diskFacts{localDisk(func(d *diskFacts) { d.there, d.thereKnown = true, true })}, copied: "vdb", flags: host.FlagNonSharedDisk},
	} {
		t.Run(name, func(t *testing.T) {
			p := decide(c.options, withDisks(c.disks...))
			if len(p.Blockers) > 0 {
				t.Fatalf("blockers %+v", p.Blockers)
			}
			if got := strings.Join(p.recipe.params.MigrateDisks, " "); got != c.copied {
				t.Errorf("copied %q", got)
			}
			if p.recipe.flags&c.flags != c.flags || p.recipe.flags&c.without != 0 {
				t.Errorf("flags %b", p.recipe.flags)
			}
			if len(p.recipe.disks.prove) != c.proved || (c.proved > 0) != slices.ContainsFunc(p.ToBeConfirmed, func(s string) bool { return strings.Contains(s, "one and the same file") }) {
				t.Errorf("to prove %d, to be confirmed %q", len(p.recipe.disks.prove), p.ToBeConfirmed)
			}
			if c.copied != "" && p.Transport == TransportTunnel {
				t.Error("disks through a tunnel")
			}
		})
	}
}

func TestDisksAreNeverCopiedInTheClearUnasked(t *testing.T) {
	p := decide(Options{Storage: StorageCopy, Transport: TransportPlain}, withDisks(localDisk()))
	if len(p.Blockers) != 1 || p.Blockers[0].ID != "plain" {
		t.Errorf("blockers %+v", p.Blockers)
	}
	fa := withDisks(localDisk())
	fa.destination.LibvirtVersion = 5000000 // no tls there
	if p := decide(Options{Storage: StorageCopy}, fa); len(p.Blockers) != 1 || p.Blockers[0].ID != "transport" || !strings.Contains(p.Blockers[0].Text, "tunnel: libvirt cannot copy disks") {
		t.Errorf("blockers %+v", p.Blockers)
	}
}

func TestDecideShutOff(t *testing.T) {
	off := func(change func(*facts), disks ...diskFacts) facts {
		fa := withDisks(disks...)
		fa.guest.ID.ID, fa.guest.State = -1, shutOff
		if change != nil {
			change(&fa)
		}
		return fa
	}
	p := decide(Options{}, off(func(fa *facts) { fa.guest.HostDevices = []string{"PCI device 0000:01:00.0"} }, localDisk()))
	if len(p.Blockers) != 0 || p.Transport != TransportNone || p.Encrypted || p.Control != ControlController || !p.recipe.offline || len(p.recipe.disks.prove) != 1 {
		t.Errorf("plan %+v", p)
	}
	if !slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.Contains(w, "0000:01:00.0") }) {
		t.Errorf("warnings %q", p.Warnings)
	}
	for id, fa := range map[string]facts{
		"died":         off(func(fa *facts) { fa.guest.State = host.State{State: host.StateShutOff, Reason: host.ShutOffCrashed} }),
		"both_defined": off(func(fa *facts) { fa.leftover = true }),
		"managed_save": off(func(fa *facts) { fa.guest.HasManagedSave = true }),
		"tpm":          off(func(fa *facts) { fa.guest.TPM = true }),
		"nvram":        off(func(fa *facts) { fa.guest.NVRAM = true }),
		"snapshots":    off(func(fa *facts) { fa.guest.Snapshots = 1 }),
		"not_shared":   off(nil, localDisk(func(d *diskFacts) { d.sharing = sharingDisproved })),
		"name_taken":   off(func(fa *facts) { fa.nameTakenBy = "x" }),
	} {
		if p := decide(Options{}, fa); len(p.Blockers) != 1 || p.Blockers[0].ID != id {
			t.Errorf("%s: blockers %+v", id, p.Blockers)
		}
	}
	if p := decide(Options{Storage: StorageCopy}, off(nil, localDisk())); len(p.Blockers) != 1 || p.Blockers[0].ID != "copy_shut_off" {
		t.Errorf("blockers %+v", p.Blockers)
	}
}

func TestSamePool(t *testing.T) {
	nfs := host.Pool{Type: "netfs", TargetPath: "/images", Active: true, SourceHosts: []string{"nas"}, SourceDir: "/export"}
	with := func(change func(*host.Pool)) []host.Pool {
		p := nfs
		p.SourceHosts = slices.Clone(nfs.SourceHosts)
		change(&p)
		return []host.Pool{p}
	}
	if !samePool([]host.Pool{nfs}, []host.Pool{nfs}, "/images/web/a.raw") {
		t.Error("one and the same source was not seen")
	}
	for name, to := range map[string][]host.Pool{
		"another server":     with(func(p *host.Pool) { p.SourceHosts[0] = "nas2" }),
		"another export":     with(func(p *host.Pool) { p.SourceDir = "/other" }),
		"another place":      with(func(p *host.Pool) { p.TargetPath = "/mnt" }),
		"not mounted":        with(func(p *host.Pool) { p.Active = false }),
		"each host's own":    with(func(p *host.Pool) { p.SourceHosts[0] = "127.0.0.1" }),
		"a folder of a host": with(func(p *host.Pool) { p.SourceHosts = nil }),
	} {
		from := []host.Pool{nfs}
		if name == "each host's own" || name == "a folder of a host" {
			from = to
		}
		if samePool(from, to, "/images/web/a.raw") {
			t.Errorf("%s counts as the same storage", name)
		}
	}
	if samePool([]host.Pool{nfs}, []host.Pool{nfs}, "/images2/a.raw") {
		t.Error("a path beside the pool counts as in it")
	}
}
