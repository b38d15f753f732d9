package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

const soakGuests = 4

// soakOptions are taken in turn: every encrypted transport, in its ways.
var soakOptions = []migration.Options{
	{Transport: migration.TransportRelay},
	{Transport: migration.TransportTLS},
	{Transport: migration.TransportTunnel},
	{Transport: migration.TransportRelay, Control: migration.ControlPeerToPeer, Acknowledge: migration.AcknowledgeEach},
	{Transport: migration.TransportTLS, Control: migration.ControlPeerToPeer, ParallelConnections: 4},
	{Transport: migration.TransportRelay, Compression: migration.CompressionZstd, ParallelConnections: 3},
}

// soakRates are the MiB that a guest rewrites each second.
var soakRates = []int{0, 32, 4, 64, 16}

// weight is what a controller and the daemons take at one moment.
type weight struct {
	Goroutines          int               `json:"goroutines"`
	OpenFiles           int               `json:"open_files"`
	HeapBytes           uint64            `json:"heap_bytes"`
	LibvirtdMemoryBytes map[string]uint64 `json:"libvirtd_memory_bytes"`
	LibvirtdOpenFiles   map[string]int    `json:"libvirtd_open_files"`
	ProcessesAndFilesOn map[string]int    `json:"processes_and_files_on"`
	snapshots           []lab.Snapshot
}

// soaked is the report of a soak, build/faults/soak.json.
type soaked struct {
	Migrations        int                           `json:"migrations"`
	Failed            int                           `json:"failed"`
	Lost              int                           `json:"lost"`
	Seconds           float64                       `json:"seconds"`
	Transports        map[string]int                `json:"transports"`
	TotalMSMedian     map[migration.Transport]int64 `json:"total_ms_median"`
	DowntimeMSMedian  map[migration.Transport]int64 `json:"downtime_ms_median"`
	DowntimeMSMaximum map[migration.Transport]int64 `json:"downtime_ms_maximum"`
	AfterAQuarter     weight                        `json:"after_a_quarter"`
	AtTheEnd          weight                        `json:"at_the_end"`
	totals, downtimes map[migration.Transport][]int64
	mu                sync.Mutex
}

// TestSoak moves guests to and fro, side by side, until VIRTMIGRATE_SOAK migrations are made. None may fail, the guests
// must be unharmed, and neither the controller nor the hosts may grow.
func TestSoak(t *testing.T) {
	count := 8
	if text := os.Getenv("VIRTMIGRATE_SOAK"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil || count < soakGuests {
			t.Fatalf("VIRTMIGRATE_SOAK is %q, but must be a number of migrations, %d or more", text, soakGuests)
		}
	}
	l := labtest.Lab(t)
	if err := l.Shape(labtest.Context(t, time.Minute), 0); err != nil {
		t.Fatal(err)
	}
	fleet, err := migration.NewFleet(migration.Config{Hosts: hosts(l, lab.SSH)})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	var guests []*lab.Guest
	for i := range soakGuests {
		guests = append(guests, labtest.Guest(t, lab.GuestConfig{
			Name: fmt.Sprintf("soak%d", i), Host: []string{source, destination}[i%2], FillMiB: 64, Disk: true, NIC: true, BeatEvery: 50 * time.Millisecond,
		}))
	}
	s := &soaked{Transports: map[string]int{}, totals: map[migration.Transport][]int64{}, downtimes: map[migration.Transport][]int64{}}
	began := time.Now()
	quarter := max(2, count/soakGuests/4/2*2) // an even number: everybody is at home then
	s.rounds(t, l, fleet, guests, 0, quarter)
	s.AfterAQuarter = weigh(t, l)
	s.rounds(t, l, fleet, guests, quarter, (count+soakGuests-1)/soakGuests/2*2)
	s.AtTheEnd = weigh(t, l)
	s.Seconds = time.Since(began).Round(time.Second).Seconds()
	s.report(t)
	mustNotHaveGrown(t, s.AfterAQuarter, s.AtTheEnd)
}

// rounds moves every guest so many times, each to the other host.
func (s *soaked) rounds(t *testing.T, l *lab.Lab, fleet *migration.Fleet, guests []*lab.Guest, from, to int) {
	var all sync.WaitGroup
	for i, g := range guests {
		all.Go(func() {
			for round := from; round < to; round++ {
				s.move(t, l, fleet, g, i+round)
			}
		})
	}
	all.Wait()
}

