package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Delay makes what the host sends and is sent half a round trip late each way, for as long as this process lives
// and until the returned function is called. Kernels of small machines often lack netem, so frames go through
// this process: whole, as large as TCP segmentation offload makes them, so that a fast link stays fast.
func (h *Host) Delay(ctx context.Context, roundTrip time.Duration) (undo func() error, err error) {
	space := h.lab.switchSpace()
	outer, inner, err := tapPair(space, h.Name)
	if err != nil {
		return nil, fmt.Errorf("delay the link of host %s: %w", h.Name, err)
	}
	bridge := "late-" + h.Name
	if err := ip(ctx,
		[]string{"-n", space, "link", "add", bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0"},
		[]string{"-n", space, "link", "set", bridge, "up"},
		[]string{"-n", space, "link", "set", h.Name, "master", bridge},
		[]string{"-n", space, "link", "set", outer.name, "master", bridge, "up"},
		[]string{"-n", space, "link", "set", inner.name, "master", "br0", "up"},
	); err != nil {
		return nil, errors.Join(err, outer.Close(), inner.Close())
	}
	go carry(outer.File, inner.File, roundTrip/2)
	go carry(inner.File, outer.File, roundTrip/2)
	return func() error {
		err := ip(context.WithoutCancel(ctx),
			[]string{"-n", space, "link", "set", h.Name, "master", "br0"},
			[]string{"-n", space, "link", "delete", bridge},
		)
		return errors.Join(err, outer.Close(), inner.Close())
	}, nil
}

// tap is an Ethernet device whose cable ends in this process. It vanishes when it is closed.
type tap struct {
	*os.File
	name string
}

// tapPair makes two of them in a network namespace.
func tapPair(space, name string) (a, b *tap, err error) {
	err = within("/run/netns/"+space, func() (err error) {
		if a, err = openTap("lo-" + name); err != nil {
			return err
		}
		if b, err = openTap("li-" + name); err != nil {
			_ = a.Close()
		}
		return err
	})
	return a, b, err
}

func openTap(name string) (*tap, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("tap device %s: %w", name, err)
	}
	return &tap{os.NewFile(uintptr(fd), name), name}, nil
}

type lateFrame struct {
	due  time.Time
	data []byte
}

// carry passes frames on, each when it is due, until a device is closed. A frame that finds 4096 others waiting is
// lost, as in a switch.
func carry(from, to *os.File, delay time.Duration) {
	const largest = 1<<16 + 128
	waiting, free := make(chan lateFrame, 4096), make(chan []byte, 256)
	go func() {
		defer close(waiting)
		for {
			var buffer []byte
			select {
			case buffer = <-free:
			default:
				buffer = make([]byte, largest)
			}
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			select {
			case waiting <- lateFrame{time.Now().Add(delay), buffer[:n]}:
			default:
			}
		}
	}()
	for frame := range waiting {
		time.Sleep(time.Until(frame.due))
		_, _ = to.Write(frame.data) // a device that is down takes nothing
		select {
		case free <- frame.data[:largest]:
		default:
		}
	}
}
