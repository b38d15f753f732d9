package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// link is one TLS connection between the two relays, and carries one channel until it breaks. One
// goroutine may send and one receive.
type link struct {
	tls  *tls.Conn
	wire *wire
	head [headerBytes]byte
	sent uint64 // plain bytes
	// hello is what the source said first, at the destination of a resumed channel.
	hello position
}

// How long a handshake and the words before the first chunk may take.
const (
	handshakeLimit = 5 * time.Second
	// heartbeat is how often a link says something.
	heartbeat = time.Second
	// lingering is how long a finished link waits for the other side to have read everything.
	lingering = 3 * time.Second
)

// rekeyBytes is after how many bytes a channel goes on over a fresh connection. AES-GCM's keys are good for
// 2^24.5 records (RFC 8446, section 5.5), some 380 GB, and Go's TLS does not renew them by itself.
var rekeyBytes uint64 = 128 << 30

func newLink(conn net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config, counted *atomic.Uint64) *link {
	w := newWire(conn, counted)
	return &link{tls: side(w, config), wire: w}
}

// handshake proves both sides to one another.
func (l *link) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	if err := l.tls.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil && !errors.Is(err, errStranger) {
			return fmt.Errorf("the TLS handshake did not end within %s", handshakeLimit)
		}
		return err
	}
	l.wire.gather()
	return l.wire.SetDeadline(time.Now().Add(handshakeLimit))
}

// flow ends the time limit of the first words; from now on silence is what ends the link.
func (l *link) flow(silence func() time.Duration) error {
	l.wire.silence.Store(&silence)
	return l.wire.SetDeadline(time.Time{})
}

// send sends one frame whose header is in front.
func (l *link) send(frame []byte) error {
	n, err := l.tls.Write(frame)
	l.sent += uint64(n)
	if err != nil {
		return err
	}
	return l.wire.flush()
}

func (l *link) sendSmall(h header, payload []byte) error {
	frame := make([]byte, headerBytes+len(payload))
	h.length = len(payload)
	h.put(frame)
	copy(frame[headerBytes:], payload)
	return l.send(frame)
}

func (l *link) sendPosition(kind frameKind, p position) error {
	var b [positionBytes]byte
	p.put(b[:])
	return l.sendSmall(header{kind: kind}, b[:])
}

func (l *link) sendFailure(text string) error {
	return l.sendSmall(header{kind: frameFail}, []byte(text[:min(len(text), maxText)]))
}

// receive reads a header; its payload has to be read next.
func (l *link) receive(chunk int) (header, error) {
	if _, err := io.ReadFull(l.tls, l.head[:]); err != nil {
		return header{}, err
	}
	return parseHeader(l.head[:], chunk)
}

// receivePosition waits for hello or welcome.
func (l *link) receivePosition(kind frameKind) (position, error) {
	h, err := l.receive(MaxChunkBytes)
	if err != nil {
		return position{}, err
	}
	if h.kind == frameFail {
		return position{}, l.remoteFailure(h)
	}
	if h.kind != kind {
		return position{}, wrong("a frame of kind %d where one of kind %d was expected", h.kind, kind)
	}
	var b [positionBytes]byte
	if _, err := io.ReadFull(l.tls, b[:]); err != nil {
		return position{}, err
	}
	return parsePosition(b[:])
}

// remoteError is what the other relay said of its end of the channel.
type remoteError string

func (e remoteError) Error() string { return string(e) }

func (l *link) remoteFailure(h header) error {
	text := make([]byte, h.length)
	if _, err := io.ReadFull(l.tls, text); err != nil {
		return err
	}
	return remoteError(text)
}

// finish says that nothing more comes from this side. The other side's goodbye ends the receiver, so that
// what was sent last is not lost to a reset.
func (l *link) finish() {
	l.wire.silence.Store(nil)
	_ = l.wire.SetDeadline(time.Now().Add(lingering))
	if l.tls.CloseWrite() == nil {
		_ = l.wire.flush()
	}
}

// close ends the link at once.
func (l *link) close() { _ = l.wire.Close() }
