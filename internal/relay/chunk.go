package relay

import "sync"

// chunk is one piece of a channel's direction, with room for its header in front, so that both go to the
// TLS connection in one write.
type chunk struct {
	frame  []byte // headerBytes, then the payload
	number uint64
	flags  uint8
	last   bool // no payload: the direction ends here
	// plain is the length of the payload before compression.
	plain int
	// ready is closed when a worker has compressed the payload; nil when none does.
	ready chan struct{}
}

func (c *chunk) payload() []byte { return c.frame[headerBytes:] }

// header writes the frame's header in front of the payload.
func (c *chunk) header() {
	h := header{kind: frameData, flags: c.flags, length: len(c.payload()), number: c.number}
	if c.last {
		h.kind = frameEnd
	}
	h.put(c.frame)
}

// store keeps chunks for reuse. The last one returned is the first one given, since its memory is still
// in the processor's cache.
type store struct {
	bytes int // the payload's room of each

	mu   sync.Mutex
	free []*chunk
}

func (s *store) get() *chunk {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		*c = chunk{frame: c.frame[:headerBytes+s.bytes]}
		return c
	}
	s.mu.Unlock()
	return &chunk{frame: make([]byte, headerBytes+s.bytes)}
}

func (s *store) put(c *chunk) {
	s.mu.Lock()
	s.free = append(s.free, c)
	s.mu.Unlock()
}
