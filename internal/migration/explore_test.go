package migration

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var threeHosts = []string{"alpha", "beta", "gamma"}

// settings are what plays begin with.
var settings = []setting{
	{name: "persistent", hosts: threeHosts, control: ControlController},
	{name: "transient", hosts: threeHosts, control: ControlController, transient: true},
	{name: "known", hosts: threeHosts, control: ControlController, known: true},
	{name: "together", hosts: threeHosts, control: ControlController, together: true},
	{name: "peer", hosts: threeHosts, control: ControlPeerToPeer},
}

// TestExplore goes through every single fault of the first setting, and for each of them through some plays of the whole
// bound that are drawn by a fixed seed. With VIRTMIGRATE_EXPLORE it goes through the whole bound: "faults,foreign,switches", for as many
// minutes as VIRTMIGRATE_EXPLORE_MINUTES says, or draws as many plays as VIRTMIGRATE_EXPLORE_DRAWN says.
func TestExplore(t *testing.T) {
	for _, set := range settings {
		t.Run(set.name, func(t *testing.T) {
			if bound := os.Getenv("VIRTMIGRATE_EXPLORE"); bound != "" {
				s := newSearch(t, set, boundOf(t, bound))
				if drawn, err := strconv.Atoi(os.Getenv("VIRTMIGRATE_EXPLORE_DRAWN")); err == nil {
					s.sample(t, uint64(drawn), drawn)
					s.report(t)
					return
				}
				minutes, _ := strconv.ParseFloat(cmp.Or(os.Getenv("VIRTMIGRATE_EXPLORE_MINUTES"), "1000"), 64)
				s.until = time.Now().Add(time.Duration(minutes * float64(time.Minute)))
				s.run(t)
				s.report(t)
				return
			}
			plays := 60
			if testing.Short() { // as with the race detector, which makes a play ten times as long
				plays = 5
			} else if set.name == settings[0].name {
				single := newSearch(t, set, budget{faults: 1})
				single.run(t)
				single.report(t)
			}
			drawn := newSearch(t, set, budget{faults: 2, foreign: 1, switches: 2})
			drawn.sample(t, 1, plays)
			drawn.report(t)
		})
	}
}

func boundOf(t *testing.T, text string) budget {
	var n [3]int
	for i, word := range strings.SplitN(text, ",", 3) {
		var err error
		if n[i], err = strconv.Atoi(word); err != nil {
			t.Fatal(err)
		}
	}
	return budget{n[0], n[1], n[2]}
}
