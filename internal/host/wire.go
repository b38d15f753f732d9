package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// libvirt's own defaults: a ping every 5 s, and 5 of them unanswered end a connection.
const (
	keepaliveInterval = 5 * time.Second
	keepaliveCount    = 5
)

// wire stands between go-libvirt and a connection's bytes. What go-libvirt's reader cannot bear is
// stopped here: frames of an impossible length, replies nobody waits for, and every message that is not a
// reply. Events and keepalives are dealt with here and never reach it.
//
// Nothing may block the reader: events go to a callback that does not wait, pongs to a goroutine of
// their own.
type wire struct {
	raw   io.ReadWriteCloser
	event func(happening, time.Time)

	ready []byte // of the frame being handed to go-libvirt; the reader's own

	wmu sync.Mutex // one writer at a time
	out outgoing

	mu      sync.Mutex
	waiting map[int32]asked // serial of a call without its reply
	offered []uint32        // ways in that the daemon offers
	errnos  map[string]int  // what came with errors of the daemon's system, by their words
	cause   error

	heard     atomic.Uint64 // counts whatever came from the daemon
	pongs     atomic.Int32
	ping      atomic.Bool
	wake      chan struct{}
	dead      chan struct{}
	closeOnce sync.Once
	tasks     sync.WaitGroup
}

func newWire(raw io.ReadWriteCloser, event func(happening, time.Time)) *wire {
	w := &wire{
		raw: raw, event: event,
		waiting: make(map[int32]asked),
		wake:    make(chan struct{}, 1),
		dead:    make(chan struct{}),
	}
	w.tasks.Add(1)
	go w.send()
	return w
}

// Dial hands the wire to go-libvirt as its connection.
func (w *wire) Dial() (net.Conn, error) { return w, nil }

// Read gives go-libvirt whole replies to calls that wait for one, and nothing else.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.ready) == 0 {
		frame, err := w.next()
		if err != nil {
			w.end(err)
			// never a net.OpError: go-libvirt would take it for temporary and read on for ever
			return 0, io.EOF
		}
		w.ready = frame
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// next reads one frame and returns it if it is a reply somebody waits for, else nil.
func (w *wire) next() ([]byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(w.raw, head[:]); err != nil {
		return nil, err
	}
	w.heard.Add(1)
	h, err := parseHeader(head[:])
	if err != nil {
		return nil, err
	}
	// The buffer grows with what has come: a length alone makes us allocate nothing.
	var frame bytes.Buffer
	frame.Write(head[:])
	if _, err := io.CopyN(&frame, heardReader{w}, int64(h.length-headerSize)); err != nil {
		return nil, err
	}
	payload := frame.Bytes()[headerSize:]

	switch {
	case h.program == programKeepalive:
		if h.procedure == keepalivePing {
			w.pongs.Add(1)
			w.nudge()
		}
		return nil, nil
	case h.program == programRemote && h.kind == typeMessage:
		if h.procedure == procLifecycle || h.procedure == procPass || h.procedure == procIOError {
			at := time.Now()
			ev, err := parseEvent(h.procedure, payload)
			if err != nil {
				return nil, err
			}
			if w.event != nil {
				w.event(ev, at)
			}
		}
		return nil, nil
	case h.kind == typeReply:
		w.mu.Lock()
		what, waits := w.waiting[h.serial]
		if waits = waits && what.program == h.program; waits {
			delete(w.waiting, h.serial)
		}
		if waits && what == (asked{programRemote, procAuthList}) && h.status == 0 {
			w.offered = parseAuthList(payload)
		}
		w.mu.Unlock()
		if !waits {
			return nil, nil
		}
		if err := checkReply(what, h, payload); err != nil {
			return nil, err
		}
		if h.status == statusError {
			w.noteErrno(payload)
		}
		return frame.Bytes(), nil
	}
	return nil, nil
}

// mostErrnos bounds what is remembered of errors.
const mostErrnos = 64

