package relay

import (
	"sync"
	"time"
)

// incoming is one direction of a channel at its receiver: chunks that have come and wait to be written to
// QEMU's socket.
type incoming struct {
	queue  chan *chunk
	wake   chan struct{} // shared with the outgoing direction, whose link sends the acknowledgements
	eager  int           // so many unacknowledged chunks are worth an acknowledgement at once
	window int

	expected uint64 // the next number; only the link's reader touches it

	mu           sync.Mutex
	received     uint64
	written      uint64
	acknowledged uint64 // as told on the present link
	ended        bool   // the last one stands in QEMU's socket
}

// ackDelay is how long an acknowledgement waits for company.
const ackDelay = 5 * time.Millisecond

func newIncoming(window int, wake chan struct{}) *incoming {
	window = max(window, 1)
	return &incoming{queue: make(chan *chunk, window), wake: wake, eager: max(window/4, 1), window: window}
}

// check refuses a chunk that is not the next one.
func (in *incoming) check(number uint64) error {
	if number != in.expected {
		return wrong("chunk %d came where %d was expected", number, in.expected)
	}
	return nil
}

// accept queues the next chunk. A sender that keeps to its window never finds the queue full.
func (in *incoming) accept(c *chunk) error {
	in.mu.Lock()
	c.number = in.expected
	in.expected++
	in.received = in.expected
	in.mu.Unlock()
	select {
	case in.queue <- c:
		return nil
	default:
		return wrong("it sent more than %d chunks without waiting for an acknowledgement", in.window)
	}
}

// wrote notes that a chunk stands in QEMU's socket.
func (in *incoming) wrote(c *chunk) {
	in.mu.Lock()
	in.written = c.number + 1
	in.ended = in.ended || c.last
	due := in.ended || in.written-in.acknowledged >= uint64(in.eager)
	first := in.written-in.acknowledged == 1
	in.mu.Unlock()
	if due || first {
		select {
		case in.wake <- struct{}{}:
		default:
		}
	}
}

// due says what is to be acknowledged: at once, or (later) when nothing else comes within ackDelay.
func (in *incoming) due() (now, later bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	behind := in.written - in.acknowledged
	return behind > 0 && (in.ended || behind >= uint64(in.eager)), behind > 0
}

// acknowledge gives the number to send.
func (in *incoming) acknowledge() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.acknowledged = in.written
	return in.written
}

// position tells a new link how far this direction has come.
func (in *incoming) position(p position) position {
	in.mu.Lock()
	defer in.mu.Unlock()
	p.received, p.written = in.received, in.written
	in.acknowledged = in.written
	return p
}

// complete says whether the direction has ended and all of it stands in QEMU's socket.
func (in *incoming) complete() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.ended
}
