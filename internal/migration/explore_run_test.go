package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/fakelibvirt"
)

// The explorer runs the engine itself on daemons in memory, holds every request before it takes effect, and goes
// through what may happen in between. A play is one execution; it is a function of its choices, so that another one is
// had by another list of choices.

// setting is what a play begins with.
type setting struct {
	name    string
	hosts   []string
	control Control
	// transient: the guest has no definition. known: the destination has an old definition of it.
	transient, known bool
	// together: two controllers begin at the same time, the second towards the third host.
	together bool
	// mutant switches a rule off.
	mutant *mutant
}

// budget is how much may go wrong in one play.
type budget struct{ faults, foreign, switches int }

// runner is one process that runs Migrate once.
type runner struct {
	name   string
	wants  string
	knows  []string
	fleet  *Fleet
	cancel context.CancelFunc
	ended  chan struct{}
	o      Outcome
	err    error
	// panicked is what it ended with, nil where it did not.
	panicked any
	// dead: it was killed. disturbed: something foreign happened while it ran. hurt: something went wrong with a call.
	dead, disturbed, hurt bool
}

func (r *runner) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// option is one way in which a play may go on.
type option struct {
	label string
	cost  budget
	do    func()
}

// point is one place where a play could have gone on otherwise.
type point struct {
	at      string
	options []string
	chosen  int
	label   string
}

// play is one execution.
type play struct {
	t       *testing.T
	set     setting
	dir     string
	world   *fakelibvirt.World
	chooser func(at string, options []option) int
	left    budget

	waiting chan *held // requests that have arrived and are held
	held    []*held
	runners []*runner
	last    string // who went on last
	looked  string // who has just looked, and done nothing since

	points []point
	story  []string
	// disturbed: something foreign happened. seen says whether a state of rest was there before.
	disturbed bool
	seen      func(key string) bool
	// orphan: a boot mark may be left of which no record tells: a controller was stopped between the two, or another
	// one's record took the place of that which told.
	orphan bool
	// blind: something happened of which only one process knows, and no later one can.
	blind bool
	// wrong are the counter-examples of this play.
	wrong []string
	// cutShort: the rest is known from another play.
	cutShort bool
	diverged bool
}

// held is a step that waits for its verdict.
type held struct {
	*fakelibvirt.Step
	verdict chan fakelibvirt.Verdict
}

func (p *play) tell(format string, args ...any) {
	p.story = append(p.story, fmt.Sprintf(format, args...))
}

func (p *play) fail(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// run plays from the beginning to the end.
func (p *play) run() {
	p.world, p.orphan = p.begin(), p.set.together
	p.waiting = make(chan *held, 1000)
	p.world.Gate = func(s *fakelibvirt.Step) fakelibvirt.Verdict {
		h := &held{s, make(chan fakelibvirt.Verdict, 1)}
		p.waiting <- h
		select {
		case v := <-h.verdict:
			return v
		case <-s.Gone:
			return fakelibvirt.Lose
		}
	}
	p.start("one", p.set.hosts[1], p.set.hosts)
	if p.set.together {
		p.start("two", p.set.hosts[2], p.set.hosts)
	}
	p.drive()
	for next := 1; !p.cutShort && len(p.wrong) == 0 && p.rest(next); next++ {
	}
	p.end()
}

// begin builds the world: a guest that runs on the first host.
func (p *play) begin() *fakelibvirt.World {
	w := fakelibvirt.NewWorld(p.set.hosts...)
	first := w.Host(p.set.hosts[0])
	err := first.Create(fakeGuestXML)
	if !p.set.transient {
		err = errors.Join(err, first.Define(fakeGuestXML))
	}
	if p.set.known {
		err = errors.Join(err, w.Host(p.set.hosts[1]).Define(fakeGuestXML))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(time.Hour) // what was written is on the disks
	return w
}

// start lets a new process run Migrate.
func (p *play) start(name, wants string, knows []string) *runner {
	r := &runner{name: name, wants: wants, knows: knows, ended: make(chan struct{})}
	r.fleet = fakeFleet(p.t, p.world, name, p.dir, nil, knows...)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	p.runners = append(p.runners, r)
	p.tell("%s runs, knows %s, and wants the guest on %s.", name, strings.Join(knows, " and "), wants)
	go func() {
		defer close(r.ended)
		defer r.fleet.Close()
		defer func() { r.panicked = recover() }()
		r.o, r.err = r.fleet.Migrate(ctx, Request{
			Guest: GuestRef{UUID: fakeGuest}, Host: wants,
			Options: Options{Transport: TransportPlain, AllowPlain: true, Control: p.set.control},
		})
	}()
	return r
}

// end kills whoever is left, and waits for all of the play's goroutines.
func (p *play) end() {
	for _, r := range p.runners {
		p.world.Sever(r.name)
		r.cancel()
	}
	p.world.Gate = nil
	for {
		synctest.Wait()
		p.collect()
		for _, h := range p.held {
			h.verdict <- fakelibvirt.Lose
		}
		p.held = nil
		if !slices.ContainsFunc(p.runners, func(r *runner) bool { return !r.over() }) && len(p.waiting) == 0 {
			return
		}
		time.Sleep(time.Second)
	}
}

// collect takes what has arrived, and forgets what has gone.
func (p *play) collect() {
	for {
		select {
		case h := <-p.waiting:
			p.held = append(p.held, h)
			continue
		default:
		}
		break
	}
	p.held = slices.DeleteFunc(p.held, func(h *held) bool {
		if h.Gone == nil {
			return false
		}
		select {
		case <-h.Gone:
			return true
		default:
			return false
		}
	})
	slices.SortStableFunc(p.held, func(a, b *held) int { return strings.Compare(a.String(), b.String()) })
}

// alive are the runners that are neither dead nor over.
func (p *play) alive() (list []*runner) {
	for _, r := range p.runners {
		if !r.dead && !r.over() {
			list = append(list, r)
		}
	}
	return list
}

// drive lets things happen, one step after the other, until no runner is left.
func (p *play) drive() {
	for len(p.wrong) == 0 {
		synctest.Wait()
		p.collect()
		p.judge()
		if len(p.alive()) == 0 || len(p.wrong) > 0 || p.cutShort {
			return
		}
		if len(p.held) == 0 {
			p.letTimePass()
			continue
		}
		p.step(p.next())
		time.Sleep(time.Millisecond)
	}
}

// letTimePass waits until something asks for a verdict, or a runner ends.
func (p *play) letTimePass() {
	ended := make(chan struct{}, 10)
	stop := make(chan struct{})
	defer close(stop)
	for _, r := range p.alive() {
		go func() {
			select {
			case <-r.ended:
				ended <- struct{}{}
			case <-stop:
			}
		}()
	}
	select {
	case h := <-p.waiting:
		p.held = append(p.held, h)
	case <-ended:
	case <-time.After(3 * time.Hour):
		p.fail("nothing happens any more")
	}
}

// judge takes the world's violations into the play.
func (p *play) judge() {
	for _, v := range p.world.Violations() {
		p.fail("%s", v)
	}
	for _, r := range p.runners {
		if r.over() && r.panicked != nil {
			p.fail("%s panics: %v", r.name, r.panicked)
		}
	}
	for _, v := range p.world.ByItself() { // a known exception, behind which nothing can be judged
		p.tell("(libvirt by itself: %s.)", v)
		p.cutShort = true
	}
}
