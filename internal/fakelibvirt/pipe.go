package fakelibvirt

import (
	"io"
	"sync"
)

// half is one direction of a connection: bytes without a limit, so that a writer never waits.
type half struct {
	mu     sync.Mutex
	bytes  []byte
	closed bool
	// more has an element when there is something new: bytes, or the end.
	more chan struct{}
}

func newHalf() *half { return &half{more: make(chan struct{}, 1)} }

func (h *half) nudge() {
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.bytes = append(h.bytes, p...)
	h.nudge()
	return len(p), nil
}

// read has one reader.
func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		n, closed := copy(p, h.bytes), h.closed
		h.bytes = h.bytes[n:]
		h.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if closed {
			return 0, io.EOF
		}
		<-h.more
	}
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.nudge()
}

// end is one end of a connection.
type end struct{ in, out *half }

func newPipe() (a, b end) {
	x, y := newHalf(), newHalf()
	return end{x, y}, end{y, x}
}

func (e end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e end) Write(p []byte) (int, error) { return e.out.write(p) }

// Close ends both directions, with what is still on its way in them.
func (e end) Close() error {
	e.in.close()
	e.out.close()
	return nil
}
