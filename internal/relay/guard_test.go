package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// message is one as a daemon puts it on the wire.
func message(program, procedure, kind uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(rpcHeader+len(payload)))
	for _, w := range []uint32{program, 1, procedure, kind, 7, 0} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, payload...)
}

// TestOnlyCallsOfAMigrationPass names what a daemon that drives a migration says, and what somebody else would.
func TestOnlyCallsOfAMigrationPass(t *testing.T) {
	other := message(rpcRemote, 303, rpcCall, nil)
	other[11] = 2 // another version of the protocol
	for name, c := range map[string]struct {
		says   []byte
		passes bool
	}{
		"auth list":                  {message(rpcRemote, 66, rpcCall, nil), true},
		"open":                       {message(rpcRemote, 1, rpcCall, []byte("qemu:///system")), true},
		"supports feature":           {message(rpcRemote, 60, rpcCall, make([]byte, 4)), true},
		"register close callback":    {message(rpcRemote, 360, rpcCall, nil), true},
		"prepare":                    {message(rpcRemote, 303, rpcCall, make([]byte, 100000)), true},
		"finish":                     {message(rpcRemote, 306, rpcCall, nil), true},
		"unregister close callback":  {message(rpcRemote, 361, rpcCall, nil), true},
		"close":                      {message(rpcRemote, 2, rpcCall, nil), true},
		"a ping":                     {message(rpcAlive, 1, rpcMessage, nil), true},
		"a pong":                     {message(rpcAlive, 2, rpcMessage, nil), true},
		"create a domain":            {message(rpcRemote, 10, rpcCall, nil), false},
		"define a domain":            {message(rpcRemote, 350, rpcCall, nil), false},
		"destroy a domain":           {message(rpcRemote, 234, rpcCall, nil), false},
		"list all domains":           {message(rpcRemote, 273, rpcCall, nil), false},
		"a domain's description":     {message(rpcRemote, 14, rpcCall, nil), false},
		"a secret's value":           {message(rpcRemote, 145, rpcCall, nil), false},
		"make a volume":              {message(rpcRemote, 93, rpcCall, nil), false},
		"prepare a tunnel":           {message(rpcRemote, 304, rpcCall, nil), false},
		"another identity":           {message(rpcRemote, 419, rpcCall, nil), false},
		"a monitor's command":        {message(0x20008087, 1, rpcCall, nil), false},
		"the daemon's administrator": {message(0x06900690, 1, rpcCall, nil), false},
		"a stream":                   {message(rpcRemote, 303, 3, nil), false},
		"a call with files":          {message(rpcRemote, 303, 4, nil), false},
		"another version":            {other, false},
		"too long":                   {append(binary.BigEndian.AppendUint32(nil, rpcLongest+1), other[4:]...), false},
		"too short":                  {append(binary.BigEndian.AppendUint32(nil, rpcHeader-1), other[4:]...), false},
		"no frame at all":            {bytes.Repeat([]byte("x"), 40), false},
	} {
		var heard bytes.Buffer
		before := message(rpcRemote, 60, rpcCall, make([]byte, 4))
		err := passCalls(&heard, bytes.NewReader(append(bytes.Clone(before), c.says...)))
		want := append(bytes.Clone(before), c.says...)
		if !c.passes {
			want = before
		}
		if errors.Is(err, errCall) == c.passes || !bytes.Equal(heard.Bytes(), want) {
			t.Errorf("%s: the daemon heard %d bytes, error %v", name, heard.Len(), err)
		}
	}
}

// libvirtd is a daemon that echoes what it hears.
func libvirtd(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return socket
}

// TestARelayCannotCallWhatItLikes: a source's relay that was taken over says to the destination's daemon what is no
// part of a migration. That connection ends, the controller is told which call it was, and the rest goes on.
func TestARelayCannotCallWhatItLikes(t *testing.T) {
	socket := libvirtd(t)
	p := newPair(t, func(s *Settings) { s.DaemonSockets = []string{socket} })
	p.connect()
	call := message(rpcRemote, 60, rpcCall, make([]byte, 4))
	good, bad := p.dial(Daemon), p.dial(Daemon)
	for _, c := range []net.Conn{good, bad} {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(call); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(call))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bad.Write(message(rpcRemote, 350, rpcCall, []byte("<domain/>"))); err != nil {
		t.Fatal(err)
	}
	if n, err := bad.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the daemon answered with %d bytes, error %v", n, err)
	}
	p.said("procedure 350 has no part in a migration")
	if _, err := good.Write(call); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(good, make([]byte, len(call))); err != nil {
		t.Errorf("another connection ended, too: %v", err)
	}
	_ = good.Close()
	p.finish()
}

// TestAGuardEndsWithItsRelay, even if the daemon says nothing any more.
func TestAGuardEndsWithItsRelay(t *testing.T) {
	socket := filepath.Join(shortDir(t), "sock")
	l, err := net.Listen("unix", socket) // which never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var guards sync.WaitGroup
	way, err := Settings{Role: Destination, DaemonSockets: []string{socket}}.guarded(ctx, &guards, func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	_ = way.Close()
	cancel()
	guards.Wait()
}

// FuzzCalls: whatever comes from a relay, only whole calls of a migration reach the daemon.
func FuzzCalls(f *testing.F) {
	f.Add(message(rpcRemote, 303, rpcCall, []byte("<domain/>")))
	f.Add(append(message(rpcAlive, 1, rpcMessage, nil), message(rpcRemote, 350, rpcCall, nil)...))
	f.Add(message(rpcRemote, 1, rpcCall, nil)[:20])
	f.Fuzz(func(t *testing.T, says []byte) {
		var heard bytes.Buffer
		err := passCalls(&heard, bytes.NewReader(says))
		if !bytes.HasPrefix(says, heard.Bytes()) {
			t.Fatal("the daemon heard something else")
		}
		rest := heard.Bytes()
		for len(rest) >= rpcHeader {
			length, bad := checkCall(rest)
			if bad != nil {
				t.Fatalf("the daemon heard a call: %v", bad)
			}
			if int(length) > len(rest) {
				rest = nil // cut off where the connection was
				break
			}
			rest = rest[length:]
		}
		if len(rest) > 0 {
			t.Errorf("%d bytes of no message were passed on: %v", len(rest), err)
		}
		if err != nil && !errors.Is(err, errCall) && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("error %v", err)
		}
	})
}
