package migration

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/fakelibvirt"
)

// mostRuns bounds how many runs follow each other in a play.
const mostRuns = 5

// rest is what happens while no controller runs: something foreign, or nothing, and then the next one. It says whether
// there is another.
func (p *play) rest(next int) bool {
	key := fmt.Sprintf("%d|%v|%v|%v|%s", min(next, 3), p.left, p.orphan, p.blind, p.world.Picture())
	if p.disturbed {
		key += "|disturbed"
	}
	if p.seen(key) {
		p.cutShort = true
		return false
	}
	if p.left.foreign > 0 {
		options := append([]option{{label: "nothing happens", do: func() {}}}, p.foreign(func() {})...)
		options[p.choose("nobody runs", options)].do()
	}
	hosts := p.set.hosts
	without := slices.Delete(slices.Clone(hosts), 1, 2)
	var who *runner
	name := fmt.Sprintf("next%d", next)
	options := []option{
		{label: "the next run knows all hosts", do: func() { who = p.start(name, hosts[1], hosts) }},
		{label: "the next run does not know " + hosts[1], do: func() { who = p.start(name, hosts[0], without) }},
		{label: "the next run wants the guest back", do: func() { who = p.start(name, hosts[0], hosts) }},
	}
	if next > 2 {
		options = options[:1]
	}
	options[p.choose("who comes next", options)].do()
	p.orphan = p.orphan || len(who.knows) < len(hosts)
	p.drive()
	switch {
	case p.cutShort:
		return false
	case len(p.wrong) > 0 || who.dead:
		return len(p.wrong) == 0 && next < mostRuns
	case who.disturbed || who.hurt || len(who.knows) < len(hosts):
		p.tell("%s ends: %v; %s.", name, who.err, p.world.Where(fakeGuest))
		return next < mostRuns
	}
	p.outcome(who)
	return false
}

// outcome judges the end of a run that knew all hosts, while nothing foreign happened.
func (p *play) outcome(r *runner) {
	where := p.world.Where(fakeGuest)
	if r.err == nil {
		p.tell("%s ends well: moved %v, %s.", r.name, r.o.Moved, where)
		p.arrivedAndClean(r, where)
		return
	}
	p.tell("%s ends: %v.", r.name, r.err)
	var said *Error
	switch {
	case p.disturbed && errors.As(r.err, &said) && said.Phase == PhaseDecide && said.Hint != "":
		// refused, with what a person has to do first
	case errors.Is(r.err, ErrNeedsPerson):
		if !p.disturbed && !p.blind && p.set.control == ControlController {
			p.fail("a person is asked, although nothing foreign happened: %v", r.err)
		}
	case slices.ContainsFunc(p.set.hosts, func(h string) bool { return p.world.Host(h).Stuck(fakeGuest) }):
		// only its user can let it run for a moment
	case errors.Is(r.err, ErrNotFound):
		if where != "" && !strings.Contains(where, "shut off") {
			p.fail("not found, but it is %s", where)
		}
	default:
		if r.name == "again" {
			p.fail("two runs in a row fail: %v", r.err)
			return
		}
		p.settleDown()
		p.left = budget{}
		again := p.start("again", r.wants, r.knows)
		p.drive()
		if len(p.wrong) == 0 {
			p.outcome(again)
		}
	}
}

// settleDown lets the daemons come to the end of what they do by themselves.
func (p *play) settleDown() {
	for synctest.Wait(); ; synctest.Wait() {
		p.collect()
		i := slices.IndexFunc(p.held, func(h *held) bool { return h.Client == "" })
		if i < 0 {
			return
		}
		p.deliver(p.held[i], fakelibvirt.Deliver)
	}
}

// arrivedAndClean holds a success to what it says.
func (p *play) arrivedAndClean(r *runner, where string) {
	d := p.world.Host(r.wants)
	switch {
	case !p.disturbed && !d.Runs(fakeGuest):
		p.fail("a false success: nothing foreign happened, and the guest does not run on %s: %s", r.wants, where)
	case !d.Defined(fakeGuest) && !d.Active(fakeGuest):
		p.fail("a false success: the guest is not on %s: %s", r.wants, where)
	}
	if !p.disturbed && d.Defined(fakeGuest) == p.set.transient {
		p.fail("definition on %s: %v, and the guest was transient: %v", r.wants, d.Defined(fakeGuest), p.set.transient)
	}
	time.Sleep(time.Hour) // what was written is on the disks
	synctest.Wait()
	picture := p.world.Picture()
	if !p.disturbed && (strings.Contains(picture, "<move ") || strings.Contains(picture, " pool ") && !p.orphan) {
		p.fail("something is left behind: %s", picture)
	}
	for _, other := range p.set.hosts {
		o := p.world.Host(other)
		named := slices.ContainsFunc(r.o.Warnings, func(w string) bool { return strings.Contains(w, strconv.Quote(other)) })
		if other != r.wants && (o.Active(fakeGuest) || o.Defined(fakeGuest) && !named) {
			p.fail("something of the guest is left on %s, and nothing says so: %s", other, picture)
		}
	}
}
