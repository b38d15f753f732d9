package bench

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"github.com/go-analyze/charts"
)

// A figure is a plot, with what a person who cannot see it is told instead.
type figure struct {
	Title, Caption string
	SVG            string
}

// The colours can be told apart on white and on black. ink stands for the page's own, which is not known here.
var (
	ink    = charts.ColorRGB(1, 2, 3)
	rule   = charts.ColorRGB(128, 136, 145).WithAlpha(90)
	clear  = charts.ColorRGB(0, 0, 0).WithAlpha(0)
	grey   = charts.ColorFromHex("#868b94")
	blue   = charts.ColorFromHex("#2f80c9")
	orange = charts.ColorFromHex("#d97706")
	hues   = []charts.Color{
		grey, charts.ColorFromHex("#d64545"), charts.ColorFromHex("#a9743a"), orange, blue, charts.ColorFromHex("#2a9d5c"),
		charts.ColorFromHex("#9b6dd6"), charts.ColorFromHex("#d0559b"), charts.ColorFromHex("#1899a8"), charts.ColorFromHex("#8c9a1f"),
	}
)

const plotWidth = 900

// figures are the page's plots. One that has nothing to show is left out.
func (r Results) figures() ([]figure, error) {
	var all []figure
	for _, draw := range []func() (*charts.Painter, figure, error){r.totals, r.idle, r.programs, r.throughput, r.remaining} {
		p, f, err := draw()
		if err != nil {
			return nil, fmt.Errorf("plot %q: %w", f.Title, err)
		}
		if p == nil {
			continue
		}
		text, err := p.Bytes()
		if err != nil {
			return nil, fmt.Errorf("plot %q: %w", f.Title, err)
		}
		f.SVG = inline(string(text), f.Caption)
		all = append(all, f)
	}
	return all, nil
}

// inline makes a plot a part of a page: its ink is that of the page, and so are its letters.
func inline(svg, caption string) string {
	svg = strings.ReplaceAll(svg, ink.String(), "currentColor")
	return strings.Replace(svg, "<svg ", `<svg role="img" aria-label="`+html.EscapeString(caption)+`" `, 1)
}

// alone makes a plot a file of its own, to be read on light and on dark pages.
func alone(svg string) string {
	const style = "<style>svg{color:#1c2126;background:#ffffff}@media (prefers-color-scheme:dark){svg{color:#e4e8ec;background:#14181c}}</style>"
	end := strings.IndexByte(svg, '>') + 1
	return svg[:end] + style + svg[end:]
}

func canvas(height int) *charts.Painter {
	return charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: plotWidth, Height: height})
}

func theme(series ...charts.Color) charts.ColorPalette {
	return charts.MakeTheme(charts.ThemeOption{AxisStrokeColor: ink, AxisSplitLineColor: rule, BackgroundColor: clear, TextColor: ink, SeriesColors: series})
}

// segment is one part of every case's bar, from where the one before it ended.
type segment struct {
	name    string
	colour  charts.Color
	lengths []float64
}

// bars draws one bar for each case, the first on top, of segments end to end.
func (r Results) bars(unit string, most float64, segments ...segment) (*charts.Painter, error) {
	var names []string
	for _, row := range slices.Backward(r.Rows) { // the library begins at the bottom
		names = append(names, row.Case+"\u2003") // a reader's letters may be wider than those the library measures with
	}
	var list charts.BarSeriesList
	var colours []charts.Color
	named := false
	// the library lets bars begin below zero unless one of them has no length
	nothing := segment{"", clear, make([]float64, len(r.Rows))}
	for _, s := range append([]segment{nothing}, segments...) {
		slices.Reverse(s.lengths)
		list = append(list, charts.BarSeries{Name: s.name, Values: s.lengths})
		colours = append(colours, s.colour)
		named = named || s.name != ""
	}
	o := charts.NewBarChartOptionWithSeries(list)
	o.Theme, o.Horizontal, o.StackSeries, o.BarSize = theme(colours...), true, charts.Ptr(true), 0.6
	o.CategoryAxis.Labels = names
	if most == 0 {
		for i := range r.Rows {
			sum := 0.0
			for _, s := range segments {
				sum += s.lengths[i]
			}
			most = max(most, sum)
		}
		most = rounded(most)
	}
	o.ValueAxis = []charts.ValueAxisOption{{
		Min: charts.Ptr(0.0), Max: &most, RangeValuePaddingScale: charts.Ptr(0.0), LabelCount: 6, PreferNiceIntervals: charts.Ptr(false),
		Title: unit, SplitLineShow: charts.Ptr(true), ValueFormatter: func(v float64) string { return fmt.Sprintf("%.3g", v) },
	}}
	o.Legend.Show = &named
	o.Padding = charts.NewBox(5, 10, 25, 5)
	p := canvas(70 + 30*len(r.Rows))
	return p, p.BarChart(o)
}

// rounded is the next value that five equal parts have few digits of.
func rounded(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(max(v, 1e-3))))
	for _, step := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

// lengths asks every row for a segment's.
func (r Results) lengths(of func(Row) float64) []float64 {
	var all []float64
	for _, row := range r.Rows {
		all = append(all, of(row))
	}
	return all
}

