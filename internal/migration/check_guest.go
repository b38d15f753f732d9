package migration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func checkState(_ *Plan, _ Options, fa facts, block blocker) string {
	g := fa.guest
	if !g.State.Running() && !g.State.PausedByUser() && !g.State.ShutOff() {
		block("state", "bring it to a running state first, or shut it off", "guest %q is %s, and only a guest that runs, that its user paused or that is shut off can be moved", g.ID.Name, g.State)
	}
	return g.State.String()
}

func checkJob(_ *Plan, _ Options, fa facts, block blocker) string {
	if fa.otherJob {
		block("job", "wait for it to end: virsh domjobinfo shows it", "a job (save, dump, snapshot, backup or block job) runs on guest %q", fa.guest.ID.Name)
	}
	return ""
}

func checkDevices(_ *Plan, _ Options, fa facts, block blocker) string {
	blockDevices(fa.guest, fa.source.key, block)
	return ""
}

func checkSnapshots(_ *Plan, _ Options, fa facts, block blocker) string {
	blockSnapshots(fa.guest, block)
	return ""
}

func checkCheckpoints(_ *Plan, _ Options, fa facts, block blocker) string {
	blockCheckpoints(fa.guest, block)
	return ""
}

// blockDevices finds what keeps a guest on its host wherever it is to go.
func blockDevices(g host.Domain, key string, block blocker) {
	for _, dev := range g.HostDevices {
		block("host_device", "detach it, or shut the guest down to move it", "guest %q uses a device of host %q: %s", g.ID.Name, key, dev)
	}
	for _, b := range g.Blockers {
		block("device", "detach it first", "guest %q has something QEMU cannot migrate: %s", g.ID.Name, b)
	}
}

func blockSnapshots(g host.Domain, block blocker) {
	if g.Snapshots > 0 {
		block("snapshots", "virsh snapshot-list shows them; delete them or their metadata first", "guest %q has %d snapshots, and libvirt does not migrate a guest with snapshots", g.ID.Name, g.Snapshots)
	}
}

func blockCheckpoints(g host.Domain, block blocker) {
	if g.Checkpoints > 0 {
		block("checkpoints", "virsh checkpoint-list shows them; delete them first", "guest %q has %d checkpoints, which libvirt would drop without a word", g.ID.Name, g.Checkpoints)
	}
}

func checkShutOff(p *Plan, _ Options, fa facts, block blocker) { decideOffline(p, fa, block) }

// lacks says that the destination does not have what the guest needs to run. A guest that is shut off can
// move all the same, and would not start there.
func lacks(p *Plan, fa facts, block blocker, id, format string, args ...any) {
	if !fa.guest.State.ShutOff() {
		block(id, "", format, args...)
		return
	}
	p.Warnings = append(p.Warnings, fmt.Sprintf("guest %q will not start on %q: ", fa.guest.ID.Name, fa.destination.key)+fmt.Sprintf(format, args...))
}

func toBeConfirmed(p *Plan, format string, args ...any) {
	p.ToBeConfirmed = append(p.ToBeConfirmed, fmt.Sprintf(format, args...))
}

func checkMachine(p *Plan, _ Options, fa facts, block blocker) string {
	g, to := fa.guest, fa.destination.key
	switch m := fa.offered.Machine; {
	case !m.Known:
		toBeConfirmed(p, "that host %q has emulator %s with machine type %s", to, g.Emulator, g.Machine)
	case !m.Can:
		lacks(p, fa, block, "machine", "host %q cannot run machine type %s: %s", to, g.Machine, m.Why)
	}
	return g.Machine
}

func checkModels(p *Plan, _ Options, fa facts, block blocker) string {
	if !fa.offered.Machine.Known {
		toBeConfirmed(p, "that QEMU on %s has the models of all devices of guest %q", fa.destination.key, fa.guest.ID.Name)
	}
	for _, model := range fa.offered.Lacks {
		lacks(p, fa, block, "model", "QEMU on %q has no %s", fa.destination.key, model)
	}
	return ""
}

