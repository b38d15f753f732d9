package migration

import (
	"fmt"
	"slices"
	"testing/synctest"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/fakelibvirt"
)

// actor is who a step belongs to: a controller, or a daemon by itself.
func (h *held) actor() string {
	if h.Client == "" {
		return h.Host
	}
	return h.Client
}

// next picks the step that happens now. Who went on last goes on: going over to another, which could wait, is a choice.
func (p *play) next() *held {
	first := p.held[0]
	for _, h := range p.held {
		if h.actor() == p.last {
			first = h
			break
		}
	}
	others := []*held{first}
	for _, h := range p.held {
		if !slices.ContainsFunc(others, func(o *held) bool { return o.actor() == h.actor() }) {
			others = append(others, h)
		}
	}
	atOnce := p.looked == first.actor() && p.last == first.actor() // a look and the act that follows it are one step
	if len(others) == 1 || !first.Changes || atOnce {              // a question minds nothing but its answer
		return first
	}
	var options []option
	for i, h := range others {
		o := option{label: h.actor() + " goes on"}
		if i > 0 {
			o.cost.switches = 1
		}
		options = append(options, o)
	}
	return others[p.choose("who goes on, before "+first.String(), options)]
}

// choose asks which option it shall be, of those that the budget allows.
func (p *play) choose(at string, options []option) int {
	var open []option
	var index []int
	for i, o := range options {
		if o.cost.faults <= p.left.faults && o.cost.foreign <= p.left.foreign && o.cost.switches <= p.left.switches {
			open, index = append(open, o), append(index, i)
		}
	}
	if len(open) < 2 {
		return index[0]
	}
	chosen := p.chooser(at, open)
	labels := make([]string, len(open))
	for i, o := range open {
		labels[i] = o.label
	}
	p.points = append(p.points, point{at: at, options: labels, chosen: chosen, label: open[chosen].label})
	cost := open[chosen].cost
	p.left = budget{p.left.faults - cost.faults, p.left.foreign - cost.foreign, p.left.switches - cost.switches}
	if chosen > 0 {
		p.tell("** %s.", open[chosen].label)
	}
	return index[chosen]
}

// step lets one step happen, or something else instead.
func (p *play) step(h *held) {
	// a look and the act that follows it are one step: nothing comes between the two
	adjacent := p.looked == h.actor() && p.last == h.actor()
	p.last, p.looked = h.actor(), ""
	if looks[h.Name] {
		p.looked = h.actor()
	}
	options := []option{{label: "it happens", do: func() { p.deliver(h, fakelibvirt.Deliver) }}}
	if h.Changes {
		options = append(options, p.faults(h)...)
	}
	if p.left.foreign > 0 && !adjacent && (h.Changes || looks[h.Name]) {
		options = append(options, p.foreign(func() { p.looked = "" })...) // and then the step is looked at again
	}
	options[p.choose(h.String(), options)].do()
}

// looks are the questions on which what follows is decided.
var looks = map[string]bool{
	"list domains": true, "look up": true, "state": true, "job": true, "persistent": true, "metadata": true,
}

func (p *play) deliver(h *held, v fakelibvirt.Verdict) {
	p.held = slices.DeleteFunc(p.held, func(o *held) bool { return o == h })
	if h.Changes {
		p.tell("%s.", h)
	}
	h.verdict <- v
	synctest.Wait()
}

// faults are what may go wrong with a step.
func (p *play) faults(h *held) (list []option) {
	add := func(label string, do func()) {
		list = append(list, option{label: label, cost: budget{faults: 1}, do: func() {
			for _, r := range p.alive() {
				r.hurt = true
			}
			p.orphan = p.orphan || h.Name == "create pool" || h.Name == "define" || p.set.known && h.Name == "set metadata"
			do()
		}})
	}
	if h.Client == "" {
		if h.Name == "finish is about to start the processors" {
			add("they do not start", func() {
				p.blind = true
				p.deliver(h, fakelibvirt.Lose)
			})
		}
		for _, r := range p.alive() {
			add(fmt.Sprintf("%s dies before this: %s", r.name, h), func() { p.kill(r) })
			for _, host := range p.set.hosts {
				add(fmt.Sprintf("%s loses its connections to %s before this: %s", r.name, host, h), func() {
					p.world.Host(host).Cut(r.name)
					synctest.Wait()
				})
			}
		}
		return list
	}
	i := slices.IndexFunc(p.runners, func(r *runner) bool { return r.name == h.Client })
	if i < 0 || p.runners[i].dead {
		return nil
	}
	r := p.runners[i]
	add(fmt.Sprintf("%s dies before this: %s", r.name, h), func() { p.kill(r) })
	add(fmt.Sprintf("%s dies after this: %s", r.name, h), func() {
		p.deliver(h, fakelibvirt.LoseReply)
		p.kill(r)
	})
	add(fmt.Sprintf("the connection breaks before this: %s", h), func() {
		h.Cut()
		synctest.Wait()
	})
	add(fmt.Sprintf("the connection breaks after this: %s", h), func() {
		p.deliver(h, fakelibvirt.LoseReply)
		h.Cut()
		synctest.Wait()
	})
	return list
}

// kill ends a controller's process: nothing is heard from it any more, and nothing reaches it.
func (p *play) kill(r *runner) {
	r.dead = true
	p.world.Sever(r.name)
	r.cancel()
	synctest.Wait()
}

// act is something foreign.
type act struct {
	label string
	can   bool
	do    func(uuid string) error
}

// acts are what may happen to the guest on one host.
func (p *play) acts(name string) []act {
	d := p.world.Host(name)
	runs, free := d.Runs(fakeGuest), d.Free(fakeGuest)
	reboot := func(powerCut bool) func(string) error {
		return func(string) error {
			d.Reboot(powerCut)
			return nil
		}
	}
	list := []act{
		{"the guest shuts itself down on " + name, runs, d.Shutdown},
		{"somebody destroys the guest on " + name, d.Active(fakeGuest), d.Destroy},
		{"somebody undefines the guest on " + name, free && d.Defined(fakeGuest), d.Undefine},
		{"somebody suspends the guest on " + name, runs, d.Suspend},
		{"somebody who has looked resumes the guest on " + name, d.MayResume(fakeGuest), d.Resume},
		{name + " reboots", true, reboot(false)},
		{name + " loses power, and its last writes", true, reboot(true)},
	}
	for _, to := range p.set.hosts {
		list = append(list, act{
			fmt.Sprintf("somebody migrates the guest from %s to %s", name, to), runs && free && to != name,
			func(uuid string) error { return d.MigrateAway(uuid, to) },
		})
	}
	return list
}

// foreign are the acts of others that can be done just now; each is one option.
func (p *play) foreign(then func()) (list []option) {
	for _, name := range p.set.hosts {
		for _, a := range p.acts(name) {
			if !a.can {
				continue
			}
			list = append(list, option{label: a.label, cost: budget{foreign: 1}, do: func() {
				p.disturbed = true
				for _, r := range p.alive() {
					r.disturbed = true
				}
				if err := a.do(fakeGuest); err != nil {
					p.tell("(That could not be done: %v.)", err)
				}
				synctest.Wait()
				then()
			}})
		}
	}
	return list
}
