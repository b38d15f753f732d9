package host

import "strconv"

// CPUMode is how the guest's CPU is chosen: "custom", "host-model", "host-passthrough" or "maximum"; of a
// guest that runs, "custom" stands for "host-model", too.
func (d Domain) CPUMode() string { return within(element(d.XML, "domain", "cpu"), "", "mode") }

// CPUThreads is the number of threads of each core of the guest.
func (d Domain) CPUThreads() int {
	n, err := strconv.Atoi(within(element(d.XML, "domain", "cpu"), "topology", "threads"))
	if err != nil {
		return 1
	}
	return n
}
