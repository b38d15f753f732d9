package lab_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// between opens a TCP connection from one host to the other and returns both ends.
func between(t *testing.T, from, to *lab.Host) (near, far net.Conn) {
	t.Helper()
	var listener net.Listener
	err := to.Inside(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(to.Address.String(), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = from.Inside(func() (err error) {
		near, err = net.Dial("tcp", listener.Addr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

// pass sends one message and says whether it arrived within the limit.
func pass(near, far net.Conn, limit time.Duration) bool {
	if _, err := near.Write([]byte("x")); err != nil {
		return false
	}
	far.SetReadDeadline(time.Now().Add(limit))
	_, err := far.Read(make([]byte, 1))
	return err == nil
}

func TestAShapedLinkIsAsSlowAsItWasMade(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	if err := l.Shape(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	defer l.Shape(t.Context(), 0)
	near, far := between(t, alpha, beta)
	before, err := beta.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const size = 20 << 20
	begin := time.Now()
	go func() { near.Write(make([]byte, size)); near.Close() }()
	got, err := io.Copy(io.Discard, far)
	took := time.Since(begin)
	if err != nil || got != size {
		t.Fatal(got, err)
	}
	if rate := float64(size) * 8 / 1e6 / took.Seconds(); rate < 80 || rate > 110 {
		t.Errorf("%.0f Mbit/s where 100 were set", rate)
	}
	after, err := beta.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counted := float64(after.Received - before.Received); counted < size || counted > 1.06*size {
		t.Errorf("the interface counted %.0f bytes where %d were sent", counted, size)
	}
	if err := l.Shape(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	near, far = between(t, alpha, beta)
	begin = time.Now()
	go func() { near.Write(make([]byte, size)); near.Close() }()
	if _, err := io.Copy(io.Discard, far); err != nil {
		t.Fatal(err)
	}
	if again := time.Since(begin); again > took/2 {
		t.Errorf("%v after the limit was lifted, %v with it", again, took)
	}
}

func TestACutLinkStallsConnectionsAndAHealedOneGoesOn(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	defer alpha.Heal(t.Context())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	near, far := between(t, alpha, beta)
	if !pass(near, far, time.Second) {
		t.Fatal("nothing passes to begin with")
	}
	must(alpha.Cut(t.Context()))
	if pass(near, far, 300*time.Millisecond) {
		t.Fatal("a message passed a cut link")
	}
	must(alpha.Heal(t.Context()))
	if !pass(near, far, 10*time.Second) {
		t.Fatal("nothing passes after healing")
	}

	t.Run("one way only", func(t *testing.T) {
		there, back := between(t, alpha, beta)
		must(alpha.DropTo(t.Context(), beta.Address))
		if pass(there, back, 300*time.Millisecond) {
			t.Error("a message passed in the direction that is dropped")
		}
		must(alpha.Heal(t.Context()))
		must(alpha.DropFrom(t.Context(), beta.Address))
		if pass(back, there, 300*time.Millisecond) {
			t.Error("a message passed in the other direction that is dropped")
		}
		must(alpha.Heal(t.Context()))
		if !pass(there, back, 10*time.Second) {
			t.Error("nothing passes after healing")
		}
	})
	t.Run("connections are reset", func(t *testing.T) {
		near, far := between(t, alpha, beta)
		_, port, err := net.SplitHostPort(far.LocalAddr().String())
		must(err)
		if n, err := alpha.ResetConnections(t.Context(), "dport", "=", ":"+port); err != nil || n != 1 {
			t.Fatalf("%d connections reset, %v", n, err)
		}
		if pass(near, far, time.Second) {
			t.Error("a message passed a connection that was reset")
		}
	})
	t.Run("ports are refused", func(t *testing.T) {
		must(beta.RejectPorts(t.Context(), "49152:49215"))
		defer beta.Heal(t.Context())
		err := alpha.Inside(func() error {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(beta.Address.String(), "49153"), 2*time.Second)
			if err == nil {
				conn.Close()
			}
			return err
		})
		if err == nil {
			t.Error("a refused port took a connection")
		}
	})
}

func TestAGuestsHeartbeatDoesNotNeedTheLink(t *testing.T) {
	l := labtest.Lab(t)
	alpha := l.Host("alpha")
	g := labtest.Guest(t, lab.GuestConfig{})
	if err := alpha.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer alpha.Heal(t.Context())
	mustBeGood(t, g)
}

// TestADelayedLink: an answer takes the round trip, whoever asks; what is sent arrives whole; and undone is undone.
func TestADelayedLink(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	const trip = 60 * time.Millisecond
	undo, err := alpha.Delay(t.Context(), trip)
	if err != nil {
		t.Fatal(err)
	}
	for _, ends := range [][2]*lab.Host{{alpha, beta}, {beta, alpha}} {
		near, far := between(t, ends[0], ends[1])
		go io.Copy(far, far) // it answers what it is told
		begun := time.Now()
		if !pass(near, near, 10*time.Second) {
			t.Fatal("no answer")
		}
		if took := time.Since(begun); took < trip {
			t.Errorf("from %s, the answer came after %s", ends[0].Name, took)
		}
		sent := make([]byte, 8<<20)
		for i := range sent {
			sent[i] = byte(i * i >> 8)
		}
		go near.Write(sent)
		got := make([]byte, len(sent))
		near.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(near, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("8 MiB there and back: %v", err)
		}
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	near, far := between(t, alpha, beta)
	if !pass(near, far, 10*time.Second) {
		t.Error("after the delay was undone nothing arrives")
	}
}