func (s *soaked) move(t *testing.T, l *lab.Lab, fleet *migration.Fleet, g *lab.Guest, number int) {
	ctx := labtest.Context(t, 5*time.Minute)
	if err := g.SetDirtyRate(ctx, soakRates[number%len(soakRates)]); err != nil {
		t.Error(err)
	}
	at, err := fleet.Locate(ctx, migration.GuestRef{Name: g.Name})
	if err != nil {
		t.Error(err)
		return
	}
	to := destination
	if at.Host == destination {
		to = source
	}
	o, err := fleet.Migrate(ctx, migration.Request{Guest: migration.GuestRef{Name: g.Name}, Host: to, Options: soakOptions[number%len(soakOptions)]})
	var harm error
	if err == nil {
		for range 3 { // four emulated guests on one machine may be busy catching up
			if harm = labtest.Runs(ctx, l, g, to); harm == nil {
				break
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Migrations++
	switch {
	case err != nil:
		s.Failed++
		t.Errorf("migration %d: %v", s.Migrations, err)
		return
	case harm != nil:
		s.Lost++
		t.Errorf("after migration %d: %v", s.Migrations, harm)
	}
	r := o.Result
	s.Transports[fmt.Sprintf("%s %s", r.Transport, r.Control)]++
	s.totals[r.Transport] = append(s.totals[r.Transport], *r.TotalMS)
	if r.DowntimeMS != nil {
		s.downtimes[r.Transport] = append(s.downtimes[r.Transport], *r.DowntimeMS)
	}
}

// weigh waits until what ends by itself has ended, and measures.
func weigh(t *testing.T, l *lab.Lab) weight {
	t.Helper()
	w := weight{LibvirtdMemoryBytes: map[string]uint64{}, LibvirtdOpenFiles: map[string]int{}, ProcessesAndFilesOn: map[string]int{}}
	var err error
	for range 10 { // relays take a moment to end
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
	}
	if w.snapshots, err = l.Snapshot(labtest.Context(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i, s := range w.snapshots {
		w.ProcessesAndFilesOn[s.Host] = len(s.Items)
		for n := range soakGuests { // they are there, in processes of their own each time
			s = s.Without(fmt.Sprintf("soak%d", n))
		}
		w.snapshots[i] = s
	}
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	w.Goroutines, w.HeapBytes, w.OpenFiles = runtime.NumGoroutine(), heap.HeapAlloc, files(t, "self")
	for _, h := range l.Hosts {
		pid, err := h.DaemonPID()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
				kib, _ := strconv.ParseUint(fields[1], 10, 64)
				w.LibvirtdMemoryBytes[h.Name] = kib << 10
			}
		}
		w.LibvirtdOpenFiles[h.Name] = files(t, strconv.Itoa(pid))
	}
	return w
}

func files(t *testing.T, process string) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join("/proc", process, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// mustNotHaveGrown allows what comes and goes: a connection that is being opened anew, memory of the daemons that
// they keep for later.
func mustNotHaveGrown(t *testing.T, before, after weight) {
	t.Helper()
	if after.Goroutines > before.Goroutines+4 || after.OpenFiles > before.OpenFiles+2 || after.HeapBytes > before.HeapBytes*5/4+1<<20 {
		t.Errorf("the controller grew: %d goroutines, then %d; %d files, then %d; %d bytes, then %d",
			before.Goroutines, after.Goroutines, before.OpenFiles, after.OpenFiles, before.HeapBytes, after.HeapBytes)
	}
	for host, bytes := range before.LibvirtdMemoryBytes {
		if now := after.LibvirtdMemoryBytes[host]; now > bytes*5/4+8<<20 {
			t.Errorf("libvirtd on %s had %d bytes, then %d", host, bytes, now)
		}
		if now := after.LibvirtdOpenFiles[host]; now > before.LibvirtdOpenFiles[host]+4 {
			t.Errorf("libvirtd on %s had %d files open, then %d", host, before.LibvirtdOpenFiles[host], now)
		}
	}
	for _, left := range slices.DeleteFunc(lab.DiffAll(before.snapshots, after.snapshots), ordinary.MatchString) {
		t.Errorf("left behind: %s", left)
	}
}

func (s *soaked) report(t *testing.T) {
	t.Helper()
	s.TotalMSMedian, s.DowntimeMSMedian, s.DowntimeMSMaximum = map[migration.Transport]int64{}, map[migration.Transport]int64{}, map[migration.Transport]int64{}
	for transport, values := range s.totals {
		slices.Sort(values)
		s.TotalMSMedian[transport] = values[len(values)/2]
	}
	for transport, values := range s.downtimes {
		slices.Sort(values)
		s.DowntimeMSMedian[transport], s.DowntimeMSMaximum[transport] = values[len(values)/2], values[len(values)-1]
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	file := filepath.Join(filepath.Dir(resultsFile), "soak.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
