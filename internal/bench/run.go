package bench

import (
	"context"
	"fmt"
	"time"
)

// Sample is what one move cost. Nil is what could not be had.
type Sample struct {
	// TotalMS is libvirt's own elapsed time of the job, for every case the same thing; CopyMS that of the
	// copy alone, as the engine measured it; WallMS the whole operation as the caller saw it.
	TotalMS, CopyMS, WallMS, DowntimeMS *float64
	// CPUSeconds is user and system time of all hosts together, and CPUByProgram how it was split.
	CPUSeconds   *float64
	CPUByProgram map[string]float64
	// Idle is idle time over all time, of the readings of this move.
	SourceIdlePercent, DestinationIdlePercent *Range
	TransferredBytes                          *float64
	// Course is how the job went on, by its own statistics.
	Course []Point
}

// Point is one reading of a running job.
type Point struct {
	AtMS           float64 `json:"at_ms"`
	ProcessedBytes float64 `json:"processed_bytes"`
	RemainingBytes float64 `json:"remaining_bytes"`
}

// Case is one way of moving the guest.
type Case struct {
	Name string
	// Move brings the guest to the host where it is not.
	Move func(ctx context.Context) (Sample, error)
}

// Round has one sample for each case.
type Round map[string]Sample

// Run takes every case once to warm up, then once in each round. tell hears each sample as it comes.
func Run(ctx context.Context, cases []Case, rounds int, tell func(round int, c Case, s Sample)) ([]Round, error) {
	var all []Round
	for n := range rounds + 1 {
		round := Round{}
		for _, c := range cases {
			begun := time.Now()
			s, err := c.Move(ctx)
			if err != nil {
				return all, fmt.Errorf("round %d, %s, after %s: %w", n, c.Name, time.Since(begun).Round(time.Millisecond), err)
			}
			round[c.Name] = s
			tell(n, c, s)
		}
		if n > 0 {
			all = append(all, round)
		}
	}
	return all, nil
}
