package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Deadlines of calls, beside the caller's own.
const (
	callLimit = 30 * time.Second
	// libvirtd waits 30 s for another job of the domain before it gives up; we let it.
	jobLimit = 40 * time.Second
	// Starting and stopping a QEMU.
	processLimit = 2 * time.Minute
	// Finish waits for the guest's last state to be loaded.
	finishLimit = 5 * time.Minute
	noLimit     = 0

	openLimit = 10 * time.Second
)

// supportsKeepalive is the feature that makes the daemon ping us once we have asked for it.
const supportsKeepalive = 10

// rpc is one open connection to a daemon.
type rpc struct {
	host string
	wire *wire
	lib  *libvirt.Libvirt
	// shared says that calls of several owners run here: one left unanswered must not take the
	// others with it. A connection of one owner ends with the first such call.
	shared bool

	mu      sync.Mutex
	pending int  // calls made and not answered
	stuck   int  // those of them that nobody waits for any more
	retired bool // no further calls; closes when pending is down to stuck
}

// openRPC dials and opens the driver named by path. Nothing is left behind when it fails.
func openRPC(ctx context.Context, cfg Config, t target, shared bool, event func(happening, time.Time)) (*rpc, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	raw, err := t.dial(ctx, cfg)
	if err != nil {
		return nil, dialError(ctx, cfg.Name, t, err)
	}
	w := newWire(raw, event)
	r := &rpc{host: cfg.Name, wire: w, lib: libvirt.NewWithDialer(w), shared: shared}
	_, err = call(ctx, r, "open the connection", noLimit, func(l *libvirt.Libvirt) (struct{}, error) {
		return struct{}{}, l.ConnectToURI(libvirt.ConnectURI(t.driverURI()))
	})
	if err != nil {
		said := w.why()
		r.close()
		return nil, openError(cfg.Name, t, w, said, err)
	}
	w.keepAlive(keepaliveInterval, keepaliveCount)
	// From here on the daemon notices when we are gone, too.
	if _, err := call(ctx, r, "start keepalive", callLimit, func(l *libvirt.Libvirt) (int32, error) {
		return l.ConnectSupportsFeature(supportsKeepalive)
	}); err != nil && Code(err) == 0 {
		r.close()
		return nil, err
	}
	return r, nil
}

// rpcFunc makes one RPC with go-libvirt and gives its result, which it must not store elsewhere: its caller
// may have stopped waiting.
type rpcFunc[T any] func(*libvirt.Libvirt) (T, error)

// call makes one RPC. It returns when the reply is there, when ctx or the limit ends, or when the
// connection does; what go-libvirt still waits for then is its own goroutine's business, which ends with
// the connection at the latest.
func call[T any](ctx context.Context, r *rpc, what string, limit time.Duration, f rpcFunc[T]) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, &Error{Host: r.host, Call: what, Err: err}
	}
	if !r.begin() {
		return zero, r.lost(what)
	}
	type answer struct {
		value T
		err   error
	}
	got := make(chan answer, 1)
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	abandoned := new(bool) // guarded by r.mu
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("%w: %v", errFrame, p)
			}
			got <- a
			r.end(abandoned)
		}()
		a.value, a.err = f(r.lib)
	}()
	judge := func(a answer) (T, error) {
		var said libvirt.Error
		switch {
		case a.err == nil:
			return a.value, nil
		case errors.As(a.err, &said), !r.isDead():
			return zero, r.explain(what, a.err)
		}
		return zero, r.lost(what)
	}
	select {
	case a := <-got:
		return judge(a)
	case <-r.wire.dead:
		// An answer may have come just before the end. If none has, go-libvirt gives the call up now.
		select {
		case a := <-got:
			return judge(a)
		case <-time.After(time.Second):
			return zero, r.lost(what)
		}
	case <-expired:
		r.abandon(abandoned)
		return zero, unanswered(r.host, what, fmt.Sprintf("the daemon did not answer within %s", limit), nil)
	case <-ctx.Done():
		r.abandon(abandoned)
		err := ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			return zero, unanswered(r.host, what, "the daemon did not answer in the time given", err)
		}
		return zero, &Error{Host: r.host, Call: what, Message: "the call was cancelled before the daemon answered", Err: err}
	}
}

// explain adds to a daemon's error what only the wire has seen of it.
func (r *rpc) explain(what string, err error) error {
	explained := explain(r.host, what, err)
	var said libvirt.Error
	if e, ok := explained.(*Error); ok && errors.As(err, &said) {
		e.errno = r.wire.errno(said.Message)
	}
	return explained
}

func (r *rpc) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retired || r.isDead() {
		return false
	}
	r.pending++
	return true
}

func (r *rpc) end(abandoned *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending--
	if *abandoned {
		r.stuck--
	}
	r.closeIfIdle()
}

// abandon gives up waiting for a call. The connection takes no more of them, and closes at once, or as
// soon as the other owners' calls are answered, which all have limits.
func (r *rpc) abandon(abandoned *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*abandoned = true
	r.stuck++
	r.retired = true
	r.closeIfIdle()
}

// closeIfIdle needs r.mu.
func (r *rpc) closeIfIdle() {
	if r.retired && (!r.shared || r.pending <= r.stuck) {
		r.wire.end(errors.New("an earlier call was left unanswered"))
	}
}

func (r *rpc) isDead() bool {
	select {
	case <-r.wire.dead:
		return true
	default:
		return false
	}
}

// usable says whether another call may be made on this connection.
func (r *rpc) usable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.retired && !r.isDead()
}

// close ends the connection at once; calls in flight return.
func (r *rpc) close() { _ = r.wire.Close() }

// lost is the error of a call whose connection ended before the answer.
func (r *rpc) lost(what string) error {
	why := r.wire.why()
	if errors.Is(why, ErrClosed) {
		return &Error{Host: r.host, Call: what, Err: ErrClosed}
	}
	msg := "the connection to the daemon was lost"
	if why != nil && !errors.Is(why, io.EOF) {
		msg += ": " + why.Error()
	}
	return unanswered(r.host, what, msg, why)
}

// openError explains a connection that was made and then not opened.
func openError(host string, t target, w *wire, said, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case w.offers(1) && !w.offers(0):
		return &Error{Host: host, Call: "log in", Code: e.Code, Err: ErrDenied,
			Message: "the daemon asks for SASL authentication, which is not supported: use qemu+ssh, or qemu+tls with auth_tls = \"none\" and client certificates"}
	case w.offers(2) && e.Code != 0 && errors.Is(err, ErrDenied):
		return &Error{Host: host, Call: "log in", Code: e.Code, Err: ErrDenied,
			Message: fmt.Sprintf("polkit on the host does not let this user manage libvirt (%s): add the user to the host's group \"libvirt\", or log in as root", e.Message)}
	case t.driver != "qemu" || e.Code == 0:
		return err
	}
	return &Error{Host: host, Call: "open " + t.driverURI(), Code: e.Code, Message: e.Message, Err: e.Err}
}
