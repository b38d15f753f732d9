package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is two relays in this process with a proxy between them that tests may break.
type pair struct {
	t                   testing.TB
	source, destination *Remote
	from, to            Settings
	proxy               *proxy
	pins                [2]string
	port                int
	notes               chan string
}

// inProcess runs a relay as its process does, with pipes for its standard input and output.
func inProcess(t testing.TB, name string, note func(string)) *Remote {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() {
		commands := readCommands(inR)
		tell, flush := teller(outW)
		uid, gid := os.Getuid(), os.Getgid()
		tell(event{Event: eventHello, Version: protocolVersion, UID: &uid, GID: &gid})
		settings, err := firstSettings(commands)
		if err == nil {
			err = serve(settings, above{}, commands, tell)
		}
		if err != nil {
			tell(event{Event: eventFailed, Text: err.Error()})
		}
		flush()
		_ = outW.Close()
		go func() { // what is still said to it goes nowhere
			for range commands {
			}
		}()
	}()
	r := Attach(name, pipes{outR, inW}, note)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

type pipes struct {
	*io.PipeReader
	in *io.PipeWriter
}

func (p pipes) Write(b []byte) (int, error) { return p.in.Write(b) }

func (p pipes) Close() error {
	_ = p.in.Close()
	return p.PipeReader.Close()
}

func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newPair makes both relays ready; change may alter the settings of both first.
func newPair(t testing.TB, change func(*Settings)) *pair {
	t.Helper()
	names, _ := SocketNames("guest")
	p := &pair{t: t, notes: make(chan string, 10000)}
	common := Settings{
		Sockets: names, QEMUUID: os.Getuid(), QEMUGID: os.Getgid(), Address: "127.0.0.1", FirstPort: 42152, LastPort: 42215,
		Acknowledge: AcknowledgeWindow, Compression: CompressionNone, ChunkBytes: DefaultChunkBytes, Channels: 2, ReconnectMS: 20000, BlackoutMS: 5000,
	}
	if change != nil {
		change(&common)
	}
	p.from, p.to = common, common
	p.from.Role, p.from.Directory = Source, shortDir(t)
	p.to.Role, p.to.Directory = Destination, shortDir(t)
	note := func(text string) {
		select {
		case p.notes <- text:
		default:
		}
	}
	p.source, p.destination = inProcess(t, "alpha", note), inProcess(t, "beta", note)
	ctx := t.Context()
	from, err := p.source.Configure(ctx, p.from)
	if err != nil {
		t.Fatal(err)
	}
	to, err := p.destination.Configure(ctx, p.to)
	if err != nil {
		t.Fatal(err)
	}
	p.pins, p.port = [2]string{from.Pin, to.Pin}, to.Port
	return p
}

// connect joins the two through a proxy.
func (p *pair) connect() {
	p.t.Helper()
	if err := p.destination.Accept(p.pins[0]); err != nil {
		p.t.Fatal(err)
	}
	p.proxy = newProxy(p.t, fmt.Sprintf("127.0.0.1:%d", p.port))
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := p.source.Connect(ctx, p.proxy.address(), p.pins[1]); err != nil {
		p.t.Fatal(err)
	}
}

// finish ends both and returns what they counted.
func (p *pair) finish() (from, to Figures) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), 10*time.Second)
	defer cancel()
	from, err := p.source.Finish(ctx)
	if err != nil {
		p.t.Error(err)
	}
	if to, err = p.destination.Finish(ctx); err != nil {
		p.t.Error(err)
	}
	for _, dir := range []string{p.from.Directory, p.to.Directory} {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			p.t.Errorf("left in a relay's directory: %v", left)
		}
	}
	return from, to
}

// qemu listens where the destination's QEMU would.
func (p *pair) qemu(k Kind) *net.UnixListener {
	p.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(p.to.Directory, p.to.Sockets[k.String()]), Net: "unix"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.Close() })
	return l
}

// dial connects as the source's QEMU does.
func (p *pair) dial(k Kind) *net.UnixConn {
	p.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(p.from.Directory, p.from.Sockets[k.String()]), Net: "unix"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

// said waits for a line of either relay's log that has the words.
func (p *pair) said(words string) {
	p.t.Helper()
	deadline := time.After(10 * time.Second)
	var heard []string
	for {
		select {
		case text := <-p.notes:
			if strings.Contains(text, words) {
				return
			}
			heard = append(heard, text)
		case <-deadline:
			p.t.Fatalf("nobody said %q, only %q", words, heard)
		}
	}
}
