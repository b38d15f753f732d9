//go:build !linux

package relay

import (
	"errors"
	"net"
)

// A relay runs on libvirt's hosts, which are Linux; elsewhere there is only its controller's side.
var errNotHere = errors.New("a relay runs on Linux only")

func peerUser(*net.UnixConn) (int, error) { return 0, errNotHere }

func standBack() {}

func harden() error { return errNotHere }

func limitUnsent(*net.TCPConn, int) {}

func forceRoom(int, int) {}
