package relay

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// stream gives n bytes that anybody can make again from the seed; every second part can be compressed.
func stream(seed uint64, n int64) io.Reader {
	source := rand.New(rand.NewPCG(seed, 1))
	var block [4096]byte
	var rest []byte
	return io.LimitReader(readerFunc(func(p []byte) (int, error) {
		if len(rest) == 0 {
			for i := range block {
				block[i] = byte(source.Uint32())
			}
			if source.IntN(2) == 0 {
				copy(block[:], bytes.Repeat(block[:16], len(block)/16))
			}
			rest = block[:]
		}
		k := copy(p, rest)
		rest = rest[k:]
		return k, nil
	}), n)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func sumOf(r io.Reader) string {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 64<<10))
	return fmt.Sprintf("%x of %d bytes, %v", h.Sum(nil), n, err)
}

// bothWays sends different bytes each way at once and compares what arrives.
func bothWays(t testing.TB, a, b net.Conn, seed uint64, there, back int64) {
	t.Helper()
	errs := make(chan error, 4)
	send := func(c net.Conn, seed uint64, n int64) {
		_, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{stream(seed, n)}, make([]byte, 1+rand.IntN(128<<10)))
		if err == nil {
			err = c.(*net.UnixConn).CloseWrite()
		}
		errs <- err
	}
	take := func(c net.Conn, seed uint64, n int64) {
		got, want := sumOf(c), sumOf(stream(seed, n))
		if got != want {
			errs <- fmt.Errorf("%s arrived, not %s", got, want)
			return
		}
		errs <- nil
	}
	go send(a, seed, there)
	go send(b, seed+1, back)
	go take(b, seed, there)
	go take(a, seed+1, back)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestBytesArriveInEveryMode(t *testing.T) {
	for _, acknowledge := range []Acknowledge{AcknowledgeEach, AcknowledgeWindow} {
		for _, compression := range []Compression{CompressionNone, CompressionZstd} {
			for _, chunk := range []int{MinChunkBytes, DefaultChunkBytes, MaxChunkBytes} {
				t.Run(fmt.Sprintf("%s_%s_%d", acknowledge, compression, chunk), func(t *testing.T) {
					p := newPair(t, func(s *Settings) { s.Acknowledge, s.Compression, s.ChunkBytes = acknowledge, compression, chunk })
					p.connect()
					q := p.qemu(Memory)
					a := p.dial(Memory)
					b, err := q.Accept()
					if err != nil {
						t.Fatal(err)
					}
					var there, back int64 = 24 << 20, 3 << 20
					if testing.Short() {
						there, back = there>>3, back>>3
					}
					bothWays(t, a, b, 7, there, back)
					from, to := p.finish()
					if from.PayloadBytes != uint64(there) || to.PayloadBytes != uint64(back) || from.Reconnects != 0 || from.WireBytes == 0 {
						t.Errorf("figures %+v and %+v", from, to)
					}
					if pressed := float64(from.PressedBytes) / float64(there); compression == CompressionZstd && pressed > 0.7 || compression == CompressionNone && pressed != 1 {
						t.Errorf("compressed to %.2f", pressed)
					}
					if least := from.PressedBytes + to.PressedBytes; from.WireBytes < least || from.WireBytes > least+least/8+64<<10 {
						t.Errorf("%d bytes went over the wire for a payload of %d", from.WireBytes, least)
					}
				})
			}
		}
	}
}

func TestConnectionsArriveInTheirOrder(t *testing.T) {
	p := newPair(t, func(s *Settings) { s.Channels = 16 })
	p.connect()
	q := p.qemu(Memory)
	for i := range 16 {
		c := p.dial(Memory)
		if _, err := fmt.Fprintf(c, "%02d", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 16 {
		c, err := q.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var text [2]byte
		if _, err := io.ReadFull(c, text[:]); err != nil || string(text[:]) != fmt.Sprintf("%02d", i) {
			t.Errorf("connection %d is number %q (%v)", i, text, err)
		}
	}
}

func TestFarErrorReachesTheSender(t *testing.T) {
	p := newPair(t, nil)
	p.connect()
	q := p.qemu(Memory)
	a := p.dial(Memory)
	b, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Close() // as a QEMU that was killed
	if n, err := io.Copy(a, stream(1, 1<<30)); err == nil {
		t.Errorf("%d bytes went to nobody", n)
	}
	p.said("write to QEMU")
	if said := strings.Join(p.source.Failures(), "; "); !strings.Contains(said, "destination: write to QEMU: write: broken pipe") {
		t.Errorf("the source's relay said %q", said)
	}
	p.finish()
}

func TestNobodyListens(t *testing.T) {
	p := newPair(t, nil)
	p.connect()
	a := p.dial(Disks)
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was not closed")
	}
	p.said("connect to QEMU")
	p.finish()
}
