package migration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// silenceKept is for how long a host that did not answer is taken to be still silent, so that a refresh
// of many guests waits for a dead host once and not once a guest.
const silenceKept = 15 * time.Second

// member is one host of a fleet: its configuration, and its connection once there is one.
type member struct {
	key  string
	cfg  HostConfig
	dial func(ctx context.Context) (daemon, error)

	mu       sync.Mutex // held while dialling: one dial at a time is enough for everybody
	daemon   daemon
	facts    host.Facts
	silent   error
	silentAt time.Time

	looking      sync.Mutex // held while looking at the host's files
	certificates *certificates
	clock        *clock
	lookedAt     time.Time
}

// reach returns the host's daemon and its facts, dialling at the first call. A failure is remembered
// for a moment; fresh asks again all the same.
func (m *member) reach(ctx context.Context, fresh bool) (daemon, host.Facts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.daemon != nil {
		return m.daemon, m.facts, nil
	}
	if m.silent != nil && !fresh && time.Since(m.silentAt) < silenceKept {
		return nil, host.Facts{}, m.silent
	}
	d, err := m.dial(ctx)
	if err == nil {
		var facts host.Facts
		if facts, err = d.Facts(ctx); err == nil {
			m.daemon, m.facts, m.silent = d, facts, nil
			return d, facts, nil
		}
		_ = d.Close() // the error of the facts says more
	}
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		m.silent, m.silentAt = err, time.Now()
	}
	return nil, host.Facts{}, err
}

func (m *member) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.daemon == nil {
		return nil
	}
	err := m.daemon.Close()
	m.daemon = nil
	return err
}

// identity tells one daemon from another, whatever keys and URIs lead to it.
type identity struct{ uuid, hostname string }

// daemon is the identity as a record has it.
func (i identity) daemon() journal.Daemon { return journal.Daemon{UUID: i.uuid, Hostname: i.hostname} }

// sameDaemons groups reached members by daemon. It refuses one UUID under two host names: libvirt takes
// such hosts for one and the same and refuses to migrate between them.
func sameDaemons(facts map[string]host.Facts, keys []string) (map[identity][]string, error) {
	groups := map[identity][]string{}
	hostnames := map[string]string{}
	firstKey := map[string]string{}
	for _, key := range keys {
		f, ok := facts[key]
		if !ok {
			continue
		}
		if name, seen := hostnames[f.UUID]; seen && name != f.Hostname {
			return nil, fmt.Errorf("hosts %q (%s) and %q (%s) both say that their UUID is %s; libvirt takes them for one host: set a distinct host_uuid in libvirtd.conf of one of them and restart its daemon",
				firstKey[f.UUID], name, key, f.Hostname, f.UUID)
		}
		if _, seen := hostnames[f.UUID]; !seen {
			hostnames[f.UUID], firstKey[f.UUID] = f.Hostname, key
		}
		id := identity{f.UUID, f.Hostname}
		groups[id] = append(groups[id], key)
	}
	return groups, nil
}
