package migration

import (
	"os"
	"strings"
	"testing"
	"time"
)

// mutants are rules that are not in force, each with the story by which that harms a guest. What the explorer has found
// once is told here again and again.
var mutants = []struct {
	mutant
	set     setting
	budget  budget
	choices []choice
	harm    string
}{
	{
		// Finish was sent, and nobody saw what became of it. The next run does not know the host that the guest runs on.
		mutant: mutant{"the token is not needed", &switchedOff.token},
		set:    settings[0], budget: budget{faults: 1},
		choices: []choice{
			{"beta: finish is about to answer", "one dies before this: beta: finish is about to answer"},
			{"who comes next", "the next run does not know beta"},
		},
		harm: "two running copies",
	},
	{
		// The guest ran on beta, which lost power right after: libvirt's last write, over the token, is undone.
		mutant: mutant{"the boot is not compared", &switchedOff.boot},
		set:    settings[0], budget: budget{faults: 1, foreign: 1},
		choices: []choice{
			{"beta: finish is about to answer", "one dies before this: beta: finish is about to answer"},
			{"nobody runs", "beta loses power, and its last writes"},
		},
		harm: "old memory",
	},
	{
		// The guest was let run on beta and ended before finish had answered, with an error then.
		mutant: mutant{"what was seen to run is forgotten", &switchedOff.resumed},
		set:    settings[0], budget: budget{foreign: 1},
		choices: []choice{{"beta: finish is about to answer", "the guest shuts itself down on beta"}},
		harm:    "old memory",
	},
	{
		// The second controller writes its record over the first one's, and dies. The first moves the guest under it: what
		// is asked for proof later is a token that another host has.
		mutant: mutant{"nobody asks whose record it is", &switchedOff.record},
		set:    settings[3], budget: budget{faults: 2, foreign: 1, switches: 3},
		choices: []choice{
			{"who goes on, before one asks beta: create pool", "two goes on"},
			{"who goes on, before two asks alpha: set metadata", "one goes on"},
			{"who goes on, before one asks alpha: set downtime", "two goes on"},
			{"two asks alpha: set metadata", "two dies after this: two asks alpha: set metadata"},
			{"beta: finish is about to answer", "one dies before this: beta: finish is about to answer"},
			{"nobody runs", "the guest shuts itself down on beta"},
		},
		harm: "old memory",
	},
}

// TestEveryRuleHasItsStory tells each story twice: without the rule it harms the guest, and with it it does not.
func TestEveryRuleHasItsStory(t *testing.T) {
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			without := m.set
			without.mutant = &m.mutant
			p := newSearch(t, without, m.budget).replay(t, m.choices)
			if !strings.Contains(strings.Join(p.wrong, "\n"), m.harm) {
				t.Errorf("no %s, but %q\n\t%s", m.harm, p.wrong, strings.Join(p.story, "\n\t"))
			}
			if p := newSearch(t, m.set, m.budget).retell(t, m.choices); len(p.wrong) > 0 {
				t.Errorf("with the rule: %q\n\t%s", p.wrong, strings.Join(p.story, "\n\t"))
			}
		})
	}
}

// TestTheExplorerFindsEveryMutant searches for a story itself. It takes minutes.
func TestTheExplorerFindsEveryMutant(t *testing.T) {
	if os.Getenv("VIRTMIGRATE_EXPLORE") == "" {
		t.Skip("VIRTMIGRATE_EXPLORE is not set")
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			set := m.set
			set.mutant = &m.mutant
			s := newSearch(t, set, m.budget)
			s.most, s.until = 1, time.Now().Add(10*time.Minute)
			s.run(t)
			if len(s.found) == 0 {
				t.Errorf("nothing was found in %d plays", s.plays)
			}
			for _, c := range s.found {
				t.Logf("%d plays: %q\n\t%s", s.plays, c.wrong, strings.Join(c.story, "\n\t"))
			}
		})
	}
}
