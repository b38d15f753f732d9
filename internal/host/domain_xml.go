package host

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// types are the type attributes that libvirtxml does not keep when it does not know them. A device of a
// kind unknown here must not look like no device.
type types struct {
	Disks      []typed `xml:"devices>disk"`
	Interfaces []typed `xml:"devices>interface"`
	Hostdevs   []typed `xml:"devices>hostdev"`
}

type typed struct {
	Type string `xml:"type,attr"`
	Mode string `xml:"mode,attr"`
}

func (t typed) name() string { return strings.TrimSpace(t.Mode + " " + t.Type) }

// readDomain takes the facts from a description. Its State, flags and counts are not in there.
func readDomain(text string) (Domain, error) {
	var x libvirtxml.Domain
	if err := x.Unmarshal(text); err != nil {
		return Domain{}, fmt.Errorf("the description cannot be read: %w", err)
	}
	var raw types
	if err := xml.Unmarshal([]byte(text), &raw); err != nil {
		return Domain{}, fmt.Errorf("the description cannot be read: %w", err)
	}
	d := Domain{XML: text, Type: x.Type, CPUXML: element(text, "domain", "cpu")}
	d.ID = DomainID{Name: x.Name, UUID: strings.ToLower(x.UUID), ID: -1}
	if x.ID != nil {
		d.ID.ID = int32(*x.ID)
	}
	if x.Memory != nil {
		d.MemoryBytes = inBytes(uint64(x.Memory.Value), x.Memory.Unit)
	}
	if x.VCPU != nil {
		d.VCPUs = int(min(x.VCPU.Value, math.MaxInt32))
	}
	if x.OS != nil {
		if x.OS.Type != nil {
			d.Arch, d.Machine = x.OS.Type.Arch, x.OS.Type.Machine
		}
		d.NVRAM = x.OS.NVRam != nil
	}
	d.HugePages = x.MemoryBacking != nil && x.MemoryBacking.MemoryHugePages != nil
	if x.LaunchSecurity != nil {
		d.Blockers = append(d.Blockers, "encrypted guest memory (launch security)")
	}
	if x.Devices != nil {
		d.Emulator = x.Devices.Emulator
		d.TPM = len(x.Devices.TPMs) > 0
		for i := range x.Devices.Disks {
			d.Disks = append(d.Disks, readDisk(&x.Devices.Disks[i], at(raw.Disks, i).Type))
		}
		for i := range x.Devices.Interfaces {
			d.addInterface(&x.Devices.Interfaces[i], at(raw.Interfaces, i).Type)
		}
		for i := range x.Devices.Hostdevs {
			d.HostDevices = append(d.HostDevices, hostDevice(&x.Devices.Hostdevs[i], at(raw.Hostdevs, i)))
		}
		d.Blockers = append(d.Blockers, deviceBlockers(x.Devices)...)
	}
	return d, nil
}

func at(list []typed, i int) typed {
	if i < len(list) {
		return list[i]
	}
	return typed{}
}

// deviceBlockers names devices that hold state or parts of the host that do not travel.
func deviceBlockers(devices *libvirtxml.DomainDeviceList) []string {
	var found []string
	for _, fs := range devices.Filesystems {
		kind := "9p"
		if fs.Driver != nil && fs.Driver.Type != "" && fs.Driver.Type != "path" {
			kind = fs.Driver.Type
		}
		name := ""
		if fs.Target != nil {
			name = fmt.Sprintf(" %q", fs.Target.Dir)
		}
		found = append(found, fmt.Sprintf("folder%s of the host shared with the guest (%s)", name, kind))
	}
	for _, s := range devices.Shmems {
		found = append(found, fmt.Sprintf("memory %q shared with others on the host (shmem)", s.Name))
	}
	for _, m := range devices.Memorydevs {
		if m.Model == "nvdimm" || m.Model == "virtio-pmem" {
			found = append(found, "persistent memory of the host ("+m.Model+")")
		}
	}
	for _, t := range devices.TPMs {
		if t.Backend != nil && t.Backend.Passthrough != nil {
			found = append(found, "the host's TPM passed through to the guest")
		}
	}
	for _, in := range devices.Inputs {
		if in.Type == "passthrough" || in.Type == "evdev" {
			found = append(found, "an input device of the host ("+in.Type+")")
		}
	}
	for range devices.Smartcards {
		found = append(found, "a smartcard")
	}
	return found
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
