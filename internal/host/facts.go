package host

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Facts asks the daemon who it is and what its host has. The first time it also looks at the host's files, where the
// connection gives a login.
func (h *Host) Facts(ctx context.Context) (Facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := h.connection(ctx); err != nil { // forgets what was read before the daemon was restarted
		return Facts{}, err
	}
	var l login
	looked := make(chan error, 1)
	go func() { // a login takes longer than all of the calls
		var err error
		l, err = h.knownLogin(ctx)
		looked <- err
	}()
	f, err := h.daemonFacts(ctx)
	if err != nil {
		return Facts{}, err
	}
	if err := <-looked; err != nil {
		return Facts{}, err
	}
	f.BootID, f.Process = l.bootID, l.process
	f.RoundTrip, err = h.roundTrip(ctx)
	return f, err
}

// daemonFacts are those that the daemon itself tells.
func (h *Host) daemonFacts(ctx context.Context) (Facts, error) {
	f := Facts{ControlEncrypted: h.target.encrypted()}
	var err error
	if f.Driver, err = ask(ctx, h, "ask for the driver", callLimit, (*libvirt.Libvirt).ConnectGetType); err != nil {
		return Facts{}, err
	}
	if f.Hostname, err = h.hostname(ctx); err != nil {
		return Facts{}, err
	}
	lib, err := ask(ctx, h, "ask for libvirt's version", callLimit, (*libvirt.Libvirt).ConnectGetLibVersion)
	if err != nil {
		return Facts{}, err
	}
	hv, err := ask(ctx, h, "ask for the hypervisor's version", callLimit, (*libvirt.Libvirt).ConnectGetVersion)
	if err != nil {
		return Facts{}, err
	}
	f.LibvirtVersion, f.HypervisorVersion = Version(lib), Version(hv)

	node, err := h.node(ctx)
	if err != nil {
		return Facts{}, err
	}
	f.CPUs, f.MemoryBytes = node.cpus, node.memory

	caps, err := ask(ctx, h, "ask for the capabilities", callLimit, (*libvirt.Libvirt).ConnectGetCapabilities)
	if err != nil {
		return Facts{}, err
	}
	var c struct {
		UUID     string `xml:"host>uuid"`
		Arch     string `xml:"host>cpu>arch"`
		Model    string `xml:"host>cpu>model"`
		Vendor   string `xml:"host>cpu>vendor"`
		Features []struct {
			Name string `xml:"name,attr"`
		} `xml:"host>cpu>feature"`
		secModels
	}
	if err := xml.Unmarshal([]byte(caps), &c); err != nil {
		return Facts{}, &Error{Host: h.cfg.Name, Call: "read the capabilities", Err: err}
	}
	f.UUID, f.Arch = c.UUID, c.Arch
	f.QEMUUser = c.user()
	features := make([]string, len(c.Features))
	for i, feature := range c.Features {
		features[i] = feature.Name
	}
	slices.Sort(features)
	f.CPUModel, f.CPUFeatures = strings.TrimSpace(c.Vendor+" "+c.Model), strings.Join(features, " ")

	free, err := ask(ctx, h, "ask for free memory", callLimit, (*libvirt.Libvirt).NodeGetFreeMemory)
	if err != nil && !notSupported(err) {
		return Facts{}, err
	}
	f.FreeMemoryBytes = free
	return f, nil
}

func (h *Host) hostname(ctx context.Context) (string, error) {
	return ask(ctx, h, "ask for the host name", callLimit, (*libvirt.Libvirt).ConnectGetHostname)
}

// roundTrip is the least time of a few calls that the daemon answers out of hand.
func (h *Host) roundTrip(ctx context.Context) (time.Duration, error) {
	const tries = 4
	least := time.Duration(0)
	for i := range tries {
		d, err := h.roundTripOnce(ctx)
		if err != nil {
			return 0, err
		}
		if i == 0 || d < least {
			least = d
		}
	}
	return least, nil
}

func (h *Host) roundTripOnce(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := ask(ctx, h, "measure the round trip", callLimit, (*libvirt.Libvirt).ConnectGetLibVersion)
	return time.Since(start), err
}

type node struct {
	cpus   int
	memory uint64
}

func (h *Host) node(ctx context.Context) (node, error) {
	return ask(ctx, h, "ask for CPUs and memory", callLimit, func(l *libvirt.Libvirt) (node, error) {
		_, kib, cpus, _, _, _, _, _, err := l.NodeGetInfo()
		return node{int(cpus), kib * 1024}, err
	})
}

// CPU reads the host's CPU counters.
func (h *Host) CPU(ctx context.Context) (CPUTimes, error) {
	cpus, err := h.cpuCount(ctx)
	if err != nil {
		return CPUTimes{}, err
	}
	return ask(ctx, h, "read the CPU counters", callLimit, func(l *libvirt.Libvirt) (CPUTimes, error) {
		// the daemon takes no other number than the one it tells when asked for none
		const allCPUs = -1
		_, count, err := l.NodeGetCPUStats(allCPUs, 0, 0)
		if err != nil {
			return CPUTimes{}, err
		}
		counters, _, err := l.NodeGetCPUStats(allCPUs, count, 0)
		at := time.Now()
		if err == nil && len(counters) == 0 {
			err = errors.New("the daemon gives no CPU counters")
		}
		if err != nil {
			return CPUTimes{}, err
		}
		t := CPUTimes{CPUs: cpus, At: at}
		for _, c := range counters {
			switch c.Field {
			case "user":
				t.User = time.Duration(c.Value)
			case "kernel":
				t.System = time.Duration(c.Value)
			case "idle":
				t.Idle = time.Duration(c.Value)
			case "iowait":
				t.IOWait = time.Duration(c.Value)
			}
		}
		return t, nil
	})
}

// cpuCount is asked once: CPUs that come and go during a migration are not followed.
func (h *Host) cpuCount(ctx context.Context) (int, error) {
	h.mu.Lock()
	n := h.cpus
	h.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	node, err := h.node(ctx)
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	h.cpus = node.cpus
	h.mu.Unlock()
	return node.cpus, nil
}

// notSupported says that a daemon or driver does not have the call at all.
func notSupported(err error) bool { return Code(err) == CodeNotSupported }

// secModels are the host's security drivers, as its capabilities list them.
type secModels struct {
	Models []struct {
		Model  string `xml:"model"`
		Labels []struct {
			Type string `xml:"type,attr"`
			Text string `xml:",chardata"`
		} `xml:"baselabel"`
	} `xml:"host>secmodel"`
}

// user reads the label of the DAC driver, +UID:+GID, which is as whom libvirt starts QEMU unless a domain
// says otherwise: https://libvirt.org/formatcaps.html
func (s secModels) user() *User {
	for _, m := range s.Models {
		if m.Model != "dac" {
			continue
		}
		for _, l := range m.Labels {
			var u User
			if n, err := fmt.Sscanf(strings.TrimSpace(l.Text), "+%d:+%d", &u.UID, &u.GID); n == 2 && err == nil && u.UID >= 0 && u.GID >= 0 {
				return &u
			}
		}
	}
	return nil
}
