package lab

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

var domainXML = template.Must(template.New("domain").Funcs(template.FuncMap{"x": escape}).Parse(`<domain type='qemu'>
  <name>{{x .Name}}</name>
  <uuid>{{x .UUID}}</uuid>
  <metadata><lab:guest xmlns:lab="urn:virtmigrate:lab"/></metadata>
  <memory unit='MiB'>{{.MemoryMiB}}</memory>
  <vcpu>{{.CPUs}}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{{.BootDir}}/vmlinuz</kernel>
    <initrd>{{.BootDir}}/guest.img</initrd>
    <cmdline>{{x .CommandLine}}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>preserve</on_crash>
  {{.Elements}}
  <devices>
    <emulator>{{x .Emulator}}</emulator>
{{- if .Disk}}
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source protocol='nbd' name='{{x .Name}}'><host name='{{.DiskHost}}' port='{{.DiskPort}}'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>
{{- end}}
{{- if .LocalDisk}}
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='{{x .LocalDiskPath}}'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
{{- end}}
{{- if .NIC}}
    <interface type='bridge'>
      <mac address='{{.MAC}}'/>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
{{- end}}
    <serial type='file'><source path='{{x .ConsolePath}}'/><target port='0'/></serial>
    <channel type='unix'><source mode='connect' path='{{x .PortPath}}'/><target type='virtio' name='lab.beat'/></channel>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    {{.Devices}}
  </devices>
</domain>
`))

func escape(text string) (string, error) {
	var out strings.Builder
	err := xml.EscapeText(&out, []byte(text))
	return out.String(), err
}

// xml returns the guest's definition.
func (g *Guest) xml() (string, error) {
	emulator := g.lab.boot.emulator
	if g.StockMemory {
		emulator = "/usr/bin/qemu-system-x86_64"
	}
	var out strings.Builder
	err := domainXML.Execute(&out, struct {
		GuestConfig
		BootDir, Emulator, CommandLine, DiskHost, LocalDiskPath, MAC, ConsolePath, PortPath string
		DiskPort                                                                            int
	}{
		GuestConfig: g.GuestConfig, BootDir: bootDir, Emulator: emulator, CommandLine: g.commandLine(), DiskHost: g.lab.Controller.String(), DiskPort: diskPort,
		LocalDiskPath: g.localDiskPath(), MAC: g.mac(), ConsolePath: g.consolePath(), PortPath: g.portPath(),
	})
	return out.String(), err
}

func (g *Guest) commandLine() string {
	words := []string{
		"console=ttyS0", "quiet", "panic=0", "nokaslr", "mitigations=off", "tsc=reliable", "no_timer_check",
		"lab.name=" + g.Name,
		fmt.Sprintf("lab.fill=%d", g.FillMiB), "lab.pattern=" + string(g.Fill), fmt.Sprintf("lab.dirty=%d", g.DirtyMiBPerSecond),
	}
	if g.Marker != "" {
		words = append(words, "lab.marker="+encoded(g.Marker))
	}
	if g.BeatEvery > 0 {
		words = append(words, fmt.Sprintf("lab.beat_ms=%d", g.BeatEvery.Milliseconds()))
	}
	if g.StockMemory {
		words = append(words, "lab.flush=often")
	}
	if g.Disk || g.LocalDisk { // the first virtio disk, whatever its target is called
		words = append(words, "lab.disk=/dev/vda")
	}
	if g.NIC {
		words = append(words, fmt.Sprintf("lab.ip=%s/%d", g.lab.address(firstGuestNumber+g.Index), g.lab.Network.Bits()),
			fmt.Sprintf("lab.peer=%s:%d", g.lab.Controller, sessionPort))
	}
	return strings.Join(words, " ")
}

func (g *Guest) mac() string {
	a := g.lab.address(firstGuestNumber + g.Index).As4()
	return fmt.Sprintf("52:54:02:%02x:%02x:%02x", a[1], a[2], a[3])
}

// diskMiB is the size of a guest's disks.
const diskMiB = 64

func (g *Guest) makeDisks(ctx context.Context, host *Host) error {
	if g.Disk {
		if err := makeFileSystem(ctx, g.diskPath()); err != nil {
			return err
		}
	}
	if g.LocalDisk {
		path := host.Path(g.localDiskPath())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		raw := path + ".raw"
		defer os.Remove(raw)
		if err := makeFileSystem(ctx, raw); err != nil {
			return err
		}
		if _, err := run(ctx, "qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, path); err != nil {
			return err
		}
	}
	return nil
}

// makeFileSystem makes a sparse image with an empty file system.
func makeFileSystem(ctx context.Context, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(diskMiB<<20), file.Close()); err != nil {
		return err
	}
	_, err = run(ctx, "mkfs.ext4", "-q", "-F", "-b", "4096", path)
	return err
}
