package migration

import (
	"context"
	"fmt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// Whether two keys lead to one daemon decides whether a guest has to move at all. UUID and host name do not show it:
// cloned hosts have both in common. So it is proved, or it is an error.

// kinship is what is shown of two daemons that name one host UUID.
type kinship int

const (
	kinshipUnknown kinship = iota
	kinshipSame
	kinshipOther
)

// kinshipByLogin compares what logins to the two hosts show. Only what both of them show counts.
func kinshipByLogin(a, b host.Facts) kinship {
	switch {
	case a.BootID == "" || b.BootID == "":
		return kinshipUnknown
	case a.BootID != b.BootID: // two kernels
		return kinshipOther
	case a.Process == "" || b.Process == "":
		return kinshipUnknown
	case a.Process != b.Process: // two daemons on one kernel, in containers for example
		return kinshipOther
	}
	return kinshipSame
}

// kinshipByCallbackIDs judges IDs that were drawn in turn from one connection and the other, beginning and ending with
// the same. One daemon gives larger and larger ones. Of two daemons each gives its own, and there is no room for another
// daemon's between two that follow each other.
func kinshipByCallbackIDs(ids []int) kinship {
	if len(ids) < callbackIDsDrawn {
		return kinshipUnknown
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			return kinshipUnknown // libvirt's proxy daemon counts for each connection, so it may be one all the same
		}
	}
	return kinshipSame
}

// callbackIDsDrawn is an odd number, and large enough for chance: IDs of two daemons rise only if others draw one in
// each of the gaps, and the two count alike.
const callbackIDsDrawn = 7

// pair is a key, and the first key whose daemon names the same host UUID.
type pair struct{ first, key string }

// pairs finds the keys that need a proof, in the order of keys.
func pairs(facts map[string]host.Facts, keys []string) []pair {
	var list []pair
	first := map[string]string{}
	for _, key := range keys {
		f, reached := facts[key]
		if !reached {
			continue
		}
		if other, seen := first[f.UUID]; seen {
			list = append(list, pair{other, key})
		} else {
			first[f.UUID] = key
		}
	}
	return list
}

// groupDaemons groups the keys of reached members by daemon. One host UUID on two daemons is an error, for libvirt takes
// them for one and refuses to migrate between them, and so is one on two keys of which nothing shows that they are one.
func groupDaemons(facts map[string]host.Facts, keys []string, shown map[pair]kinship) (map[identity][]string, error) {
	aliasOf := map[string]string{}
	for _, p := range pairs(facts, keys) {
		if shown[p] != kinshipSame {
			return nil, notOne(p, facts[p.first], facts[p.key], shown[p])
		}
		aliasOf[p.key] = p.first
	}
	groups := map[identity][]string{}
	for _, key := range keys {
		f, reached := facts[key]
		if !reached {
			continue
		}
		if first, alias := aliasOf[key]; alias {
			f = facts[first]
		}
		id := identity{f.UUID, f.Hostname}
		groups[id] = append(groups[id], key)
	}
	return groups, nil
}

// notOne is the error of two keys that are not shown to be one daemon.
func notOne(p pair, a, b host.Facts, shown kinship) error {
	const distinct = "set a distinct host_uuid in libvirtd.conf (virtqemud.conf of a modular daemon) of one of them " +
		"and restart its daemon"
	both := fmt.Sprintf("hosts %q (%s) and %q (%s)", p.first, a.Hostname, p.key, b.Hostname)
	switch {
	case shown == kinshipOther && a.BootID != b.BootID:
		return fmt.Errorf("%s are two machines, and both say that their UUID is %s: %s", both, a.UUID, distinct)
	case shown == kinshipOther:
		return fmt.Errorf("%s are two daemons of one machine (%s, and %s), and both say that their UUID is %s: %s",
			both, a.Process, b.Process, a.UUID, distinct)
	case a.Hostname != b.Hostname:
		return fmt.Errorf("%s both say that their UUID is %s; libvirt takes them for one host: %s",
			both, a.UUID, distinct)
	}
	return fmt.Errorf("%s both say that their UUID is %s, and nothing shows whether they are one daemon. "+
		"If they are two machines, %s. If they are one, remove one of the two keys, or reach it by qemu+ssh under both",
		both, a.UUID, distinct)
}

// compare shows what it can of all keys whose daemons name the same UUID. It changes nothing on any host. A host that
// stops answering meanwhile goes from facts to silent.
func (f *Fleet) compare(ctx context.Context, facts map[string]host.Facts, silent map[string]error) map[pair]kinship {
	shown := map[pair]kinship{}
	lost := func(key string, err error) {
		delete(facts, key)
		silent[key] = err
	}
	for _, p := range pairs(facts, f.keys) {
		if kinshipByLogin(facts[p.first], facts[p.key]) == kinshipOther {
			for _, key := range []string{p.first, p.key} {
				now, err := f.members[key].recall(ctx)
				if err != nil {
					lost(key, err)
					continue
				}
				facts[key] = now
			}
		}
		a, aThere := facts[p.first]
		b, bThere := facts[p.key]
		if !aThere || !bThere {
			continue
		}
		shown[p] = kinshipByLogin(a, b)
		if shown[p] == kinshipUnknown && a.Hostname == b.Hostname {
			ids, failed, err := f.drawCallbackIDs(ctx, p)
			if err != nil && host.Code(err) == 0 {
				lost(failed, err)
			}
			shown[p] = kinshipByCallbackIDs(ids)
		}
	}
	return shown
}

// drawCallbackIDs draws from the one and the other in turn. An error is that of the host whose key is returned with it.
func (f *Fleet) drawCallbackIDs(ctx context.Context, p pair) (ids []int, failed string, err error) {
	for i := range callbackIDsDrawn {
		key := p.first
		if i%2 == 1 {
			key = p.key
		}
		d, _, err := f.members[key].reach(ctx, true)
		if err != nil {
			return nil, key, err
		}
		id, err := d.NextCallbackID(ctx)
		if err != nil {
			return nil, key, err
		}
		ids = append(ids, id)
	}
	return ids, "", nil
}
