package migration

import (
	"context"
	"errors"
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

	// turn holds the one token of who may look at, or change, the next four; it is held while dialling, for one dial at a
	// time is enough for everybody. A channel, so that waiting for it ends with a context.
	turn     chan struct{}
	daemon   daemon
	facts    host.Facts
	silent   error
	silentAt time.Time

	looking      sync.Mutex // held while looking at the host's files
	certificates *certificates
	clock        *clock
	lookedAt     time.Time
}

func newMember(key string, cfg HostConfig, dial func(ctx context.Context) (daemon, error)) *member {
	return &member{key: key, cfg: cfg, dial: dial, turn: make(chan struct{}, 1)}
}

// take waits for the member's turn, which is given back by done.
func (m *member) take(ctx context.Context) (done func(), err error) {
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reach returns the host's daemon and its facts, dialling at the first call. A failure is remembered
// for a moment; fresh asks again all the same.
func (m *member) reach(ctx context.Context, fresh bool) (daemon, host.Facts, error) {
	done, err := m.take(ctx)
	if err != nil {
		return nil, host.Facts{}, err
	}
	defer done()
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
	done, err := m.take(context.Background())
	if err != nil {
		return err
	}
	defer done()
	if m.daemon == nil {
		return nil
	}
	err = m.daemon.Close()
	m.daemon = nil
	return err
}

// recall reads anew what a login shows of the host, which may have been restarted since the facts were read.
func (m *member) recall(ctx context.Context) (host.Facts, error) {
	d, facts, err := m.reach(ctx, true)
	if err != nil {
		return facts, err
	}
	now, err := d.Identity(ctx)
	if err != nil {
		return facts, err
	}
	facts.BootID, facts.Process = now.BootID, now.Process
	done, err := m.take(ctx)
	if err != nil {
		return facts, err
	}
	defer done()
	m.facts = facts
	return facts, nil
}

// identity tells one daemon from another, whatever keys and URIs lead to it: groupDaemons lets no two that have both
// in common go on.
type identity struct{ uuid, hostname string }

// daemon is the identity as a record has it.
func (i identity) daemon() journal.Daemon { return journal.Daemon{UUID: i.uuid, Hostname: i.hostname} }