func checkGuestCPU(p *Plan, _ Options, fa facts, block blocker) string {
	g, src, dst := fa.guest, fa.source, fa.destination
	switch mode := g.CPUMode(); {
	case mode == "host-passthrough" || mode == "maximum":
		switch {
		case g.State.ShutOff(): // it takes the CPU of the host it starts on
		case src.CPUModel == "" || dst.CPUModel == "":
			toBeConfirmed(p, "that the CPUs of %s and %s are the same: guest %q sees its host's own", src.key, dst.key, g.ID.Name)
		case src.CPUModel != dst.CPUModel || src.CPUFeatures != dst.CPUFeatures:
			p.Warnings = append(p.Warnings, fmt.Sprintf("guest %q sees its host's own CPU (%s), and that of %q is another one: it may crash when an instruction is missing there (%s; %s)",
				g.ID.Name, mode, dst.key, differing(src, dst), "a CPU model that both have would be safe"))
		}
		return "the same on both hosts: " + src.CPUModel
	case g.State.ShutOff() && mode != "custom":
		return "is chosen where it starts"
	}
	switch c := fa.offered.CPU; {
	case !c.Known:
		toBeConfirmed(p, "that the hypervisor of %s can give guest %q its CPU%s", dst.key, g.ID.Name, because(c.Why))
	case !c.Can:
		lacks(p, fa, block, "cpu", "host %q cannot give guest %q its CPU: %s", dst.key, g.ID.Name, c.Why)
	}
	return ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// differing names in how two hosts' CPUs differ.
func differing(a, b hostFacts) string {
	if a.CPUModel != b.CPUModel {
		return fmt.Sprintf("%s is %s, %s is %s", a.key, a.CPUModel, b.key, b.CPUModel)
	}
	has := strings.Fields(b.CPUFeatures)
	var missing []string
	for _, feature := range strings.Fields(a.CPUFeatures) {
		if !slices.Contains(has, feature) {
			missing = append(missing, feature)
		}
	}
	if len(missing) == 0 {
		return fmt.Sprintf("%s has more features", b.key)
	}
	return fmt.Sprintf("%s has no %s", b.key, strings.Join(missing, ", "))
}

func checkNetworks(p *Plan, _ Options, fa facts, block blocker) string {
	to := fa.destination.key
	var found []string
	for _, i := range fa.guest.Interfaces {
		what := fmt.Sprintf("%s %s", i.Type, i.Source)
		if slices.Contains(found, what) {
			continue
		}
		switch answer := fa.offered.links[i.Source]; {
		case i.Type == "network" && fa.offered.networks == nil:
			toBeConfirmed(p, "that host %q has an active network %q", to, i.Source)
		case i.Type == "network":
			active, there := fa.offered.networks[i.Source]
			if !there {
				lacks(p, fa, block, "network", "host %q has no network %q, which an interface of guest %q is on", to, i.Source, fa.guest.ID.Name)
			} else if !active {
				lacks(p, fa, block, "network", "network %q of host %q is not active, and an interface of guest %q is on it", i.Source, to, fa.guest.ID.Name)
			} else {
				checkForward(p, fa, i.Source)
			}
		case !onLink(i):
			continue
		case !answer.Known:
			toBeConfirmed(p, "that host %q has %s%s", to, linkWords(i), because(answer.Why))
		case !answer.Can:
			lacks(p, fa, block, "bridge", "host %q has no %s, which an interface of guest %q is on", to, linkWords(i), fa.guest.ID.Name)
		}
		found = append(found, what)
	}
	return strings.Join(found, ", ")
}

// checkForward looks at a virtual network that both hosts have. Under one name they may be two: those that a daemon
// makes by itself end at its host.
func checkForward(p *Plan, fa facts, network string) {
	src, dst := fa.source.forwards[network], fa.destination.forwards[network]
	if fa.guest.State.ShutOff() || src == "" || dst == "" {
		return
	}
	var nat []string
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if h.forwards[network] == "nat" {
			nat = append(nat, fmt.Sprintf("%q", h.key))
		}
	}
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	switch {
	case len(nat) > 0:
		warn("network %q is behind the NAT of its host on %s, and a NAT does not move: connections of guest %q through it "+
			"are cut, and the address that the guest keeps may be another guest's on %s",
			network, strings.Join(nat, " and "), fa.guest.ID.Name, fa.destination.key)
	case endsAtItsHost(src) || endsAtItsHost(dst):
		warn("network %q is a bridge that each daemon makes for its own host: guest %q keeps its connections only if "+
			"that of %s and that of %s are joined", network, fa.guest.ID.Name, fa.source.key, fa.destination.key)
	}
}

// endsAtItsHost says of a mode of forwarding that the network is no more than a bridge that the daemon makes.
func endsAtItsHost(forward string) bool {
	return forward == "none" || forward == "route" || forward == "open"
}

func linkWords(i host.Interface) string {
	if i.Type == "bridge" {
		return fmt.Sprintf("bridge %q", i.Source)
	}
	return fmt.Sprintf("network device %q", i.Source)
}
