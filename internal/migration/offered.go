package migration

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// offered is what the destination has for this very guest. What it does not tell is missing, and then to be
// confirmed.
type offered struct {
	host.Offer
	// networks says of each virtual network whether it is active; nil when the daemon keeps none.
	networks map[string]bool
	// links are the answers for the bridges and devices that the guest's interfaces are on.
	links map[string]host.Answer
	// availableBytes is the memory a new process could have, 0 when not known.
	availableBytes uint64
	hugePages      []host.HugePages
	hugePagesKnown bool
	// servers say of the guest's network disks, by their names, whether the host reaches those who serve them.
	servers map[string]host.Answer
}

// askDestination gathers what the destination offers, with all questions at once. Nothing is created.
func (f *Fleet) askDestination(ctx context.Context, to string, g host.Domain) (offered, error) {
	d, _, err := f.members[to].reach(ctx, true)
	if err != nil {
		return offered{}, err
	}
	o := offered{links: map[string]host.Answer{}}
	var questions errgroup.Group
	questions.Go(func() (err error) {
		o.Offer, err = d.Offer(ctx, g)
		return unlessRefused(err)
	})
	questions.Go(func() (err error) {
		if onNetwork(g) {
			o.networks, err = d.Networks(ctx)
		}
		return unlessRefused(err)
	})
	questions.Go(func() error {
		for _, i := range g.Interfaces {
			if _, asked := o.links[i.Source]; asked || !onLink(i) {
				continue
			}
			answer, err := d.Link(ctx, i.Source)
			if err != nil {
				return err
			}
			o.links[i.Source] = answer
		}
		return nil
	})
	questions.Go(func() (err error) {
		o.availableBytes, err = d.AvailableMemory(ctx)
		return unlessRefused(err)
	})
	questions.Go(func() (err error) {
		if g.HugePages {
			o.hugePages, err = d.FreeHugePages(ctx)
			o.hugePagesKnown = err == nil
		}
		return unlessRefused(err)
	})
	questions.Go(func() error {
		o.servers = askForServers(ctx, d, g)
		return nil
	})
	err = questions.Wait()
	return o, err
}

// unlessRefused passes over the answer of a daemon that does not have a call, or not the right to it.
func unlessRefused(err error) error {
	if host.Code(err) != 0 {
		return nil
	}
	return err
}

// onNetwork says whether any interface of the guest is on a virtual network.
func onNetwork(g host.Domain) bool {
	for _, i := range g.Interfaces {
		if i.Type == "network" {
			return true
		}
	}
	return false
}

// askForwards asks a host how the guest's virtual networks lead out of it. One that the host does not have is no error
// here.
func (f *Fleet) askForwards(ctx context.Context, key string, g host.Domain) (map[string]string, error) {
	d, _, err := f.members[key].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	forwards := map[string]string{}
	for _, i := range g.Interfaces {
		if _, asked := forwards[i.Source]; asked || i.Type != "network" {
			continue
		}
		switch mode, err := d.NetworkForward(ctx, i.Source); {
		case err == nil:
			forwards[i.Source] = mode
		case unlessRefused(err) != nil:
			return nil, err
		}
	}
	return forwards, nil
}

// onLink says whether an interface needs a bridge or another network device of the host by its name.
func onLink(i host.Interface) bool {
	return (i.Type == "bridge" || i.Type == "direct") && i.Source != ""
}

// arriving are the guests on their way to a host, but for one.
func (f *Fleet) arriving(ctx context.Context, key string, but host.DomainID) ([]string, error) {
	d, _, err := f.members[key].reach(ctx, true)
	if err != nil {
		return nil, err
	}
	list, err := d.Arriving(ctx)
	var names []string
	for _, id := range list {
		if id.UUID != but.UUID {
			names = append(names, id.Name)
		}
	}
	return names, unlessRefused(err)
}

// clock is how far a host's clock was ahead of this machine's, give or take half a second.
type clock struct{ ahead time.Duration }

// readClock compares a host's clock with this machine's; nil when it cannot be read.
func readClock(files publicFiles) *clock {
	before := time.Now()
	there, err := files.Clock()
	if err != nil {
		return nil
	}
	after := time.Now()
	if there.Nanosecond() == 0 {
		there = there.Add(time.Second / 2) // it is told in whole seconds
	}
	return &clock{there.Sub(before.Add(after.Sub(before) / 2))}
}
