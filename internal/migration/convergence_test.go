package migration

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// reading is one reading of a job: seconds after its begin, and MiB that remain.
type reading struct {
	second, memory int
	disk           bool
}

func TestPace(t *testing.T) {
	converging := []reading{{0, 900, false}, {1, 600, false}, {5, 300, false}, {9, 200, false}}
	for name, c := range map[string]struct {
		convergence Convergence
		readings    []reading
		want        string // "second deed" of everything but nothing
		why         string
	}{
		"a copy that comes nearer to its end is let go on": {Convergence{TimeoutSecondsPerGiB: 10, StallSeconds: 5}, converging, "", ""},
		"its time is up":      {Convergence{TimeoutSecondsPerGiB: 9}, converging, "9 abort", "timeout_seconds_per_gib"},
		"only once":           {Convergence{TimeoutSecondsPerGiB: 3}, converging, "5 abort", ""},
		"it does not advance": {Convergence{StallSeconds: 4}, []reading{{0, 900, false}, {2, 100, false}, {3, 500, false}, {5, 200, false}, {6, 150, false}}, "6 abort", "stall_seconds"},
		"another pass is no stall when it gets below the last":         {Convergence{StallSeconds: 4}, []reading{{0, 900, false}, {2, 100, false}, {3, 500, false}, {5, 99, false}, {8, 400, false}}, "", ""},
		"memory after disks is counted anew":                           {Convergence{StallSeconds: 4}, []reading{{0, 50, true}, {3, 1, true}, {4, 900, false}, {7, 800, false}}, "", ""},
		"a disk that does not advance is nothing post-copy could help": {Convergence{StallSeconds: 4, OnTimeout: OnTimeoutPostCopy}, []reading{{0, 50, true}, {5, 50, true}}, "5 abort", ""},
		"post-copy, and then nothing ends it":                          {Convergence{StallSeconds: 4, OnTimeout: OnTimeoutPostCopy}, []reading{{0, 50, false}, {5, 50, false}, {100, 50, false}, {1000, 50, false}}, "5 post-copy", ""},
		"suspended, and then only a stall ends it":                     {Convergence{StallSeconds: 4, TimeoutSecondsPerGiB: 2, OnTimeout: OnTimeoutSuspend}, []reading{{0, 50, false}, {2, 50, false}, {5, 40, false}, {8, 30, false}, {13, 30, false}, {20, 30, false}}, "2 suspend 13 abort", "stall_seconds"},
		"keep trying": {Convergence{StallSeconds: 1, TimeoutSecondsPerGiB: 1, DowntimeSteps: 3, OnTimeout: OnTimeoutKeepTrying}, []reading{{0, 50, false}, {5, 50, false}, {500, 50, false}}, "", ""},
		"steps are spread over the time that is up first": {Convergence{StallSeconds: 8, DowntimeSteps: 3}, []reading{{0, 50, false}, {1, 50, false}, {2, 50, false}, {3, 50, false}, {4, 50, false}, {6, 50, false}, {7, 50, false}, {8, 50, false}},
			"2 raise 600ms 4 raise 1.2s 6 raise 2.4s 8 abort", ""},
		"steps by the limit":                             {Convergence{TimeoutSecondsPerGiB: 4, DowntimeSteps: 1}, []reading{{0, 50, false}, {1, 40, false}, {2, 30, false}, {3, 20, false}}, "2 raise 600ms", ""},
		"a step that was passed over is not taken after": {Convergence{StallSeconds: 8, DowntimeSteps: 3}, []reading{{0, 50, false}, {5, 50, false}, {6, 50, false}}, "5 raise 1.2s 6 raise 2.4s", ""},
		"disks take no step":                             {Convergence{StallSeconds: 8, DowntimeSteps: 3}, []reading{{0, 50, true}, {5, 50, true}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Convergence: c.convergence}
			if err := o.Validate(); err != nil {
				t.Fatal(err)
			}
			judge := pace{pacing: pacingOf(o, 1<<30)}
			start := time.Now()
			var got, reasons []string
			for _, at := range c.readings {
				left := uint64(at.memory) << 20
				job := host.Job{Kind: host.JobMigrationOut, MemoryRemainingBytes: &left, MemoryProcessedBytes: &left}
				if at.disk {
					job = host.Job{Kind: host.JobMigrationOut, DiskRemainingBytes: &left, DiskProcessedBytes: &left}
				}
				offset := time.Duration(at.second) * time.Second
				what, why, downtime := judge.next(start.Add(offset), job)
				if what == deedNone {
					continue
				}
				got, reasons = append(got, strings.TrimSuffix(offset.String(), "s"), [...]string{"", "raise", "abort", "post-copy", "suspend"}[what]), append(reasons, why)
				if what == deedRaise {
					got = append(got, downtime.String())
				}
			}
			if strings.Join(got, " ") != c.want || !strings.Contains(strings.Join(reasons, " "), c.why) {
				t.Errorf("got %q (%q), want %q (%q)", got, reasons, c.want, c.why)
			}
		})
	}
}

func TestPacingOf(t *testing.T) {
	for _, c := range []struct {
		options Options
		bytes   uint64
		limit   time.Duration
		stop    time.Duration
	}{
		{Options{}, 3 << 30, 450 * time.Second, 10600 * time.Millisecond},
		{Options{}, 1, 150 * time.Second, 10600 * time.Millisecond},
		{Options{Convergence: Convergence{TimeoutSecondsPerGiB: 2, DowntimeSteps: 2}}, 2<<30 + 1, 6 * time.Second, 12400 * time.Millisecond},
		{Options{BandwidthMiBPerSecond: 10, BlackoutTimeoutMS: 2000, Convergence: Convergence{TimeoutSecondsPerGiB: 2}}, 1 << 30, 306 * time.Second, 2 * time.Second},
	} {
		if p := pacingOf(c.options, c.bytes); p.limit != c.limit || p.blackout != c.stop {
			t.Errorf("%+v, %d bytes: limit %s, blackout %s; want %s, %s", c.options, c.bytes, p.limit, p.blackout, c.limit, c.stop)
		}
	}
}
