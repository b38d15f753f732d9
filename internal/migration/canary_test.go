package migration

import (
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func TestACanaryIsRunAsTheGuestIsAndHasNothingOfIt(t *testing.T) {
	guest := host.Domain{ID: host.DomainID{Name: "web"}, Type: "kvm", Arch: "x86_64", Machine: "pc-q35-7.2", Emulator: "/usr/bin/qemu<&>",
		CPUXML: "<cpu mode='custom' match='exact'><model fallback='forbid'>EPYC</model><topology sockets='1' cores='4' threads='2'/><numa><cell id='0' cpus='0-7' memory='4' unit='GiB'/></numa><feature policy='require' name='x'/></cpu>"}
	text, err := describeCanary("virtmigrate-canary-1", "6695eb01-f6a4-8304-79aa-97f2502e193f", guest)
	if err != nil {
		t.Fatal(err)
	}
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	if d.Type != "kvm" || d.OS.Type.Arch != "x86_64" || d.OS.Type.Machine != "pc-q35-7.2" || d.Devices.Emulator != guest.Emulator || d.Memory.Value != canaryMiB || d.VCPU.Value != 1 {
		t.Errorf("%s", text)
	}
	if d.CPU.Model.Value != "EPYC" || len(d.CPU.Features) != 1 || d.CPU.Topology != nil || d.CPU.Numa != nil {
		t.Errorf("%s", text)
	}
	if len(d.Devices.Disks)+len(d.Devices.Interfaces) > 0 || strings.Contains(text, "web") {
		t.Errorf("%s", text)
	}
	guest.CPUXML = "<cpu"
	if _, err := describeCanary("x", "y", guest); err == nil {
		t.Error("half a CPU is none")
	}
}

func TestACanaryTakesTheOptionsOfTheWayAlone(t *testing.T) {
	full := Options{Transport: TransportRelay, Control: ControlPeerToPeer, Acknowledge: AcknowledgeEach, ParallelConnections: 3, AllowPlain: true,
		Storage: StorageCopy, MigrateDisks: []string{"vda"}, AssumeSharedDisks: []string{"vdb"}, ExistingImages: ExistingImagesOverwrite, SourceImages: SourceImagesDelete,
		ProgressFile: "/tmp/p", Convergence: Convergence{OnTimeout: OnTimeoutPostCopy}}
	got := full.forCanary()
	if got.Transport != full.Transport || got.Control != full.Control || got.Acknowledge != full.Acknowledge || got.ParallelConnections != 3 || !got.AllowPlain {
		t.Errorf("%+v", got)
	}
	if got.Storage != "" || got.MigrateDisks != nil || got.AssumeSharedDisks != nil || got.ExistingImages != "" || got.SourceImages != "" || got.ProgressFile != "" || got.Convergence.OnTimeout != "" {
		t.Errorf("%+v", got)
	}
}
