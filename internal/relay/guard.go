package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Under peer_to_peer the source's daemon calls the destination's through the relays. What it says there arrives as
// root's word, and not only that daemon can say it, but whoever has taken over one of the two relays. So only the calls
// of a migration pass. They are enough to start a guest of one's own making, which is much; they are not the rest of
// libvirt.

// The parts of libvirt's protocol that are known here (its virnetprotocol.x): the header, and what may stand in it.
const (
	rpcHeader  = 28                 // seven words: length, program, version, procedure, type, serial, status
	rpcLongest = rpcHeader + 32<<20 // VIR_NET_MESSAGE_MAX, and some more
	rpcRemote  = uint32(0x20008086) // the program of libvirt's own calls
	rpcAlive   = uint32(0x6b656570) // that of keepalives
	rpcVersion = uint32(1)
	rpcCall    = uint32(0)
	rpcMessage = uint32(2)
)

// migrationCalls are what a libvirt daemon asks of another in a migration that it drives, in all versions that can be
// told to go through a socket, and what a client asks when it opens and closes any connection.
var migrationCalls = map[uint32]string{
	1: "open", 2: "close",
	66: "auth list", 67: "auth SASL init", 68: "auth SASL start", 69: "auth SASL step", 70: "auth polkit",
	60: "supports feature", 110: "get URI", 3: "get type", 4: "get version", 157: "get libvirt's version",
	59: "get hostname", 149: "is secure",
	360: "register close callback", 361: "unregister close callback",
	108: "prepare 2", 109: "finish 2", 214: "prepare 3", 217: "finish 3",
	303: "prepare 3 with parameters", 306: "finish 3 with parameters",
	23: "lookup by name", 24: "lookup by UUID",
}

// errCall marks what may not be said to the daemon.
var errCall = errors.New("it was not passed on to libvirtd")

// checkCall says why a message may not pass to the daemon, and how long it is otherwise.
func checkCall(h []byte) (length uint32, err error) {
	word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
	length, program, version, procedure, kind := word(0), word(1), word(2), word(3), word(4)
	_, known := migrationCalls[procedure]
	switch {
	case length < rpcHeader || length > rpcLongest:
		return 0, fmt.Errorf("a message of %d bytes is none of libvirt's: %w", length, errCall)
	case program == rpcAlive && kind == rpcMessage && (procedure == 1 || procedure == 2):
		return length, nil
	case program != rpcRemote || version != rpcVersion:
		return 0, fmt.Errorf("a call of program %#x, version %d, has no part in a migration: %w", program, version, errCall)
	case kind != rpcCall:
		return 0, fmt.Errorf("type %d of procedure %d has no part in a migration: %w", kind, procedure, errCall)
	case !known:
		return 0, fmt.Errorf("procedure %d has no part in a migration: %w", procedure, errCall)
	}
	return length, nil
}

// passCalls passes on what a daemon may be asked, until the end of from or the first message that may not pass.
func passCalls(to io.Writer, from io.Reader) error {
	header := make([]byte, rpcHeader)
	for {
		if _, err := io.ReadFull(from, header); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		length, err := checkCall(header)
		if err != nil {
			return err
		}
		if _, err := to.Write(header); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, int64(length-rpcHeader)); err != nil {
			return err
		}
	}
}

// guard carries one connection to the daemon, and ends it at the first call that has no part in a migration, which
// refused hears of. It owns both connections, and returns when both have ended, or with ctx.
func guard(ctx context.Context, relay, daemon *net.UnixConn, refused func(error)) {
	cut := func() { _, _ = relay.Close(), daemon.Close() }
	defer cut()
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(relay, daemon) // how it ended, the other daemon finds out
		_ = relay.CloseWrite()
	})
	err := passCalls(daemon, relay)
	if errors.Is(err, errCall) {
		refused(err)
	}
	if err != nil {
		cut()
	} else {
		_ = daemon.CloseWrite()
	}
	back.Wait()
}

// guarded connects to the daemon with a guard before it, which ends by itself, or with ctx; guards counts it. What it
// returns is the way there, for this process or another.
func (s Settings) guarded(ctx context.Context, guards *sync.WaitGroup, tell func(event)) (*os.File, error) {
	daemon, err := dialFirst(s.DaemonSockets)
	if err != nil {
		return nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		_ = daemon.Close()
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	way := os.NewFile(uintptr(fds[1]), "libvirtd")
	relay, err := inherited(fds[0], "relay")
	if err != nil {
		_, _ = way.Close(), daemon.Close()
		return nil, err
	}
	guards.Go(func() {
		guard(ctx, relay, daemon, func(err error) {
			tell(event{Event: eventFailed, Text: string(s.Role) + ": " + err.Error()})
		})
	})
	return way, nil
}
