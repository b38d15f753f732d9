package host

import (
	"context"
	"encoding/xml"
	"slices"

	libvirt "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// AvailableMemory is what the host could give to a new process without swapping, in bytes: free memory and
// what caches hold.
func (h *Host) AvailableMemory(ctx context.Context) (uint64, error) {
	return ask(ctx, h, "ask for available memory", callLimit, func(l *libvirt.Libvirt) (uint64, error) {
		const allNodes = -1
		_, count, err := l.NodeGetMemoryStats(0, allNodes, 0)
		if err != nil {
			return 0, err
		}
		stats, _, err := l.NodeGetMemoryStats(count, allNodes, 0)
		if err != nil {
			return 0, err
		}
		var sum, available uint64
		for _, s := range stats {
			switch s.Field {
			case "free", "buffers", "cached":
				sum += s.Value * 1024
			case "available": // libvirt 12.3 and later
				available = s.Value * 1024
			}
		}
		return max(sum, available), nil
	})
}

// HugePages is memory in pages of one size.
type HugePages struct{ PageBytes, FreeBytes uint64 }

// FreeHugePages are the free huge pages of the host, of each size it has.
func (h *Host) FreeHugePages(ctx context.Context) ([]HugePages, error) {
	return ask(ctx, h, "ask for free huge pages", callLimit, func(l *libvirt.Libvirt) ([]HugePages, error) {
		text, err := l.ConnectGetCapabilities()
		if err != nil {
			return nil, err
		}
		var caps struct {
			Pages []struct {
				Unit string `xml:"unit,attr"`
				Size uint64 `xml:"size,attr"`
			} `xml:"host>cpu>pages"`
		}
		if err := xml.Unmarshal([]byte(text), &caps); err != nil {
			return nil, err
		}
		var sizes []uint64
		for _, p := range caps.Pages {
			sizes = append(sizes, inBytes(p.Size, p.Unit))
		}
		slices.Sort(sizes)
		var pages []HugePages
		for _, size := range sizes[min(1, len(sizes)):] { // the smallest are the ordinary ones
			const wholeHost = -1
			counts, err := l.NodeGetFreePages([]uint32{uint32(size >> 10)}, wholeHost, 1, 0)
			if err != nil {
				return nil, err
			}
			if len(counts) > 0 {
				pages = append(pages, HugePages{size, counts[0] * size})
			}
		}
		return pages, nil
	})
}

// HugePageSizes are the sizes of pages, in bytes, that a description wants its memory from; 0 stands for the
// host's default. None: ordinary memory.
func (d Domain) HugePageSizes() []uint64 {
	if !d.HugePages {
		return nil
	}
	_, rest, err := cutDevices(d.XML)
	var x libvirtxml.Domain
	if err != nil || x.Unmarshal(rest) != nil || x.MemoryBacking == nil || x.MemoryBacking.MemoryHugePages == nil {
		return []uint64{0}
	}
	var sizes []uint64
	for _, p := range x.MemoryBacking.MemoryHugePages.Hugepages {
		sizes = append(sizes, inBytes(uint64(p.Size), p.Unit))
	}
	if len(sizes) == 0 {
		return []uint64{0}
	}
	return sizes
}
