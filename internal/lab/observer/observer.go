// Package observer listens to the lab's guests from outside them.
//
// Every guest writes its heartbeat (package beat) to a UNIX socket. Each host of the lab has a
// socket of its own for each guest, and each QEMU process opens one connection, so the observer
// knows not only that a guest lives and since when, but on which host and in which QEMU process,
// and sees it when two processes run the same guest. The sockets do not cross the lab's links:
// cutting or filling a link does not disturb the measurement.
//
// Arrivals are stamped with the machine's monotonic clock, which all processes of the machine
// share. The observer is a process of its own with a raised priority, so that a busy or dead
// test does not bend what it measures; it is asked over another UNIX socket (Client).
package observer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Guest says where to listen for one guest.
type Guest struct {
	Name    string
	Sockets map[string]string // host name → path of the socket to listen on
}

// Observer is the server. Its methods in the form of net/rpc are called through Client.
type Observer struct {
	mu     sync.Mutex
	guests map[string]*watched
}

type watched struct {
	listeners []net.Listener
	paths     []string

	mu     sync.Mutex
	record record
	conns  map[int]net.Conn
}

// Serve answers on the control socket and keeps the other end of the guests' TCP sessions on
// sessions until either fails.
func Serve(control, sessions net.Listener) error {
	o := &Observer{guests: map[string]*watched{}}
	server := rpc.NewServer()
	if err := server.Register(o); err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- o.serveSessions(sessions) }()
	go func() {
		for {
			conn, err := control.Accept()
			if err != nil {
				failed <- err
				return
			}
			go server.ServeConn(conn)
		}
	}()
	return <-failed
}

// Now reads the clock that arrivals are stamped with.
func Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// Watch starts to listen for a guest; one of the same name is forgotten first.
func (o *Observer) Watch(guest Guest, _ *struct{}) error {
	if err := o.Forget(guest.Name, nil); err != nil {
		return err
	}
	w := &watched{conns: map[int]net.Conn{}}
	for host, path := range guest.Sockets {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		listener, err := net.Listen("unix", path)
		if err != nil {
			w.close()
			return fmt.Errorf("listen for guest %q on %s: %w", guest.Name, host, err)
		}
		w.listeners = append(w.listeners, listener)
		w.paths = append(w.paths, path)
		// QEMU runs as an unprivileged user and has to get in.
		if err := os.Chmod(path, 0o666); err != nil {
			w.close()
			return err
		}
		go w.accept(host, listener)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.guests[guest.Name] = w
	return nil
}

// Forget stops listening for a guest and drops what is known of it.
func (o *Observer) Forget(name string, _ *struct{}) error {
	o.mu.Lock()
	w := o.guests[name]
	delete(o.guests, name)
	o.mu.Unlock()
	if w != nil {
		w.close()
	}
	return nil
}

// Question asks about one guest; Since is a reading of Now.
type Question struct {
	Name  string
	Since time.Duration
}

// Report answers a question.
func (o *Observer) Report(q Question, answer *Report) error {
	w, err := o.find(q.Name)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	*answer = w.record.report(Now(), q.Since)
	return nil
}

// Order is a line for the guest to obey.
type Order struct{ Name, Line string }

// Tell sends a line to the guest, wherever it runs.
func (o *Observer) Tell(order Order, _ *struct{}) error {
	w, err := o.find(order.Name)
	if err != nil {
		return err
	}
	w.mu.Lock()
	conn := w.conns[w.record.producing]
	w.mu.Unlock()
	if conn == nil {
		return fmt.Errorf("guest %q has no running QEMU process", order.Name)
	}
	_, err = io.WriteString(conn, order.Line+"\n")
	return err
}

func (o *Observer) find(name string) (*watched, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.guests[name]; w != nil {
		return w, nil
	}
	return nil, fmt.Errorf("the observer knows no guest %q", name)
}

func (w *watched) close() {
	for _, listener := range w.listeners {
		listener.Close()
	}
	for _, path := range w.paths {
		os.Remove(path)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		conn.Close()
	}
}

// accept takes the connections that QEMU processes of one host make.
func (w *watched) accept(host string, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		id := w.record.connected(host)
		w.conns[id] = conn
		w.mu.Unlock()
		go w.listen(id, conn)
	}
}

func (w *watched) listen(id int, conn net.Conn) {
	defer conn.Close()
	var pending []byte
	chunk := make([]byte, 4096)
	for {
		n, err := conn.Read(chunk)
		now := Now()
		pending = append(pending, chunk[:n]...)
		w.mu.Lock()
		for {
			line, rest, whole := bytes.Cut(pending, []byte("\n"))
			if !whole {
				break
			}
			w.record.line(id, now, line)
			pending = rest
		}
		if n > 0 {
			w.record.rest(id, now, pending)
		}
		if err != nil {
			w.record.closed(id)
			delete(w.conns, id)
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// serveSessions echoes the lines of the guests' TCP sessions and counts them.
func (o *Observer) serveSessions(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go o.serveSession(conn)
	}
}

func (o *Observer) serveSession(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return
	}
	var name string
	var boot uint32
	if _, err := fmt.Sscanf(lines.Text(), "hello %s %x", &name, &boot); err != nil {
		return
	}
	w, err := o.find(name)
	if err != nil {
		return
	}
	note := func(change func(*record)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		change(&w.record)
	}
	note(func(r *record) { r.sessions++; r.sessionOpen++ })
	defer note(func(r *record) { r.sessionOpen-- })
	for lines.Scan() {
		if _, err := fmt.Fprintln(conn, lines.Text()); err != nil {
			return
		}
		note(func(r *record) { r.sessionLines++ })
	}
}
