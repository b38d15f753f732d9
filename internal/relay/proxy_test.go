package relay

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is the network between two relays, and may be cut.
type proxy struct {
	listener net.Listener
	to       string
	// cutAfter, when set, is how many bytes a connection lives, drawn anew for each.
	cutAfter func() int64
	cuts     atomic.Int64
	// mangle, when set, changes what travels.
	mangle func(b []byte)

	mu     sync.Mutex
	closed bool // refuse connections
	frozen bool // pass nothing on, and say nothing
	conns  map[net.Conn]bool
}

func newProxy(t testing.TB, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// cut resets every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.cuts.Add(1)
}

func (p *proxy) set(closed, frozen bool) {
	p.mu.Lock()
	p.closed, p.frozen = closed, frozen
	p.mu.Unlock()
}

func (p *proxy) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

func (p *proxy) carry(c net.Conn) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		_ = c.Close()
		return
	}
	d, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[d] = true, true
	p.mu.Unlock()
	var left atomic.Int64
	left.Store(1 << 62)
	p.mu.Lock()
	if p.cutAfter != nil {
		left.Store(p.cutAfter())
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		both.Go(func() {
			buf := make([]byte, 64<<10)
			for {
				n, err := way[0].Read(buf[:1+rand.IntN(len(buf))])
				for p.isFrozen() {
					time.Sleep(10 * time.Millisecond)
				}
				if p.mangle != nil {
					p.mangle(buf[:n])
				}
				if rest := left.Add(int64(-n)); rest < 0 {
					_, _ = way[1].Write(buf[:max(0, int64(n)+rest)]) // up to the very byte
					p.cuts.Add(1)
					for _, x := range way {
						_ = x.(*net.TCPConn).SetLinger(0)
						_ = x.Close()
					}
					return
				}
				if _, werr := way[1].Write(buf[:n]); werr != nil || err != nil {
					if err == io.EOF {
						_ = way[1].(*net.TCPConn).CloseWrite()
						return
					}
					_ = way[0].Close()
					_ = way[1].Close()
					return
				}
			}
		})
	}
	both.Wait()
	_ = c.Close()
	_ = d.Close()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, d)
	p.mu.Unlock()
}
