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
	return within(fmt.Sprintf("/proc/%d/ns/net", h.pid), do)
}

// within calls do on a thread that is in the network namespace of that file.
func within(namespace string, do func() error) error {
	space, err := os.Open(namespace)
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
			done <- fmt.Errorf("enter the network of %s: %w", namespace, err)
			return
		}
		done <- do()
	}()
	return <-done
}
