package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// columns head the table, which is that of 2009 with what can be told besides.
var columns = []string{"case", "total s", "÷ plain", "copy s", "wall s", "downtime ms", "CPU s/GiB", "idle source %", "idle destination %"}

// cell is a figure, and in soft type how far it spread.
type cell struct{ Main, Aside string }

func (r Results) cells() [][]cell {
	var all [][]cell
	for _, row := range r.Rows {
		all = append(all, []cell{
			{Main: row.Case}, of(row.TotalMS, 1e-3, 2), of(row.RatioToPlain, 1, 2), of(row.CopyMS, 1e-3, 2), of(row.WallMS, 1e-3, 2), of(row.DowntimeMS, 1, 0),
			of(row.CPUSecondsPerGiB, 1, 2), limits(row.SourceIdlePercent), limits(row.DestinationIdlePercent),
		})
	}
	return all
}

// Table writes the comparison for a terminal.
func (r Results) Table(to io.Writer) error {
	fmt.Fprintf(to, "%s\n\n", r.sentence())
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.Join(columns, "\t")+"\t")
	for _, line := range r.cells() {
		for _, c := range line {
			fmt.Fprint(t, strings.TrimSpace(c.Main+" "+c.Aside), "\t")
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !r.Decides {
		_, err := fmt.Fprintf(to, "\n%s\n", undecided)
		return err
	}
	return nil
}

// sentence says what was measured.
func (s Setting) sentence() string {
	var b strings.Builder
	if s.Guests > 1 {
		fmt.Fprintf(&b, "%d guests at once, each of %d MiB", s.Guests, s.GuestMiB)
	} else {
		fmt.Fprintf(&b, "Guest of %d MiB", s.GuestMiB)
	}
	if s.FillMiB != nil && s.Fill != nil {
		fmt.Fprintf(&b, " with %d MiB of %s memory", *s.FillMiB, *s.Fill)
	}
	if s.DirtyMiBPerSecond != nil {
		fmt.Fprintf(&b, ", %d MiB/s of it rewritten", *s.DirtyMiBPerSecond)
	}
	switch {
	case s.LinkMbit == nil:
	case *s.LinkMbit == 0:
		b.WriteString("; link unlimited")
	default:
		fmt.Fprintf(&b, "; link of %d Mbit/s", *s.LinkMbit)
	}
	if s.RTTMS != nil && *s.RTTMS > 0 {
		fmt.Fprintf(&b, " with a round trip of %d ms", *s.RTTMS)
	}
	fmt.Fprintf(&b, "; relay chunks of %d KiB; %d rounds after one to warm up.", s.ChunkKiB, s.Rounds)
	return b.String()
}

const undecided = "This run decides nothing: plain's own quartiles lie more than 25 % of its median apart, or it was not measured."

const none = "–"

func of(q *Quartiles, unit float64, digits int) cell {
	if q == nil {
		return cell{Main: none}
	}
	return cell{fmt.Sprintf("%.*f", digits, q.Median*unit), fmt.Sprintf("(%.*f…%.*f)", digits, q.Q1*unit, digits, q.Q3*unit)}
}

func limits(r *Range) cell {
	if r == nil {
		return cell{Main: none}
	}
	return cell{Main: fmt.Sprintf("%.0f–%.0f", r.Min, r.Max)}
}
