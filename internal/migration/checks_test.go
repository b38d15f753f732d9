package migration

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// healthyFacts are those of two hosts of which all is known, and all is well; the guest has an interface of
// each kind and a disk on a network that both hosts mount.
func healthyFacts() facts {
	fa := withDisks(localDisk(func(d *diskFacts) { d.sharing = sharingProved }))
	yes := host.Answer{Known: true, Can: true}
	fa.guest.Interfaces = []host.Interface{{Type: "bridge", Source: "br0"}, {Type: "direct", Source: "eth1"}, {Type: "network", Source: "app"}, {Type: "user"}}
	fa.guest.XML = "<domain><cpu mode='custom'><model>qemu64</model><topology threads='2'/></cpu></domain>"
	fa.offered = offered{
		Offer:    host.Offer{Machine: yes, CPU: yes},
		networks: map[string]bool{"app": true}, links: map[string]host.Answer{"br0": yes, "eth1": yes},
		availableBytes: 8 << 30, hugePagesKnown: true,
	}
	fa.destination.MemoryBytes = 16 << 30
	fa.source.clock, fa.destination.clock = &clock{time.Hour}, &clock{time.Hour + time.Second}
	fa.source.CPUModel, fa.source.CPUFeatures = "Intel Broadwell", "abm vme"
	fa.destination.CPUModel, fa.destination.CPUFeatures = "Intel Broadwell", "abm vme"
	fa.perHost = 2
	return fa
}

func hugePages(fa *facts, text string, pages ...host.HugePages) {
	fa.guest.HugePages, fa.offered.hugePages = true, pages
	fa.guest.XML = "<domain><memoryBacking><hugepages>" + text + "</hugepages></memoryBacking></domain>"
}

func off(change func(*facts)) func(*facts) {
	return func(fa *facts) {
		fa.guest.State, fa.guest.ID.ID = host.State{State: host.StateShutOff, Reason: 1}, -1
		change(fa)
	}
}

// forwards gives the guest's virtual network a mode of forwarding on the source and on the destination; "" is not told.
func forwards(source, destination string) func(*facts) {
	return func(fa *facts) {
		for h, mode := range map[*hostFacts]string{&fa.source: source, &fa.destination: destination} {
			if mode != "" {
				h.forwards = map[string]string{"app": mode}
			}
		}
	}
}

// servedBy gives the guest's network disk a server, and the destination's answer about it.
func servedBy(answer host.Answer) func(*facts) {
	return func(fa *facts) {
		fa.guest.Disks[0].Source, fa.guest.Disks[0].Servers = "nbd://nbd1/web", []string{"nbd1:10809"}
		fa.offered.servers = map[string]host.Answer{"vda": answer}
	}
}

var endsInPostCopy = Options{Transport: TransportPlain, AllowPlain: true, Convergence: Convergence{OnTimeout: OnTimeoutPostCopy}}

