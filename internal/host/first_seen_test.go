package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	oneUUID   = "10ab0000-0000-4000-8000-000000000001"
	otherUUID = "10ab0000-0000-4000-8000-000000000002"
	someGuest = "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e"
)

// shifting is a peer whose name leads to another daemon from the second connection on. It counts what is said to that
// one beyond the question who it is.
func shifting(t *testing.T, uuid, hostname string) (p *peer, heard chan uint32) {
	heard = make(chan uint32, 100)
	return listen(t, func(p *peer) {
		p.who = func(n int) (string, string) {
			if n == 1 {
				return oneUUID, "alpha.example.org"
			}
			return uuid, hostname
		}
		p.answer = func(c *peerConn, call header, _ []byte) {
			if c.uuid != oneUUID || c.hostname != "alpha.example.org" {
				heard <- call.procedure
			}
			c.reply(call, append(word(1), word(5)...))
		}
	}), heard
}

func TestASessionWithAnotherDaemonIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		uuid, hostname string
		says           []string // nil: it is the same daemon
	}{
		"another UUID":                 {otherUUID, "alpha.example.org", []string{"host UUID", oneUUID, otherUUID}},
		"a cloned UUID, another name":  {oneUUID, "beta.example.org", []string{"host name", "alpha.example.org", "beta."}},
		"a cloned UUID, other domains": {oneUUID, "alpha.example.net", []string{"host name", "alpha.example.net"}},
		"the same":                     {oneUUID, "alpha.example.org", nil},
		"the same without a resolver":  {oneUUID, "alpha", nil},
	} {
		t.Run(what, func(t *testing.T) {
			noneLeft(t)
			p, heard := shifting(t, c.uuid, c.hostname)
			h := p.mustReach()
			_, err := h.Session(context.Background())
			if c.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wants(t, err, ErrOtherDaemon, append(c.says, "alpha: connect to ", "nothing was done there")...)
			if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNoDomain) {
				t.Errorf("%v is taken for something else", err)
			}
			if len(heard) > 0 {
				t.Errorf("the other daemon was called: procedure %d", <-heard)
			}
			if _, err := h.State(context.Background(), someGuest); err != nil {
				t.Error("the control connection, which leads to the first daemon: ", err)
			}
		})
	}
}

func TestAControlConnectionDialledAgainIsRefusedWhenItLeadsElsewhere(t *testing.T) {
	noneLeft(t)
	p, heard := shifting(t, otherUUID, "alpha.example.org")
	h := p.mustReach()
	first := <-p.conns
	_ = first.Close()
	eventually(t, "the broken connection is not noticed", func() bool { return !h.control.usable() })
	for range 2 { // the second within the pause between two dials
		_, err := h.State(context.Background(), someGuest)
		wants(t, err, ErrOtherDaemon, "alpha", oneUUID, otherUUID)
	}
	if len(heard) > 0 {
		t.Errorf("the other daemon was called: procedure %d", <-heard)
	}
}

func TestAControlConnectionDialledAgainToARestartedDaemonIsTaken(t *testing.T) {
	noneLeft(t)
	p, _ := shifting(t, oneUUID, "alpha.example.org")
	h := p.mustReach()
	_ = (<-p.conns).Close()
	eventually(t, "the broken connection is not noticed", func() bool { return !h.control.usable() })
	if _, err := h.State(context.Background(), someGuest); err != nil {
		t.Error(err)
	}
}

func TestAProcessIsReadFromItsStatusLine(t *testing.T) {
	const rest = " S 1 812 812 0 -1 4194560 3091 0 0 0 25 11 0 0 20 0 19 0 73445 1500000000 8000"
	for text, want := range map[string]struct {
		name  string
		start uint64
		ok    bool
	}{
		"812 (libvirtd)" + rest:                 {"libvirtd", 73445, true},
		"812 (libvirtd) 1 (x)" + rest:           {"libvirtd) 1 (x", 73445, true},
		"812 (libvirtd) S 1 812 812 0 -1":       {},
		"812 (libvirtd":                         {},
		")(":                                    {},
		"":                                      {},
		"812 (libvirtd)" + rest[:50] + " x x x": {},
	} {
		name, start, ok := parseStat(text)
		if ok != want.ok || ok && (name != want.name || start != want.start) {
			t.Errorf("%q: %q, %d, %v", text, name, start, ok)
		}
	}
}

// FuzzProcess reads what /proc may say: a name is part of it, and nothing makes it crash.
func FuzzProcess(f *testing.F) {
	f.Add("812 (a (b) c) S 1 812 812 0 -1 4194560 3091 0 0 0 25 11 0 0 20 0 19 0 73445 15 8")
	f.Add("812 )(")
	f.Fuzz(func(t *testing.T, text string) {
		name, start, ok := parseStat(text)
		if ok && !strings.Contains(text, "("+name+")") || ok && !strings.Contains(text, fmt.Sprint(start)) {
			t.Errorf("%q: %q, %d", text, name, start)
		}
	})
}
