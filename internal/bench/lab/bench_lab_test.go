package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m, "compare") }

// TestEveryCase: each moves the guest and has all figures, and those of the engine's cases agree with what the engine itself
// says of the move.
func TestEveryCase(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", MemoryMiB: 384, FillMiB: 192})
	ctx := labtest.Context(t, 5*time.Minute)
	m, err := newMover(ctx, l, []*lab.Guest{g})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	round := bench.Round{}
	for i, c := range m.cases(caseNames, 64) {
		s, err := c.Move(ctx)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		labtest.MustRun(t, g, l.Hosts[(i+1)%2].Name)
		round[c.Name] = s
		if s.TotalMS == nil || s.WallMS == nil || s.DowntimeMS == nil || s.CPUSeconds == nil || s.TransferredBytes == nil || s.SourceIdlePercent == nil {
			t.Fatalf("%s lacks figures: %+v", c.Name, s)
		}
		if *s.TransferredBytes < 192<<20 || *s.WallMS < *s.TotalMS || *s.CPUSeconds <= 0 || s.CPUByProgram["QEMU"] <= 0 {
			t.Errorf("%s: %v bytes, %v of %v ms, %v CPU s, %v", c.Name, *s.TransferredBytes, *s.TotalMS, *s.WallMS, *s.CPUSeconds, s.CPUByProgram)
		}
		if strings.HasPrefix(c.Name, "relay") && s.CPUByProgram["relay"] <= 0 { // the others' may be those of another lab on this machine
			t.Errorf("%s: CPU of the programs %v", c.Name, s.CPUByProgram)
		}
		if _, ours := bench.Options(c.Name, 64); ours {
			agree(t, c.Name, s, bench.OfResult(m.last[0]))
		}
	}
	r := bench.Summarize(bench.Setting{}, nil, caseNames, []bench.Round{round})
	for _, row := range r.Rows {
		if row.RatioToPlain == nil || row.Case == "plain" && row.RatioToPlain.Median != 1 {
			t.Errorf("%s compared to plain: %v", row.Case, row.RatioToPlain)
		}
	}
}

// agree compares what libvirt and the kernel say with what the engine's result says: each has its own clock and its own
// idea of when a move begins.
func agree(t *testing.T, name string, seen, told bench.Sample) {
	t.Helper()
	for _, c := range []struct {
		figure          string
		seen, told      *float64
		apart, relative float64
	}{
		{"total_ms", seen.TotalMS, told.TotalMS, 300, 0.2},
		{"wall_ms", seen.WallMS, told.WallMS, 50, 0.02},
		{"copy_ms", seen.CopyMS, told.CopyMS, 0, 0},
		{"downtime_ms", seen.DowntimeMS, told.DowntimeMS, 150, 0.5},
		{"transferred_bytes", seen.TransferredBytes, told.TransferredBytes, 1 << 20, 0.02},
	} {
		if c.seen == nil || c.told == nil || math.Abs(*c.seen-*c.told) > c.apart+c.relative**c.seen {
			t.Errorf("%s: %s was seen as %v and told as %v", name, c.figure, deref(c.seen), deref(c.told))
		}
	}
}

func deref(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

func TestKnobs(t *testing.T) {
	t.Setenv("BENCH_GUEST_MIB", "many")
	t.Setenv("BENCH_FILL", "sand")
	t.Setenv("BENCH_ROUNDS", "0")
	t.Setenv("BENCH_CASES", "plain pigeon")
	_, err := readKnobs()
	for _, want := range []string{"BENCH_GUEST_MIB", "BENCH_FILL", "BENCH_ROUNDS", `"pigeon"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s: %v", want, err)
		}
	}
	t.Setenv("BENCH_GUEST_MIB", "")
	t.Setenv("BENCH_FILL", "")
	t.Setenv("BENCH_ROUNDS", "")
	t.Setenv("BENCH_CASES", "tls plain")
	t.Setenv("BENCH_RTT_MS", "10")
	if k, err := readKnobs(); err != nil || k.MemoryMiB != 2560 || k.FillMiB != 2048 || k.Rounds != 7 || k.RTTMS != 10 || len(k.Cases) != 2 {
		t.Errorf("%+v, %v", k, err)
	}
}
