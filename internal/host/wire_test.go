package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	procLibVersion = 157
	procState      = 212
	procDefine     = 350
)

func TestFramesOfImpossibleLengthEndTheConnectionAndNotTheProgram(t *testing.T) {
	for _, length := range []uint32{0, 4, 27, maxFrame + 1, 1 << 31, 1<<32 - 1} {
		noneLeft(t)
		p := listen(t, func(p *peer) {
			p.answer = func(c *peerConn, call header, _ []byte) {
				bad := frame(programRemote, call.procedure, typeReply, call.serial, 0, nil)
				copy(bad, word(length))
				_, _ = c.Write(bad)
			}
		})
		h := p.mustReach()
		_, err := h.Facts(context.Background())
		wants(t, err, ErrUnreachable, "does not speak libvirt's protocol")
	}
}

func TestALyingLengthInAReplyDoesNotReachTheDecoder(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) { c.reply(call, word(1<<31-1)) }
	})
	h := p.mustReach()
	_, err := h.Domains(context.Background())
	wants(t, err, ErrUnreachable, "claims 2147483647 elements")
}

func TestADialToASilentDaemonEndsWithItsContext(t *testing.T) {
	noneLeft(t)
	l, err := net.Listen("unix", t.TempDir()+"/sock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = Dial(ctx, Config{Name: "alpha", URI: "qemu+unix:///system?socket=" + l.Addr().String()})
	wants(t, err, ErrUnreachable, "alpha")
}

func TestRepliesNobodyWaitsForAreDropped(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) {
			_, _ = c.Write(frame(programRemote, 7, typeReply, call.serial+1000, 0, word(1)))
			for range 3 { // go-libvirt's reader would stick on the second
				c.reply(call, append(word(1), word(5)...))
			}
			_, _ = c.Write(frame(programRemote, call.procedure, 3, call.serial, 2, []byte("a stream's")))
			_, _ = c.Write(frame(0x20008087, 6, typeMessage, 0, 0, nil))
		}
	})
	h := p.mustReach()
	for range 20 {
		s, err := h.State(context.Background(), "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e")
		if err != nil || s != (State{1, 5}) {
			t.Fatal(s, err)
		}
	}
	if len(p.conns) != 1 {
		t.Errorf("%d connections were made", len(p.conns))
	}
}

func TestQEMUsMonitorIsAskedThroughLibvirt(t *testing.T) {
	noneLeft(t)
	const guest = "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"
	for said, want := range map[string]string{
		`{"return":{},"id":"libvirt-7"}`:                     "",
		`{"id":"libvirt-7","error":{"desc":"not expected"}}`: "not expected",
	} {
		p := listen(t, func(p *peer) {
			p.answer = func(c *peerConn, call header, payload []byte) {
				if call.program != programQEMU || call.procedure != 1 || !bytes.Contains(payload, []byte("migrate-continue")) {
					t.Errorf("called %d of program %x with %q", call.procedure, call.program, payload)
				}
				_, _ = c.Write(frame(programRemote, 1, typeReply, call.serial, 0, nil)) // another program's
				c.reply(call, text(said))
			}
		})
		err := p.mustReach().EndCancel(context.Background(), guest)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", said, err)
		}
	}
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) { c.reply(call, word(1<<31-1)) }
	})
	wants(t, p.mustReach().EndCancel(context.Background(), guest), ErrUnreachable, "claims a string of 2147483647 bytes")
}

func TestPingsAreAnsweredBetweenFramesWhileLargeCallsAreSent(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, payload []byte) {
			dom := append(text("guest"), append([]byte("0123456789abcdef"), word(1)...)...)
			c.reply(call, dom)
		}
	})
	h := p.mustReach()
	c := <-p.conns
	const pings = 200
	var sending sync.WaitGroup
	sending.Go(func() {
		for range pings {
			_, _ = c.Write(keepaliveFrame(keepalivePing))
		}
	})
	large := strings.Repeat("x", 1<<20)
	for range 20 {
		if err := h.Define(context.Background(), large); err != nil {
			t.Fatal(err) // the peer reads every frame whole, so one torn by a pong fails here
		}
	}
	sending.Wait()
	eventually(t, "not every ping was answered", func() bool { return c.pongs.Load() == pings })
}

func TestWritesInPiecesKeepPongsOutOfFrames(t *testing.T) {
	ours, theirs := net.Pipe()
	w := newWire(ours, nil)
	defer w.Close()
	call := frame(programRemote, 66, typeCall, 1, 0, []byte("12345678"))
	got := make(chan []byte)
	go func() {
		b := make([]byte, len(call)+headerSize)
		_, _ = io.ReadFull(theirs, b)
		got <- b
	}()
	mustWrite := func(b []byte) {
		t.Helper()
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(call[:3])
	w.pongs.Add(1)
	for _, piece := range [][]byte{call[3:28], call[28:30], call[30:]} {
		if err := w.sendOwed(); err != nil {
			t.Fatal(err)
		}
		mustWrite(piece)
	}
	if b := <-got; string(b) != string(call)+string(keepaliveFrame(keepalivePong)) {
		t.Errorf("sent %q", b)
	}
}

func TestASilentDaemonIsDeclaredDeadAfterFiveUnansweredPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		w := newWire(ours, nil)
		go func() { _, _ = io.Copy(io.Discard, w) }()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		start := time.Now()
		w.keepAlive(keepaliveInterval, keepaliveCount)
		<-w.dead
		if d := time.Since(start); d < 25*time.Second || d > 35*time.Second {
			t.Errorf("declared dead after %s", d)
		}
		if !strings.Contains(w.why().Error(), "no sign of life for 30s") {
			t.Error(w.why())
		}
		theirs.Close()
		w.tasks.Wait()
	})
}

func TestADaemonThatAnswersPingsStaysAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		w := newWire(ours, nil)
		go func() { _, _ = io.Copy(io.Discard, w) }()
		pings := 0
		go func() {
			for {
				h, _, err := (&peerConn{Conn: theirs}).frame()
				if err != nil {
					return
				}
				if h.procedure == keepalivePing {
					pings++
				}
				_, _ = theirs.Write(keepaliveFrame(keepalivePong))
			}
		}()
		w.keepAlive(keepaliveInterval, keepaliveCount)
		time.Sleep(10 * time.Minute) // of the bubble's clock
		select {
		case <-w.dead:
			t.Error("declared dead: ", w.why())
		default:
		}
		w.Close()
		theirs.Close()
		w.tasks.Wait()
		synctest.Wait()
		if pings < 50 {
			t.Errorf("%d pings in ten silent minutes", pings)
		}
	})
}

func TestSASLIsNamed(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) { p.auth = []uint32{1} })
	_, err := p.reach(context.Background())
	wants(t, err, ErrDenied, "SASL", "not supported")
}

func TestPolkitsRefusalIsExplained(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) {
		p.auth = []uint32{2}
		p.answer = func(c *peerConn, call header, _ []byte) {
			c.fail(call, CodeAuthUnavailable, "no polkit agent available")
		}
	})
	_, err := p.reach(context.Background())
	wants(t, err, ErrDenied, `group "libvirt"`, "no polkit agent available")
}

func TestACancelledCallLeavesTheOthersOfTheControlConnectionAlone(t *testing.T) {
	noneLeft(t)
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	arrived := make(chan uint32, 10)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) {
			arrived <- call.procedure
			switch call.procedure {
			case procState: // for ever unanswered
			case procLibVersion:
				go func() {
					<-release
					c.reply(call, []byte{0, 0, 0, 0, 0, 1, 0, 0})
				}()
			default:
				c.reply(call, word(1))
			}
		}
	})
	h := p.mustReach()
	first := <-p.conns
	const uuid = "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"

	other := make(chan error, 1)
	go func() { _, err := h.roundTripOnce(context.Background()); other <- err }()
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	if _, err := h.State(ctx, uuid); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := h.Persistent(context.Background(), uuid); err != nil {
		t.Fatal("a new call after the cancelled one: ", err)
	}
	if len(p.conns) != 1 {
		t.Errorf("%d new connections, want one beside the spoilt one", len(p.conns))
	}
	letGo()
	if err := <-other; err != nil {
		t.Error("the other call of the connection: ", err)
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the spoilt connection is still open")
	}
}

func TestEventsAreStampedAndNeverHoldUpReplies(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) {}
	})
	h := p.mustReach()
	<-p.conns
	before := time.Now()
	s, err := h.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := <-p.conns
	const sent = eventRoom + 500
	go func() {
		for i := range uint32(sent) {
			_, _ = c.Write(event(3, i))
		}
		_ = c.Close()
	}()
	<-s.Lost() // nobody has read an event so far
	var got []Event
	for ev := range s.Events() {
		got = append(got, ev)
	}
	if len(got) != eventRoom || got[len(got)-1].Detail != sent-1 {
		t.Fatalf("%d events, the last %+v", len(got), got[len(got)-1])
	}
	last := got[len(got)-1]
	if last.UUID != "30313233-3435-3637-3839-616263646566" || last.Kind != EventSuspended || last.At.Before(before) || last.At.After(time.Now()) {
		t.Errorf("%+v", last)
	}
}

func TestCloseEndsCallsAndSessionsAtOnce(t *testing.T) {
	noneLeft(t)
	arrived := make(chan struct{}, 10)
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) { arrived <- struct{}{} }
	})
	h := p.mustReach()
	s, err := h.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	dom := DomainID{UUID: "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"}
	go func() { _, err := s.Perform(context.Background(), dom, Params{}, nil, 0); ended <- err }()
	go func() { _, err := h.State(context.Background(), dom.UUID); ended <- err }()
	<-arrived
	<-arrived
	_ = h.Close()
	_ = h.Close()
	for range 2 {
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
	<-s.Lost()
	if _, err := h.State(context.Background(), dom.UUID); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := h.Session(context.Background()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestAnEndedContextEndsASessionsPerform(t *testing.T) {
	noneLeft(t)
	p := listen(t, func(p *peer) { p.answer = func(*peerConn, header, []byte) {} })
	h := p.mustReach()
	s, err := h.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Perform(ctx, DomainID{UUID: "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"}, Params{}, nil, 0)
	wants(t, err, ErrUnreachable)
	wants(t, err, context.DeadlineExceeded)
	<-s.Lost()
}
