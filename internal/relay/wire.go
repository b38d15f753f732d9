package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire lies under the TLS connection. TLS writes and reads records of 16 KiB; the wire makes few system
// calls of many of them, counts what really travels, and gives up on a peer that is silent for too long.
type wire struct {
	net.Conn
	counted *atomic.Uint64

	mu      sync.Mutex
	out     []byte
	direct  bool // handshake: every record goes out at once
	failure error

	in         []byte
	start, end int

	silence atomic.Pointer[func() time.Duration] // nil: the deadline is set by others
}

const (
	// wireBytes is how much is gathered for one system call: two records, which the processor still has in its
	// nearest cache when the kernel copies them.
	wireBytes = 32 << 10
	// unsentBytes is how much may wait in the kernel for its turn to be sent. By default it lets megabytes wait, and they
	// have left the processor's caches by then.
	unsentBytes = 128 << 10
)

func newWire(c net.Conn, counted *atomic.Uint64) *wire {
	if conn, is := c.(*net.TCPConn); is {
		limitUnsent(conn, unsentBytes)
		c = newSocket(conn)
	}
	return &wire{Conn: c, counted: counted, direct: true, out: make([]byte, 0, wireBytes+32<<10), in: make([]byte, wireBytes)}
}

// Write gathers records; flush sends them.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return 0, w.failure
	}
	w.out = append(w.out, p...)
	if w.direct || len(w.out) >= wireBytes {
		if err := w.send(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.send()
}

// send needs w.mu.
func (w *wire) send() error {
	if w.failure != nil || len(w.out) == 0 {
		return w.failure
	}
	n, err := w.Conn.Write(w.out)
	w.counted.Add(uint64(n))
	w.out, w.failure = w.out[:0], err
	return err
}

// gather ends the handshake's way of sending.
func (w *wire) gather() {
	w.mu.Lock()
	w.direct = false
	w.mu.Unlock()
}

func (w *wire) Read(p []byte) (int, error) {
	if w.start == w.end {
		if silence := w.silence.Load(); silence != nil {
			if err := w.Conn.SetReadDeadline(time.Now().Add((*silence)())); err != nil {
				return 0, err
			}
		}
		n, err := w.Conn.Read(w.in)
		w.counted.Add(uint64(n))
		if n == 0 {
			return 0, err
		}
		w.start, w.end = 0, n
	}
	n := copy(p, w.in[w.start:w.end])
	w.start += n
	return n, nil
}
