package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// destination is the relay beside the QEMU that receives.
type destination struct {
	*relay
	listener net.Listener
	config   *tls.Config // set by connect, before which nobody is accepted
	// daemon is a connection to libvirtd that was opened while this was still root; nil for none.
	daemon *net.UnixConn

	accepting  sync.WaitGroup
	handshakes handshakes

	mu       sync.Mutex
	channels map[uint32]*channel
	done     map[uint32]position // channels that have ended well, and where
}

// listen takes the last free port. Nobody is accepted before connect.
//
// libvirt's own migrations take the first free one of what is the same range by default, try it, let it go, and start a
// QEMU that is to listen on it. Were it ours by then, QEMU would listen by IPv6 alone and say nothing, and the
// source of that migration would find a relay.
func (d *destination) listen(ctx context.Context) (port int, err error) {
	s := d.settings
	for port := s.LastPort; port >= s.FirstPort; port-- {
		var config net.ListenConfig
		d.listener, err = config.Listen(ctx, "tcp", net.JoinHostPort(s.Address, strconv.Itoa(port)))
		if err == nil {
			return port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			break
		}
	}
	return 0, fmt.Errorf("listen on %s, ports %d to %d: %w", s.Address, s.FirstPort, s.LastPort, err)
}

// connect accepts the one peer from now on.
func (d *destination) connect(ctx context.Context, pin string) {
	d.config = d.identity.config(pin)
	d.channels, d.done = map[uint32]*channel{}, map[uint32]position{}
	d.accepting.Go(func() {
		taking(ctx, d.relay, d.listener.Accept, func(conn net.Conn) {
			ticket := d.handshakes.begin(conn) // in the order of arrival
			d.accepting.Go(func() {
				defer d.handshakes.end(ticket)
				d.welcome(ctx, conn)
			})
		})
	})
}

// welcome takes one connection through its handshake and its first word, in a bounded time.
func (d *destination) welcome(ctx context.Context, conn net.Conn) {
	l := newLink(conn, tls.Server, d.config, &d.figures.wire)
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	err := l.handshake(ctx)
	if err != nil {
		d.log("a connection from %s was refused: %v", conn.RemoteAddr(), err)
		l.close()
		return
	}
	hello, err := l.receivePosition(frameHello)
	if err == nil {
		err = d.enter(ctx, l, hello)
	}
	if err != nil {
		_ = l.sendFailure(fmt.Sprintf("%s: %v", d.settings.Role, err))
		l.finish()
		_, _ = l.tls.Read(make([]byte, 1)) // its goodbye
		l.close()
	}
}

func (d *destination) enter(ctx context.Context, l *link, hello position) error {
	switch hello.purpose {
	case purposeProbe:
		defer l.close()
		return l.sendPosition(frameWelcome, hello)
	case purposeOpen:
		return d.open(ctx, l, hello)
	}
	return d.resume(l, hello)
}

// mostChannels bounds what a destination remembers of one migration.
const mostChannels = 1 << 16

// open connects to QEMU for a new channel. A source that does not know whether that has happened asks again.
func (d *destination) open(ctx context.Context, l *link, hello position) error {
	d.mu.Lock()
	_, ended := d.done[hello.channel]
	known := d.channels[hello.channel] != nil
	if known && !ended {
		d.mu.Unlock()
		return d.resume(l, hello)
	}
	if ended || hello.received != 0 || len(d.channels)+len(d.done) >= mostChannels {
		d.mu.Unlock()
		return wrong("channel %d is opened twice, or is one too many", hello.channel)
	}
	c := d.newChannel(hello.channel, hello.kind, nil)
	d.channels[c.id] = c
	d.mu.Unlock()
	forget := func() {
		d.mu.Lock()
		delete(d.channels, c.id)
		if c.complete() {
			d.done[c.id] = c.in.position(position{purpose: purposeResume, kind: c.kind, channel: c.id})
		}
		d.mu.Unlock()
	}
	conn, err := d.dial(ctx, hello.kind)
	if err != nil {
		forget()
		return err
	}
	c.local = newSocket(conn)
	// Should the source not hear this, it asks again.
	_ = l.sendPosition(frameWelcome, c.in.position(position{purpose: purposeOpen, kind: c.kind, channel: c.id}))
	d.running.Go(func() {
		defer forget()
		d.carry(ctx, c, l, hello, func(ctx context.Context, deadline time.Time) (*link, position, error) {
			return d.await(ctx, c, deadline)
		})
	})
	return nil
}

