package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
)

// Files reads files of a host and changes nothing there. It goes the way of the connection's own login, on
// a connection of its own, and sees what that login may see.
type Files struct {
	host *Host
	from fileSystem
	// end closes what the files are read through, and calls under way with it; nil for this machine's.
	end  func() error
	once sync.Once
	done chan struct{}
}

// fileSystem is where files are read from: over SFTP, or this machine.
type fileSystem interface {
	Stat(path string) (fs.FileInfo, error)
	ReadLink(path string) (string, error)
	open(path string) (io.ReadCloser, error)
}

// Files opens a way to the host's files. ErrNoLogin: the connection has none, and there is no other way.
// The caller closes it.
func (h *Host) Files(ctx context.Context) (*Files, error) {
	const what = "look at the host's files"
	f := &Files{host: h, done: make(chan struct{})}
	var err error
	switch {
	case h.target.conn == overSSH:
		err = f.overSSH(ctx)
	case h.target.conn == overUNIX:
		err = h.isThisMachine(ctx)
		f.from = local{}
	default:
		err = &Error{Host: h.cfg.Name, Call: what, Err: fmt.Errorf("%w: %s reaches only the daemon; a qemu+ssh URI would do", ErrNoLogin, h.target.conn)}
	}
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.files[f] = struct{}{}
	closed := h.closed
	h.mu.Unlock()
	if closed {
		_ = f.Close()
		return nil, &Error{Host: h.cfg.Name, Call: what, Err: ErrClosed}
	}
	return f, nil
}

// isThisMachine says whether the daemon at the other end of a UNIX socket lives among this process's files.
// A socket of another name may be anybody's, forwarded from elsewhere; one of the usual name may be lent to
// a container, which then has another host name than the daemon.
func (h *Host) isThisMachine(ctx context.Context) error {
	const what = "look at the host's files"
	if !h.target.usualSocket() {
		return &Error{Host: h.cfg.Name, Call: what,
			Err: fmt.Errorf("%w: whose files belong to the socket %s is not known", ErrNoLogin, h.target.socket)}
	}
	theirs, err := h.hostname(ctx)
	if err != nil {
		return err
	}
	ours, err := os.Hostname()
	if err != nil || !sameMachine(ours, theirs) {
		return &Error{Host: h.cfg.Name, Call: what, Err: fmt.Errorf("%w: the daemon calls its host %q, which is not this machine's name", ErrNoLogin, theirs)}
	}
	return nil
}

// sameMachine compares two names of hosts, of which either may have a domain behind it.
func sameMachine(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a != "" && strings.EqualFold(a, b)
}

func (f *Files) overSSH(ctx context.Context) error {
	h := f.host
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	way, err := h.target.logIn(ctx)
	if err != nil {
		return dialError(ctx, h.cfg.Name, h.target, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = way.Close() })
	defer stop()
	client, err := way.sftp()
	if err != nil {
		_ = way.Close()
		if ctx.Err() != nil {
			return dialError(ctx, h.cfg.Name, h.target, ctx.Err())
		}
		return &Error{Host: h.cfg.Name, Call: "look at the host's files",
			Err: fmt.Errorf("%w that reads files: its SSH server does not start the subsystem sftp (%w)", ErrNoLogin, err)}
	}
	go way.keepAlive()
	f.from, f.end = remoteFiles{client}, way.Close
	return nil
}

// sftp starts the subsystem. Where that is a program, the login's shell starts it, and may print before.
func (p *sshPath) sftp() (*sftp.Client, error) {
	session, err := p.last.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return nil, err
	}
	return sftp.NewClientPipe(&packets{in: bufio.NewReader(out)}, in)
}

// packets passes over the text before the first packet. Packets begin with a NUL, the first byte of a length that is
// never as long, and text has none.
type packets struct {
	in    *bufio.Reader
	begun bool
}

