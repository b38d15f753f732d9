package host

import (
	"encoding/xml"
	"fmt"
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
	// a guest that runs shows the bridge that its network led it to; another host is asked for the network
	if network := within(dev.text, "source", "network"); network != "" && (i.Type == "bridge" || i.Type == "direct") {
		i = Interface{Type: "network", Source: network}
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
