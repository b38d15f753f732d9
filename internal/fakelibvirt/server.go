package fakelibvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Numbers of libvirt's protocol.
const (
	headerSize = 28
	mostFrame  = headerSize + 4<<20

	programRemote    = 0x20008086
	programQEMU      = 0x20008087
	programKeepalive = 0x6b656570

	keepalivePing, keepalivePong = 1, 2

	typeCall, typeReply, typeMessage = 0, 1, 2

	eventLifecycle = 318
)

// header is the start of a frame.
type header struct {
	Length, Program, Version, Procedure, Kind uint32
	Serial                                    int32
	Status                                    uint32
}

// client is one connection to a daemon.
type client struct {
	daemon *Daemon
	name   string
	conn   end
	// gone is closed when the connection has ended; working counts its requests that have begun. libvirt undoes what a
	// connection left only when these are done.
	gone    chan struct{}
	working sync.WaitGroup

	wmu sync.Mutex // a frame is written in one piece; writing never waits
	// listens is the number of its callback, 0 for none; guarded by the world's lock.
	listens int32
}

// errRefused is what a host that is down, or a client that is dead, gets.
var errRefused = errors.New("connection refused")

// Dial opens a connection for the client of that name.
func (d *Daemon) Dial(_ context.Context, name string) (io.ReadWriteCloser, error) {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	if d.down || d.world.severed[name] {
		return nil, errRefused
	}
	theirs, ours := newPipe()
	c := &client{daemon: d, name: name, conn: ours, gone: make(chan struct{})}
	d.clients[c] = struct{}{}
	go c.serve()
	return theirs, nil
}

// serve reads requests until the connection ends, and then undoes what it left.
func (c *client) serve() {
	for {
		h, payload, err := c.next()
		if err != nil {
			break
		}
		switch {
		case h.Program == programKeepalive && h.Procedure == keepalivePing:
			c.write(header{Program: programKeepalive, Version: 1, Procedure: keepalivePong, Kind: typeMessage}, nil)
		case h.Program == programKeepalive:
		case h.Kind == typeCall:
			c.working.Add(1)
			go func() {
				defer c.working.Done()
				c.answer(h, payload)
			}()
		}
	}
	_ = c.conn.Close()
	close(c.gone)
	c.working.Wait()
	w := c.daemon.world
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(c.daemon.clients, c)
	c.daemon.abandoned(c)
	w.change()
}

func (c *client) next() (h header, payload []byte, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return h, nil, err
	}
	(&decoder{b: head[:]}).decode(reflect.ValueOf(&h).Elem())
	if h.Length < headerSize || h.Length > mostFrame {
		return h, nil, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	payload = make([]byte, h.Length-headerSize)
	_, err = io.ReadFull(c.conn, payload)
	return h, payload, err
}

func (c *client) write(h header, payload []byte) {
	h.Length = uint32(headerSize + len(payload))
	frame := append(encode(nil, reflect.ValueOf(h)), payload...)
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, _ = c.conn.Write(frame) // a connection that has ended needs no answer
}

// answer carries one request out, once the gate lets it.
func (c *client) answer(h header, payload []byte) {
	p, known := procedures[key{h.Program, h.Procedure}]
	if !known {
		p.name = fmt.Sprintf("procedure %d of %#x", h.Procedure, h.Program)
		p.do = func(*client, []byte) ([]byte, error) {
			return nil, fail(libvirt.ErrNoSupport, "the fake has no %s", p.name)
		}
	}
	step := &Step{
		Client: c.name, Host: c.daemon.name, Name: p.name, Procedure: h.Procedure, Changes: p.changes,
		Gone: c.gone, Cut: func() { _ = c.conn.Close() },
	}
	verdict := c.daemon.world.gate(step)
	if verdict == Lose || c.isGone() {
		return
	}
	w := c.daemon.world
	w.mu.Lock()
	out, err := p.do(c, payload)
	w.change()
	w.mu.Unlock()
	if verdict == LoseReply {
		return
	}
	h.Kind, h.Status = typeReply, 0
	if err != nil {
		h.Status, out = 1, encodeError(err)
	}
	c.write(h, out)
}

func (c *client) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// fail is an error of libvirt's.
func fail(code libvirt.ErrorNumber, format string, args ...any) error {
	return libvirt.Error{Code: uint32(code), Message: fmt.Sprintf(format, args...)}
}

// invalid and failed are libvirt's most frequent ones, with the words that it puts before them.
func invalid(format string, args ...any) error {
	return fail(libvirt.ErrOperationInvalid, "Requested operation is not valid: "+format, args...)
}

func failed(format string, args ...any) error {
	return fail(libvirt.ErrOperationFailed, "operation failed: "+format, args...)
}

// encodeError is libvirt's remote_error: no more of it than the code and the message says anything.
func encodeError(err error) []byte {
	e := struct {
		Code, Domain    uint32
		Message         libvirt.OptString
		Level           int32
		Dom             libvirt.OptDomain
		Str1, Str2, Str libvirt.OptString
		Int1, Int2      int32
		Net             libvirt.OptNetwork
	}{Code: uint32(libvirt.ErrInternalError), Domain: 10, Message: libvirt.OptString{err.Error()}, Level: 2}
	var said libvirt.Error
	if errors.As(err, &said) {
		e.Code, e.Message = said.Code, libvirt.OptString{said.Message}
	}
	return encode(nil, reflect.ValueOf(e))
}

// lifecycle tells all who listen of an event. It needs the world's lock.
func (d *Daemon) lifecycle(dom *domain, event, detail int32) {
	for c := range d.clients {
		if c.listens == 0 {
			continue
		}
		msg := libvirt.DomainEventCallbackLifecycleMsg{
			CallbackID: c.listens, Msg: libvirt.DomainEventLifecycleMsg{Dom: dom.wire(), Event: event, Detail: detail},
		}
		h := header{Program: programRemote, Version: 1, Procedure: eventLifecycle, Kind: typeMessage}
		c.write(h, encode(nil, reflect.ValueOf(msg)))
	}
}