// noteErrno keeps an error's number until its reader asks. The words tell which error it was: the number's own are
// among them.
func (w *wire) noteErrno(payload []byte) {
	message, errno := systemError(payload)
	if errno <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.errnos == nil || len(w.errnos) >= mostErrnos {
		w.errnos = map[string]int{}
	}
	w.errnos[message] = errno
}

// errno is the number that came with an error of these words, 0 for none.
func (w *wire) errno(message string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errnos[message]
}

// heardReader notes that bytes keep coming while a long frame is read.
type heardReader struct{ w *wire }

func (r heardReader) Read(p []byte) (int, error) {
	n, err := r.w.raw.Read(p)
	if n > 0 {
		r.w.heard.Add(1)
	}
	return n, err
}

// Write passes on go-libvirt's bytes, which may be any piece of a frame.
func (w *wire) Write(p []byte) (int, error) {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	err := w.out.advance(p, func(h header) {
		if h.kind == typeCall {
			w.mu.Lock()
			w.waiting[h.serial] = asked{h.program, h.procedure}
			w.mu.Unlock()
		}
	})
	if err != nil {
		w.end(err)
		return 0, err
	}
	n, err := w.raw.Write(p)
	if err != nil {
		w.end(err)
		return n, err
	}
	if w.out.atBoundary() && w.owes() {
		w.nudge()
	}
	return n, nil
}

func (w *wire) owes() bool { return w.pongs.Load() > 0 || w.ping.Load() }

func (w *wire) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// send is the only writer of keepalives. It writes them between two frames of go-libvirt's.
func (w *wire) send() {
	defer w.tasks.Done()
	for {
		select {
		case <-w.dead:
			return
		case <-w.wake:
		}
		if err := w.sendOwed(); err != nil {
			w.end(err)
			return
		}
	}
}

func (w *wire) sendOwed() error {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	if !w.out.atBoundary() {
		return nil // the Write that ends the frame nudges again
	}
	for w.pongs.Load() > 0 {
		if _, err := w.raw.Write(keepaliveFrame(keepalivePong)); err != nil {
			return err
		}
		w.pongs.Add(-1)
	}
	if w.ping.CompareAndSwap(true, false) {
		if _, err := w.raw.Write(keepaliveFrame(keepalivePing)); err != nil {
			return err
		}
	}
	return nil
}

// keepAlive pings the daemon every interval in which it was silent, and ends the connection after count
// intervals without a byte from it.
func (w *wire) keepAlive(interval time.Duration, count int) {
	w.tasks.Add(1)
	go func() {
		defer w.tasks.Done()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		silent, last := 0, w.heard.Load()
		for {
			select {
			case <-w.dead:
				return
			case <-tick.C:
			}
			// Ticks are counted, not time: a controller that was itself asleep must not take the
			// gap for the daemon's.
			if now := w.heard.Load(); now != last {
				silent, last = 0, now
				continue
			}
			silent++
			if silent > count {
				w.end(fmt.Errorf("no sign of life for %s", (time.Duration(count+1) * interval).String()))
				return
			}
			w.ping.Store(true)
			w.nudge()
		}
	}()
}

// end closes the connection for good; the first cause counts.
func (w *wire) end(cause error) {
	w.closeOnce.Do(func() {
		w.mu.Lock()
		w.cause = cause
		w.mu.Unlock()
		close(w.dead)
		_ = w.raw.Close()
	})
}

// Close ends the connection at once. It waits for nobody.
func (w *wire) Close() error {
	w.end(ErrClosed)
	return nil
}

// why says in words why the connection ended.
func (w *wire) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.cause == nil:
		return nil
	case errors.Is(w.cause, io.EOF), errors.Is(w.cause, io.ErrUnexpectedEOF):
		return errors.New("the daemon closed the connection")
	}
	return w.cause
}

// offers says whether the daemon listed this way in.
func (w *wire) offers(kind uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.offered {
		if k == kind {
			return true
		}
	}
	return false
}

// The rest of net.Conn, of which go-libvirt uses nothing.

func (w *wire) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (w *wire) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (w *wire) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (w *wire) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (w *wire) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
