package migration

import (
	"fmt"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func checkDrivers(_ *Plan, _ Options, fa facts, block blocker) string {
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if h.Driver != "QEMU" {
			block("driver", "use a qemu URI", "host %q runs libvirt's %s driver, and only QEMU guests can be moved", h.key, h.Driver)
		}
	}
	return ""
}

func checkHostUUIDs(_ *Plan, _ Options, fa facts, block blocker) string {
	if fa.source.UUID == fa.destination.UUID {
		block("host_uuid", "set a distinct host_uuid in libvirtd.conf of one of them",
			"hosts %q and %q have the same UUID %s", fa.source.key, fa.destination.key, fa.source.UUID)
	}
	return ""
}

func checkArchitectures(_ *Plan, _ Options, fa facts, block blocker) string {
	if fa.source.Arch != "" && fa.destination.Arch != "" && fa.source.Arch != fa.destination.Arch {
		block("architecture", "", "host %q is %s, host %q is %s", fa.source.key, fa.source.Arch, fa.destination.key, fa.destination.Arch)
	}
	return fa.destination.Arch
}

// skewed is how far two hosts' clocks may part before it is worth a word. They are read to the second.
const skewed = 5 * time.Second

func checkClocks(p *Plan, _ Options, fa facts, _ blocker) string {
	src, dst := fa.source.clock, fa.destination.clock
	if src == nil || dst == nil {
		toBeConfirmed(p, "that the clocks of %s and %s agree: one of them could not be read", fa.source.key, fa.destination.key)
		return ""
	}
	apart := dst.ahead - src.ahead
	if apart.Abs() > skewed {
		ahead, behind := fa.destination.key, fa.source.key
		if apart < 0 {
			ahead, behind = behind, ahead
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("the clock of host %q is %s ahead of that of %q", ahead, apart.Abs().Round(time.Second), behind))
	}
	return fmt.Sprintf("they are less than %s apart", skewed)
}

func checkName(p *Plan, _ Options, fa facts, block blocker) string {
	if fa.nameTakenBy != "" {
		block("name_taken", "rename or undefine that domain", "host %q has another domain named %q (%s)", fa.destination.key, fa.guest.ID.Name, fa.nameTakenBy)
	}
	if fa.leftover && !fa.guest.State.ShutOff() {
		p.Warnings = append(p.Warnings, fmt.Sprintf("host %q keeps an old definition of this guest, which the move replaces", p.To))
	}
	return ""
}

func checkAddress(p *Plan, _ Options, fa facts, block blocker) string {
	to := fa.destination
	address := to.cfg.migrationAddress()
	if address == "" {
		block("migration_address", fmt.Sprintf("set migration_address of host %q to the name or address at which the other hosts reach it", to.key),
			"nothing says at which address %q can be reached by the other hosts", to.key)
		return ""
	}
	switch p.Transport {
	case TransportTLS, TransportPlain:
		toBeConfirmed(p, "that %s reaches %s on the ports that qemu.conf there names for migrations, 49152 to 49215 unless it says otherwise", fa.source.key, address)
	}
	return address
}

// Versions with known defects, of which users have reported failed migrations.
const (
	// QEMU 9.2.0 alone misread the parallel connections of versions before 9.0: its issue 2720.
	parallelBroken     host.Version = 9002000
	parallelBrokenWith host.Version = 9000000
	// QEMU 10 reports the feature ht in another way, and libvirt before 11.10 takes that for a change:
	// https://libvirt.org/news.html
	threadsBroken host.Version = 10000000
	threadsMended host.Version = 11010000
	// libvirt 9.10 began to check the features below vmx, and took those of older sources for missing until 10.2.
	vmxBroken host.Version = 9010000
	vmxMended host.Version = 10002000
	// The daemon of these crashes when a post-copy is resumed on it.
	resumeBroken host.Version = 11002000
	resumeMended host.Version = 11004000
)

func checkVersions(p *Plan, o Options, fa facts, _ blocker) string {
	src, dst := fa.source, fa.destination
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	for _, pair := range [][2]hostFacts{{src, dst}, {dst, src}} {
		broken := pair[0].HypervisorVersion == parallelBroken && pair[1].HypervisorVersion < parallelBrokenWith
		if broken && p.Transport.parallelConnections(o) > 1 {
			warn("QEMU %s on %s cannot migrate over parallel connections from or to QEMU before %s, which %s has", parallelBroken, pair[0].key, parallelBrokenWith, pair[1].key)
		}
	}
	if dst.HypervisorVersion >= threadsBroken && src.HypervisorVersion < threadsBroken && dst.LibvirtVersion < threadsMended && fa.guest.CPUThreads() > 1 {
		warn("guest %q has %d threads for each core, and libvirt %s on %s refuses such a guest of an older QEMU (extra features: ht); libvirt %s does not",
			fa.guest.ID.Name, fa.guest.CPUThreads(), dst.LibvirtVersion, dst.key, threadsMended)
	}
	if src.LibvirtVersion < vmxBroken && dst.LibvirtVersion >= vmxBroken && dst.LibvirtVersion < vmxMended && strings.Contains(fa.guest.CPUXML, "'vmx'") {
		warn("guest %q has the CPU feature vmx, and libvirt %s on %s may refuse it from libvirt %s (missing features: vmx-…); libvirt %s does not", fa.guest.ID.Name, dst.LibvirtVersion, dst.key, src.LibvirtVersion, vmxMended)
	}
	if older := dst.HypervisorVersion; older/1000 < src.HypervisorVersion/1000 {
		warn("QEMU on %s is %s, older than %s on %s: the way back to an older QEMU is little tested, and may fail when the guest has arrived (the guest then goes on where it was)", dst.key, older, src.HypervisorVersion, src.key)
	}
	return fmt.Sprintf("libvirt %s and QEMU %s to libvirt %s and QEMU %s", src.LibvirtVersion, src.HypervisorVersion, dst.LibvirtVersion, dst.HypervisorVersion)
}

func checkConcurrent(p *Plan, _ Options, fa facts, _ blocker) string {
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if n := len(h.arriving); n > 0 && n >= fa.perHost {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%d other guests are arriving at host %q: %s", n, h.key, strings.Join(h.arriving, ", ")))
		}
	}
	return ""
}
