package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// peer is a daemon that misbehaves on the wire as a test tells it to. What real daemons do is tested
// with real ones.
type peer struct {
	t     *testing.T
	conns chan *peerConn // every connection that was opened
	uri   string
	auth  []uint32
	// who says of the nth connection which host answers it; nil: always the same.
	who func(n int) (uuid, hostname string)
	// answer replies to a call after the opening ones; nil leaves every call unanswered.
	answer func(c *peerConn, call header, payload []byte)
}

type peerConn struct {
	net.Conn
	uuid, hostname string

	pongs atomic.Int32
	pings atomic.Int32
}

// listen starts a peer on a UNIX socket. prepare may change it before it accepts.
func listen(t *testing.T, prepare func(*peer)) *peer {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conns: make(chan *peerConn, 100), uri: "qemu+unix:///system?socket=" + socket, auth: []uint32{0}}
	if prepare != nil {
		prepare(p)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			c := &peerConn{Conn: raw, uuid: "10ab0000-0000-4000-8000-000000000001", hostname: "alpha"}
			if p.who != nil {
				c.uuid, c.hostname = p.who(n)
			}
			p.conns <- c
			go p.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return p
}

func (p *peer) serve(c *peerConn) {
	defer c.Close()
	for {
		h, payload, err := c.frame()
		if err != nil {
			return
		}
		switch {
		case h.program == programKeepalive && h.procedure == keepalivePong:
			c.pongs.Add(1)
		case h.program == programKeepalive:
			c.pings.Add(1)
			_, _ = c.Write(keepaliveFrame(keepalivePong))
		case h.program != programRemote && h.program != programQEMU || h.kind != typeCall:
			p.t.Errorf("a frame no daemon knows: %+v", h)
			return
		case h.procedure == procAuthList:
			c.reply(h, array(p.auth...))
		case h.program == programQEMU:
			p.answer(c, h, payload)
		case h.procedure == 1 && p.auth[0] != 0: // open
			c.fail(h, CodeAuthFailed, "authentication required")
		case h.procedure == 1:
			c.reply(h, nil)
		case h.procedure == 60, h.procedure == 316: // feature, event callback
			c.reply(h, word(1))
		case h.procedure == 7: // capabilities
			c.reply(h, text("<capabilities><host><uuid>"+c.uuid+"</uuid></host></capabilities>"))
		case h.procedure == 59: // host name
			c.reply(h, text(c.hostname))
		case p.answer != nil:
			p.answer(c, h, payload)
		}
	}
}

// frame reads one whole frame from us and checks that it is one.
func (c *peerConn) frame() (header, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return header{}, nil, err
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return header{}, nil, err
	}
	payload := make([]byte, h.length-headerSize)
	_, err = io.ReadFull(c, payload)
	return h, payload, err
}

func (c *peerConn) reply(call header, payload []byte) {
	_, _ = c.Write(frame(call.program, call.procedure, typeReply, call.serial, 0, payload))
}

func (c *peerConn) fail(call header, code uint32, message string) {
	var b bytes.Buffer
	for _, w := range []uint32{code, 7, 1} {
		b.Write(word(w))
	}
	b.Write(text(message))
	b.Write(word(2))
	_, _ = c.Write(frame(programRemote, call.procedure, typeReply, call.serial, 1, b.Bytes()))
}

// failSystem answers with an error of the daemon's operating system, as libvirt puts it on the wire.
func (c *peerConn) failSystem(call header, errno uint32, message string) {
	none := word(0)
	b := bytes.Join([][]byte{
		word(CodeSystem), word(18), word(1), text(message), word(2), none, // level, no domain
		word(1), text("%s"), word(1), text(message), none, // strings
		word(errno), word(math.MaxUint32), none, // numbers, no network
	}, nil)
	_, _ = c.Write(frame(programRemote, call.procedure, typeReply, call.serial, 1, b))
}

func frame(program, procedure, kind uint32, serial int32, status uint32, payload []byte) []byte {
	b := make([]byte, 0, headerSize+len(payload))
	for _, w := range []uint32{uint32(headerSize + len(payload)), program, 1, procedure, kind, uint32(serial), status} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, payload...)
}

func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func array(ns ...uint32) []byte {
	b := word(uint32(len(ns)))
	for _, n := range ns {
		b = append(b, word(n)...)
	}
	return b
}

func text(s string) []byte {
	b := append(word(uint32(len(s))), s...)
	return append(b, make([]byte, -len(s)&3)...)
}

func event(kind, detail uint32) []byte {
	var b bytes.Buffer
	b.Write(word(1)) // callback
	b.Write(text("guest"))
	b.Write([]byte("0123456789abcdef"))
	b.Write(word(3)) // id
	b.Write(word(kind))
	b.Write(word(detail))
	return frame(programRemote, procLifecycle, typeMessage, 0, 0, b.Bytes())
}

// reach dials the peer and closes the host with the test.
func (p *peer) reach(ctx context.Context) (*Host, error) {
	h, err := Dial(ctx, Config{Name: "alpha", URI: p.uri})
	if err == nil {
		p.t.Cleanup(func() { _ = h.Close() })
	}
	return h, err
}

func (p *peer) mustReach() *Host {
	p.t.Helper()
	h, err := p.reach(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// noneLeft asserts that no goroutine of this package outlives what the test closed.
func noneLeft(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		eventually(t, "goroutines are left behind", func() bool {
			buf := make([]byte, 1<<20)
			all := string(buf[:runtime.Stack(buf, true)])
			for _, g := range strings.Split(all, "\n\n") {
				if strings.Contains(g, "go-libvirt.") || strings.Contains(g, "internal/host.(*wire)") ||
					strings.Contains(g, "internal/host.call[") || strings.Contains(g, "internal/host.(*Session)") {
					return false
				}
			}
			return true
		})
	})
}

// eventually waits for a condition.
func eventually(t *testing.T, otherwise string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatal(otherwise)
		case <-tick.C:
		}
	}
}

func wants(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("%v is not %q", err, sentinel)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
