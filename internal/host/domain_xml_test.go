package host

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func description(t *testing.T, name string) Domain {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDomain(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if d.XML != string(text) {
		t.Error("the description is not as it was")
	}
	d.XML = ""
	return d
}

func TestADescriptionsFacts(t *testing.T) {
	got := description(t, "ordinary.xml")
	if !strings.HasPrefix(got.CPUXML, "<cpu mode='custom'") || !strings.HasSuffix(got.CPUXML, "name='x2apic'/>\n  </cpu>") {
		t.Errorf("the CPU is %q", got.CPUXML)
	}
	got.CPUXML = ""
	want := Domain{
		ID:          DomainID{Name: "web", UUID: "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e", ID: 7},
		MemoryBytes: 4 << 30, CurrentMemoryBytes: 2 << 30, VCPUs: 4, Type: "kvm", Arch: "x86_64", Machine: "pc-q35-7.2", Emulator: "/usr/bin/qemu-system-x86_64",
		TPM: true, NVRAM: true, HugePages: true, NVRAMPath: "/var/lib/libvirt/qemu/nvram/web_VARS.fd",
		Disks: []Disk{
			{Target: "vda", Device: "disk", Type: "file", Source: "/var/lib/libvirt/images/web.qcow2", Path: "/var/lib/libvirt/images/web.qcow2", Format: "qcow2", Cache: "none", Local: true},
			{Target: "vdb", Device: "disk", Type: "network", Source: "rbd://ceph1:6789,ceph2:6789/pool/web", Protocol: "rbd", Servers: []string{"ceph1:6789", "ceph2:6789"}, Format: "raw", Shareable: true, BackingKnown: true},
			{Target: "vdc", Device: "disk", Type: "block", Source: "/dev/vg/web", Path: "/dev/vg/web", Format: "raw", Cache: "writeback", Local: true, Transient: true, BackingKnown: true},
			{Target: "sda", Device: "cdrom", Type: "file", ReadOnly: true, Empty: true, BackingKnown: true},
			{Target: "vdd", Device: "disk", Type: "quantum", Source: "a disk of type quantum", Local: true},
			{Target: "sdb", Device: "cdrom", Type: "volume", Source: "volume debian.iso of pool iso", ReadOnly: true, Local: true},
		},
		Interfaces: []Interface{
			{Type: "bridge", Source: "br0"}, {Type: "network", Source: "default"}, {Type: "hostdev"}, {Type: "hostdev"},
			{Type: "vdpa", Source: "/dev/vhost-vdpa-0"},
		},
		HostDevices: []string{
			"a network device of the host (interface of type hostdev)", "PCI device 0000:3b:00.1", "USB device 4 on bus 1",
			"host device of type subsystem teleporter",
		},
		Blockers: []string{
			"a vDPA network device of the host /dev/vhost-vdpa-0", `folder "srv" of the host shared with the guest (virtiofs)`,
			`folder "home" of the host shared with the guest (9p)`, `memory "plane" shared with others on the host (shmem)`,
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestADescriptionWithNearlyNothing(t *testing.T) {
	want := Domain{
		ID:          DomainID{Name: "bare", UUID: "00000000-0000-4000-8000-000000000001", ID: -1},
		MemoryBytes: 64 << 20, CurrentMemoryBytes: 64 << 20, VCPUs: 1, Type: "qemu", Arch: "aarch64", Machine: "virt",
	}
	if d := cmp.Diff(want, description(t, "bare.xml")); d != "" {
		t.Error(d)
	}
}

func TestTheCPUIsCutOutWhereItStands(t *testing.T) {
	for text, want := range map[string]string{
		"<domain><cpu/></domain>":                                   "<cpu/>",
		"<domain><a><cpu>no</cpu></a><cpu><cpu/>yes</cpu></domain>": "<cpu><cpu/>yes</cpu>",
		"<domain><cpu>":                          "",
		"<cpu/>":                                 "",
		"<domain></domain>":                      "",
		"<other><domain><cpu/></domain></other>": "",
	} {
		if got := element(text, "domain", "cpu"); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestAnInterfaceOnANetworkNeedsTheNetwork(t *testing.T) {
	for text, want := range map[string]Interface{
		"<interface type='bridge'><source network='app' portid='1' bridge='br0'/></interface>": {Type: "network", Source: "app"},
		"<interface type='direct'><source network='lan' dev='eth0' mode='vepa'/></interface>":  {Type: "network", Source: "lan"},
		"<interface type='bridge'><source bridge='br0'/></interface>":                          {Type: "bridge", Source: "br0"},
		"<interface type='direct'><source dev='eth0' mode='bridge'/></interface>":              {Type: "direct", Source: "eth0"},
	} {
		d, err := readDomain("<domain><name>g</name><devices>" + text + "</devices></domain>")
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Interfaces) != 1 || d.Interfaces[0] != want {
			t.Errorf("%s: %+v", text, d.Interfaces)
		}
	}
}
