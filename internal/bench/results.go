package bench

import (
	"encoding/json"
	"math"
	"slices"
)

// Setting is what was measured, in the words of the command's knobs. Nil is what cannot be known of a user's own
// guests and hosts.
type Setting struct {
	Guests            int     `json:"guests"`
	GuestMiB          int     `json:"guest_mib"`
	FillMiB           *int    `json:"fill_mib"`
	Fill              *string `json:"fill"`
	LinkMbit          *int    `json:"link_mbit"`
	RTTMS             *int    `json:"rtt_ms"`
	ChunkKiB          int     `json:"chunk_kib"`
	DirtyMiBPerSecond *int    `json:"dirty_mib_per_second"`
	Rounds            int     `json:"rounds"`
}

// Results are the whole of a run.
type Results struct {
	Setting
	// Decides is false when the baseline's own quartiles lie further apart than a quarter of its median.
	Decides  bool              `json:"decides"`
	Versions map[string]string `json:"versions"`
	Rows     []Row             `json:"rows"`
}

// Row is one case.
type Row struct {
	Case string `json:"case"`
	// RatioToPlain compares total_ms within each round.
	RatioToPlain           *Quartiles         `json:"ratio_to_plain"`
	TotalMS                *Quartiles         `json:"total_ms"`
	CopyMS                 *Quartiles         `json:"copy_ms"`
	WallMS                 *Quartiles         `json:"wall_ms"`
	DowntimeMS             *Quartiles         `json:"downtime_ms"`
	CPUSecondsPerGiB       *Quartiles         `json:"cpu_seconds_per_gib"`
	SourceIdlePercent      *Range             `json:"source_idle_percent"`
	DestinationIdlePercent *Range             `json:"destination_idle_percent"`
	TransferredBytes       *Quartiles         `json:"transferred_bytes"`
	CPUSecondsByProgram    map[string]float64 `json:"cpu_seconds_by_program"`
	// Course is that of the round whose total is the median.
	Course []Point `json:"course"`
}

// Quartiles of all rounds.
type Quartiles struct {
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
}

// Range is over all readings of all rounds; Mean is the mean of the rounds' means.
type Range struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

// Baseline is the case all others are compared to.
const Baseline = "plain"

// Summarize makes the results of the rounds.
func Summarize(s Setting, versions map[string]string, cases []string, rounds []Round) Results {
	r := Results{Setting: s, Versions: versions}
	r.Rounds = len(rounds)
	for _, name := range cases {
		r.Rows = append(r.Rows, row(name, rounds))
	}
	if i := slices.Index(cases, Baseline); i >= 0 {
		if q := r.Rows[i].TotalMS; q != nil && q.Median > 0 {
			r.Decides = (q.Q3-q.Q1)/q.Median <= 0.25
		}
	}
	return r
}

func row(name string, rounds []Round) Row {
	out := Row{Case: name, CPUSecondsByProgram: map[string]float64{}}
	collect := func(value func(Sample) *float64) []float64 {
		var list []float64
		for _, round := range rounds {
			if v := value(round[name]); v != nil {
				list = append(list, *v)
			}
		}
		return list
	}
	out.TotalMS = quartiles(collect(func(s Sample) *float64 { return s.TotalMS }))
	out.CopyMS = quartiles(collect(func(s Sample) *float64 { return s.CopyMS }))
	out.WallMS = quartiles(collect(func(s Sample) *float64 { return s.WallMS }))
	out.DowntimeMS = quartiles(collect(func(s Sample) *float64 { return s.DowntimeMS }))
	out.TransferredBytes = quartiles(collect(func(s Sample) *float64 { return s.TransferredBytes }))
	out.CPUSecondsPerGiB = quartiles(collect(func(s Sample) *float64 {
		if s.CPUSeconds == nil || s.TransferredBytes == nil || *s.TransferredBytes == 0 {
			return nil
		}
		v := *s.CPUSeconds / (*s.TransferredBytes / (1 << 30))
		return &v
	}))
	var ratios []float64
	for _, round := range rounds {
		own, base := round[name].TotalMS, round[Baseline].TotalMS
		if own != nil && base != nil && *base > 0 {
			ratios = append(ratios, *own / *base)
		}
	}
	out.RatioToPlain = quartiles(ratios)
	out.SourceIdlePercent = span(rounds, name, func(s Sample) *Range { return s.SourceIdlePercent })
	out.DestinationIdlePercent = span(rounds, name, func(s Sample) *Range { return s.DestinationIdlePercent })
	for _, round := range rounds {
		for program, seconds := range round[name].CPUByProgram {
			out.CPUSecondsByProgram[program] += seconds / float64(len(rounds))
		}
	}
	if out.TotalMS != nil {
		nearest := math.Inf(1)
		for _, round := range rounds {
			if t := round[name].TotalMS; t != nil && math.Abs(*t-out.TotalMS.Median) < nearest {
				nearest, out.Course = math.Abs(*t-out.TotalMS.Median), round[name].Course
			}
		}
	}
	return out
}

// quartiles interpolates between neighbours, as R's default (type 7) does. nil for no values.
func quartiles(values []float64) *Quartiles {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(p float64) float64 {
		h := p * float64(len(sorted)-1)
		low := int(h)
		if low+1 == len(sorted) {
			return sorted[low]
		}
		return sorted[low] + (h-float64(low))*(sorted[low+1]-sorted[low])
	}
	return &Quartiles{at(0.25), at(0.5), at(0.75)}
}

func span(rounds []Round, name string, of func(Sample) *Range) *Range {
	out := Range{Min: math.Inf(1), Max: math.Inf(-1)}
	n := 0.0
	for _, round := range rounds {
		if r := of(round[name]); r != nil {
			out.Min, out.Max, out.Mean = min(out.Min, r.Min), max(out.Max, r.Max), out.Mean+r.Mean
			n++
		}
	}
	if n == 0 {
		return nil
	}
	out.Mean /= n
	return &out
}

// Span is the range of the readings of one move, nil for none.
func Span(readings []float64) *Range {
	if len(readings) == 0 {
		return nil
	}
	r := Range{Min: slices.Min(readings), Max: slices.Max(readings)}
	for _, v := range readings {
		r.Mean += v / float64(len(readings))
	}
	return &r
}

// JSON is the form of results.json.
func (r Results) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}