// dial connects to the socket on which QEMU waits, or to the daemon.
func (d *destination) dial(ctx context.Context, k Kind) (*net.UnixConn, error) {
	if k == Daemon {
		return d.dialDaemon(ctx)
	}
	path := d.settings.path(k)
	if d.settings.Sockets[k.String()] == "" {
		return nil, wrong("it opens a channel for %s, which this migration has not", k)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("connect to QEMU: %w", err)
	}
	if err := d.settings.checkPeer(k, conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	d.widen(conn)
	return conn, nil
}

func (d *destination) dialDaemon(ctx context.Context) (*net.UnixConn, error) {
	if len(d.settings.DaemonSockets) == 0 {
		return nil, wrong("it opens a channel for the daemon, which this migration has not")
	}
	d.mu.Lock()
	conn := d.daemon
	d.daemon = nil
	d.mu.Unlock()
	if conn != nil {
		return conn, nil // by way of the supervisor's guard
	}
	way, err := d.settings.guarded(ctx, &d.running, d.tell)
	if err != nil {
		return nil, err
	}
	return unixConn(way)
}

// dialFirst connects to the first socket that answers.
func dialFirst(paths []string) (*net.UnixConn, error) {
	var errs []error
	for _, path := range paths {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("connect to libvirtd: %w", errors.Join(errs...))
}

// resume hands a link to the channel whose own has broken, which has to say how far it has come.
func (d *destination) resume(l *link, hello position) error {
	d.mu.Lock()
	c := d.channels[hello.channel]
	at, ended := d.done[hello.channel]
	d.mu.Unlock()
	switch {
	case c != nil && c.kind == hello.kind:
		l.hello = hello
		select {
		case c.replaced <- l:
		default:
			select { // of two that wait, the newer is alive
			case old := <-c.replaced:
				old.close()
			default:
			}
			c.replaced <- l
		}
		return nil
	case ended:
		// its last word was lost with the link
		if err := l.sendPosition(frameWelcome, at); err != nil {
			return err
		}
		if err := l.sendSmall(header{kind: frameBye}, nil); err != nil {
			return err
		}
		l.finish()
		_, _ = l.tls.Read(make([]byte, 1))
		l.close()
		return nil
	}
	return fmt.Errorf("channel %d has ended", hello.channel)
}

// await waits for the source to make another link.
func (d *destination) await(ctx context.Context, c *channel, deadline time.Time) (*link, position, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		select {
		case l := <-c.replaced:
			if err := l.sendPosition(frameWelcome, c.in.position(position{purpose: purposeResume, kind: c.kind, channel: c.id})); err != nil {
				l.close()
				continue
			}
			return l, l.hello, nil
		case <-ctx.Done():
			return nil, position{}, errors.New("the other relay did not come back in time")
		}
	}
}

func (d *destination) finish() {
	_ = d.listener.Close()
	d.accepting.Wait()
	if d.daemon != nil {
		_ = d.daemon.Close()
	}
}

// mostHandshakes bounds the connections that have not yet proved who they are. When there are more, the
// oldest goes: the right peer needs no time, and whoever holds a place open does.
const mostHandshakes = 16

type handshakes struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (h *handshakes) begin(c net.Conn) net.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) >= mostHandshakes {
		_ = h.conns[0].Close()
		h.conns = h.conns[1:]
	}
	h.conns = append(h.conns, c)
	return c
}

func (h *handshakes) end(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.conns {
		if other == c {
			h.conns = append(h.conns[:i], h.conns[i+1:]...)
			return
		}
	}
}
