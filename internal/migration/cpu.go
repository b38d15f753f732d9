package migration

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// cpuReader is the part of a daemon that reads CPU counters.
type cpuReader interface {
	CPU(ctx context.Context) (host.CPUTimes, error)
}

// cpuSampler reads one host's CPU counters from start to stop.
type cpuSampler struct {
	cancel   context.CancelFunc
	done     sync.WaitGroup
	readings []host.CPUTimes // owned by the goroutine until done
	err      error
}

// sampleCPU begins with a reading of its own before it returns, so that no work of the job is missed.
func sampleCPU(ctx context.Context, from cpuReader, every time.Duration) *cpuSampler {
	steady := context.WithoutCancel(ctx) // a question given up would cost the connection
	ctx, cancel := context.WithCancel(steady)
	s := &cpuSampler{cancel: cancel}
	s.read(steady, from)
	s.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				s.read(steady, from) // the last, shorter interval counts for the sums
				return
			case <-ticker.C:
				s.read(steady, from)
			}
		}
	})
	return s
}

func (s *cpuSampler) read(ctx context.Context, from cpuReader) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	t, err := from.CPU(ctx)
	if err != nil {
		s.err = err
		return
	}
	s.readings = append(s.readings, t)
}

// stop ends the sampling and gives the figures; nil with the reason when there are none.
func (s *cpuSampler) stop() (*CPU, error) {
	s.cancel()
	s.done.Wait()
	return cpuFigures(s.readings, cpuInterval), s.err
}

// cpuFigures is pure. A sample is the difference of two neighbouring readings; one much shorter than the
// interval (the last one, as a rule) counts for the sums and the mean, and not for minimum and maximum,
// since the shorter the interval the wilder the extremes.
func cpuFigures(readings []host.CPUTimes, interval time.Duration) *CPU {
	if len(readings) < 2 {
		return nil
	}
	first, last := readings[0], readings[len(readings)-1]
	all := total(last) - total(first)
	if all <= 0 {
		return nil
	}
	user, system := last.User-first.User, last.System-first.System
	c := &CPU{
		IdleMeanPercent: percent(last.Idle-first.Idle, all),
		UserPercent:     percent(user, all),
		SystemPercent:   percent(system, all),
		BusySeconds:     rounded((user + system).Seconds(), 1000),
	}
	var low, high *float64
	for i := 1; i < len(readings); i++ {
		a, b := readings[i-1], readings[i]
		if b.At.Sub(a.At) < interval/2 || total(b) <= total(a) {
			continue
		}
		c.Samples++
		idle := percent(b.Idle-a.Idle, total(b)-total(a))
		if low == nil || *idle < *low {
			low = idle
		}
		if high == nil || *idle > *high {
			high = idle
		}
	}
	if c.Samples >= 3 {
		c.IdleMinPercent, c.IdleMaxPercent = low, high
	}
	return c
}

func total(t host.CPUTimes) time.Duration { return t.User + t.System + t.Idle + t.IOWait }

func percent(part, all time.Duration) *float64 {
	return rounded(100*float64(part)/float64(all), 10)
}

// rounded keeps a figure readable: one in steps of 1/per.
func rounded(v float64, per float64) *float64 {
	v = math.Round(v*per) / per
	return &v
}
