package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// channel carries one connection of QEMU's, whatever happens to the link below it.
type channel struct {
	id    uint32
	kind  Kind
	local localConn
	relay *relay // whose settings and figures it shares

	out *outgoing
	in  *incoming
	// replaced brings the links that take a broken one's place, at the destination.
	replaced chan *link

	over     chan struct{} // closed when the local side has failed, or run ends
	overOnce sync.Once
	failure  error // why; set before over is closed
}

// localConn is QEMU's side.
type localConn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

func (r *relay) newChannel(id uint32, kind Kind, local localConn) *channel {
	out := newOutgoing(r.chunks, r.window)
	return &channel{
		id: id, kind: kind, local: local, relay: r, out: out, in: newIncoming(r.window, out.wake),
		replaced: make(chan *link, 1), over: make(chan struct{}),
	}
}

// errBroken marks the end of a link whose channel can go on over another.
var errBroken = errors.New("the connection between the relays broke")

// errRenew ends a link whose keys were used enough.
var errRenew = errors.New("time for fresh keys")

// run owns the channel. It begins on the first link, and asks next for another whenever one breaks. It
// returns nil when both directions have ended and everything was delivered, and has closed both sides
// when it returns.
func (c *channel) run(ctx context.Context, l *link, peer position, next func(ctx context.Context, deadline time.Time) (*link, position, error)) (err error) {
	var local sync.WaitGroup
	local.Go(c.readLocal)
	local.Go(c.writeLocal)
	defer func() {
		if err != nil && ctx.Err() == nil {
			// said before QEMU notices, so that the controller has the reason when libvirt complains
			c.relay.failed(fmt.Errorf("channel %d (%s): %w", c.id, c.kind, err))
		}
		c.fail(io.ErrClosedPipe)
		_ = c.local.Close()
		local.Wait()
	}()
	for {
		err := c.serve(ctx, l, peer)
		if !errors.Is(err, errBroken) && !errors.Is(err, errRenew) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		deadline, allowed := c.relay.patience.until(time.Now())
		if !allowed {
			return fmt.Errorf("%w, and going on over another is switched off", err)
		}
		if errors.Is(err, errBroken) {
			c.relay.log("the connection of channel %d (%s) broke: %v", c.id, c.kind, err)
		}
		broken := err
		if l, peer, err = next(ctx, deadline); err != nil {
			return fmt.Errorf("%w; no other could be made: %w", broken, err)
		}
		if errors.Is(broken, errBroken) && c.relay.settings.Role == Source { // the other side cannot tell it from fresh keys
			c.relay.figures.reconnects.Add(1)
		}
	}
}

// serve carries the channel over one link until it breaks or everything has been said.
func (c *channel) serve(ctx context.Context, l *link, peer position) error {
	defer l.close()
	if err := c.out.resume(peer.received, peer.written); err != nil {
		_ = l.sendFailure(err.Error())
		return err
	}
	if err := l.flow(c.relay.patience.silence); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	sent := make(chan error, 1)
	received := make(chan error, 1)
	go func() { sent <- c.send(ctx, l) }()
	go func() { received <- c.receive(l) }()
	select {
	case err := <-sent:
		if err != nil {
			if errors.Is(err, errRenew) {
				l.close()
			}
			// the other side may have said why
			if got, more := c.lastWords(received, l); more {
				return got
			}
			return err
		}
		<-received // the source has read it, or lingering has ended
		return nil
	case err := <-received:
		cancel(err)
		if said := <-sent; said == nil || errors.Is(err, errBye) {
			return nil
		}
		return err
	case again := <-c.replaced:
		c.replaced <- again
		err := fmt.Errorf("%w: the other side has made another", errBroken)
		cancel(err)
		<-sent
		<-received
		return err
	}
}

// lastWords waits a moment for a reason better than "broken pipe".
func (c *channel) lastWords(received <-chan error, l *link) (error, bool) {
	var remote remoteError
	var protocol protocolError
	timer := time.AfterFunc(time.Second, l.close)
	defer timer.Stop()
	err := <-received
	return err, errors.As(err, &remote) || errors.As(err, &protocol)
}