func (r Results) totals() (*charts.Painter, figure, error) {
	at := func(of func(Quartiles) float64) []float64 {
		return r.lengths(func(row Row) float64 {
			if row.TotalMS == nil {
				return 0
			}
			return of(*row.TotalMS) / 1000
		})
	}
	p, err := r.bars("seconds", 0,
		segment{"first quartile", blue, at(func(q Quartiles) float64 { return q.Q1 })},
		segment{"to the median", blue.WithAlpha(150), at(func(q Quartiles) float64 { return q.Median - q.Q1 })},
		segment{"to the third quartile", blue.WithAlpha(70), at(func(q Quartiles) float64 { return q.Q3 - q.Median })})
	return p, figure{Title: "Total time", Caption: "How long the job took. Shorter is better."}, err
}

func (r Results) idle() (*charts.Painter, figure, error) {
	at := func(of func(Range) float64) []float64 {
		return r.lengths(func(row Row) float64 {
			if row.SourceIdlePercent == nil {
				return 0
			}
			return of(*row.SourceIdlePercent)
		})
	}
	p, err := r.bars("percent of the CPUs' time", 100,
		segment{"", clear, at(func(s Range) float64 { return s.Min })},
		segment{"least to mean", grey, at(func(s Range) float64 { return s.Mean - s.Min })},
		segment{"mean to most", blue, at(func(s Range) float64 { return s.Max - s.Mean })})
	return p, figure{Title: "Idle CPU of the source host", Caption: "From the least to the most idle reading of all rounds. Further right is better."}, err
}

func (r Results) programs() (*charts.Painter, figure, error) {
	var segments []segment
	for _, program := range []struct {
		name   string
		colour charts.Color
	}{{"QEMU", grey}, {"relay", blue}, {"libvirtd", orange}} {
		seconds := r.lengths(func(row Row) float64 { return row.CPUSecondsByProgram[program.name] })
		if slices.Max(append(seconds, 0)) > 0 {
			segments = append(segments, segment{program.name, program.colour, seconds})
		}
	}
	f := figure{Title: "Who spent the CPU", Caption: "Mean CPU seconds of one move, of both hosts together, by program."}
	if segments == nil {
		return nil, f, nil
	}
	p, err := r.bars("CPU seconds", 0, segments...)
	return p, f, err
}

func (r Results) throughput() (*charts.Painter, figure, error) {
	return r.course(figure{Title: "Throughput while it ran (MB/s)", Caption: "Guest memory processed by QEMU, in the round with the median total time; seconds since the first reading."}, func(a, b Point) float64 {
		return max(0, b.ProcessedBytes-a.ProcessedBytes) / (b.AtMS - a.AtMS) / 1000
	})
}

func (r Results) remaining() (*charts.Painter, figure, error) {
	return r.course(figure{Title: "Memory that remained (MiB)", Caption: "Guest memory still to be sent, in the round with the median total time; seconds since the first reading."}, func(_, b Point) float64 {
		return b.RemainingBytes / (1 << 20)
	})
}

// steps is how many readings a course is drawn with.
const steps = 60

// course draws a value of each two neighbouring readings over time, for all cases on one time axis.
func (r Results) course(f figure, of func(before, after Point) float64) (*charts.Painter, figure, error) {
	end := 0.0
	for _, row := range r.Rows {
		if n := len(row.Course); n > 1 {
			end = max(end, row.Course[n-1].AtMS)
		}
	}
	if end == 0 {
		return nil, f, nil
	}
	var list charts.LineSeriesList
	var colours []charts.Color
	var names, labels []string
	for i, row := range r.Rows {
		if len(row.Course) < 2 {
			continue
		}
		list = append(list, charts.LineSeries{Name: row.Case, Values: sampled(row.Course, end, of)})
		colours, names = append(colours, hues[i%len(hues)]), append(names, row.Case)
	}
	for i := range steps + 1 {
		labels = append(labels, fmt.Sprintf("%.1f", end*float64(i)/steps/1000))
	}
	o := charts.NewLineChartOptionWithSeries(list)
	o.Theme, o.LineStrokeWidth, o.Symbol = theme(colours...), 2, charts.Symbol{Shape: charts.SymbolNone}
	o.XAxis.Labels, o.XAxis.LabelCount, o.XAxis.BoundaryGap = labels, 11, charts.Ptr(false)
	o.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), SplitLineShow: charts.Ptr(true)}}
	o.Legend.SeriesNames = names
	o.Padding = charts.NewBox(5, 10, 20, 5)
	p := canvas(340)
	return p, f, p.LineChart(o)
}

// sampled holds each reading's value until the next, and nothing before the first and after the last.
func sampled(course []Point, end float64, of func(before, after Point) float64) []float64 {
	values := make([]float64, steps+1)
	for i := range values {
		at := end * float64(i) / steps
		next := slices.IndexFunc(course, func(p Point) bool { return p.AtMS > at })
		switch {
		case next <= 0:
			values[i] = charts.GetNullValue()
		default:
			values[i] = math.Round(10*of(course[next-1], course[next])) / 10
		}
	}
	return values
}
