package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func failedAccept(e syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", e)}
}

// TestAcceptingOutlivesWhatPasses tells which errors end the taking of connections, and which are only waited for.
func TestAcceptingOutlivesWhatPasses(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		passes, bad bool
	}{
		"no more files":         {failedAccept(syscall.EMFILE), true, false},
		"none on the host":      {failedAccept(syscall.ENFILE), true, false},
		"no buffers":            {failedAccept(syscall.ENOBUFS), true, false},
		"gone before its turn":  {failedAccept(syscall.ECONNABORTED), true, false},
		"the other host down":   {failedAccept(syscall.EHOSTDOWN), true, false},
		"a firewall's refusal":  {failedAccept(syscall.EPERM), true, false},
		"closed":                {&net.OpError{Op: "accept", Err: net.ErrClosed}, false, false},
		"no socket at all":      {failedAccept(syscall.ENOTSOCK), false, true},
		"something else broken": {errors.New("broken"), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				left, taken, noted := 5, 0, 0
				accept := func() (net.Conn, error) {
					switch left--; {
					case left >= 0:
						return nil, c.err
					case left == -1:
						return nil, nil
					}
					return nil, net.ErrClosed
				}
				err := acceptEach(ctx, accept, func(net.Conn) { taken++ }, func(error) { noted++ })
				if (taken == 1) != c.passes || (noted == 1) != c.passes || (err != nil) != c.bad {
					t.Errorf("%d taken, %d noted, error %v", taken, noted, err)
				}
			})
		})
	}
}

// TestAcceptingEndsWithItsContext, and tries rarely meanwhile.
func TestAcceptingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tries := 0
		accept := func() (net.Conn, error) { tries++; return nil, failedAccept(syscall.EMFILE) }
		if err := acceptEach(ctx, accept, func(net.Conn) {}, func(error) {}); err != nil || tries > 70 || tries < 50 {
			t.Errorf("%d tries in a minute, error %v", tries, err)
		}
	})
}

// starved is a listener whose first tries fail, as where no file descriptor is left.
type starved struct {
	net.Listener
	mu   sync.Mutex
	left int
}

func (s *starved) Accept() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left--; s.left >= 0 {
		return nil, failedAccept(syscall.EMFILE)
	}
	return s.Listener.Accept()
}

// TestADestinationWithoutFilesIsReachedLater: one failed accept must not make every later link impossible.
func TestADestinationWithoutFilesIsReachedLater(t *testing.T) {
	names, _ := SocketNames("guest")
	r, err := newRelay(Settings{
		Role: Destination, Sockets: names, Address: "127.0.0.1", FirstPort: 42280, LastPort: 42343,
		Acknowledge: AcknowledgeWindow, Compression: CompressionNone, ChunkBytes: DefaultChunkBytes, Channels: 2,
	}, func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	d := &destination{relay: r}
	port, err := d.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.listener = &starved{Listener: d.listener, left: 3}
	id, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d.connect(t.Context(), id.pin)
	defer d.finish()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	l := newLink(conn, tls.Client, id.config(r.identity.pin), &r.figures.wire)
	defer l.close()
	if err := l.handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
}
