package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
	"slices"
)

// Addresses inside a lab's network.
const (
	controllerNumber = 1
	firstHostNumber  = 11
	firstGuestNumber = 100
)

func (l *Lab) setNetwork(network netip.Prefix) {
	l.Network = network.Masked()
	l.Controller = l.address(controllerNumber)
}

func (l *Lab) address(number int) netip.Addr {
	a := l.Network.Addr().As4()
	a[3] = byte(number)
	return netip.AddrFrom4(a)
}

func (l *Lab) switchSpace() string { return "vml-" + l.Name + "-switch" }
func (l *Lab) uplink() string      { return "vm-" + l.Name }

// joinNetwork makes the switch and the controller's way into it.
func (l *Lab) joinNetwork(ctx context.Context, wanted netip.Prefix) error {
	network, err := chooseNetwork(ctx, l.Name, wanted)
	if err != nil {
		return err
	}
	l.setNetwork(network)
	space := l.switchSpace()
	return ip(ctx,
		[]string{"netns", "add", space},
		[]string{"-n", space, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0"},
		[]string{"-n", space, "link", "set", "br0", "up"},
		[]string{"link", "add", l.uplink(), "type", "veth", "peer", "name", "controller", "netns", space},
		[]string{"-n", space, "link", "set", "controller", "master", "br0", "up"},
		[]string{"address", "add", fmt.Sprintf("%s/%d", l.Controller, l.Network.Bits()), "dev", l.uplink()},
		[]string{"link", "set", l.uplink(), "up"},
	)
}

// chooseNetwork returns the wanted network if it is free, or one that is.
func chooseNetwork(ctx context.Context, name string, wanted netip.Prefix) (netip.Prefix, error) {
	used, err := usedNetworks(ctx)
	if err != nil {
		return netip.Prefix{}, err
	}
	free := func(p netip.Prefix) bool { return !slices.ContainsFunc(used, p.Overlaps) }
	if wanted.IsValid() {
		switch {
		case !wanted.Addr().Is4() || wanted.Bits() != 24:
			return wanted, fmt.Errorf("lab network %s: an IPv4 network of 24 bits is needed", wanted)
		case !free(wanted.Masked()):
			return wanted, fmt.Errorf("lab network %s overlaps a network this machine has already; choose another", wanted)
		}
		return wanted.Masked(), nil
	}
	hash := fnv.New32a()
	hash.Write([]byte(name))
	start := hash.Sum32()
	for i := range uint32(1024) {
		n := (start + i) % 1024
		if p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(84 + n/256), byte(n), 0}), 24); free(p) {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no network in 10.84.0.0/14 is free on this machine; name one")
}

// usedNetworks lists the networks this machine has an address or a route in.
func usedNetworks(ctx context.Context) ([]netip.Prefix, error) {
	text, err := run(ctx, "ip", "-4", "-j", "route", "show", "table", "all")
	if err != nil {
		return nil, err
	}
	var routes []struct{ Dst string }
	if err := json.Unmarshal([]byte(text), &routes); err != nil {
		return nil, fmt.Errorf("routes of this machine: %w", err)
	}
	var used []netip.Prefix
	for _, route := range routes {
		if p, err := netip.ParsePrefix(route.Dst); err == nil && p.Bits() > 8 {
			used = append(used, p.Masked())
		} else if a, err := netip.ParseAddr(route.Dst); err == nil {
			used = append(used, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return used, nil
}

// ip runs the ip command once for each list of arguments.
func ip(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// join gives a host's namespaces (of process pid) a network: a port of the switch, and a bridge
// that host and guests share.
func (h *Host) join(ctx context.Context, pid int) error {
	space := h.space()
	// A bridge without an address of its own takes that of a port, and another one when guests
	// come and go.
	mac := fmt.Sprintf("52:54:01:%02x:%02x:%02x", h.lab.Network.Addr().As4()[1], h.lab.Network.Addr().As4()[2], firstHostNumber+h.index)
	return ip(ctx,
		[]string{"netns", "attach", space, fmt.Sprint(pid)},
		[]string{"-n", h.lab.switchSpace(), "link", "add", h.Name, "type", "veth", "peer", "name", "eth0", "netns", space},
		[]string{"-n", h.lab.switchSpace(), "link", "set", h.Name, "master", "br0", "up"},
		[]string{"-n", space, "link", "set", "lo", "up"},
		[]string{"-n", space, "link", "add", "br0", "address", mac, "type", "bridge", "forward_delay", "0", "stp_state", "0"},
		[]string{"-n", space, "link", "set", "eth0", "master", "br0", "up"},
		[]string{"-n", space, "address", "add", fmt.Sprintf("%s/%d", h.Address, h.lab.Network.Bits()), "dev", "br0"},
		[]string{"-n", space, "link", "set", "br0", "up"},
	)
}

func (h *Host) space() string { return "vml-" + h.lab.Name + "-" + h.Name }

// spaces lists the network namespaces of the lab of that name, whatever state it is in.
func spaces(name string) []string {
	paths, _ := filepath.Glob("/run/netns/vml-" + name + "-*")
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}