// found are cases of every check, with what is to come of it. The last word of a name is the check's ID.
var found = map[string]struct {
	options Options
	change  func(*facts)
	status  Status
	says    string
}{
	"another hypervisor: driver":      {change: func(fa *facts) { fa.source.Driver = "Xen" }, status: StatusBlocker, says: "Xen driver"},
	"cloned hosts: host_uuid":         {change: func(fa *facts) { fa.destination.UUID = fa.source.UUID }, status: StatusBlocker, says: "same UUID"},
	"another processor: architecture": {change: func(fa *facts) { fa.destination.Arch = "aarch64" }, status: StatusBlocker, says: "aarch64"},
	"one is fast: clocks":             {change: func(fa *facts) { fa.destination.clock = &clock{time.Hour + 90*time.Second} }, status: StatusWarning, says: `host "b" is 1m30s ahead of that of "a"`},
	"the other is fast: clocks":       {change: func(fa *facts) { fa.destination.clock = &clock{time.Minute} }, status: StatusWarning, says: `host "a" is 59m0s ahead`},
	"not readable: clocks":            {change: func(fa *facts) { fa.source.clock = nil }, status: StatusToBeConfirmed, says: "could not be read"},
	"taken: name":                     {change: func(fa *facts) { fa.nameTakenBy = "other" }, status: StatusBlocker, says: "another domain named"},
	"an old definition: name":         {change: func(fa *facts) { fa.leftover = true }, status: StatusWarning, says: "the move replaces"},
	"with an I/O error: state":        {change: func(fa *facts) { fa.guest.State = host.State{State: host.StatePaused, Reason: host.PausedIOError} }, status: StatusBlocker, says: "I/O error"},
	"a backup: job":                   {change: func(fa *facts) { fa.otherJob = true }, status: StatusBlocker, says: "a job"},
	"a PCI device: devices":           {change: func(fa *facts) { fa.guest.HostDevices = []string{"PCI device 0000:01:00.0"} }, status: StatusBlocker, says: "0000:01:00.0"},
	"a shared folder: devices":        {change: func(fa *facts) { fa.guest.Blockers = []string{"virtiofs"} }, status: StatusBlocker, says: "virtiofs"},
	"two: snapshots":                  {change: func(fa *facts) { fa.guest.Snapshots = 2 }, status: StatusBlocker, says: "2 snapshots"},
	"one: checkpoints":                {change: func(fa *facts) { fa.guest.Checkpoints = 1 }, status: StatusBlocker, says: "checkpoints"},
	"saved: shut_off":                 {change: off(func(fa *facts) { fa.guest.HasManagedSave = true }), status: StatusBlocker, says: "state saved"},
	"nothing beside it: shut_off":     {change: off(func(*facts) {}), status: StatusPass},
	"unknown there: machine": {change: func(fa *facts) {
		fa.offered.Machine = host.Answer{Known: true, Why: "the machine 'pc-q35-9.9' is not supported"}
	}, status: StatusBlocker, says: "pc-q35-9.9"},
	"not told: machine":                {change: func(fa *facts) { fa.offered.Machine = host.Answer{} }, status: StatusToBeConfirmed, says: "machine type"},
	"for a guest that is off: machine": {change: off(func(fa *facts) { fa.offered.Machine = host.Answer{Known: true, Why: "unknown"} }), status: StatusWarning, says: "will not start"},
	"no spice: models":                 {change: func(fa *facts) { fa.offered.Lacks = []string{"graphics spice (it has vnc)"} }, status: StatusBlocker, says: `QEMU on "b" has no graphics spice`},
	"an older one there: cpu":          {change: func(fa *facts) { fa.offered.CPU = host.Answer{Known: true, Why: "required features: avx512f"} }, status: StatusBlocker, says: "avx512f"},
	"not comparable: cpu":              {change: func(fa *facts) { fa.offered.CPU = host.Answer{Why: "no such call"} }, status: StatusToBeConfirmed, says: "no such call"},
	"passed through, less there: cpu": {change: func(fa *facts) {
		fa.guest.XML, fa.destination.CPUFeatures = "<domain><cpu mode='host-passthrough'/></domain>", "abm"
	}, status: StatusWarning, says: "b has no vme"},
	"passed through, another one: cpu": {change: func(fa *facts) {
		fa.guest.XML, fa.destination.CPUModel = "<domain><cpu mode='host-passthrough'/></domain>", "AMD EPYC"
	}, status: StatusWarning, says: "b is AMD EPYC"},
	"passed through, not told: cpu": {change: func(fa *facts) {
		fa.guest.XML, fa.destination.CPUModel = "<domain><cpu mode='host-passthrough'/></domain>", ""
	}, status: StatusToBeConfirmed, says: "are the same"},
	"passed through, the same: cpu": {change: func(fa *facts) {
		fa.guest.XML, fa.offered.CPU = "<domain><cpu mode='host-passthrough'/></domain>", host.Answer{}
	}, status: StatusPass, says: "Intel Broadwell"},
	"of a host it will start on: cpu": {change: off(func(fa *facts) {
		fa.guest.XML, fa.offered.CPU = "<domain><cpu mode='host-model'/></domain>", host.Answer{}
	}), status: StatusPass},
	"no bridge: networks":               {change: func(fa *facts) { fa.offered.links["br0"] = host.Answer{Known: true} }, status: StatusBlocker, says: `no bridge "br0"`},
	"no device: networks":               {change: func(fa *facts) { fa.offered.links["eth1"] = host.Answer{Known: true} }, status: StatusBlocker, says: `no network device "eth1"`},
	"bridges are not listed: networks":  {change: func(fa *facts) { fa.offered.links["br0"] = host.Answer{Why: "no list"} }, status: StatusToBeConfirmed, says: "no list"},
	"no network: networks":              {change: func(fa *facts) { fa.offered.networks = map[string]bool{} }, status: StatusBlocker, says: `no network "app"`},
	"not active: networks":              {change: func(fa *facts) { fa.offered.networks["app"] = false }, status: StatusBlocker, says: "not active"},
	"networks are not listed: networks": {change: func(fa *facts) { fa.offered.networks = nil }, status: StatusToBeConfirmed, says: `active network "app"`},
	"NAT on both: networks":             {change: forwards("nat", "nat"), status: StatusWarning, says: `behind the NAT of its host on "a" and "b"`},
	"NAT there: networks":               {change: forwards("bridge", "nat"), status: StatusWarning, says: `on "b", and a NAT does not move`},
	"NAT here: networks":                {change: forwards("nat", "bridge"), status: StatusWarning, says: `of its host on "a",`},
	"one bridge: networks":              {change: forwards("bridge", "bridge"), status: StatusPass},
	"cut off: networks":                 {change: forwards("none", "none"), status: StatusWarning, says: "only if that of a and that of b"},
	"routed: networks":                  {change: forwards("route", "open"), status: StatusWarning, says: "are joined"},
	"source does not tell: networks":    {change: forwards("", "nat"), status: StatusPass},
	"NAT, and off: networks":            {change: off(forwards("nat", "nat")), status: StatusPass},
	"guest that is off: networks":       {change: off(func(fa *facts) { fa.offered.networks["app"] = false }), status: StatusWarning, says: "will not start"},
	"more than there is at all: memory": {change: func(fa *facts) { fa.guest.MemoryBytes = 17 << 30 }, status: StatusBlocker, says: "17408 MiB"},
	"more than is free: memory":         {change: func(fa *facts) { fa.guest.MemoryBytes = 9 << 30 }, status: StatusWarning, says: "only 8192 MiB to spare"},
	"its balloon leaves it less: memory": {change: func(fa *facts) {
		fa.guest.MemoryBytes, fa.guest.CurrentMemoryBytes = 17<<30, 2<<30
	}, status: StatusPass, says: "2048 MiB"},
	"not told: memory": {change: func(fa *facts) { fa.offered.availableBytes = 0 }, status: StatusToBeConfirmed, says: "3072 MiB"},
	"too few: huge_pages": {change: func(fa *facts) {
		hugePages(fa, "<page size='2' unit='M'/>", host.HugePages{PageBytes: 2 << 20, FreeBytes: 2 << 30}, host.HugePages{PageBytes: 1 << 30, FreeBytes: 8 << 30})
	}, status: StatusBlocker, says: "has 2048 MiB free"},
	"none of that size: huge_pages": {change: func(fa *facts) {
		hugePages(fa, "<page size='1' unit='G'/>", host.HugePages{PageBytes: 2 << 20, FreeBytes: 8 << 30})
	}, status: StatusBlocker, says: "1048576 KiB"},
	"enough: huge_pages": {change: func(fa *facts) {
		hugePages(fa, "<page size='2' unit='M'/>", host.HugePages{PageBytes: 2 << 20, FreeBytes: 8 << 30})
	}, status: StatusPass, says: "3072 MiB of 8192"},
	"of any size: huge_pages": {change: func(fa *facts) {
		hugePages(fa, "", host.HugePages{PageBytes: 2 << 20, FreeBytes: 1 << 30}, host.HugePages{PageBytes: 1 << 30, FreeBytes: 2 << 30})
	}, status: StatusPass},
	"not told: huge_pages":                   {change: func(fa *facts) { hugePages(fa, ""); fa.offered.hugePagesKnown = false }, status: StatusToBeConfirmed, says: "huge pages"},
	"not there: disks":                       {change: func(fa *facts) { fa.disks[0].sharing = sharingDisproved }, status: StatusBlocker, says: "has no"},
	"open: disks":                            {change: func(fa *facts) { fa.disks[0].sharing = sharingOpen }, status: StatusToBeConfirmed, says: "one and the same file"},
	"unsafe: cache_modes":                    {change: func(fa *facts) { fa.disks[0].Cache = "unsafe" }, status: StatusBlocker, says: "lost"},
	"not reached: network_disks":             {change: servedBy(host.Answer{Known: true, Why: "nbd1:10809: connection refused"}), status: StatusBlocker, says: `host "b" does not reach nbd://nbd1/web of disk vda (nbd1:10809: connection refused)`},
	"not told: network_disks":                {change: servedBy(host.Answer{}), status: StatusToBeConfirmed, says: "that b reaches"},
	"reached: network_disks":                 {change: servedBy(host.Answer{Known: true, Can: true}), status: StatusPass, says: "vda (nbd://nbd1/web)"},
	"for a guest that is off: network_disks": {change: off(servedBy(host.Answer{Known: true})), status: StatusWarning, says: "will not start"},
	"write back: cache_modes":                {change: func(fa *facts) { fa.disks[0].Cache = "writeback" }, status: StatusToBeConfirmed, says: "for safe"},
	"too old: transport":                     {options: Options{Transport: TransportTLS}, change: func(fa *facts) { fa.destination.LibvirtVersion = 5000000 }, status: StatusBlocker, says: "5.0.0"},
	"in the clear: transport":                {options: Options{Transport: TransportPlain}, status: StatusBlocker, says: "unencrypted"},
	"allowed in the clear: transport":        {options: Options{Transport: TransportPlain, AllowPlain: true}, status: StatusWarning, says: "unencrypted"},
	"missing, and asked for: certificates": {options: Options{Transport: TransportTLS},
		change: func(fa *facts) {
			fa.destination.certificates = &certificates{dir: "/etc/pki/qemu", missing: []string{serverFile}}
		}, status: StatusBlocker, says: "no server-cert.pem"},
	"missing, and not needed: certificates": {change: func(fa *facts) {
		fa.destination.certificates = &certificates{dir: "/etc/pki/qemu", missing: []string{serverFile}}
	}, status: StatusPass, says: "another one was chosen"},
	"not to be seen: certificates": {status: StatusToBeConfirmed, says: "one CA signed"},
	"none: address":                {change: func(fa *facts) { fa.destination.cfg = HostConfig{URI: "qemu:///system"} }, status: StatusBlocker, says: "which address"},
	"ports: address":               {status: StatusToBeConfirmed, says: "49152"},
	"no login: control": {options: Options{Control: ControlPeerToPeer}, change: func(fa *facts) {
		fa.destination.cfg = HostConfig{URI: "qemu:///system", MigrationAddress: "b"}
	}, status: StatusBlocker, says: "peer_uri"},
	"9.2.0 and parallel connections: versions": {change: func(fa *facts) { fa.destination.HypervisorVersion = parallelBroken }, status: StatusWarning, says: "parallel connections"},
	"9.2.0 and one connection: versions":       {options: Options{Transport: TransportPlain, AllowPlain: true}, change: func(fa *facts) { fa.destination.HypervisorVersion = parallelBroken }, status: StatusPass},
	"threads to QEMU 10: versions":             {change: func(fa *facts) { fa.destination.HypervisorVersion, fa.destination.LibvirtVersion = 10000003, 11003000 }, status: StatusWarning, says: "extra features: ht"},
	"mended: versions": {change: func(fa *facts) {
		fa.destination.HypervisorVersion, fa.destination.LibvirtVersion = 10000003, threadsMended
	}, status: StatusPass},
	"nested guests: versions":         {change: func(fa *facts) { fa.guest.CPUXML, fa.destination.LibvirtVersion = "<feature name='vmx'/>", 10000000 }, status: StatusWarning, says: "vmx"},
	"back to an older QEMU: versions": {change: func(fa *facts) { fa.source.HypervisorVersion = 8002000 }, status: StatusWarning, says: "older than 8.2.0"},
	"another patch of it: versions":   {change: func(fa *facts) { fa.source.HypervisorVersion = 7002030 }, status: StatusPass},
	"asked for: post_copy":            {options: endsInPostCopy, status: StatusToBeConfirmed, says: "userfaultfd"},
	"with a bad version: post_copy":   {options: endsInPostCopy, change: func(fa *facts) { fa.destination.LibvirtVersion = 11003000 }, status: StatusWarning, says: "libvirt 11.3.0 on b may crash"},
	"not asked for: post_copy":        {change: func(fa *facts) { fa.destination.LibvirtVersion = 11003000 }, status: StatusPass},
	"two others: concurrent":          {change: func(fa *facts) { fa.destination.arriving = []string{"db", "mail"} }, status: StatusWarning, says: "db, mail"},
	"one other: concurrent":           {change: func(fa *facts) { fa.destination.arriving = []string{"db"} }, status: StatusPass},
	"before a dry run: begin":         {status: StatusToBeConfirmed, says: "cannot migrate"},
	"before a dry run: prepare":       {status: StatusToBeConfirmed, says: "start a QEMU"},
}

