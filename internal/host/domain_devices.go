package host

import (
	"encoding/xml"
	"fmt"
	"net"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// add takes the facts of one device.
func (d *Domain) add(dev device) {
	switch dev.name {
	case "emulator":
		_ = xml.Unmarshal([]byte(dev.text), &d.Emulator) // libvirt itself wants a path there
	case "disk":
		d.Disks = append(d.Disks, readDisk(dev))
	case "interface":
		d.addInterface(dev)
	case "hostdev":
		d.HostDevices = append(d.HostDevices, hostDevice(dev))
	default:
		d.TPM = d.TPM || dev.name == "tpm"
		if words := blocker(dev); words != "" {
			d.Blockers = append(d.Blockers, words)
		}
	}
}

// readDisk takes the facts of one disk.
func readDisk(dev device) Disk {
	kind := dev.kind
	d := Disk{Device: "disk", Type: kind, Local: true, Source: "a disk of type " + kind}
	var x libvirtxml.DomainDisk
	if err := x.Unmarshal(dev.text); err != nil {
		d.Target = within(dev.text, "target", "dev")
		if device := within(dev.text, "", "device"); device != "" {
			d.Device = device
		}
		return d
	}
	d.Source = ""
	d.ReadOnly, d.Shareable, d.Transient = x.ReadOnly != nil, x.Shareable != nil, x.Transient != nil
	if x.Device != "" {
		d.Device = x.Device
	}
	if x.Target != nil {
		d.Target = x.Target.Dev
	}
	if x.Driver != nil {
		d.Format, d.Cache = x.Driver.Type, x.Driver.Cache
	}
	// Whatever is not known to be reached over a network counts as this host's own.
	src := x.Source
	switch {
	case src != nil && src.File != nil && src.File.File != "":
		d.Source = src.File.File
	case src != nil && src.Block != nil && src.Block.Dev != "":
		d.Source = src.Block.Dev
	case src != nil && src.Dir != nil && src.Dir.Dir != "":
		d.Source = src.Dir.Dir
	case src != nil && src.Network != nil:
		d.Local = false
		d.Protocol = src.Network.Protocol
		d.Source = networkSource(src.Network)
	case src != nil && src.Volume != nil:
		d.Source = fmt.Sprintf("volume %s of pool %s", src.Volume.Volume, src.Volume.Pool)
	case src != nil && src.NVME != nil:
		d.Source = "an NVMe device of the host"
	case src != nil && src.VHostUser != nil:
		d.Source = "a vhost-user server on the host"
	case src != nil && src.VHostVDPA != nil:
		d.Source = src.VHostVDPA.Dev
	case kind == "file" || kind == "block":
		d.Empty, d.Local = true, false
	default:
		d.Source = "a disk of type " + kind
	}
	return d
}

func networkSource(n *libvirtxml.DomainDiskSourceNetwork) string {
	var hosts []string
	for _, h := range n.Hosts {
		switch {
		case h.Socket != "":
			hosts = append(hosts, h.Socket)
		case h.Port != "":
			hosts = append(hosts, net.JoinHostPort(h.Name, h.Port))
		default:
			hosts = append(hosts, h.Name)
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%s://%s/%s", n.Protocol, strings.Join(hosts, ","), n.Name), "/")
}

// addInterface takes the facts of one network interface. One that is a device of the host counts among
// those.
func (d *Domain) addInterface(dev device) {
	i := Interface{Type: dev.kind}
	var x libvirtxml.DomainInterface
	if err := x.Unmarshal(dev.text); err == nil && x.Source != nil {
		switch s := x.Source; {
		case s.Bridge != nil:
			i.Source = s.Bridge.Bridge
		case s.Network != nil:
			i.Source = s.Network.Network
		case s.Direct != nil:
			i.Source = s.Direct.Dev
		case s.VDPA != nil:
			i.Source = s.VDPA.Device
		}
	}
	d.Interfaces = append(d.Interfaces, i)
	// libvirt unplugs the device of a failover pair by itself
	paired := x.Teaming != nil && x.Teaming.Type == "transient"
	switch {
	case i.Type == "hostdev" && !paired:
		d.HostDevices = append(d.HostDevices, "a network device of the host (interface of type hostdev)")
	case i.Type == "vdpa":
		d.Blockers = append(d.Blockers, strings.TrimSpace("a vDPA network device of the host "+i.Source))
	}
}

// hostDevice names a device of the host in words that let a person find it.
func hostDevice(dev device) string {
	var x libvirtxml.DomainHostdev
	if err := x.Unmarshal(dev.text); err == nil {
		switch {
		case x.SubsysPCI != nil && x.SubsysPCI.Source != nil && x.SubsysPCI.Source.Address != nil:
			a := x.SubsysPCI.Source.Address
			return fmt.Sprintf("PCI device %04x:%02x:%02x.%x", value(a.Domain), value(a.Bus), value(a.Slot), value(a.Function))
		case x.SubsysUSB != nil && x.SubsysUSB.Source != nil && x.SubsysUSB.Source.Address != nil:
			a := x.SubsysUSB.Source.Address
			return fmt.Sprintf("USB device %d on bus %d", value(a.Device), value(a.Bus))
		case x.SubsysMDev != nil && x.SubsysMDev.Source != nil && x.SubsysMDev.Source.Address != nil:
			return "mediated device " + x.SubsysMDev.Source.Address.UUID
		}
	}
	if name := strings.TrimSpace(dev.mode + " " + dev.kind); name != "" {
		return "host device of type " + name
	}
	return "host device"
}

// blocker names a device that holds state or a part of the host that does not travel; empty for all
// others.
func blocker(dev device) string {
	switch dev.name {
	case "filesystem":
		kind := within(dev.text, "driver", "type")
		if kind == "" || kind == "path" {
			kind = "9p"
		}
		return fmt.Sprintf("folder %q of the host shared with the guest (%s)", within(dev.text, "target", "dir"), kind)
	case "shmem":
		return fmt.Sprintf("memory %q shared with others on the host (shmem)", within(dev.text, "", "name"))
	case "memory":
		if model := within(dev.text, "", "model"); model == "nvdimm" || model == "virtio-pmem" {
			return "persistent memory of the host (" + model + ")"
		}
	case "tpm":
		if within(dev.text, "backend", "type") == "passthrough" {
			return "the host's TPM passed through to the guest"
		}
	case "input":
		if dev.kind == "passthrough" || dev.kind == "evdev" {
			return "an input device of the host (" + dev.kind + ")"
		}
	case "smartcard":
		return "a smartcard"
	}
	return ""
}

func value(n *uint) uint {
	if n == nil {
		return 0
	}
	return *n
}

// within finds an attribute of a device or, if child is named, of its first child of that name.
func within(text, child, name string) string {
	dec := xml.NewDecoder(strings.NewReader(text))
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			return ""
		}
		switch el := tok.(type) {
		case xml.StartElement:
			if child == "" && depth == 0 || depth == 1 && el.Name.Local == child {
				return attribute(el, name)
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}
