package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// inventoryKept is for how long the answers of all hosts serve further refreshes; long enough for one
// terraform plan over many guests, short enough not to be mistaken for the truth of a later one.
const inventoryKept = 20 * time.Second

// inventory is every host's list of domains at one moment.
type inventory struct {
	at     time.Time
	ready  chan struct{} // closed when filled
	groups map[identity][]string
	// domains by key of host; aliases of one daemon appear once, under their first key.
	domains map[string][]host.DomainID
	silent  map[string]error
	err     error
}

// survey asks every host at once. fresh never uses an earlier answer.
func (f *Fleet) survey(ctx context.Context, fresh bool) (*inventory, error) {
	f.mu.Lock()
	inv := f.inventory
	if !fresh && inv != nil && time.Since(inv.at) < inventoryKept {
		f.mu.Unlock()
		select {
		case <-inv.ready:
			if inv.err != nil && ctx.Err() == nil && (errors.Is(inv.err, context.Canceled) || errors.Is(inv.err, context.DeadlineExceeded)) {
				return f.survey(ctx, fresh) // the one who asked gave up, and we have not
			}
			return inv, inv.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	inv = &inventory{at: time.Now(), ready: make(chan struct{}), domains: map[string][]host.DomainID{}, silent: map[string]error{}}
	f.inventory = inv
	f.mu.Unlock()

	f.fill(ctx, inv, fresh)
	if ctx.Err() != nil {
		inv.err = ctx.Err()
		f.forget(inv) // others must not inherit our cancellation
	}
	close(inv.ready)
	return inv, inv.err
}

func (f *Fleet) fill(ctx context.Context, inv *inventory, fresh bool) {
	facts := map[string]host.Facts{}
	domains := map[string][]host.DomainID{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, key := range f.keys {
		wg.Go(func() {
			d, fa, err := f.members[key].reach(ctx, fresh)
			var list []host.DomainID
			if err == nil {
				list, err = d.Domains(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				inv.silent[key] = err
				return
			}
			facts[key], domains[key] = fa, list
		})
	}
	wg.Wait()
	inv.groups, inv.err = groupDaemons(facts, f.keys, f.compare(ctx, facts, inv.silent))
	for _, keys := range inv.groups {
		inv.domains[keys[0]] = domains[keys[0]]
	}
}

// forget drops the cached inventory, all of it or only this one.
func (f *Fleet) forget(only *inventory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if only == nil || f.inventory == only {
		f.inventory = nil
	}
}

// aliases are all keys of the daemon that key leads to, key's own group first in order of the fleet.
func (inv *inventory) aliases(key string) []string {
	for _, keys := range inv.groups {
		if slices.Contains(keys, key) {
			return keys
		}
	}
	return []string{key}
}

// silentWarnings has one sentence for each silent host.
func silentWarnings(silent map[string]error) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(silent)) {
		out = append(out, fmt.Sprintf("host %q did not answer: %v", key, silent[key]))
	}
	return out
}

// find picks the one guest the reference means. A name that several guests bear is an error, and so is
// a name that does not belong to the UUID given with it.
func (inv *inventory) find(ref GuestRef) (host.DomainID, error) {
	matches := map[string][]string{} // UUID -> hosts
	ids := map[string]host.DomainID{}
	for key, list := range inv.domains {
		for _, id := range list {
			if (ref.UUID != "" && id.UUID == ref.UUID) || (ref.UUID == "" && id.Name == ref.Name) {
				matches[id.UUID] = append(matches[id.UUID], key)
				ids[id.UUID] = id
			}
		}
	}
	switch len(matches) {
	case 0:
		return host.DomainID{}, ErrNotFound
	case 1:
		for uuid, id := range ids {
			if ref.Name != "" && id.Name != ref.Name {
				return host.DomainID{}, fmt.Errorf("the guest with UUID %s is named %q, not %q", uuid, id.Name, ref.Name)
			}
			return id, nil
		}
	}
	var found []string
	for uuid, keys := range matches {
		sort.Strings(keys)
		found = append(found, fmt.Sprintf("%s on %s", uuid, strings.Join(keys, ", ")))
	}
	sort.Strings(found)
	return host.DomainID{}, fmt.Errorf("%d guests are named %q (%s): give uuid instead of name", len(matches), ref.Name, strings.Join(found, "; "))
}