func (p *packets) Read(b []byte) (int, error) {
	for read := 0; !p.begun; read++ {
		c, err := p.in.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == 0:
			p.begun = true
			_ = p.in.UnreadByte() // it was the last one read
		case read == mostNoise:
			return 0, errNoise
		}
	}
	return p.in.Read(b)
}

// Close ends the way at once. It may be called again.
func (f *Files) Close() error {
	var err error
	f.once.Do(func() {
		close(f.done)
		if f.end != nil {
			err = f.end()
		}
		f.host.mu.Lock()
		delete(f.host.files, f)
		f.host.mu.Unlock()
	})
	return err
}

// Read gives a whole file of at most limit bytes. A longer one is an error, and so is anything that is not
// a regular file. fs.ErrNotExist and fs.ErrPermission are recognisable.
func (f *Files) Read(name string, limit int64) ([]byte, error) {
	return bounded(f, "read "+name, name, func() ([]byte, error) {
		info, err := f.from.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, errors.New("not a regular file")
		}
		if info.Size() > limit {
			return nil, fmt.Errorf("it has %d bytes, more than the %d expected of it", info.Size(), limit)
		}
		in, err := f.from.open(name)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		text, err := io.ReadAll(io.LimitReader(bufio.NewReaderSize(in, 32<<10), limit+1))
		if err == nil && int64(len(text)) > limit {
			err = fmt.Errorf("it has more than the %d bytes expected of it", limit)
		}
		return text, err
	})
}

// Stat describes a file, of a symbolic link what it leads to. fs.ErrNotExist and fs.ErrPermission are
// recognisable.
func (f *Files) Stat(name string) (fs.FileInfo, error) {
	return bounded(f, "look at "+name, name, func() (fs.FileInfo, error) { return f.from.Stat(name) })
}

// ReadLink gives what a symbolic link says, links of /proc included.
func (f *Files) ReadLink(name string) (string, error) {
	return bounded(f, "read the link "+name, name, func() (string, error) { return f.from.ReadLink(name) })
}

// bounded does one thing with files. What does not come to an end in time costs the connection.
func bounded[T any](f *Files, what, name string, do func() (T, error)) (T, error) {
	var zero T
	fail := func(err error) (T, error) {
		return zero, &Error{Host: f.host.cfg.Name, Call: what, Err: err}
	}
	if !path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return fail(errors.New("the path is not absolute"))
	}
	type result struct {
		value T
		err   error
	}
	got := make(chan result, 1)
	go func() {
		v, err := do()
		got <- result{v, err}
	}()
	timer := time.NewTimer(callLimit)
	defer timer.Stop()
	select {
	case <-f.done:
		return fail(ErrClosed)
	case <-timer.C:
		_ = f.Close()
		return zero, unanswered(f.host.cfg.Name, what, fmt.Sprintf("the host did not answer within %s", callLimit), nil)
	case r := <-got:
		switch {
		case r.err == nil:
			return r.value, nil
		case errors.Is(r.err, sftp.ErrSSHFxConnectionLost), errors.Is(r.err, io.ErrUnexpectedEOF):
			return zero, unanswered(f.host.cfg.Name, what, "the connection to the host was lost", r.err)
		}
		return fail(r.err)
	}
}

type remoteFiles struct{ *sftp.Client }

func (r remoteFiles) open(name string) (io.ReadCloser, error) { return r.Open(name) }

type local struct{}

func (local) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (local) ReadLink(name string) (string, error) { return os.Readlink(name) }

// open does not wait for a writer, should a pipe have taken the file's place.
func (local) open(name string) (io.ReadCloser, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Clock is what the host's clock shows now, to the second.
func (f *Files) Clock() (time.Time, error) {
	if _, here := f.from.(local); here {
		return time.Now(), nil
	}
	// the server of this connection is a new process, whose entries of /proc the kernel dates when they are
	// first looked at
	info, err := f.Stat("/proc/self/stat")
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}
