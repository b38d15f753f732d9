package relay

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The relay's speed stands beside what the same machine can do at all in the same run:
//
//	go test -bench . -run '^$' ./internal/relay

const piece = 128 << 10 // as QEMU writes

func cpuSeconds() float64 {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}

// moveBytes pumps b.N pieces through a connection and reports CPU seconds for each GB.
func moveBytes(b *testing.B, from io.Writer, to io.Reader) {
	b.Helper()
	payload := make([]byte, piece)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	b.SetBytes(piece)
	b.ResetTimer()
	begin := cpuSeconds()
	arrived := make(chan error, 1)
	go func() {
		buf := make([]byte, 256<<10)
		for left := int64(b.N) * piece; left > 0; {
			n, err := to.Read(buf)
			if err != nil {
				arrived <- err
				return
			}
			left -= int64(n)
		}
		arrived <- nil
	}()
	for range b.N {
		if _, err := from.Write(payload); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-arrived; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric((cpuSeconds()-begin)/(float64(b.N)*piece/1e9), "CPU-s/GB")
}

func BenchmarkRelay(b *testing.B) {
	for _, acknowledge := range []Acknowledge{AcknowledgeEach, AcknowledgeWindow} {
		for _, kib := range []int{64, 256, 1024} {
			b.Run(fmt.Sprintf("%s/%dKiB", acknowledge, kib), func(b *testing.B) {
				p := newPair(b, func(s *Settings) { s.Acknowledge, s.ChunkBytes, s.Channels = acknowledge, kib<<10, 1 })
				if err := p.destination.Accept(p.pins[0]); err != nil {
					b.Fatal(err)
				}
				if _, _, err := p.source.Connect(b.Context(), fmt.Sprintf("127.0.0.1:%d", p.port), p.pins[1]); err != nil {
					b.Fatal(err)
				}
				q := p.qemu(Memory)
				from := p.dial(Memory)
				to, err := q.Accept()
				if err != nil {
					b.Fatal(err)
				}
				moveBytes(b, from, to)
			})
		}
	}
}

// BenchmarkLimitSeal is what one core encrypts at most.
func BenchmarkLimitSeal(b *testing.B) {
	block, _ := aes.NewCipher(make([]byte, 16))
	aead, _ := cipher.NewGCM(block)
	plain, nonce := make([]byte, 16<<10), make([]byte, aead.NonceSize())
	out := make([]byte, 0, len(plain)+aead.Overhead())
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		aead.Seal(out, nonce, plain, nil)
	}
}

// BenchmarkLimitCopy is what one core copies at most, from memory that is in no cache.
func BenchmarkLimitCopy(b *testing.B) {
	from, to := make([]byte, 64<<20), make([]byte, 64<<20)
	b.SetBytes(int64(len(from)))
	for b.Loop() {
		copy(to, from)
	}
}

func BenchmarkLimitTCP(b *testing.B) { moveBytesOver(b, "tcp", "127.0.0.1:0") }

func BenchmarkLimitUnix(b *testing.B) { moveBytesOver(b, "unix", shortDir(b)+"/s") }

func moveBytesOver(b *testing.B, network, address string) {
	l, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	from, err := net.Dial(network, l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	to, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	moveBytes(b, from, to)
}
