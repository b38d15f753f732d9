package migration

import (
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// at makes a reading: the moment and the idle, user and system time so far, in milliseconds.
func at(ms, idle, user, system int) host.CPUTimes {
	d := func(v int) time.Duration { return time.Duration(v) * time.Millisecond }
	return host.CPUTimes{At: time.Unix(0, 0).Add(d(ms)), Idle: d(idle), User: d(user), System: d(system), CPUs: 2}
}

func TestCPUFigures(t *testing.T) {
	c := cpuFigures([]host.CPUTimes{at(0, 0, 0, 0), at(500, 900, 50, 50), at(1000, 1000, 650, 350), at(1500, 1500, 900, 600), at(1550, 1500, 1000, 600)}, 500*time.Millisecond)
	if c == nil || *c.IdleMinPercent != 10 || *c.IdleMaxPercent != 90 || c.Samples != 3 {
		t.Fatalf("figures %+v", c)
	}
	// 1500 of 3100 ms idle, the short last interval included
	if *c.IdleMeanPercent != 48.4 || *c.BusySeconds != 1.6 || *c.UserPercent != 32.3 || *c.SystemPercent != 19.4 {
		t.Errorf("mean %v, busy %v, user %v, system %v", *c.IdleMeanPercent, *c.BusySeconds, *c.UserPercent, *c.SystemPercent)
	}
}

func TestCPUFiguresGiveNoExtremesOfTwoSamples(t *testing.T) {
	c := cpuFigures([]host.CPUTimes{at(0, 0, 0, 0), at(500, 500, 500, 0), at(1000, 500, 1500, 0)}, 500*time.Millisecond)
	if c.IdleMinPercent != nil || c.IdleMaxPercent != nil || c.IdleMeanPercent == nil || c.Samples != 2 {
		t.Errorf("figures %+v", c)
	}
}

func TestCPUFiguresNeedTwoReadings(t *testing.T) {
	if c := cpuFigures([]host.CPUTimes{at(0, 0, 0, 0)}, time.Second); c != nil {
		t.Errorf("figures %+v out of one reading", c)
	}
}
