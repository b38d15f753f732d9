package relay

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A UNIX socket holds some 200 kB unless it is given more room, less than one chunk, so that the relay and QEMU wait
// for one another in the middle of each. More than net.core.wmem_max allows to everybody, only root may give. The
// relay proper is not root any more: it sends the socket to its supervisor, which is.

// roomBytes is the room for one socket, of which there is one for each channel.
func (s Settings) roomBytes() int { return max(256<<10, min(4<<20, memoryForWindows/s.Channels)) }

// widen gives a socket the room that this process may give, and asks the supervisor, if there is one, for the rest. Nobody
// waits for it, and without it everything works as well, only slower.
func (r *relay) widen(conn *net.UnixConn) {
	_ = conn.SetWriteBuffer(r.settings.roomBytes())
	if r.supervisor == nil {
		return
	}
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _, _ = r.supervisor.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil) })
	}
}

// giveRoom does for the relay below what it asks for, until it ends. Whatever it sends, no more is done with it, and
// no more often than an honest one asks: the room is the kernel's memory. It closes its end, so that nobody waits for
// what will not be read.
func giveRoom(child *net.UnixConn, bytes int) {
	defer child.Close()
	message, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for range 4 * MaxChannels {
		n, oob, _, _, err := child.ReadMsgUnix(message, rights)
		if err != nil || n == 0 {
			return
		}
		control, err := unix.ParseSocketControlMessage(rights[:oob])
		if err != nil {
			continue
		}
		for i := range control {
			fds, _ := unix.ParseUnixRights(&control[i])
			for _, fd := range fds {
				forceRoom(fd, bytes)
				_ = unix.Close(fd)
			}
		}
	}
}

// roomPair is the way between the two: the supervisor's end, and the one that the relay below inherits.
func roomPair() (mine *net.UnixConn, childs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	childs = os.NewFile(uintptr(fds[1]), "room")
	if mine, err = inherited(fds[0], "room"); err != nil {
		_ = childs.Close()
	}
	return mine, childs, err
}

// inherited is a UNIX socket that this process was started with.
func inherited(fd int, name string) (*net.UnixConn, error) {
	return unixConn(os.NewFile(uintptr(fd), name))
}

// unixConn takes over a file that is a UNIX socket.
func unixConn(file *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, os.ErrInvalid
	}
	return unixConn, nil
}
