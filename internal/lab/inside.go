package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Inside calls do with the host's network: sockets that do opens itself (and not through
// goroutines of its own) belong to the host and stay so. It is how a test plays a program on the
// host, or an intruder there.
func (h *Host) Inside(do func() error) error {
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.pid))
	if err != nil {
		return err
	}
	defer space.Close()
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked and dies with this goroutine: no other code may ever run
		// on a thread that is in another network.
		runtime.LockOSThread()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network of host %s: %w", h.Name, err)
			return
		}
		done <- do()
	}()
	return <-done
}
