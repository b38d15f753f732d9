package migration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// A disk that a server on the network has is opened by QEMU on both hosts. Neither libvirt nor QEMU looks after the
// destination's connection to it while memory travels, so that a guest could be started on a host that has lost its
// disks. Where there is a login, we look: before the move, and while the guest can still stay where it is.

// serverLimit bounds the look at all servers before a move.
const serverLimit = 15 * time.Second

// askForServers says of each network disk whether the host reaches who serves it.
func askForServers(ctx context.Context, d daemon, g host.Domain) map[string]host.Answer {
	disks := served(g)
	if len(disks) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, serverLimit)
	defer cancel()
	from, err := d.Vantage(ctx)
	if err != nil {
		return nil
	}
	defer from.Close()
	answers := map[string]host.Answer{}
	for _, disk := range disks {
		answers[disk.Target] = from.Reach(ctx, disk.Servers)
	}
	return answers
}

// served are the disks whose servers are known.
func served(g host.Domain) (disks []host.Disk) {
	for _, d := range g.Disks {
		if len(d.Servers) > 0 && !d.Local && !d.Empty {
			disks = append(disks, d)
		}
	}
	return disks
}

func checkNetworkDisks(p *Plan, _ Options, fa facts, block blocker) string {
	to := fa.destination.key
	p.recipe.served = served(fa.guest)
	var found []string
	for _, d := range p.recipe.served {
		switch answer := fa.offered.servers[d.Target]; {
		case !answer.Known:
			toBeConfirmed(p, "that %s reaches %s of disk %s%s", to, d.Source, d.Target, because(answer.Why))
		case !answer.Can:
			lacks(p, fa, block, "network_disk", "host %q does not reach %s of disk %s (%s)", to, d.Source, d.Target, answer.Why)
		}
		found = append(found, fmt.Sprintf("%s (%s)", d.Target, d.Source))
	}
	return strings.Join(found, ", ")
}

// How often the destination is asked to reach the servers while the guest is copied. sshd holds it against an address
// when somebody connects from there and leaves without logging in: since OpenSSH 9.8 a second each time, and it keeps
// the address out when it comes to more than 15 (PerSourcePenalties). QEMU on the destination would be kept out, too.
const (
	serverInterval = 500 * time.Millisecond
	sshInterval    = 30 * time.Second
)

// intervalOf is how often the servers of a disk may be reached.
func intervalOf(d host.Disk) time.Duration {
	if d.Protocol == "ssh" {
		return sshInterval
	}
	return serverInterval
}

// errServerLost is why a copy is given up: on the destination the guest would have no disk.
var errServerLost = errors.New("lost a server of its disks")

// watchServers gives the move up when the destination loses the server of a disk, until ctx ends. Where it cannot
// look, or is not told, it changes nothing: then the guest's QEMU on the destination finds out.
func (r *run) watchServers(ctx context.Context) {
	if len(r.recipe.served) == 0 {
		return
	}
	from, err := r.destination.Vantage(ctx)
	if err != nil {
		r.log.Debug("the servers of the guest's disks are not watched", "error", err)
		return
	}
	defer from.Close()
	if err := watchFrom(ctx, from, r.recipe.served); err != nil {
		select {
		case r.giveUp <- fmt.Errorf("%s %w", r.plan.To, err):
		default: // it is being aborted already
		}
	}
}

// watchFrom reaches for the servers of all disks until one is lost, which is the error, or ctx ends. Each was reached
// just before.
func watchFrom(ctx context.Context, from vantage, disks []host.Disk) error {
	ticker := time.NewTicker(serverInterval)
	defer ticker.Stop()
	reached := map[string]time.Time{}
	for _, d := range disks {
		reached[d.Target] = time.Now()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, d := range disks {
			if every := intervalOf(d); every > serverInterval && time.Since(reached[d.Target]) < every {
				continue
			}
			reached[d.Target] = time.Now()
			lost := func() (string, bool) {
				answer := from.Reach(ctx, d.Servers)
				return answer.Why, answer.Known && !answer.Can
			}
			if _, once := lost(); !once {
				continue
			}
			if why, twice := lost(); twice { // one connection may fail by chance
				return fmt.Errorf("%w: it does not reach %s of disk %s any more (%s)", errServerLost, d.Source, d.Target, why)
			}
		}
	}
}
