package host

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Answer is what a host says to the question whether it can do something.
type Answer struct {
	// Known is false when the host does not tell. Why then says so; else it says why the host cannot.
	Known, Can bool
	Why        string
}

// Offer is what a host's hypervisor has for one guest.
type Offer struct {
	// Machine says whether there is the guest's emulator, and in it the machine type and the accelerator.
	Machine Answer
	// Lacks are the models of devices that the guest has and the hypervisor does not, in words.
	Lacks []string
	// CPU says whether the hypervisor can give the guest its CPU.
	CPU Answer
}

// Offer asks what the hypervisor has for a guest of another host. Nothing is started.
func (h *Host) Offer(ctx context.Context, d Domain) (Offer, error) {
	text, err := h.DomainCapabilities(ctx, d.Emulator, d.Arch, d.Machine, d.Type)
	var o Offer
	if o.Machine, err = judged(err, CodeInvalidArgument, CodeSystem, CodeConfigUnsupported); err != nil || !o.Machine.Can {
		o.CPU = Answer{Why: "without the machine type nothing can be said of CPUs"}
		return o, err
	}
	if o.Lacks, err = lacking(d.XML, text); err != nil {
		return o, &Error{Host: h.cfg.Name, Call: "read the capabilities of machine type " + d.Machine, Err: err}
	}
	o.CPU, err = h.takesCPU(ctx, d)
	return o, err
}

// takesCPU compares the CPU with what the hypervisor can give. The description for another host may ask for
// more than the guest was given where it runs, so that this is asked for, too.
func (h *Host) takesCPU(ctx context.Context, d Domain) (Answer, error) {
	var first Answer
	for i, cpu := range []string{d.CPUXML, element(d.XML, "domain", "cpu")} {
		if cpu == "" || element(cpu, "cpu", "model") == "" {
			return Answer{Why: "its description names no model of CPU"}, nil
		}
		_, err := h.CompareCPU(ctx, d.Emulator, d.Arch, d.Machine, d.Type, cpu)
		a, err := judged(err, CodeCPUIncompatible)
		if err != nil || !a.Known || a.Can {
			return a, err
		}
		if i == 0 {
			first = a
		}
	}
	return first, nil
}

// judged takes a refusal with one of the given codes for "it cannot", and any other for "it does not tell". An
// error that is no answer of the daemon stays one.
func judged(err error, refusals ...uint32) (Answer, error) {
	var said *Error
	switch {
	case err == nil:
		return Answer{Known: true, Can: true}, nil
	case !errors.As(err, &said) || said.Code == 0:
		return Answer{}, err
	}
	return Answer{Known: slices.Contains(refusals, said.Code), Why: said.Message}, nil
}

// modelled are the devices whose models a hypervisor lists: where a description names the model, and under
// which name the list goes. https://libvirt.org/formatdomaincaps.html
var modelled = []struct{ device, child, attribute, list string }{
	{"disk", "target", "bus", "bus"},
	{"graphics", "", "type", "type"},
	{"video", "model", "type", "modelType"},
	{"rng", "", "model", "model"},
	{"tpm", "", "model", "model"},
	{"tpm", "backend", "type", "backendModel"},
}

// lacking compares a guest's devices with the hypervisor's lists. A list that is not there rules nothing out:
// older daemons have fewer.
func lacking(domain, capabilities string) ([]string, error) {
	var caps struct {
		Devices struct {
			Kinds []struct {
				XMLName xml.Name
				Lists   []struct {
					Name   string   `xml:"name,attr"`
					Values []string `xml:"value"`
				} `xml:"enum"`
			} `xml:",any"`
		} `xml:"devices"`
	}
	if err := xml.Unmarshal([]byte(capabilities), &caps); err != nil {
		return nil, err
	}
	devices, _, err := cutDevices(domain)
	if err != nil {
		return nil, err
	}
	var lacks []string
	for _, dev := range devices {
		for _, at := range modelled {
			model := within(dev.text, at.child, at.attribute)
			// none is no device at all, and dbus was there before it was listed
			if at.device != dev.name || model == "" || model == "none" || model == "dbus" {
				continue
			}
			for _, kind := range caps.Devices.Kinds {
				for _, list := range kind.Lists {
					if kind.XMLName.Local == dev.name && list.Name == at.list && len(list.Values) > 0 && !slices.Contains(list.Values, model) {
						lacks = append(lacks, fmt.Sprintf("%s %s (it has %s)", dev.name, model, strings.Join(list.Values, ", ")))
					}
				}
			}
		}
	}
	slices.Sort(lacks)
	return slices.Compact(lacks), nil
}
