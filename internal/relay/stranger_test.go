package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStrangersOnTheWireAreRefused(t *testing.T) {
	p := newPair(t, nil)
	address := fmt.Sprintf("127.0.0.1:%d", p.port)
	// some hold connections open without a word, from before the right one comes
	for range 3 * mostHandshakes {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	p.connect()
	other, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"another certificate": other.config(p.pins[1]),
		"no certificate":      {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
		"an older TLS":        {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{other.certificate}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tls.Dial("tcp", address, config)
			if err == nil { // with TLS 1.3 the client hears of it only when it reads
				_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, err = c.Read(make([]byte, 1))
				_ = c.Close()
			}
			if err == nil || strings.Contains(err.Error(), "timeout") {
				t.Errorf("error %v", err)
			}
			p.said("was refused")
		})
	}
	// and the migration goes on unharmed
	q := p.qemu(Memory)
	a := p.dial(Memory)
	b, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	bothWays(t, a, b, 1, 1<<20, 1<<20)
	p.finish()
}

func TestAnotherDestinationIsRefused(t *testing.T) {
	p, other := newPair(t, nil), newPair(t, nil)
	for _, x := range []*pair{p, other} {
		if err := x.destination.Accept(p.pins[0]); err != nil {
			t.Fatal(err)
		}
	}
	// someone between the hosts leads us to a relay of his own
	_, _, err := p.source.Connect(t.Context(), fmt.Sprintf("127.0.0.1:%d", other.port), p.pins[1])
	if err == nil || !strings.Contains(err.Error(), errStranger.Error()) {
		t.Errorf("error %v", err)
	}
	other.finish()
}

// asUser does something as another user of this machine.
func asUser(uid int, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread, which is another user now, ends with this goroutine
		_, _, e1 := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, e2 := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(uid), uintptr(uid), uintptr(uid))
		_, _, e3 := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if e1|e2|e3 != 0 {
			done <- fmt.Errorf("become user %d: %w, %w, %w", uid, e1, e2, e3)
			return
		}
		done <- do()
	}()
	return <-done
}

// connectAs connects to a UNIX socket as another user of this machine.
func connectAs(uid int, path string) error {
	return asUser(uid, func() error {
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err = c.Read(make([]byte, 1))
			_ = c.Close()
		}
		return err
	})
}

// TestQEMUTakesNoSocketsPlace: all guests' QEMUs may be one user, and none may stand in for a relay.
func TestQEMUTakesNoSocketsPlace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	const qemu = 64055
	names, _ := SocketNames("guest")
	p := newPair(t, func(s *Settings) { s.QEMUUID, s.Sockets = qemu, names })
	p.connect()
	for kind, name := range names {
		path := filepath.Join(p.from.Directory, name)
		if err := asUser(qemu, func() error { return os.Remove(path) }); !errors.Is(err, os.ErrPermission) {
			t.Errorf("QEMU may remove the source's socket for %s: %v", kind, err)
		}
	}
	for dir, may := range map[string]bool{p.from.Directory: false, p.to.Directory: true} {
		path := filepath.Join(dir, "made")
		err := asUser(qemu, func() error {
			l, err := net.Listen("unix", path)
			if err != nil {
				return err
			}
			return l.Close()
		})
		if may && err != nil || !may && !errors.Is(err, os.ErrPermission) {
			t.Errorf("QEMU makes a socket in %s: %v", dir, err)
		}
	}
	p.finish()
}

func TestOtherUsersOfTheHostAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	const qemu, somebody = 64055, 65534
	names, _ := SocketNames("guest")
	p := newPair(t, func(s *Settings) { s.QEMUUID, s.Sockets = qemu, names })
	p.connect()
	for _, name := range names {
		if err := connectAs(somebody, filepath.Join(p.from.Directory, name)); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("the directory lets anybody in: %v", err)
		}
	}
	if err := connectAs(qemu, filepath.Join(p.from.Directory, names["daemon"])); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("QEMU may speak with the other host's daemon: %v", err)
	}
	// even a directory that is open to all does not help a stranger
	if err := os.Chmod(p.from.Directory, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := connectAs(somebody, filepath.Join(p.from.Directory, names["memory"])); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("a stranger was let in, or did not even get to knock: %v", err)
	}
	p.said(fmt.Sprintf("user %d is at the other end", somebody))
	// QEMU is let in, and reaches what listens on the other side
	q := p.qemu(Memory)
	entered := make(chan error, 1)
	go func() { entered <- connectAs(qemu, filepath.Join(p.from.Directory, names["memory"])) }()
	b, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = b.Write([]byte{1})
	if err := <-entered; err != nil {
		t.Errorf("QEMU is not let in: %v", err)
	}
	_ = b.Close()
	p.finish()
}

