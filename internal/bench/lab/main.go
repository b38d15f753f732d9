// Command lab runs the comparison on a lab of two hosts on this machine, and writes build/bench/results.json,
// build/bench/report.html and, for other pages, build/bench/total.svg. Its knobs are environment variables:
//
//	BENCH_GUESTS                   1      how many guests move at once
//	BENCH_GUEST_MIB                2560   a guest's memory
//	BENCH_FILL_MIB                 2048   how much of it is filled
//	BENCH_FILL                     incompressible, or compressible (2.5 : 1)
//	BENCH_DIRTY_MIB_PER_SECOND     0      how fast the guest rewrites it
//	BENCH_LINK_MBIT                0      the hosts' links, 0 for no limit
//	BENCH_RTT_MS                   0      how much later than at once an answer comes from the other host
//	BENCH_CHUNK_KIB                256    the relay's chunks
//	BENCH_ROUNDS                   7      after one to warm up
//	BENCH_CASES                    all    their names, separated by spaces
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "build/bench"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// knobs are what can be chosen.
type knobs struct {
	Guests, MemoryMiB, FillMiB, DirtyMiBPerSecond int
	Fill                                          lab.Fill
	LinkMbit, RTTMS, ChunkKiB, Rounds             int
	Cases                                         []string
}

func (k knobs) setting() bench.Setting {
	return bench.Setting{
		Guests: k.Guests, GuestMiB: k.MemoryMiB, FillMiB: &k.FillMiB, Fill: new(string(k.Fill)), DirtyMiBPerSecond: &k.DirtyMiBPerSecond,
		LinkMbit: &k.LinkMbit, RTTMS: &k.RTTMS, ChunkKiB: k.ChunkKiB,
	}
}

func readKnobs() (knobs, error) {
	var wrong []error
	number := func(name string, usual int) int {
		text := os.Getenv("BENCH_" + name)
		if text == "" {
			return usual
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			wrong = append(wrong, fmt.Errorf("BENCH_%s is %q, and must be a number", name, text))
		}
		return n
	}
	k := knobs{}
	k.Guests, k.MemoryMiB, k.FillMiB, k.Fill = number("GUESTS", 1), number("GUEST_MIB", 2560), number("FILL_MIB", 2048), lab.Fill(os.Getenv("BENCH_FILL"))
	k.LinkMbit, k.RTTMS, k.ChunkKiB, k.DirtyMiBPerSecond, k.Rounds = number("LINK_MBIT", 0), number("RTT_MS", 0), number("CHUNK_KIB", 256), number("DIRTY_MIB_PER_SECOND", 0), number("ROUNDS", 7)
	if k.Fill == "" {
		k.Fill = lab.Incompressible
	}
	if k.Fill != lab.Incompressible && k.Fill != lab.Compressible {
		wrong = append(wrong, fmt.Errorf("BENCH_FILL is %q, and must be %s or %s", k.Fill, lab.Incompressible, lab.Compressible))
	}
	if k.Rounds < 1 || k.Guests < 1 {
		wrong = append(wrong, errors.New("BENCH_ROUNDS and BENCH_GUESTS must be at least 1"))
	}
	k.Cases = strings.Fields(os.Getenv("BENCH_CASES"))
	for _, name := range k.Cases {
		if !slices.Contains(caseNames, name) {
			wrong = append(wrong, fmt.Errorf("BENCH_CASES has %q, and there are %s", name, strings.Join(caseNames, " ")))
		}
	}
	if len(k.Cases) == 0 {
		k.Cases = caseNames
	}
	return k, errors.Join(wrong...)
}

func run(ctx context.Context, out string) error {
	k, err := readKnobs()
	if err != nil {
		return err
	}
	results, err := measure(ctx, k)
	if err != nil {
		return err
	}
	if err := results.Write(out); err != nil {
		return err
	}
	fmt.Println()
	if err := results.Table(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("\n%s and %s have the whole of it\n", filepath.Join(out, "results.json"), filepath.Join(out, "report.html"))
	return nil
}

// measure has a lab of its own, and takes it down.
func measure(ctx context.Context, k knobs) (_ bench.Results, err error) {
	l, err := lab.Start(ctx, lab.Config{Name: "bench"})
	if err != nil {
		return bench.Results{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return k.on(ctx, l)
}

// quietBeat keeps a guest that does nothing from taking an eighth of the machine with its heartbeat.
const quietBeat = 100 * time.Millisecond

// on measures in a lab that is there.
func (k knobs) on(ctx context.Context, l *lab.Lab) (_ bench.Results, err error) {
	if k.RTTMS > 0 {
		undo, err := l.Hosts[0].Delay(ctx, time.Duration(k.RTTMS)*time.Millisecond)
		if err != nil {
			return bench.Results{}, err
		}
		defer undo()
	}
	if k.LinkMbit > 0 {
		if err := l.Shape(ctx, k.LinkMbit); err != nil {
			return bench.Results{}, err
		}
	}
	var beatEvery time.Duration // as usual: with each beat a guest that writes keeps its memory from harm, see lab.GuestConfig
	if k.DirtyMiBPerSecond == 0 {
		beatEvery = quietBeat
	}
	var guests []*lab.Guest
	for n := range k.Guests {
		g, err := l.StartGuest(ctx, lab.GuestConfig{
			Name: fmt.Sprintf("moved-%d", n+1), Host: l.Hosts[0].Name, MemoryMiB: k.MemoryMiB, FillMiB: k.FillMiB, Fill: k.Fill,
			DirtyMiBPerSecond: k.DirtyMiBPerSecond, StockMemory: true, BeatEvery: beatEvery,
		})
		if err != nil {
			return bench.Results{}, err
		}
		guests = append(guests, g)
	}
	m, err := newMover(ctx, l, guests)
	if err != nil {
		return bench.Results{}, err
	}
	defer m.close()
	rounds, err := bench.Run(ctx, m.cases(k.Cases, k.ChunkKiB), k.Rounds, func(n int, c bench.Case, s bench.Sample) {
		fmt.Printf("round %d  %-20s %6.0f ms  %5.2f CPU s\n", n, c.Name, *s.TotalMS, *s.CPUSeconds)
	})
	if err != nil {
		return bench.Results{}, err
	}
	versions, err := m.versions(ctx)
	return bench.Summarize(k.setting(), versions, k.Cases, rounds), err
}
