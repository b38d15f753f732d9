package host

import (
	"context"
	"sync"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Session is a connection to the daemon for one migration. The daemon undoes an unfinished migration when
// the connection that began it closes.
type Session struct {
	host *Host
	rpc  *rpc

	mu     sync.Mutex
	events chan Event
	ended  bool
	// missed: an event had to go before it was read.
	missed bool
	lost   chan struct{}
}

// eventRoom is how many events wait for their reader; of more, the oldest go.
const eventRoom = 1024

// Session opens a connection of its own and asks for the events of all domains of the host.
func (h *Host) Session(ctx context.Context) (*Session, error) {
	s := &Session{host: h, events: make(chan Event, eventRoom), lost: make(chan struct{})}
	r, err := h.connect(ctx, false, s.push)
	if err != nil {
		return nil, err
	}
	s.rpc = r
	for _, id := range []libvirt.DomainEventID{libvirt.DomainEventIDLifecycle, libvirt.DomainEventIDIoError, libvirt.DomainEventIDMigrationIteration} {
		if _, err := call(ctx, r, "ask for events", callLimit, func(l *libvirt.Libvirt) (int32, error) {
			return l.ConnectDomainEventCallbackRegisterAny(int32(id), nil)
		}); err != nil {
			r.close()
			return nil, err
		}
	}
	h.mu.Lock()
	h.sessions[s] = struct{}{}
	closed := h.closed
	h.mu.Unlock()
	go s.watch()
	if closed {
		_ = s.Close()
		return nil, &Error{Host: h.cfg.Name, Err: ErrClosed}
	}
	return s, nil
}

// Events are the lifecycle events of every domain of the host, the errors of its disks, and the passes over the
// memory of those that migrate away. The channel closes when the session ends.
func (s *Session) Events() <-chan Event { return s.events }

// Lost is closed when the connection broke or was closed.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Close ends the connection at once, without a word to the daemon. It may be called again.
func (s *Session) Close() error {
	s.rpc.close()
	<-s.lost // at hand: watch waits for nothing else
	return nil
}

// watch ends the session when its connection has ended, for whatever reason.
func (s *Session) watch() {
	<-s.rpc.wire.dead
	s.mu.Lock()
	s.ended = true
	close(s.events)
	s.mu.Unlock()
	s.host.mu.Lock()
	delete(s.host.sessions, s)
	s.host.mu.Unlock()
	close(s.lost)
}

// push is called by the connection's reader and must not wait.
func (s *Session) push(l happening, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	ev := Event{UUID: formatUUID(l.uuid), Kind: int(l.kind), Detail: int(l.detail), At: at}
	for {
		select {
		case s.events <- ev:
			return
		default:
		}
		select {
		case <-s.events:
			s.missed = true
		default:
		}
	}
}

// Whole says that the session has not ended, and that no event has gone unread: what did not come did not happen.
func (s *Session) Whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && !s.missed
}