// forged is a source that has the right key and says what no relay says.
func forged(t *testing.T, p *pair, id identity) *link {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{}
	l := newLink(conn, tls.Client, id.config(p.pins[1]), &r.figures.wire)
	if err := l.handshake(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestForgedFramesFailClean(t *testing.T) {
	hello := func(t *testing.T, l *link) {
		if err := l.sendPosition(frameHello, position{purpose: purposeOpen, kind: Memory, channel: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.receivePosition(frameWelcome); err != nil {
			t.Fatal(err)
		}
	}
	data := func(l *link, number uint64, flags uint8, payload []byte) error {
		return l.sendSmall(header{kind: frameData, number: number, flags: flags}, payload)
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, l *link)
		says string
	}{
		"a replayed chunk": {func(t *testing.T, l *link) {
			_, _ = data(l, 0, 0, []byte("x")), data(l, 0, 0, []byte("x"))
		}, "chunk 0 came where 1 was expected"},
		"a chunk left out":    {func(t *testing.T, l *link) { _ = data(l, 1, 0, []byte("x")) }, "chunk 1 came where 0 was expected"},
		"an oversized chunk":  {func(t *testing.T, l *link) { _ = data(l, 0, 0, make([]byte, DefaultChunkBytes+1)) }, "with 262145 bytes"},
		"an empty chunk":      {func(t *testing.T, l *link) { _ = data(l, 0, 0, nil) }, "with 0 bytes"},
		"compressed nonsense": {func(t *testing.T, l *link) { _ = data(l, 0, flagCompressed, []byte("nonsense")) }, "a compressed chunk that is none"},
		"an unknown frame":    {func(t *testing.T, l *link) { _ = l.sendSmall(header{kind: 99}, nil) }, "unknown kind 99"},
		"unknown flags":       {func(t *testing.T, l *link) { _ = data(l, 0, 128, []byte("x")) }, "flags"},
		"a second hello": {func(t *testing.T, l *link) {
			_ = l.sendPosition(frameHello, position{purpose: purposeOpen, kind: Memory, channel: 1})
		}, "in mid-channel"},
		"an early good-bye":     {func(t *testing.T, l *link) { _ = l.sendSmall(header{kind: frameBye}, nil) }, "good-bye"},
		"too much acknowledged": {func(t *testing.T, l *link) { _ = l.sendSmall(header{kind: frameAck, number: 7}, nil) }, "it acknowledges chunk 7"},
		"more than the window": {func(t *testing.T, l *link) {
			for n := range uint64(1000) {
				if data(l, n, 0, make([]byte, DefaultChunkBytes)) != nil {
					return
				}
			}
		}, "without waiting for an acknowledgement"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, func(s *Settings) { s.ReconnectMS = 500 })
			id, err := newIdentity(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.destination.Accept(id.pin); err != nil {
				t.Fatal(err)
			}
			q := p.qemu(Memory)
			l := forged(t, p, id)
			defer l.close()
			hello(t, l)
			go func() { // what it answers is of no interest, but must not get stuck
				_, _ = io.Copy(io.Discard, l.wire.Conn)
			}()
			b, err := q.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.do(t, l)
			p.said(c.says)
			_ = b.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, b); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("QEMU's connection stays open")
			}
		})
	}
	t.Run("a truncated frame", func(t *testing.T) {
		p := newPair(t, func(s *Settings) { s.ReconnectMS = 500 })
		id, _ := newIdentity(time.Now())
		if err := p.destination.Accept(id.pin); err != nil {
			t.Fatal(err)
		}
		q := p.qemu(Memory)
		l := forged(t, p, id)
		hello(t, l)
		b, err := q.Accept()
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, headerBytes+10)
		header{kind: frameData, length: 1000}.put(frame)
		_ = l.send(frame)
		l.close()
		p.said("did not come back in time")
		if got, err := io.ReadAll(b); len(got) > 0 || err != nil {
			t.Errorf("QEMU got %d bytes (%v)", len(got), err)
		}
	})
}
