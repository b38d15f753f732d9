package host

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Networks are the virtual networks of the daemon, running or not: whether each is active, by its name.
func (h *Host) Networks(ctx context.Context) (map[string]bool, error) {
	nets, err := ask(ctx, h, "list the networks", callLimit, func(l *libvirt.Libvirt) (map[string]bool, error) {
		nets := map[string]bool{}
		for _, active := range []bool{false, true} {
			which := libvirt.ConnectListNetworksInactive
			if active {
				which = libvirt.ConnectListNetworksActive
			}
			list, _, err := l.ConnectListAllNetworks(1, which)
			if err != nil {
				return nil, err
			}
			for _, n := range list {
				nets[n.Name] = active
			}
		}
		return nets, nil
	})
	return nets, err
}

// NetworkForward is how a virtual network of the daemon leads out of its host, in libvirt's words: nat, route, bridge
// and so on, and none for one that does not.
func (h *Host) NetworkForward(ctx context.Context, name string) (string, error) {
	return ask(ctx, h, "look at the network "+name, callLimit, func(l *libvirt.Libvirt) (string, error) {
		network, err := l.NetworkLookupByName(name)
		if err != nil {
			return "", err
		}
		text, err := l.NetworkGetXMLDesc(network, 0)
		if err != nil {
			return "", err
		}
		return forward(text)
	})
}

// forward reads the mode of forwarding from a network's XML. The element without a mode means nat.
func forward(text string) (string, error) {
	var network struct {
		Forward *struct {
			Mode string `xml:"mode,attr"`
		} `xml:"forward"`
	}
	if err := xml.Unmarshal([]byte(text), &network); err != nil {
		return "", fmt.Errorf("read the network's description: %w", err)
	}
	switch {
	case network.Forward == nil:
		return "none", nil
	case network.Forward.Mode == "":
		return "nat", nil
	}
	return network.Forward.Mode, nil
}

// Link says whether the host has a network device of that name, a bridge for example. The daemon has two ways
// to tell, and an installation may have neither, or one that knows only what was configured through it: a
// device that is missing is only known to be where both say so.
func (h *Host) Link(ctx context.Context, name string) (Answer, error) {
	yes := Answer{Known: true, Can: true}
	_, asInterface := ask(ctx, h, "look for the network device "+name, callLimit, func(l *libvirt.Libvirt) (libvirt.Interface, error) {
		return l.InterfaceLookupByName(name)
	})
	if asInterface == nil {
		return yes, nil
	}
	if Code(asInterface) == 0 {
		return Answer{}, asInterface
	}
	found, asDevice := h.nodeDevice(ctx, name)
	switch {
	case asDevice != nil && Code(asDevice) == 0:
		return Answer{}, asDevice
	case found:
		return yes, nil
	case Code(asInterface) == CodeNoInterface && asDevice == nil:
		return Answer{Known: true, Why: "the host has no network device " + name}, nil
	}
	return Answer{Why: "the daemon does not list the network devices of its host"}, nil
}

// nodeDevice looks for a network device among the devices of the host. An error is the daemon's when it keeps
// no list of them.
func (h *Host) nodeDevice(ctx context.Context, name string) (bool, error) {
	return ask(ctx, h, "list the network devices", callLimit, func(l *libvirt.Libvirt) (bool, error) {
		devices, _, err := l.ConnectListAllNodeDevices(1, uint32(libvirt.ConnectListNodeDevicesCapNet))
		if err != nil {
			return false, err
		}
		if len(devices) == 0 {
			return false, libvirt.Error{Code: CodeNotSupported, Message: "the daemon lists no network device, not even the loopback"}
		}
		for _, d := range devices {
			// a device is called net_, the name with _ for all special characters, _ and its MAC address
			if !strings.HasPrefix(d.Name, "net_"+strings.Map(nodeName, name)+"_") {
				continue
			}
			text, err := l.NodeDeviceGetXMLDesc(d.Name, 0)
			var device struct {
				Interface string `xml:"capability>interface"`
			}
			if err == nil && xml.Unmarshal([]byte(text), &device) == nil && device.Interface == name {
				return true, nil
			}
		}
		return false, nil
	})
}

func nodeName(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return '_'
}
