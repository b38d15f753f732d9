package relay

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a connection whose bytes are read and written by system calls that Go's scheduler does not hear of.
// To the scheduler any system call may block, and so it gives the goroutine's place away when one lasts over 20 µs,
// as copying a chunk does; with one processor that is two switches of threads for every call, and a watcher that never
// rests. A call on a socket that does not block cannot last longer than its copy. One goroutine may read, and one
// write.
type socket struct {
	halfCloser
	read, write transfer
}

// transfer is one direction of a socket. Its step is made once, so that no call costs memory.
type transfer struct {
	raw  syscall.RawConn
	call uintptr
	step func(fd uintptr) bool

	data []byte
	n    int
	err  syscall.Errno
}

func newSocket(conn halfCloser) *socket {
	s := &socket{halfCloser: conn}
	raw, _ := conn.SyscallConn() // fails for what was never connected alone
	s.read, s.write = transfer{raw: raw, call: unix.SYS_READ}, transfer{raw: raw, call: unix.SYS_WRITE}
	s.read.step, s.write.step = s.read.once, s.write.once
	return s
}

// halfCloser is what TCP's and UNIX connections have in common.
type halfCloser interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// once makes one call, and says whether there is no more to wait for.
func (t *transfer) once(fd uintptr) bool {
	for {
		n, _, err := syscall.RawSyscall(t.call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.data))), uintptr(len(t.data)))
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.n = int(n)
		default:
			t.n = 0
		}
		t.err = err
		return true
	}
}

// ended gives the outcome of a transfer; waiting is what the wait for the socket ended with.
func (t *transfer) ended(op string, waiting error) (int, error) {
	t.data = nil
	if waiting != nil {
		return 0, waiting
	}
	if t.err != 0 {
		return 0, &net.OpError{Op: op, Err: os.NewSyscallError(op, t.err)}
	}
	return t.n, nil
}

func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.read.data = p
	n, err := s.read.ended("read", s.read.raw.Read(s.read.step))
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

func (s *socket) Write(p []byte) (written int, err error) {
	for written < len(p) {
		s.write.data = p[written:]
		n, err := s.write.ended("write", s.write.raw.Write(s.write.step))
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}
