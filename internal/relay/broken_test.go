package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cutting makes every connection live for a random number of bytes.
func (p *proxy) cutting(most int64) {
	p.mu.Lock()
	p.cutAfter = func() int64 { return 1 + rand.Int64N(most) }
	p.mu.Unlock()
}

func TestBrokenConnectionsAreNoticedByNobody(t *testing.T) {
	size := int64(64 << 20)
	if testing.Short() {
		size >>= 2
	}
	if mib, err := strconv.Atoi(os.Getenv("RELAY_TEST_MIB")); err == nil {
		size = int64(mib) << 20
	}
	for _, acknowledge := range []Acknowledge{AcknowledgeEach, AcknowledgeWindow} {
		t.Run(string(acknowledge), func(t *testing.T) {
			p := newPair(t, func(s *Settings) { s.Acknowledge = acknowledge })
			p.connect()
			q := p.qemu(Memory)
			a := p.dial(Memory)
			b, err := q.Accept()
			if err != nil {
				t.Fatal(err)
			}
			p.proxy.cutting(size / 8)
			p.proxy.cut()
			bothWays(t, a, b, 3, size, size)
			from, _ := p.finish()
			if from.Reconnects < 2 {
				t.Errorf("%d reconnects after %d cuts", from.Reconnects, p.proxy.cuts.Load())
			}
			t.Logf("%d cuts, %d reconnects", p.proxy.cuts.Load(), from.Reconnects)
		})
	}
}

// TestManySmallStreamsWithCuts is where a race at the end would show: a cut may hit every word of it.
func TestManySmallStreamsWithCuts(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	p := newPair(t, func(s *Settings) { s.ChunkBytes, s.Channels = MinChunkBytes, 8 })
	p.connect()
	q := p.qemu(Memory)
	p.proxy.cutting(200 << 10)
	for i := range rounds {
		a := p.dial(Memory)
		accepted := make(chan io.ReadWriteCloser, 1)
		go func() {
			if b, err := q.AcceptUnix(); err == nil {
				accepted <- b
			}
		}()
		select {
		case b := <-accepted:
			if !t.Run(strconv.Itoa(i), func(t *testing.T) {
				bothWays(t, a, b.(*net.UnixConn), uint64(i), 1+rand.Int64N(300<<10), rand.Int64N(100<<10))
			}) {
				t.Fatalf("round %d; %v; %v", i, p.source.Failures(), p.destination.Failures())
			}
			_ = b.Close()
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: not opened: %v", i, p.source.Failures())
		}
		_ = a.Close()
	}
	from, _ := p.finish()
	t.Logf("%d cuts, %d reconnects", p.proxy.cuts.Load(), from.Reconnects)
	if from.Reconnects == 0 {
		t.Error("no cut hit anything")
	}
}

func TestConnectionThatStaysAwayFailsClean(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("frozen_%v", frozen), func(t *testing.T) {
			p := newPair(t, func(s *Settings) { s.ReconnectMS = 1500 })
			p.connect()
			q := p.qemu(Memory)
			a := p.dial(Memory)
			b, err := q.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(a, "so far"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(b, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			p.proxy.set(!frozen, frozen)
			if !frozen {
				p.proxy.cut()
			}
			begun := time.Now()
			if _, err := a.Read(make([]byte, 1)); err == nil {
				t.Error("QEMU was not told")
			}
			if took := time.Since(begun); took < time.Second {
				t.Errorf("given up after %s", took)
			}
			p.proxy.set(false, false)
			p.finish()
			if said := strings.Join(p.source.Failures(), "; "); !strings.Contains(said, "broke") {
				t.Errorf("the source's relay said %q", said)
			}
		})
	}
}

func TestPausedGuestDoesNotWaitForReconnection(t *testing.T) {
	p := newPair(t, func(s *Settings) { s.ReconnectMS, s.BlackoutMS = 60000, 4000 })
	p.connect()
	q := p.qemu(Memory)
	a := p.dial(Memory)
	if _, err := q.Accept(); err != nil {
		t.Fatal(err)
	}
	p.source.Paused()
	p.destination.Paused()
	time.Sleep(100 * time.Millisecond)
	p.proxy.set(true, false)
	p.proxy.cut()
	begun := time.Now()
	if _, err := a.Read(make([]byte, 1)); err == nil || time.Since(begun) > 10*time.Second {
		t.Errorf("ended with %v after %s", err, time.Since(begun))
	}
	p.proxy.set(false, false)
	p.finish()
}

// TestKeysAreRenewed: what a channel may send with one key is bounded, and going over to the next is no
// reconnection.
func TestKeysAreRenewed(t *testing.T) {
	defer func(n uint64) { rekeyBytes = n }(rekeyBytes)
	rekeyBytes = 3 << 20
	p := newPair(t, nil)
	p.connect()
	q := p.qemu(Memory)
	a := p.dial(Memory)
	b, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	bothWays(t, a, b, 5, 20<<20, 0)
	from, to := p.finish()
	if from.Reconnects != 0 || to.Reconnects != 0 {
		t.Errorf("%d and %d reconnects", from.Reconnects, to.Reconnects)
	}
	if from.WireBytes < 20<<20 {
		t.Errorf("%d bytes on the wire", from.WireBytes)
	}
}

// TestSlowReaderBoundsMemory: what QEMU does not take, the other QEMU cannot send.
func TestSlowReaderBoundsMemory(t *testing.T) {
	p := newPair(t, func(s *Settings) { s.Channels = 1 })
	p.connect()
	q := p.qemu(Memory)
	a := p.dial(Memory)
	b, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_ = a.SetWriteDeadline(time.Now().Add(3 * time.Second))
	n, err := io.Copy(a, stream(1, 1<<30))
	if err == nil {
		t.Fatal("1 GiB went to a QEMU that reads nothing")
	}
	const kernel = 24 << 20 // the sockets' own buffers
	if n > mostWindow+kernel {
		t.Errorf("%d MiB were taken", n>>20)
	}
	t.Logf("%d MiB were taken, then %v", n>>20, err)
}
