package migration

import (
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// TestTheGuestDoesNotChooseTheSizeOfItsDisk: what a storage pool finds in a raw image is what the guest wrote there.
func TestTheGuestDoesNotChooseTheSizeOfItsDisk(t *testing.T) {
	for name, c := range map[string]struct {
		format           string
		qemu, pool, want uint64
	}{
		"a raw image that looks larger":          {"raw", 1 << 30, 1 << 40, 1 << 30},
		"a raw image that looks smaller":         {"raw", 1 << 30, 1 << 20, 1 << 30},
		"a raw image of which QEMU says nothing": {"raw", 0, 1 << 40, 0},
		"a qcow2 image":                          {"qcow2", 1 << 30, 1 << 30, 1 << 30},
		"a qcow2 image with only its header":     {"qcow2", 0, 1 << 30, 1 << 30},
	} {
		d := diskFacts{Disk: host.Disk{Format: c.format, CapacityBytes: c.qemu}}
		if got := capacityOf(d, host.Volume{CapacityBytes: c.pool}); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
