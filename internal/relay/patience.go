package relay

import (
	"sync"
	"time"
)

// patience says how long a channel may be without a link.
type patience struct {
	reconnect, blackout time.Duration

	mu     sync.Mutex
	paused time.Time // since when the guest stands still; zero while it runs
}

// silenceLimit is how long a link may say nothing before it is given up.
const silenceLimit = 5 * time.Second

// pause notes that the guest stands still: from now on every second of ours is one of its.
func (p *patience) pause(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused.IsZero() {
		p.paused = now
	}
}

// until is when a channel that lost its link at now has to have another.
func (p *patience) until(now time.Time) (deadline time.Time, allowed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	deadline = now.Add(p.reconnect)
	if !p.paused.IsZero() && p.paused.Add(p.blackout).Before(deadline) {
		deadline = p.paused.Add(p.blackout)
	}
	return deadline, now.Before(deadline)
}

// silence is how long the other side may say nothing; it says something every heartbeat.
func (p *patience) silence() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := silenceLimit
	if !p.paused.IsZero() {
		limit = min(limit, p.blackout/2)
	}
	return max(limit, 2*heartbeat)
}
