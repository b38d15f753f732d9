package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// relay is what both roles share.
type relay struct {
	settings Settings
	identity identity
	chunks   *store
	window   int
	patience patience
	figures  counters
	tell     func(event)
	// supervisor gives sockets room; nil without one.
	supervisor *net.UnixConn

	pressing chan struct{} // one token for each worker; nil without compression
	encoder  *zstd.Encoder
	decoder  *zstd.Decoder

	running  sync.WaitGroup // channels
	open     atomic.Int64   // channels now
	everOpen atomic.Bool
}

type counters struct {
	channels, reconnects   atomic.Int64
	payload, pressed, wire atomic.Uint64
}

func newRelay(s Settings, tell func(event)) (*relay, error) {
	id, err := newIdentity(time.Now())
	if err != nil {
		return nil, err
	}
	r := &relay{settings: s, identity: id, chunks: &store{bytes: s.ChunkBytes}, window: s.windowChunks(), tell: tell}
	r.patience.reconnect, r.patience.blackout = s.patience().reconnect, s.patience().blackout
	// Both sides can be sent a compressed chunk: which of them compresses is the other's choice.
	if r.decoder, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxChunkBytes), zstd.WithDecoderLowmem(true)); err != nil {
		return nil, err
	}
	if s.Compression == CompressionZstd {
		workers := runtime.GOMAXPROCS(0)
		r.pressing = make(chan struct{}, workers)
		r.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(workers), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	}
	return r, err
}

func (r *relay) log(format string, args ...any) {
	r.tell(event{Event: eventNote, Text: string(r.settings.Role) + ": " + fmt.Sprintf(format, args...)})
}

// remark says what is no failure by itself, and may explain one.
func (r *relay) remark(text string) { r.tell(event{Event: eventRemark, Text: text}) }

func (r *relay) failed(err error) {
	r.tell(event{Event: eventFailed, Text: err.Error()})
}

// carry runs one channel.
func (r *relay) carry(ctx context.Context, c *channel, l *link, peer position, next func(context.Context, time.Time) (*link, position, error)) {
	r.everOpen.Store(true)
	r.open.Add(1)
	r.figures.channels.Add(1)
	_ = c.run(ctx, l, peer, next) // it has told why
	r.open.Add(-1)
}

// press compresses a chunk on a core of its own while others are sent; the link waits for it.
func (r *relay) press(c *chunk) {
	c.plain = len(c.payload())
	if r.encoder == nil {
		r.figures.pressed.Add(uint64(c.plain))
		return
	}
	c.ready = make(chan struct{})
	r.pressing <- struct{}{}
	go func() {
		defer func() { <-r.pressing; close(c.ready) }()
		into := r.chunks.get()
		pressed := r.encoder.EncodeAll(c.payload(), into.frame[:headerBytes])
		// What does not get smaller goes as it is, and costs the other side nothing.
		if len(pressed)-headerBytes < c.plain-c.plain/16 && cap(pressed) == cap(into.frame) {
			c.frame, into.frame = pressed, c.frame
			c.flags |= flagCompressed
		}
		into.frame = into.frame[:cap(into.frame)]
		r.chunks.put(into)
		r.figures.pressed.Add(uint64(len(c.payload())))
	}()
}

// unpress gives a chunk's payload as QEMU sent it.
func (r *relay) unpress(c *chunk) ([]byte, error) {
	if c.flags&flagCompressed == 0 {
		return c.payload(), nil
	}
	into := r.chunks.get()
	plain, err := r.decoder.DecodeAll(c.payload(), into.frame[headerBytes:headerBytes])
	if err != nil || len(plain) == 0 || len(plain) > r.chunks.bytes {
		r.chunks.put(into)
		return nil, wrong("a compressed chunk that is none")
	}
	c.frame, into.frame = into.frame[:headerBytes+len(plain)], c.frame[:cap(c.frame)]
	r.chunks.put(into)
	return c.payload(), nil
}

func (r *relay) read() *Figures {
	f := &Figures{
		Channels: r.figures.channels.Load(), Reconnects: r.figures.reconnects.Load(), PayloadBytes: r.figures.payload.Load(),
		PressedBytes: r.figures.pressed.Load(), WireBytes: r.figures.wire.Load(), PeakMemoryBytes: peakMemory(),
	}
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		f.CPUSeconds = time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	}
	return f
}

// peakMemory is VmHWM of proc(5); 0 where it cannot be read.
func peakMemory() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// checkPeer refuses whoever is neither root, which is libvirtd, nor, where QEMU is expected, QEMU's user.
func (s Settings) checkPeer(k Kind, conn *net.UnixConn) error {
	uid, err := peerUser(conn)
	if err != nil {
		return err
	}
	if uid != 0 && (k == Daemon || uid != s.QEMUUID) {
		return fmt.Errorf("user %d is at the other end of the socket for %s, and that is not QEMU", uid, k)
	}
	return nil
}

// words describes a TLS connection.
func words(s tls.ConnectionState) (protocol, cipher string) {
	return tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite)
}

// errFinished is why everything ends when the controller says that it is over.
var errFinished = errors.New("the migration is over")

func socketFiles(s Settings) []string {
	var paths []string
	for _, name := range s.Sockets {
		paths = append(paths, filepath.Join(s.Directory, name))
	}
	return paths
}