func checkOf(name string) string { return name[strings.LastIndex(name, " ")+1:] }

func TestEveryCheckFindsWhatItLooksFor(t *testing.T) {
	for name, c := range found {
		t.Run(name, func(t *testing.T) {
			fa := healthyFacts()
			if c.change != nil {
				c.change(&fa)
			}
			id := checkOf(name)
			p := decide(c.options, fa)
			i := slices.IndexFunc(p.Checks, func(r CheckResult) bool { return r.ID == id })
			if len(p.Checks) != len(checks) || i < 0 {
				t.Fatalf("results %+v", p.Checks)
			}
			r := p.Checks[i]
			if r.Status != c.status || !strings.Contains(r.Finding, c.says) || r.LooksAt == "" || r.Why == "" || (r.Status == StatusPass) != (r.ToDo == "") {
				t.Errorf("%+v", r)
			}
			if blocks := slices.ContainsFunc(p.Blockers, func(f Finding) bool { return f.Check == id }); blocks != (c.status == StatusBlocker) {
				t.Errorf("blockers %+v", p.Blockers)
			}
		})
	}
}

func TestEveryCheckIsTriedBothWays(t *testing.T) {
	healthy := decide(Options{}, healthyFacts())
	for i, row := range checks {
		worst := StatusPass
		for name, c := range found {
			if checkOf(name) == row.ID && (c.status == StatusBlocker || c.status == StatusWarning && worst != StatusBlocker) {
				worst = c.status
			}
		}
		if worst == StatusPass && !row.deep { // tests of dry runs have those
			t.Errorf("no case in which %s finds anything", row.ID)
		}
		if got := healthy.Checks[i]; got.Status == StatusBlocker || got.Status == StatusWarning {
			t.Errorf("in a healthy pair %+v", got)
		}
		if slices.ContainsFunc(checks[:i], func(c Check) bool { return c.ID == row.ID }) {
			t.Errorf("two checks are called %s", row.ID)
		}
		if row.LooksAt == "" || row.Why == "" || row.ToDo == "" || !regexp.MustCompile(`^[a-z_]+$`).MatchString(row.ID) {
			t.Errorf("check %q is not described", row.ID)
		}
	}
	for name := range found {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.ID == checkOf(name) }) {
			t.Errorf("%s: there is no such check", name)
		}
	}
}

func TestResultsNameEverythingAndTheWorst(t *testing.T) {
	row := Check{ID: "x", ToDo: "read on"}
	for _, c := range []struct {
		blockers       []Finding
		warnings, open []string
		want           CheckResult
	}{
		{nil, nil, nil, CheckResult{ID: "x", Status: StatusPass, Finding: "seen"}},
		{nil, nil, []string{"that a is b"}, CheckResult{ID: "x", Status: StatusToBeConfirmed, Finding: "to be confirmed: that a is b", ToDo: "read on"}},
		{nil, []string{"w"}, []string{"that a"}, CheckResult{ID: "x", Status: StatusWarning, Finding: "w; to be confirmed: that a", ToDo: "read on"}},
		{[]Finding{{Text: "b", Hint: "mend b"}, {Text: "c"}}, []string{"w"}, nil, CheckResult{ID: "x", Status: StatusBlocker, Finding: "b; c; w", ToDo: "mend b"}},
	} {
		if got := row.result(c.blockers, c.warnings, c.open, "seen"); got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}
