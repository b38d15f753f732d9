package migration

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// listenOn looks at every packet that a host sends or receives, and says at the end whether one held the marker.
func listenOn(t *testing.T, h *lab.Host, marker []byte) (heard func() bool) {
	t.Helper()
	all := binary.BigEndian.Uint16([]byte{unix.ETH_P_ALL & 0xff, unix.ETH_P_ALL >> 8}) // in the network's order
	fd := -1
	err := h.Inside(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// a moment of silence ends a read, so that the reader can be told to stop
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200000}); err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) // fewer packets are missed
	ctx, stop := context.WithCancel(t.Context())
	found, packets := false, 0
	var reader sync.WaitGroup
	reader.Go(func() {
		defer unix.Close(fd)
		packet := make([]byte, 1<<17)
		for ctx.Err() == nil {
			if n, _, err := unix.Recvfrom(fd, packet, 0); err == nil {
				packets++
				found = found || bytes.Contains(packet[:n], marker)
			}
		}
	})
	return func() bool {
		stop()
		reader.Wait()
		if packets < 100 {
			t.Errorf("only %d packets were seen: the test proves nothing", packets)
		}
		return found
	}
}

// TestNothingOfTheGuestIsReadableOnTheWay listens on the source while disks and memory full of a marker
// travel. What is sent in the clear is heard, so that silence means something.
func TestNothingOfTheGuestIsReadableOnTheWay(t *testing.T) {
	l := labtest.Lab(t)
	alpha := l.Host("alpha")
	for transport, clear := range map[Transport]bool{TransportRelay: false, TransportTLS: false, TransportTunnel: false, TransportPlain: true} {
		t.Run(string(transport), func(t *testing.T) {
			inMemory := fmt.Sprintf("memory-%d-of-the-guest", time.Now().UnixNano())
			onDisk := []byte(fmt.Sprintf("disk-%d-of-the-guest!", time.Now().UnixNano()))
			config := lab.GuestConfig{Host: "alpha", FillMiB: 32, Marker: inMemory}
			options := Options{Transport: transport, AllowPlain: clear}
			if transport != TransportTunnel {
				at := imageDir + "leak-" + string(transport) + ".raw"
				config.Devices = dataDisk(t, alpha, at, "raw")
				if err := os.WriteFile(alpha.Path(at), bytes.Repeat(onDisk, 16<<20/len(onDisk)+1)[:16<<20], 0o644); err != nil {
					t.Fatal(err)
				}
				options.Storage = StorageCopy
			}
			g := labtest.Guest(t, config)
			memory, disk := listenOn(t, alpha, []byte(inMemory)), listenOn(t, alpha, onDisk)
			fleet := labFleet(t, l)
			if transport == TransportRelay {
				fleet = labFleet(t, l, relayHosts(l, "root"))
			}
			_, err := fleet.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: options})
			if heard := memory(); heard != clear {
				t.Errorf("the memory's marker was heard: %v", heard)
			}
			if heard := disk(); heard != clear {
				t.Errorf("the disk's marker was heard: %v", heard)
			}
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
		})
	}
}
