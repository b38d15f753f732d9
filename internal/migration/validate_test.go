package migration

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestEveryMistakeIsFoundAtItsOption: mistakes that do not follow from one another are all found at once.
func TestEveryMistakeIsFoundAtItsOption(t *testing.T) {
	wrong := Options{
		Transport: "tsl", ParallelConnections: 300, MaxDowntimeMS: -1, Storage: StorageCopy,
		Convergence:    Convergence{StallSeconds: -5, OnTimeout: "hope"},
		MigrateDisks:   []string{"vda", "vda"},
		ProgressFile:   "a\nb",
		SourceImages:   SourceImagesDelete,
		ChunkKiB:       DefaultChunkKiB,
		Acknowledge:    AcknowledgeEach,
		Compression:    CompressionZstd,
		ExistingImages: "ask",
	}
	want := map[string]bool{
		"transport": true, "parallel_connections": true, "max_downtime_ms": true, "convergence.stall_seconds": true,
		"convergence.on_timeout": true, "existing_images": true, "migrate_disks": false, "progress_file": false,
	}
	err := wrong.Validate()
	for _, m := range wrong.Mistakes() {
		if outOfRange, expected := want[m.Option]; !expected || outOfRange != m.OutOfRange {
			t.Errorf("%s (out of range: %v) is found", m, m.OutOfRange)
		}
		if !strings.HasPrefix(m.Error(), m.Option+" ") || !strings.Contains(err.Error(), m.Error()) {
			t.Errorf("%q does not tell of %q", err, m)
		}
		delete(want, m.Option)
	}
	if first := (*OptionError)(nil); !errors.As(err, &first) || first.Option != "transport" {
		t.Errorf("%v is not of the kind of its parts", err)
	}
	if len(want) > 0 {
		t.Errorf("nothing is found at %v", want)
	}
}

// TestOneMistakeIsOneError: what follows from a mistake is not told as well.
func TestOneMistakeIsOneError(t *testing.T) {
	for option, wrong := range map[string]Options{
		"transport":                  {Transport: "tsl", Acknowledge: AcknowledgeEach, ChunkKiB: 8},
		"storage":                    {Storage: "borrow", SourceImages: SourceImagesDelete, MigrateDisks: []string{"vda"}},
		"parallel_connections":       {Transport: TransportRelay, ParallelConnections: 300},
		"convergence.downtime_steps": {MaxDowntimeMS: 300, BlackoutTimeoutMS: 2000, Convergence: Convergence{DowntimeSteps: 300}},
	} {
		found := wrong.Mistakes()
		if at := slices.IndexFunc(found, func(m *OptionError) bool { return m.Option == option }); len(found) != 1 || at != 0 {
			t.Errorf("%+v: %v", wrong, found)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
}
