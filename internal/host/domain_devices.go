package host

import (
	"fmt"
	"net"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// readDisk takes the facts of one disk; kind is its type attribute as it stands in the description.
func readDisk(x *libvirtxml.DomainDisk, kind string) Disk {
	d := Disk{
		Device: x.Device, Type: kind,
		ReadOnly: x.ReadOnly != nil, Shareable: x.Shareable != nil, Transient: x.Transient != nil,
	}
	if d.Device == "" {
		d.Device = "disk"
	}
	if x.Target != nil {
		d.Target = x.Target.Dev
	}
	if x.Driver != nil {
		d.Format, d.Cache = x.Driver.Type, x.Driver.Cache
	}
	// Whatever is not known to be reached over a network counts as this host's own.
	d.Local = true
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
func (d *Domain) addInterface(x *libvirtxml.DomainInterface, kind string) {
	i := Interface{Type: kind}
	if s := x.Source; s != nil {
		switch {
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
	paired := x.Teaming != nil && x.Teaming.Type == "transient"
	switch {
	case kind == "hostdev" && !paired:
		d.HostDevices = append(d.HostDevices, "a network device of the host (interface of type hostdev)")
	case kind == "vdpa":
		d.Blockers = append(d.Blockers, strings.TrimSpace("a vDPA network device of the host "+i.Source))
	}
}

// hostDevice names a device of the host in words that let a person find it.
func hostDevice(x *libvirtxml.DomainHostdev, kind typed) string {
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
	if name := kind.name(); name != "" {
		return "host device of type " + name
	}
	return "host device"
}

func value(n *uint) uint {
	if n == nil {
		return 0
	}
	return *n
}
