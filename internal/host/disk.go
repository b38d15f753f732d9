package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

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
	d.Encrypted = x.Encryption != nil || x.Source != nil && x.Source.Encryption != nil
	at := readSource(x.Source)
	switch {
	case at.words != "":
		d.Source, d.Path, d.Local = at.words, at.path, at.local
	case kind == "file" || kind == "block":
		d.Source, d.Empty, d.Local, d.BackingKnown = "", true, false, true
		return d
	}
	if x.Source != nil && x.Source.Network != nil {
		d.Protocol, d.Servers = x.Source.Network.Protocol, servers(x.Source.Network)
	}
	d.Backing, d.BackingKnown = readChain(x.BackingStore)
	d.BackingKnown = d.BackingKnown || d.Format == "raw"
	return d
}

// source is where the data of a disk or of an image below it is.
type source struct {
	words    string // empty when the description names no place
	path     string // the file or device of the host, if it is one
	protocol string
	local    bool
}

// readSource finds the place. Whatever is not known to be reached over a network counts as this host's own.
func readSource(src *libvirtxml.DomainDiskSource) source {
	onHost := func(path string) source { return source{words: path, path: path, local: true} }
	switch {
	case src == nil:
	case src.File != nil && src.File.File != "":
		return onHost(src.File.File)
	case src.Block != nil && src.Block.Dev != "":
		return onHost(src.Block.Dev)
	case src.Dir != nil && src.Dir.Dir != "":
		return onHost(src.Dir.Dir)
	case src.Network != nil:
		return source{words: networkSource(src.Network), protocol: src.Network.Protocol, local: servedHere(src.Network)}
	case src.Volume != nil:
		return source{words: fmt.Sprintf("volume %s of pool %s", src.Volume.Volume, src.Volume.Pool), local: true}
	case src.NVME != nil:
		return source{words: "an NVMe device of the host", local: true}
	case src.VHostUser != nil:
		return source{words: "a vhost-user server on the host", local: true}
	case src.VHostVDPA != nil:
		return source{words: src.VHostVDPA.Dev, local: true}
	}
	return source{}
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

// servedHere says whether a network disk may come from the host itself, so that the same address leads
// elsewhere, or nowhere, on another host. rbd alone finds its servers without their names.
func servedHere(n *libvirtxml.DomainDiskSourceNetwork) bool {
	if len(n.Hosts) == 0 {
		return n.Protocol != "rbd"
	}
	for _, h := range n.Hosts {
		if h.Socket != "" || h.Transport == "unix" || h.Name == "" || isLoopback(h.Name) {
			return true
		}
	}
	return false
}

// isLoopback says whether a name means the machine that says it, by the look of it.
func isLoopback(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if first, _, _ := strings.Cut(name, "."); first == "localhost" || first == "ip6-localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && (a.Unmap().IsLoopback() || a.IsUnspecified())
}

// readChain lists the images below a disk's; known when the list comes to its end.
func readChain(b *libvirtxml.DomainDiskBackingStore) (chain []Backing, known bool) {
	for ; b != nil; b = b.BackingStore {
		at := readSource(b.Source)
		if at.words == "" {
			return chain, isEmpty(b.Source) // an empty element says that there is nothing further down
		}
		image := Backing{Path: at.words, Local: at.local}
		if b.Format != nil {
			image.Format = b.Format.Type
		}
		chain = append(chain, image)
		if image.Format == "raw" {
			return chain, true
		}
	}
	return chain, false
}

// isEmpty says that a description gives no kind of place at all, as opposed to one that is not understood.
func isEmpty(src *libvirtxml.DomainDiskSource) bool {
	return src == nil || src.File == nil && src.Block == nil && src.Dir == nil && src.Network == nil &&
		src.Volume == nil && src.NVME == nil && src.VHostUser == nil && src.VHostVDPA == nil
}

func nvramPath(n *libvirtxml.DomainNVRam) string {
	switch {
	case n == nil:
		return ""
	case n.Source != nil:
		return readSource(n.Source).path
	}
	return strings.TrimSpace(n.NVRam)
}

// measure adds what the description does not hold: the disk's sizes and, of a guest that is shut off, the
// images below. What the daemon cannot tell stays unknown; that it does not answer is an error.
func (h *Host) measure(ctx context.Context, uuid string, d *Disk) error {
	if d.Empty || d.Target == "" {
		return nil
	}
	type sizes struct{ allocation, capacity, physical uint64 }
	s, err := askDomain(ctx, h, "measure disk "+d.Target+" of", uuid, jobLimit, func(l *libvirt.Libvirt, dom libvirt.Domain) (sizes, error) {
		allocation, capacity, physical, err := l.DomainGetBlockInfo(dom, d.Target, 0)
		return sizes{allocation, capacity, physical}, err
	})
	switch {
	case err == nil:
		d.AllocationBytes, d.CapacityBytes, d.PhysicalBytes = s.allocation, s.capacity, s.physical
	case Code(err) == 0:
		return err
	}
	if d.BackingKnown || d.Path == "" {
		return nil
	}
	chain, known, err := h.chainBelow(ctx, d.Path)
	if err != nil {
		return err
	}
	if known {
		d.Backing, d.BackingKnown = chain, true
	}
	return nil
}

// chainBelow follows an image down through the pools that have it; known when it comes to the end.
func (h *Host) chainBelow(ctx context.Context, path string) (chain []Backing, known bool, err error) {
	const deepest = 200 // as deep as libvirt itself goes
	for range deepest {
		v, err := h.Volume(ctx, path)
		switch {
		case err != nil && Code(err) == 0 && !errors.Is(err, ErrNoVolume):
			return nil, false, err
		case err != nil:
			return chain, false, nil
		case v.Backing == nil:
			return chain, true, nil
		}
		chain = append(chain, *v.Backing)
		if v.Backing.Format == "raw" {
			return chain, true, nil
		}
		if path = v.Backing.Path; !v.Backing.Local {
			return chain, false, nil
		}
	}
	return chain, false, nil
}
