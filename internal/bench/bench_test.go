package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func value(v float64) *float64 { return &v }

func TestQuartiles(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   *Quartiles
	}{
		{nil, nil},
		{[]float64{5}, &Quartiles{5, 5, 5}},
		{[]float64{4, 1, 3, 2}, &Quartiles{1.75, 2.5, 3.25}},
		{[]float64{7, 1, 3, 5, 2, 6, 4}, &Quartiles{2.5, 4, 5.5}},
	} {
		if diff := cmp.Diff(c.want, quartiles(c.values)); diff != "" {
			t.Errorf("quartiles of %v: %s", c.values, diff)
		}
	}
}

// rounds in which the machine gets slower and slower: tls is always twice plain, whatever the round.
func slowing(totals ...float64) []Round {
	var rounds []Round
	for _, total := range totals {
		rounds = append(rounds, Round{
			"plain": {TotalMS: value(total), CPUSeconds: value(total / 500), TransferredBytes: value(1 << 30), SourceIdlePercent: &Range{20, 40, 60}},
			"tls":   {TotalMS: value(2 * total), CPUSeconds: value(total / 100), TransferredBytes: value(2 << 30), SourceIdlePercent: &Range{total / 1000, 10, 30}, Course: []Point{{AtMS: total}, {AtMS: total + 1, ProcessedBytes: 5}}},
		})
	}
	return rounds
}

// TestRatiosArePairwise: a ratio of medians would say something else of a machine that changes from round to
// round.
func TestRatiosArePairwise(t *testing.T) {
	rounds := slowing(1000, 1100, 4000)
	rounds[2]["tls"] = Sample{TotalMS: value(2200)}
	r := Summarize(Setting{}, nil, []string{"plain", "tls"}, rounds)
	if got := r.Rows[1].RatioToPlain.Median; got != 2 {
		t.Errorf("tls is %v times plain, want 2", got)
	}
	if r.Rows[0].RatioToPlain.Q1 != 1 || r.Rows[0].RatioToPlain.Q3 != 1 {
		t.Errorf("plain compared to itself is %v", r.Rows[0].RatioToPlain)
	}
}

func TestARunDecides(t *testing.T) {
	for _, c := range []struct {
		totals []float64
		cases  []string
		want   bool
	}{
		{[]float64{1000, 1010, 1020}, []string{"plain", "tls"}, true},
		{[]float64{1000, 1000, 1250, 1250}, []string{"plain", "tls"}, true}, // the quartiles are 222 apart
		{[]float64{1000, 1000, 1300, 1300}, []string{"plain", "tls"}, false},
		{[]float64{1000, 1010, 1020}, []string{"tls"}, false},
	} {
		if got := Summarize(Setting{}, nil, c.cases, slowing(c.totals...)).Decides; got != c.want {
			t.Errorf("%v with %v decides: %v", c.totals, c.cases, got)
		}
	}
}

func TestRow(t *testing.T) {
	r := Summarize(Setting{}, nil, []string{"plain", "tls"}, slowing(1000, 2000, 3000)).Rows[1]
	if got := r.CPUSecondsPerGiB.Median; got != 10 {
		t.Errorf("CPU seconds for a GiB: %v, want 10", got)
	}
	if diff := cmp.Diff(&Range{1, 10, 30}, r.SourceIdlePercent); diff != "" {
		t.Error("idle:", diff)
	}
	if r.DestinationIdlePercent != nil {
		t.Error("idle of a host that was not looked at:", r.DestinationIdlePercent)
	}
	if len(r.Course) != 2 || r.Course[0].AtMS != 2000 {
		t.Error("the course is not that of the round with the median:", r.Course)
	}
}

// TestRunTakesTurns: one round to warm up that does not count, then each case once in each.
func TestRunTakesTurns(t *testing.T) {
	var order []string
	move := func(name string) Case {
		return Case{name, func(context.Context) (Sample, error) {
			order = append(order, name)
			return Sample{TotalMS: value(float64(len(order)))}, nil
		}}
	}
	rounds, err := Run(t.Context(), []Case{move("a"), move("b")}, 2, func(int, Case, Sample) {})
	if err != nil || strings.Join(order, "") != "ababab" || len(rounds) != 2 || *rounds[0]["a"].TotalMS != 3 {
		t.Error(order, rounds, err)
	}
	broken := Case{"broken", func(context.Context) (Sample, error) { return Sample{}, errors.New("no way") }}
	if _, err := Run(t.Context(), []Case{move("a"), broken}, 2, func(int, Case, Sample) {}); err == nil || !strings.Contains(err.Error(), "round 0, broken") {
		t.Error("a case that fails:", err)
	}
}

