package relay

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSupervisorGivesRoom: more than everybody may have, and nothing comes of what is no socket.
func TestSupervisorGivesRoom(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give it")
	}
	mine, childs, err := roomPair()
	if err != nil {
		t.Fatal(err)
	}
	below, err := net.FileConn(childs)
	if err != nil {
		t.Fatal(err)
	}
	_ = childs.Close()
	const room = 8 << 20
	ended := make(chan struct{})
	go func() {
		giveRoom(mine, room)
		close(ended)
	}()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	conn, err := inherited(fds[0], "qemu")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	supervisor := below.(*net.UnixConn)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, sent := range [][]byte{nil, unix.UnixRights(int(file.Fd())), unix.UnixRights(int(file.Fd()), int(file.Fd()))} {
		if _, _, err := supervisor.WriteMsgUnix([]byte{0}, sent, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := &relay{settings: Settings{Channels: 1}, supervisor: supervisor}
	r.widen(conn)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for deadline := time.Now().Add(10 * time.Second); got < room && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }); err != nil {
			t.Fatal(err)
		}
	}
	if got < room {
		t.Errorf("the socket has room for %d bytes", got)
	}
	_ = supervisor.Close()
	<-ended
}
