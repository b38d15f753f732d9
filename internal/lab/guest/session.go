//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// holdSession opens one TCP session and sends numbered lines that come back. It never opens a
// second one: that the first still works is the whole point.
func (s *self) holdSession(config settings, ready func()) {
	prefix, err := netip.ParsePrefix(config["ip"])
	if err == nil {
		err = bringUp("eth0", prefix)
	}
	if err != nil {
		s.complain("network: %v", err)
		s.netBroken.Store(true)
		return
	}
	var session net.Conn
	for range 100 { // a bridge's port may take a moment before it forwards
		if session, err = net.DialTimeout("tcp", config["peer"], 2*time.Second); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		s.complain("session: %v", err)
		s.netBroken.Store(true)
		return
	}
	broke := func(err error) {
		s.netBroken.Store(true)
		s.complain("the TCP session broke: %v", err)
		session.Close()
	}
	if _, err := fmt.Fprintf(session, "hello %s %x\n", config["name"], s.boot); err != nil {
		broke(err)
		return
	}
	go func() {
		for number := uint64(1); ; number++ {
			if _, err := fmt.Fprintf(session, "%d\n", number); err != nil {
				broke(err)
				return
			}
			s.netSent.Store(number)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	answers := bufio.NewScanner(session)
	for want := uint64(1); answers.Scan(); want++ {
		if answers.Text() != fmt.Sprint(want) {
			broke(fmt.Errorf("%q came back where %d was sent", answers.Text(), want))
			return
		}
		s.netEchoed.Store(want)
		if want == 1 {
			ready()
		}
	}
	broke(fmt.Errorf("the other side closed it: %w", answers.Err()))
}

func bringUp(name string, prefix netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	address := prefix.Addr().As4()
	if err := request.SetInet4Addr(address[:]); err != nil {
		return err
	}
	for try := 0; ; try++ { // the interface appears when its driver has found it
		if err = unix.IoctlIfreq(fd, unix.SIOCSIFADDR, request); err == nil || try == 200 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("address of %s: %w", name, err)
	}
	mask := net.CIDRMask(prefix.Bits(), 32)
	if err := request.SetInet4Addr(mask); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, request); err != nil {
		return fmt.Errorf("netmask of %s: %w", name, err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}
