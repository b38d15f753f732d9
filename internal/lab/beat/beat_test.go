package beat_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/beat"
)

func TestAPulseComesBackAsItWasSent(t *testing.T) {
	want := beat.Pulse{Boot: 0xdeadbeef, Seq: 12345678901, Uptime: 90 * time.Minute}
	got, status, err := beat.Parse(beat.AppendPulse(nil, want))
	if err != nil || status != nil || *got != want {
		t.Fatalf("got %v, %v, %v; want %v", got, status, err, want)
	}
}

func TestAStatusComesBackAsItWasSent(t *testing.T) {
	want := beat.Status{
		Boot: 7, Ready: true, FilledBytes: 1, DirtiedBytes: 2, MemoryChecked: 3, MemoryErrors: 4, Verified: 5,
		DiskWritten: 6, DiskChecked: 7, DiskErrors: 8, NetSent: 9, NetEchoed: 10, NetBroken: true,
		Note: "disk block 3\nis \"wrong\" as it was",
	}
	pulse, got, err := beat.Parse(beat.AppendStatus(nil, want))
	if err != nil || pulse != nil {
		t.Fatal(pulse, err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Fatal(diff)
	}
}

func TestALineThatLostOrChangedAnyByteIsRefused(t *testing.T) {
	line := beat.AppendPulse(nil, beat.Pulse{Boot: 1, Seq: 2, Uptime: time.Second})
	line = line[:len(line)-1]
	for i := range line {
		shorter := append(append([]byte(nil), line[:i]...), line[i+1:]...)
		if _, _, err := beat.Parse(shorter); err == nil {
			t.Errorf("without byte %d: %q was accepted", i, shorter)
		}
		changed := append([]byte(nil), line...)
		changed[i] ^= 1
		if _, _, err := beat.Parse(changed); err == nil {
			t.Errorf("with byte %d changed: %q was accepted", i, changed)
		}
	}
	if _, _, err := beat.Parse(nil); !errors.Is(err, beat.ErrTorn) {
		t.Errorf("nothing: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(beat.AppendPulse(nil, beat.Pulse{Boot: 1, Seq: 2, Uptime: 3}))
	f.Add(beat.AppendStatus(nil, beat.Status{Note: "x"}))
	f.Fuzz(func(t *testing.T, line []byte) {
		pulse, status, err := beat.Parse(line)
		if (pulse != nil) == (status != nil) && err == nil {
			t.Fatal("neither or both, and no error")
		}
	})
}