// TestOneRunThreeForms: the table, the page and the JSON say the same.
func TestOneRunThreeForms(t *testing.T) {
	r := Summarize(Setting{Guests: 1, GuestMiB: 2560, FillMiB: new(2048), Fill: new("incompressible"), LinkMbit: new(1000), RTTMS: new(10)}, map[string]string{"QEMU": "7.2.22"}, []string{"plain", "tls"}, slowing(1000, 1010, 1020))
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Results
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	page, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	for _, row := range back.Rows {
		for _, want := range []string{
			fmt.Sprintf("%.2f", row.TotalMS.Median/1000), fmt.Sprintf("%.2f", row.RatioToPlain.Median), fmt.Sprintf("%.2f", row.CPUSecondsPerGiB.Median),
			fmt.Sprintf("%.0f–%.0f", row.SourceIdlePercent.Min, row.SourceIdlePercent.Max),
		} {
			if !strings.Contains(table.String(), want) || !strings.Contains(string(page), "<td>"+want) {
				t.Errorf("%s: %s is in results.json, but not in the table or on the page", row.Case, want)
			}
		}
	}
	if got := bytes.Count(page, []byte("<svg ")); got != 4 {
		t.Errorf("the page has %d plots; total, idle, throughput and remaining were expected", got)
	}
	folder := t.TempDir()
	if err := r.Write(folder); err != nil {
		t.Fatal(err)
	}
	plot, err := os.ReadFile(filepath.Join(folder, "total.svg"))
	if err != nil || xml.Unmarshal(plot, new(struct{})) != nil || !bytes.Contains(plot, []byte("prefers-color-scheme")) {
		t.Errorf("the plot by itself: %v, %s", err, plot)
	}
	if want := "Guest of 2560 MiB with 2048 MiB of incompressible memory; link of 1000 Mbit/s with a round trip of 10 ms; relay chunks"; !strings.Contains(string(page), want) || !strings.Contains(table.String(), want) {
		t.Errorf("neither table nor page says %q: %s", want, table.String())
	}
	for _, bad := range []string{"#000000", "NaN", "Inf", "<script"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// TestPageOfNothing: a run in which nothing could be had still has a page.
func TestPageOfNothing(t *testing.T) {
	r := Summarize(Setting{}, nil, []string{"plain"}, []Round{{"plain": {}}})
	page, err := r.Page()
	if err != nil || !bytes.Contains(page, []byte("decides nothing")) {
		t.Errorf("%v: %s", err, page)
	}
}

// TestOfResult: nothing of a move's result is lost or changed on its way into the benchmark.
func TestOfResult(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	s := OfResult(migration.Result{
		TotalMS: n(1), CopyMS: n(2), WallMS: n(3), DowntimeMS: n(4), TransferredBytes: n(5), SourceRelayCPUSeconds: value(0.25), DestinationRelayCPUSeconds: value(0.5),
		SourceCPU:      &migration.CPU{BusySeconds: value(1.5), IdleMinPercent: value(1), IdleMeanPercent: value(2), IdleMaxPercent: value(3)},
		DestinationCPU: &migration.CPU{BusySeconds: value(2)},
	})
	want := Sample{
		TotalMS: value(1), CopyMS: value(2), WallMS: value(3), DowntimeMS: value(4), TransferredBytes: value(5), CPUSeconds: value(3.5),
		CPUByProgram: map[string]float64{"relay": 0.75}, SourceIdlePercent: &Range{1, 2, 3},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Sample{}, OfResult(migration.Result{})); diff != "" {
		t.Error("of a result without figures:", diff)
	}
}

// TestOptions: every case of the engine is one its own validation takes, and they differ.
func TestOptions(t *testing.T) {
	var seen []migration.Options
	for _, name := range Names {
		o, known := Options(name, 64)
		if err := o.Validate(); !known || err != nil || slices.ContainsFunc(seen, func(other migration.Options) bool { return cmp.Equal(o, other) }) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		seen = append(seen, o)
	}
	if _, known := Options("carrier-pigeon", 64); known {
		t.Error("an unknown case is known")
	}
}

func TestSpan(t *testing.T) {
	if r := Span([]float64{10, 20, 60}); math.Abs(r.Mean-30) > 1e-9 || r.Min != 10 || r.Max != 60 {
		t.Error(r)
	}
	if Span(nil) != nil {
		t.Error("a span of nothing")
	}
}
