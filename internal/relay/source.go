package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// source is the relay beside the QEMU that sends.
type source struct {
	*relay
	config  *tls.Config
	address string
	nextID  atomic.Uint32

	listeners []*net.UnixListener
	accepting sync.WaitGroup
}

// connect proves that the destination's relay is there and is the right one, then takes QEMU's connections.
func (s *source) connect(ctx context.Context, address, pin string) error {
	s.config, s.address = s.identity.config(pin), address
	l, err := s.probe(ctx)
	if err != nil {
		return fmt.Errorf("connect to the relay at %s: %w", address, err)
	}
	state := l.tls.ConnectionState()
	l.finish()
	l.close()
	for _, k := range []Kind{Memory, Disks, Daemon} {
		if s.settings.Sockets[k.String()] == "" {
			continue
		}
		if err := s.listen(ctx, k); err != nil {
			return err
		}
	}
	protocol, cipher := words(state)
	s.tell(event{Event: eventConnected, Protocol: protocol, Cipher: cipher})
	return nil
}

// probeTries are made before the other relay is taken to be out of reach: a stranger who keeps its port busy
// can cost a handshake.
const probeTries = 3

func (s *source) probe(ctx context.Context) (l *link, err error) {
	for range probeTries {
		if l, _, err = s.dial(ctx, position{purpose: purposeProbe, kind: Memory}); err == nil || final(err) || errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	return l, err
}

// listen opens one socket. The directory keeps everybody out; its mode keeps QEMU from the daemon's.
func (s *source) listen(ctx context.Context, k Kind) error {
	path := s.settings.path(k)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen for QEMU: %w", err)
	}
	mode := os.FileMode(0o666)
	if k == Daemon {
		mode = 0o600
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = listener.Close()
		return err
	}
	s.listeners = append(s.listeners, listener)
	s.accepting.Go(func() { s.accept(ctx, k, listener) })
	return nil
}

// accept takes QEMU's connections one after the other. Each is open on the far side before the next is
// taken, so that they arrive there in the order in which they were made here.
func (s *source) accept(ctx context.Context, k Kind, listener *net.UnixListener) {
	taking(ctx, s.relay, listener.AcceptUnix, func(conn *net.UnixConn) {
		if err := s.settings.checkPeer(k, conn); err != nil {
			s.log("a connection was refused: %v", err)
			_ = conn.Close()
			return
		}
		s.widen(conn)
		if err := s.open(ctx, k, conn); err != nil {
			_ = conn.Close()
			if ctx.Err() == nil {
				s.failed(fmt.Errorf("open a channel for %s: %w", k, err))
			}
		}
	})
}

func (s *source) open(ctx context.Context, k Kind, conn *net.UnixConn) error {
	if s.relay.open.Load() >= MaxChannels {
		return fmt.Errorf("%d channels are open already", MaxChannels)
	}
	c := s.newChannel(s.nextID.Add(1), k, newSocket(conn))
	l, peer, err := s.dial(ctx, position{purpose: purposeOpen, kind: k, channel: c.id})
	if err != nil && !final(err) {
		if deadline, allowed := s.patience.until(time.Now()); allowed {
			l, peer, err = s.redial(ctx, c, purposeOpen, deadline)
		}
	}
	if err != nil {
		return err
	}
	s.running.Go(func() {
		s.carry(ctx, c, l, peer, func(ctx context.Context, deadline time.Time) (*link, position, error) {
			return s.redial(ctx, c, purposeResume, deadline)
		})
	})
	return nil
}

// dial opens one link and says hello on it.
func (s *source) dial(ctx context.Context, hello position) (*link, position, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, position{}, err
	}
	l := newLink(conn, tls.Client, s.config, &s.figures.wire)
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	err = l.handshake(ctx)
	if err == nil {
		err = l.sendPosition(frameHello, hello)
	}
	var peer position
	if err == nil {
		peer, err = l.receivePosition(frameWelcome)
	}
	if err == nil && (peer.channel != hello.channel || peer.kind != hello.kind) {
		err = wrong("it welcomes channel %d where %d was meant", peer.channel, hello.channel)
	}
	if err != nil {
		l.close()
		return nil, position{}, err
	}
	return l, peer, nil
}

// redial makes a link that takes a broken one's place.
func (s *source) redial(ctx context.Context, c *channel, why purpose, deadline time.Time) (*link, position, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		l, peer, err := s.dial(ctx, c.in.position(position{purpose: why, kind: c.kind, channel: c.id}))
		if err == nil {
			return l, peer, nil
		}
		if final(err) {
			return nil, position{}, err
		}
		pause := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, position{}, err
		case <-pause.C:
		}
	}
}

// final says that trying again does not help.
func final(err error) bool {
	var remote remoteError
	var protocol protocolError
	return errors.As(err, &remote) || errors.As(err, &protocol) || errors.Is(err, errStranger)
}

// finish takes no more connections, and removes the sockets.
func (s *source) finish() {
	for _, l := range s.listeners {
		_ = l.Close() // unlinks it
	}
	s.accepting.Wait()
}
