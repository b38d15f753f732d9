package relay

import (
	"io"
	"sync"
)

// outgoing is one direction of a channel at its sender: the chunks that the other side has not yet
// acknowledged, at most a window of them.
type outgoing struct {
	store  *store
	window int           // chunks
	wake   chan struct{} // holds a token when there may be something to send

	mu   sync.Mutex
	room sync.Cond // some were acknowledged, or it is over
	kept []*chunk  // in order; the first has number base
	base uint64
	next uint64 // the number of the next chunk to come
	sent uint64 // the number of the next chunk to send on the present link
	// writing is being read by the link, and is only given back when that is done.
	writing *chunk
	ended   bool // the last one is among kept, or acknowledged
	over    bool
}

func newOutgoing(s *store, window int) *outgoing {
	o := &outgoing{store: s, window: max(window, 1), wake: make(chan struct{}, 1)}
	o.room.L = &o.mu
	return o
}

func (o *outgoing) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// blank waits until there is room in the window, and gives a chunk to fill. io.ErrClosedPipe: it is over.
func (o *outgoing) blank() (*chunk, error) {
	o.mu.Lock()
	for len(o.kept) >= o.window && !o.over {
		o.room.Wait()
	}
	over := o.over
	o.mu.Unlock()
	if over {
		return nil, io.ErrClosedPipe
	}
	return o.store.get(), nil
}

// push takes a filled chunk, or with last the end of the direction.
func (o *outgoing) push(c *chunk) {
	o.mu.Lock()
	c.number = o.next
	o.next++
	o.kept = append(o.kept, c)
	o.ended = o.ended || c.last
	o.mu.Unlock()
	o.signal()
}

// take gives the next chunk to send, or nil. done must be called with it when it has been sent.
func (o *outgoing) take() *chunk {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent >= o.next || o.over {
		return nil
	}
	o.writing = o.kept[o.sent-o.base]
	o.sent++
	return o.writing
}

func (o *outgoing) done() {
	o.mu.Lock()
	c := o.writing
	o.writing = nil
	gone := c != nil && c.number < o.base
	o.mu.Unlock()
	if gone {
		o.store.put(c)
	}
}

// unsent says whether the link is behind.
func (o *outgoing) unsent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent < o.next && !o.over
}

// acknowledged drops every chunk below number.
func (o *outgoing) acknowledged(number uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if number > o.sent {
		return wrong("it acknowledges chunk %d, and %d were sent", number, o.sent)
	}
	if number <= o.base {
		return nil // an old one, or a sign of life
	}
	gone := int(number - o.base)
	for _, c := range o.kept[:gone] {
		if c != o.writing {
			o.store.put(c)
		}
	}
	kept := copy(o.kept, o.kept[gone:])
	clear(o.kept[kept:])
	o.kept, o.base = o.kept[:kept], number
	o.room.Broadcast()
	return nil
}

// resume makes a new link go on at what the other side wants next.
func (o *outgoing) resume(received, written uint64) error {
	o.mu.Lock()
	if received < o.base || received > o.next || written > received {
		o.mu.Unlock()
		return wrong("it wants to go on at chunk %d, and there are %d to %d", received, o.base, o.next)
	}
	o.sent = received
	o.mu.Unlock()
	o.signal()
	return o.acknowledged(written)
}

// delivered says whether the direction has ended and all of it stands in QEMU's socket.
func (o *outgoing) delivered() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended && len(o.kept) == 0
}

// close gives up: whoever waits for room gets an error.
func (o *outgoing) close() {
	o.mu.Lock()
	o.over = true
	o.room.Broadcast()
	o.mu.Unlock()
}
