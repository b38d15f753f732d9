package migration

import "fmt"

func checkMemory(p *Plan, _ Options, fa facts, block blocker) string {
	g, to := fa.guest, fa.destination
	need := g.CurrentMemoryBytes
	if need == 0 {
		need = g.MemoryBytes
	}
	switch available := fa.offered.availableBytes; {
	case g.HugePages:
		return "the guest's memory is of huge pages"
	case to.MemoryBytes > 0 && need > to.MemoryBytes:
		block("memory", "", "guest %q has %s of memory, and host %q only %s in all", g.ID.Name, mib(need), to.key, mib(to.MemoryBytes))
	case available == 0:
		toBeConfirmed(p, "that host %q has %s of memory to spare", to.key, mib(need))
	case need > available:
		p.Warnings = append(p.Warnings, fmt.Sprintf("guest %q has %s of memory, and host %q only %s to spare", g.ID.Name, mib(need), to.key, mib(available)))
	default:
		return fmt.Sprintf("%s of %s to spare", mib(need), mib(available))
	}
	return ""
}

func checkHugePages(p *Plan, _ Options, fa facts, block blocker) string {
	g, to := fa.guest, fa.destination.key
	switch {
	case !g.HugePages:
		return "the guest uses none"
	case !fa.offered.hugePagesKnown:
		toBeConfirmed(p, "that host %q has %s of huge pages to spare", to, mib(g.MemoryBytes))
		return ""
	}
	var free uint64
	counted := map[uint64]bool{}
	for _, size := range g.HugePageSizes() {
		there := false
		for _, pages := range fa.offered.hugePages {
			// without a size the host's default counts, which libvirt does not tell: any may be it
			if size != 0 && pages.PageBytes != size {
				continue
			}
			if there = true; !counted[pages.PageBytes] {
				counted[pages.PageBytes] = true
				free += pages.FreeBytes
			}
		}
		if !there {
			block("huge_pages", "", "host %q has no huge pages of the size that guest %q uses (%d KiB; 0 is the host's default)", to, g.ID.Name, size>>10)
			return ""
		}
	}
	if free < g.MemoryBytes {
		block("huge_pages", "", "guest %q needs %s of huge pages, and host %q has %s free", g.ID.Name, mib(g.MemoryBytes), to, mib(free))
	}
	return fmt.Sprintf("%s of %s free", mib(g.MemoryBytes), mib(free))
}

// mib is an amount of memory for people.
func mib(bytes uint64) string {
	return fmt.Sprintf("%d MiB", (bytes+1<<20-1)>>20)
}
