package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Shape limits the host's link to so many Mbit/s each way; 0 lifts the limit. Guests' traffic on
// the host shares the link; their heartbeats do not.
func (h *Host) Shape(ctx context.Context, megabits int) error {
	for _, end := range h.linkEnds() {
		_, err := run(ctx, "tc", "-n", end.space, "qdisc", "delete", "dev", end.device, "root")
		if err != nil && !strings.Contains(err.Error(), "Cannot delete qdisc with handle of zero") {
			return err
		}
		if megabits == 0 {
			continue
		}
		// The bucket holds 10 ms, and what passes at once may be 64 KiB long.
		burst := max(megabits*1_000_000/8/100, 128<<10)
		_, err = run(ctx, "tc", "-n", end.space, "qdisc", "add", "dev", end.device, "root", "tbf",
			"rate", fmt.Sprintf("%dmbit", megabits), "burst", fmt.Sprint(burst), "latency", "50ms")
		if err != nil {
			return err
		}
	}
	return nil
}

// Shape limits the links of all hosts.
func (l *Lab) Shape(ctx context.Context, megabits int) error {
	for _, host := range l.Hosts {
		if err := host.Shape(ctx, megabits); err != nil {
			return err
		}
	}
	return nil
}

type linkEnd struct{ space, device string }

func (h *Host) linkEnds() []linkEnd {
	return []linkEnd{{h.space(), "eth0"}, {h.lab.switchSpace(), h.Name}}
}

// Cut makes the switch swallow all that the host sends and is sent, as when a cable somewhere on
// the way is cut: no interface goes down and nobody is told. Heal undoes it.
func (h *Host) Cut(ctx context.Context) error { return h.portState(ctx, "disabled") }

// Heal undoes Cut, DropTo and DropFrom.
func (h *Host) Heal(ctx context.Context) error {
	if err := h.portState(ctx, "forwarding"); err != nil {
		return err
	}
	for _, chain := range []string{"OUTPUT", "INPUT"} {
		if _, err := h.Exec(ctx, "iptables", "--wait", "--flush", chain); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) portState(ctx context.Context, state string) error {
	_, err := run(ctx, "bridge", "-n", h.lab.switchSpace(), "link", "set", "dev", h.Name, "state", state)
	return err
}

// DropTo drops what the host sends to an address, DropFrom what it is sent from there: one
// direction of a connection dies and the other lives.
func (h *Host) DropTo(ctx context.Context, to netip.Addr) error {
	_, err := h.Exec(ctx, "iptables", "--wait", "--append", "OUTPUT", "--destination", to.String(), "--jump", "DROP")
	return err
}

// DropFrom drops what the host is sent from an address.
func (h *Host) DropFrom(ctx context.Context, from netip.Addr) error {
	_, err := h.Exec(ctx, "iptables", "--wait", "--append", "INPUT", "--source", from.String(), "--jump", "DROP")
	return err
}

// RejectPorts makes the host refuse new connections to a range of TCP ports, like "49152:49215".
func (h *Host) RejectPorts(ctx context.Context, ports string) error {
	_, err := h.Exec(ctx, "iptables", "--wait", "--append", "INPUT", "--protocol", "tcp", "--dport", ports, "--jump", "REJECT", "--reject-with", "tcp-reset")
	return err
}

// ResetConnections resets the host's established TCP connections that match a filter in the words
// of ss, like ("dport", ">=", ":49152"); no filter is all of them. It returns how many there were.
func (h *Host) ResetConnections(ctx context.Context, filter ...string) (int, error) {
	text, err := h.Exec(ctx, append([]string{"ss", "--no-header", "--tcp", "--numeric", "--kill", "state", "established"}, filter...)...)
	return strings.Count(text, "\n"), err
}

// Counters are the bytes that crossed the host's link since it was made, headers included.
type Counters struct{ Sent, Received uint64 }

// Counters reads them.
func (h *Host) Counters(ctx context.Context) (Counters, error) {
	text, err := run(ctx, "ip", "-n", h.space(), "-s", "-j", "link", "show", "dev", "eth0")
	if err != nil {
		return Counters{}, err
	}
	var links []struct {
		Stats struct {
			RX, TX struct{ Bytes uint64 }
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(text), &links); err != nil || len(links) != 1 {
		return Counters{}, fmt.Errorf("counters of host %s: %d links: %w", h.Name, len(links), err)
	}
	return Counters{Sent: links[0].Stats.TX.Bytes, Received: links[0].Stats.RX.Bytes}, nil
}
