package migration

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// search goes through all plays of a setting, depth first: each play is run from its beginning, with the choices of an
// earlier one up to some point, another one there, and the first of each from then on.
type search struct {
	set    setting
	budget budget
	dir    string
	// until ends it early; zero for never. most bounds the counter-examples that are kept.
	until time.Time
	most  int

	visited map[string]bool
	plays   int
	steps   int
	// diverged counts plays that did not go the way of the one that they were to repeat.
	diverged int
	found    []counterExample
	complete bool
}

// counterExample is a play in which something went wrong.
type counterExample struct {
	wrong   []string
	story   []string
	choices []choice
}

// choice is one that is not the first: at which point, and what.
type choice struct{ at, label string }

func newSearch(t *testing.T, set setting, b budget) *search {
	return &search{set: set, budget: b, dir: t.TempDir(), most: 5, visited: map[string]bool{}}
}

// prefix is the beginning of a play that is still to be run.
type prefix []point

func (s *search) run(t *testing.T) {
	open := []prefix{nil}
	for len(open) > 0 {
		if !s.until.IsZero() && time.Now().After(s.until) || len(s.found) >= s.most {
			return
		}
		next := open[len(open)-1]
		open = open[:len(open)-1]
		p := s.play(t, next)
		s.plays++
		s.steps += len(p.story)
		if p.diverged {
			s.diverged++
			continue
		}
		if len(p.wrong) > 0 {
			s.found = append(s.found, counterExample{p.wrong, p.story, choicesOf(p.points)})
		}
		for i := len(p.points) - 1; i >= len(next); i-- {
			for alternative := len(p.points[i].options) - 1; alternative > 0; alternative-- {
				other := append(prefix{}, p.points[:i+1]...)
				other[i].chosen, other[i].label = alternative, p.points[i].options[alternative]
				open = append(open, other)
			}
		}
	}
	s.complete = true
}

func choicesOf(points []point) (list []choice) {
	for _, p := range points {
		if p.chosen > 0 {
			list = append(list, choice{p.at, p.label})
		}
	}
	return list
}

// sample runs plays whose choices are drawn.
func (s *search) sample(t *testing.T, seed uint64, plays int) {
	draw := rand.New(rand.NewPCG(seed, 0))
	for range plays {
		p := s.perform(t, func(p *play) {
			p.chooser = func(_ string, options []option) int {
				const mostly = 12 // so that what goes wrong is spread over the play
				if draw.IntN(mostly) > 0 {
					return 0
				}
				return draw.IntN(len(options))
			}
			p.seen = func(key string) bool { s.visited[key] = true; return false }
		})
		s.plays++
		s.steps += len(p.story)
		if len(p.wrong) > 0 {
			s.found = append(s.found, counterExample{p.wrong, p.story, choicesOf(p.points)})
		}
		if len(s.found) >= s.most {
			return
		}
	}
	s.complete = true
}

// replay runs the play in which nothing but these choices is out of the ordinary. A choice that did not come is an
// error.
func (s *search) replay(t *testing.T, choices []choice) *play {
	p, left := s.tell(t, choices)
	if len(left) > 0 {
		t.Errorf("there was no such choice: %+v\n\t%s", left[0], strings.Join(p.story, "\n\t"))
	}
	return p
}

// retell is replay where the engine may end the story before its end.
func (s *search) retell(t *testing.T, choices []choice) *play {
	p, _ := s.tell(t, choices)
	return p
}

func (s *search) tell(t *testing.T, choices []choice) (p *play, left []choice) {
	left = choices
	p = s.perform(t, func(p *play) {
		p.chooser = func(at string, options []option) int {
			if len(left) == 0 || at != left[0].at {
				return 0
			}
			for i, o := range options {
				if o.label == left[0].label {
					left = left[1:]
					return i
				}
			}
			return 0
		}
		p.seen = func(string) bool { return false }
	})
	s.plays++
	return p, left
}

// perform runs one play in a bubble of its own.
func (s *search) perform(t *testing.T, prepare func(*play)) (p *play) {
	synctest.Test(t, func(t *testing.T) {
		p = &play{t: t, set: s.set, dir: s.dir, left: s.budget}
		prepare(p)
		withMutant(s.set.mutant, p.run)
	})
	return p
}

// play runs one play that begins as another one did. States of rest count as seen only behind that.
func (s *search) play(t *testing.T, begin prefix) *play {
	return s.perform(t, func(p *play) {
		n := 0
		p.chooser = func(at string, options []option) int {
			n++
			if n > len(begin) {
				return 0
			}
			want := begin[n-1]
			if want.at == at {
				for i, o := range options {
					if o.label == want.label {
						return i
					}
				}
			}
			p.diverged = true
			return 0
		}
		p.seen = func(key string) bool {
			if n < len(begin) {
				return false
			}
			if s.visited[key] {
				return true
			}
			s.visited[key] = true
			return false
		}
	})
}

// report says what a search found, in words.
func (s *search) report(t *testing.T) {
	t.Helper()
	t.Logf("%s, budget %+v: %d plays, %d steps, %d states of rest, %d diverged, complete: %v, counter-examples: %d",
		s.set.name, s.budget, s.plays, s.steps, len(s.visited), s.diverged, s.complete, len(s.found))
	for _, c := range s.found {
		t.Errorf("%s:\n%s\n\t%s\nchoices: %#v", s.set.name, strings.Join(c.wrong, "\n"), strings.Join(c.story, "\n\t"), c.choices)
	}
}

// mutant is a rule of the engine that a test switches off.
type mutant struct {
	name string
	rule *bool
}

func withMutant(m *mutant, do func()) {
	if m != nil {
		*m.rule = true
		defer func() { *m.rule = false }()
	}
	do()
}