// send is the only one who writes to the link.
func (c *channel) send(ctx context.Context, l *link) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var soon <-chan time.Time
	begun := l.sent
	for {
		if chunk := c.out.take(); chunk != nil {
			if chunk.ready != nil {
				<-chunk.ready
			}
			chunk.header()
			err := l.send(chunk.frame)
			c.out.done()
			if err != nil {
				return fmt.Errorf("%w: %w", errBroken, err)
			}
			if l.sent-begun > rekeyBytes {
				return errRenew
			}
		}
		now, later := c.in.due()
		switch {
		case now:
			if err := c.sendAck(l); err != nil {
				return err
			}
			soon = nil
		case later && soon == nil:
			soon = time.After(ackDelay)
		}
		if c.relay.settings.Role == Destination && c.complete() {
			return c.sendBye(l)
		}
		if c.out.unsent() {
			continue
		}
		select {
		case <-c.out.wake:
		case <-soon:
			soon = nil
			if err := c.sendAck(l); err != nil {
				return err
			}
		case <-beat.C:
			if err := c.sendAck(l); err != nil {
				return err
			}
		case <-c.over:
			_ = l.sendFailure(c.failure.Error())
			l.finish()
			return c.failure
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// complete says whether both directions have ended and were delivered. The last word is the destination's:
// the source goes on making connections until it has heard it, so that whatever is lost with a connection
// is said again.
func (c *channel) complete() bool { return c.out.delivered() && c.in.complete() }

// errBye ends a link over which everything was said.
var errBye = errors.New("everything was said")

func (c *channel) sendBye(l *link) error {
	err := c.sendAck(l)
	if err == nil {
		err = l.sendSmall(header{kind: frameBye}, nil)
	}
	if err == nil {
		l.finish()
	}
	return nil // should it be lost, the source will ask
}

func (c *channel) sendAck(l *link) error {
	if err := l.sendSmall(header{kind: frameAck, number: c.in.acknowledge()}, nil); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

// receive is the only one who reads from the link.
func (c *channel) receive(l *link) error {
	for {
		h, err := l.receive(c.relay.chunks.bytes)
		var protocol protocolError
		switch {
		case errors.As(err, &protocol):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", errBroken, err)
		}
		switch h.kind {
		case frameData, frameEnd:
			err = c.receiveChunk(l, h)
		case frameAck:
			if err = c.out.acknowledged(h.number); err == nil && c.out.delivered() {
				c.out.signal()
			}
		case frameBye:
			if err = errBye; c.relay.settings.Role != Source || !c.complete() {
				err = wrong("it says good-bye before everything was said")
			}
		case frameFail:
			err = l.remoteFailure(h)
		default:
			err = wrong("a frame of kind %d in mid-channel", h.kind)
		}
		if err != nil {
			return err
		}
	}
}

func (c *channel) receiveChunk(l *link, h header) error {
	if err := c.in.check(h.number); err != nil {
		return err
	}
	chunk := c.relay.chunks.get()
	chunk.frame = chunk.frame[:headerBytes+h.length]
	chunk.flags, chunk.last = h.flags, h.kind == frameEnd
	if _, err := io.ReadFull(l.tls, chunk.payload()); err != nil {
		c.relay.chunks.put(chunk)
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	err := c.in.accept(chunk)
	runtime.Gosched() // while the processor still has it in its cache
	return err
}

// readLocal takes what QEMU sends, as long as there is room in the window.
func (c *channel) readLocal() {
	for {
		chunk, err := c.out.blank()
		if err != nil {
			return
		}
		n, err := c.local.Read(chunk.payload())
		chunk.frame = chunk.frame[:headerBytes+max(n, 0)]
		if n > 0 {
			c.relay.figures.payload.Add(uint64(n))
			c.relay.press(chunk)
			c.out.push(chunk)
			runtime.Gosched() // while the processor still has it in its cache
			if err == nil {
				continue
			}
			if chunk, err = c.out.blank(); err != nil {
				return
			}
			chunk.frame = chunk.frame[:headerBytes]
		}
		switch {
		case errors.Is(err, io.EOF):
			if c.kind == Memory && c.relay.settings.Role == Destination && !c.in.complete() {
				c.relay.remark("destination: QEMU on this host closed its connection before it had everything")
			}
			chunk.last = true
			c.out.push(chunk)
		case err != nil:
			c.relay.chunks.put(chunk)
			c.fail(fmt.Errorf("%s: read from QEMU: %w", c.relay.settings.Role, syscallError(err)))
		default:
			c.relay.chunks.put(chunk)
			continue
		}
		return
	}
}

// writeLocal hands QEMU what came.
func (c *channel) writeLocal() {
	for {
		var chunk *chunk
		select {
		case chunk = <-c.in.queue:
		case <-c.over:
			return
		}
		payload, err := c.relay.unpress(chunk)
		if err == nil && len(payload) > 0 {
			_, err = c.local.Write(payload)
		}
		if chunk.last {
			err = c.local.CloseWrite()
			if errors.Is(err, syscall.ENOTCONN) {
				err = nil // it is gone altogether
			}
		}
		if err != nil {
			c.fail(fmt.Errorf("%s: write to QEMU: %w", c.relay.settings.Role, syscallError(err)))
			return
		}
		last := chunk.last
		c.in.wrote(chunk)
		c.relay.chunks.put(chunk)
		if last {
			return
		}
	}
}

// fail ends the channel from the local side.
func (c *channel) fail(err error) {
	c.overOnce.Do(func() {
		c.failure = err
		close(c.over)
		c.out.close()
	})
}

// syscallError drops the names of sockets, which say nothing to a person.
func syscallError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
