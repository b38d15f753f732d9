package host

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// readDomain takes the facts from a description. Its State, flags and counts are not in there.
//
// libvirtxml gives a whole description up for one device of a kind it does not know. So each device is read
// alone, and one that is not understood is named and never overlooked.
func readDomain(text string) (Domain, error) {
	devices, rest, err := cutDevices(text)
	if err != nil {
		return Domain{}, fmt.Errorf("it is not XML: %w", err)
	}
	var x libvirtxml.Domain
	if err := x.Unmarshal(rest); err != nil {
		return Domain{}, fmt.Errorf("it is not understood: %w", err)
	}
	d := Domain{XML: text, Type: x.Type, CPUXML: element(text, "domain", "cpu")}
	d.ID = DomainID{Name: x.Name, UUID: strings.ToLower(x.UUID), ID: -1}
	if x.ID != nil {
		d.ID.ID = int32(*x.ID)
	}
	if x.Memory != nil {
		d.MemoryBytes = inBytes(uint64(x.Memory.Value), x.Memory.Unit)
	}
	d.CurrentMemoryBytes = d.MemoryBytes
	if x.CurrentMemory != nil {
		d.CurrentMemoryBytes = inBytes(uint64(x.CurrentMemory.Value), x.CurrentMemory.Unit)
	}
	if x.VCPU != nil {
		d.VCPUs = int(min(x.VCPU.Value, math.MaxInt32))
	}
	if x.OS != nil {
		if x.OS.Type != nil {
			d.Arch, d.Machine = x.OS.Type.Arch, x.OS.Type.Machine
		}
		d.NVRAM = x.OS.NVRam != nil
		d.NVRAMPath = nvramPath(x.OS.NVRam)
	}
	d.HugePages = x.MemoryBacking != nil && x.MemoryBacking.MemoryHugePages != nil
	if x.LaunchSecurity != nil {
		d.Blockers = append(d.Blockers, "encrypted guest memory (launch security)")
	}
	for _, dev := range devices {
		d.add(dev)
	}
	return d, nil
}

// device is one element within <devices>, as it stands there.
type device struct {
	name, kind, mode string // of the element, and its attributes type and mode
	text             string
}

// cutDevices takes the devices out of a description and gives the rest of it.
func cutDevices(text string) (devices []device, rest string, err error) {
	dec := xml.NewDecoder(strings.NewReader(text))
	var path []string
	var start, from int64 // of the device, and of <devices>
	rest = text
	for {
		before := dec.InputOffset()
		tok, err := dec.Token()
		if err == io.EOF {
			return devices, rest, nil
		}
		if err != nil {
			return nil, "", err
		}
		inside := len(path) >= 2 && path[0] == "domain" && path[1] == "devices"
		switch el := tok.(type) {
		case xml.StartElement:
			switch {
			case inside && len(path) == 2:
				start = before
				devices = append(devices, device{name: el.Name.Local, kind: attribute(el, "type"), mode: attribute(el, "mode")})
			case len(path) == 1 && path[0] == "domain" && el.Name.Local == "devices":
				from = before
			}
			path = append(path, el.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
			switch {
			case inside && len(path) == 2:
				devices[len(devices)-1].text = text[start:dec.InputOffset()]
			case inside && len(path) == 1:
				gone := len(text) - len(rest) // of an earlier <devices>, which no libvirt writes
				rest = rest[:from-int64(gone)] + rest[dec.InputOffset()-int64(gone):]
			}
		}
	}
}

func attribute(el xml.StartElement, name string) string {
	for _, a := range el.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// inBytes reads libvirt's units; the daemon itself always writes KiB.
func inBytes(n uint64, unit string) uint64 {
	factor := map[string]uint64{
		"b": 1, "bytes": 1, "": 1 << 10, "k": 1 << 10, "KiB": 1 << 10, "KB": 1000,
		"M": 1 << 20, "MiB": 1 << 20, "MB": 1e6, "G": 1 << 30, "GiB": 1 << 30, "GB": 1e9,
		"T": 1 << 40, "TiB": 1 << 40, "TB": 1e12,
	}[unit]
	if factor == 0 {
		factor = 1 << 10
	}
	if n > math.MaxUint64/factor {
		return math.MaxUint64
	}
	return n * factor
}

// element cuts the first element on the given path out of a document, as it stands there; empty if there
// is none.
func element(text string, path ...string) string {
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.Strict = true
	depth, matched := 0, 0
	start := int64(-1)
	for {
		before := dec.InputOffset()
		tok, err := dec.Token()
		if err == io.EOF || err != nil {
			return ""
		}
		switch el := tok.(type) {
		case xml.StartElement:
			if start < 0 && depth == matched && matched < len(path) && el.Name.Local == path[matched] {
				matched++
				if matched == len(path) {
					start = before
				}
			}
			depth++
		case xml.EndElement:
			depth--
			if start >= 0 && depth == len(path)-1 {
				return text[start:dec.InputOffset()]
			}
			if start < 0 && depth < matched {
				matched = depth
			}
		}
	}
}
