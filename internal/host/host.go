package host

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Host is one libvirt host. Its methods may be called from any goroutine.
type Host struct {
	cfg    Config
	target target

	// dialing holds the one token of who may look at or replace the control connection; a channel, so
	// that waiting for it ends with a context.
	dialing chan struct{}
	control *rpc
	failed  error // of the last attempt to dial
	failure time.Time

	mu       sync.Mutex
	closed   bool
	open     map[*rpc]struct{} // every connection, to be closed with the host
	sessions map[*Session]struct{}
	files    map[*Files]struct{}
	cpus     int
	login    *login // what was last read through the host's files; nil: nothing since the daemon was last dialled

	numbering sync.Mutex // held while a number of the daemon's is drawn
}

// After a failed attempt to dial, calls fail with its error for this long instead of trying again each.
const redialPause = 500 * time.Millisecond

// Dial connects to the daemon that cfg names, and asks it who it is: whatever else the Host connects to later has to
// be that daemon. It gives up when ctx ends, after 10 s without a connection, or 30 s later without an answer.
// ErrUnreachable: no answer. ErrUntrusted: the wrong host answered, or one we do not know. ErrDenied: the
// host does not let us in.
func Dial(ctx context.Context, cfg Config) (*Host, error) {
	t, err := cfg.target()
	if err != nil {
		return nil, err
	}
	t.first = &firstSeen{}
	h := &Host{
		cfg: cfg, target: t,
		dialing:  make(chan struct{}, 1),
		open:     make(map[*rpc]struct{}),
		sessions: make(map[*Session]struct{}),
		files:    make(map[*Files]struct{}),
	}
	if _, err := h.connection(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Name is the user's name of the host.
func (h *Host) Name() string { return h.cfg.Name }

// Close ends the control connection, every session and every look at files at once, without waiting for the daemon. It may be
// called again.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	var rpcs []*rpc
	for r := range h.open {
		rpcs = append(rpcs, r)
	}
	var sessions []*Session
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	var files []*Files
	for f := range h.files {
		files = append(files, f)
	}
	h.mu.Unlock()
	for _, f := range files {
		_ = f.Close()
	}
	for _, s := range sessions {
		_ = s.Close()
	}
	for _, r := range rpcs {
		r.close()
	}
	return nil
}

// connect opens a connection of whatever kind and books it for Close. ErrOtherDaemon: it did not lead to the daemon
// that the first one led to.
func (h *Host) connect(ctx context.Context, shared bool, event func(happening, time.Time)) (*rpc, error) {
	if h.isClosed() {
		return nil, &Error{Host: h.cfg.Name, Err: ErrClosed}
	}
	r, err := openRPC(ctx, h.cfg, h.target, shared, event)
	if err != nil {
		return nil, err
	}
	if err := h.recognise(ctx, r); err != nil {
		r.close()
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		r.close()
		return nil, &Error{Host: h.cfg.Name, Err: ErrClosed}
	}
	for old := range h.open {
		if old.isDead() {
			delete(h.open, old)
		}
	}
	h.open[r] = struct{}{}
	return r, nil
}

func (h *Host) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// connection is the control connection, dialled again if it broke: once for each call, and not more often
// than the pause allows.
func (h *Host) connection(ctx context.Context) (*rpc, error) {
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, unanswered(h.cfg.Name, "connect", "the host did not answer in time", ctx.Err())
	}
	if h.isClosed() {
		return nil, &Error{Host: h.cfg.Name, Err: ErrClosed}
	}
	if h.control != nil {
		if h.control.usable() {
			return h.control, nil
		}
		h.cfg.log().Debug("dialling again", "host", h.cfg.Name, "because", h.control.wire.why())
		h.control = nil // and closed with the host, should calls still be under way on it
	}
	if h.failed != nil && time.Since(h.failure) < redialPause {
		return nil, h.failed
	}
	r, err := h.connect(ctx, true, nil)
	if err != nil {
		if !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			h.failed, h.failure = err, time.Now()
		}
		return nil, err
	}
	h.failed = nil
	h.control = r
	h.mu.Lock()
	h.login = nil // the daemon, or its whole host, may have been restarted
	h.mu.Unlock()
	return r, nil
}

// ask makes one call on the control connection.
func ask[T any](ctx context.Context, h *Host, what string, limit time.Duration, f rpcFunc[T]) (T, error) {
	r, err := h.connection(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	return call(ctx, r, what, limit, f)
}
