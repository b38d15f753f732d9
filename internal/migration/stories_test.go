package migration

import (
	"strings"
	"testing"
)

// stories are plays in which something went wrong once.
var stories = []struct {
	name    string
	set     setting
	budget  budget
	choices []choice
}{
	// A stub took the place of the definition with which the guest had come.
	{"somebody moves the guest to the destination before the token is written", settings[0], budget{foreign: 1}, []choice{
		{"one asks beta: create pool", "somebody migrates the guest from alpha to beta"},
	}},
	// It was let run on the destination.
	{"its user pauses the guest before it begins to move", settings[0], budget{foreign: 1}, []choice{
		{"one asks beta: create pool", "somebody suspends the guest on alpha"},
	}},
	// The token was back, and the boot was not compared by the process that moves: the source was let go on.
	{"the answer of finish is lost, and the destination loses power", settings[0], budget{faults: 1, foreign: 1}, []choice{
		{"one asks beta: finish", "the connection breaks after this: one asks beta: finish"},
		{"beta: finish is about to answer", "beta loses power, and its last writes"},
	}},
	// The process ended in a nil pointer.
	{"the guest goes while a run tidies up", settings[0], budget{faults: 1, foreign: 1}, []choice{
		{"one asks alpha: confirm", "one dies before this: one asks alpha: confirm"},
		{"next1 asks beta: delete pool", "beta loses power, and its last writes"},
	}},
	// The pool that marks a boot was left for ever.
	{"a run dies before it removes the boot's mark", settings[0], budget{faults: 1}, []choice{
		{"one asks beta: destroy pool", "one dies before this: one asks beta: destroy pool"},
	}},
	{"a run dies while it removes the boot's mark", settings[0], budget{faults: 1}, []choice{
		{"one asks beta: delete pool", "one dies before this: one asks beta: delete pool"},
	}},
	{"a run fails, and dies while it removes the boot's mark", settings[0], budget{faults: 2}, []choice{
		{"alpha: the last of the memory is sent", "one loses its connections to alpha before this: alpha: the last of the memory is sent"},
		{"one asks beta: delete pool", "the connection breaks after this: one asks beta: delete pool"},
		{"who comes next", "the next run wants the guest back"},
	}},
}

func TestStoriesOfTheExplorer(t *testing.T) {
	for _, s := range stories {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			if p := newSearch(t, s.set, s.budget).replay(t, s.choices); len(p.wrong) > 0 {
				t.Errorf("%q\n\t%s", p.wrong, strings.Join(p.story, "\n\t"))
			}
		})
	}
}
