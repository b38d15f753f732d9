package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// move is what the demo shows of a last_migration.
type move struct {
	Transport        string `json:"transport"`
	Encrypted        bool   `json:"encrypted"`
	Control          string `json:"control"`
	SourceHost       string `json:"source_host"`
	DestinationHost  string `json:"destination_host"`
	TotalMS          *int64 `json:"total_ms"`
	CopyMS           *int64 `json:"copy_ms"`
	WallMS           *int64 `json:"wall_ms"`
	DowntimeMS       *int64 `json:"downtime_ms"`
	TransferredBytes *int64 `json:"transferred_bytes"`
	SourceCPU        *cpu   `json:"source_cpu"`
	DestinationCPU   *cpu   `json:"destination_cpu"`
}

type cpu struct {
	IdleMin     *float64 `json:"idle_min_percent"`
	IdleMean    *float64 `json:"idle_mean_percent"`
	IdleMax     *float64 `json:"idle_max_percent"`
	BusySeconds *float64 `json:"busy_seconds"`
}

// printTable prints each move as the comparison of 2009 did: the time it took, and how idle the hosts
// stayed.
func printTable(w io.Writer, moves map[string]move, order []string) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(label string, cell func(move) string) {
		fmt.Fprint(t, label)
		for _, name := range order {
			fmt.Fprint(t, "\t", cell(moves[name]))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "moved by")
	for _, name := range order {
		fmt.Fprint(t, "\t", name)
	}
	fmt.Fprintln(t)
	row("from, to", func(m move) string { return m.SourceHost + " to " + m.DestinationHost })
	row("transport", func(m move) string {
		if m.Encrypted {
			return m.Transport + " (encrypted)"
		}
		return m.Transport + " (NOT encrypted)"
	})
	row("control", func(m move) string { return m.Control })
	row("total time", func(m move) string { return seconds(m.TotalMS) })
	row("  copying memory", func(m move) string { return seconds(m.CopyMS) })
	row("whole operation", func(m move) string { return seconds(m.WallMS) })
	row("downtime", func(m move) string { return number(m.DowntimeMS, "ms") })
	row("transferred", func(m move) string {
		if m.TransferredBytes == nil {
			return "unknown"
		}
		return fmt.Sprintf("%.0f MiB", float64(*m.TransferredBytes)/(1<<20))
	})
	row("idle CPU of the source", func(m move) string { return idle(m.SourceCPU) })
	row("idle CPU of the destination", func(m move) string { return idle(m.DestinationCPU) })
	_ = t.Flush() // standard output; nothing to do about it
	fmt.Fprintln(w, "(both hosts of this lab are one machine, so their CPU is the same CPU)")
}

func seconds(ms *int64) string {
	if ms == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.2f s", float64(*ms)/1000)
}

func number(v *int64, unit string) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprintf("%d %s", *v, unit)
}

func idle(c *cpu) string {
	switch {
	case c == nil || c.IdleMean == nil:
		return "unknown"
	case c.IdleMin == nil || c.IdleMax == nil:
		return fmt.Sprintf("%.0f %%", *c.IdleMean)
	default:
		return fmt.Sprintf("%.0f-%.0f %%, mean %.0f %%", *c.IdleMin, *c.IdleMax, *c.IdleMean)
	}
}
