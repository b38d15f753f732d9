package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestBenchmark: the guest travels to and fro by each case, ends where it began, and the rows are those of the file
// and of the page.
func TestBenchmark(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, NIC: true})
	dest := filepath.Join(t.TempDir(), "comparison")
	task := func(more vars) vars {
		options := vars{"hosts": hostVars(l, lab.SSH), "name": g.Name, "host": "beta", "rounds": 2, "cases": []string{"plain", "tls", "relay-window"}, "allow_plain": true, "dest": dest}
		for k, v := range more {
			options[k] = v
		}
		return vars{"virtmigrate.libvirt.benchmark": options, "delegate_to": "localhost"}
	}

	compare := mustTouchNothing(t)
	for words, more := range map[string]vars{
		"refused unless allow_plain": {"allow_plain": false},
		"carrier-pigeon":             {"cases": []string{"carrier-pigeon"}},
		"twice":                      {"cases": "tls,tls"},
		"absolute path":              {"dest": "comparison"},
		"rounds is 0":                {"rounds": 0},
		"chunk_kib is 1":             {"chunk_kib": 1},
		"on alpha already":           {"host": "alpha"},
		`unknown option "round"`:     {"round": 3},
		"peer_uri is unencrypted":    {"cases": "tunnel", "hosts": withoutPeer(hostVars(l, lab.SSH))},
		`"x"`:                        {"host": "x"},
	} {
		all := play(labtest.Context(t, time.Minute), t, nil, task(more))
		if r := all[0]; !r.Failed || r.Changed || !strings.Contains(r.Msg, words) {
			t.Errorf("%s: returned %v", words, r.Fields)
		}
	}
	if all := play(labtest.Context(t, time.Minute), t, []string{"--check"}, task(nil)); all[0].Failed || !all[0].Changed || len(all[0].Fields["cases"].([]any)) != 3 {
		t.Errorf("in check mode: %v", all[0].Fields)
	}
	compare()

	all := playExample(t, "benchmark.yml", g, "beta", "-e", "rounds=2", "-e", "dest="+dest, "-e", `{"cases": ["plain", "tls", "relay-window"]}`)
	labtest.MustRun(t, g, "alpha") // three moves to and fro make an odd number of them
	text, err := json.Marshal(all[0].Fields)
	var told, kept bench.Results
	written, readErr := os.ReadFile(filepath.Join(dest, "results.json"))
	page, pageErr := os.ReadFile(filepath.Join(dest, "report.html"))
	if err := errors.Join(err, readErr, pageErr, json.Unmarshal(text, &told), json.Unmarshal(written, &kept)); err != nil || all[0].Failed || all[0].Host != "alpha" || all[1].Failed {
		t.Fatal(err, all[0].Msg)
	}
	if len(told.Rows) != 3 || told.Rounds != 2 || told.GuestMiB == 0 {
		t.Fatalf("returned %s", text)
	}
	for i, row := range told.Rows {
		if row.TotalMS == nil || row.CopyMS == nil || row.WallMS == nil || row.DowntimeMS == nil || row.CPUSecondsPerGiB == nil || row.RatioToPlain == nil || row.TransferredBytes == nil {
			t.Errorf("%s lacks figures: %+v", row.Case, row)
			continue
		}
		if *row.TotalMS != *kept.Rows[i].TotalMS || *row.RatioToPlain != *kept.Rows[i].RatioToPlain || row.CopyMS.Median > row.TotalMS.Median || row.TotalMS.Median > row.WallMS.Median {
			t.Errorf("%s: told %+v, kept %+v", row.Case, row, kept.Rows[i])
		}
		if !strings.Contains(string(page), "<td>"+row.Case+" ") {
			t.Errorf("the page has no %s", row.Case)
		}
	}
	if slices.Contains([]float64{0, 1}, told.Rows[2].RatioToPlain.Median) {
		t.Errorf("the relay is %v times plain", told.Rows[2].RatioToPlain)
	}
}

func withoutPeer(hosts vars) vars {
	for _, h := range hosts {
		h.(vars)["peer_uri"] = "qemu+tcp://192.0.2.1/system"
	}
	return hosts
}
