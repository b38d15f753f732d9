package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"libvirt.org/go/libvirtxml"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// serverPorts are the ports that libvirt takes where a network disk names none, by the disk's protocol
// (libvirt's virStorageSourceNetworkDefaultPort); for rbd those of Ceph's monitors, by both of its protocols.
// What is not reached over TCP is not here.
var serverPorts = map[string][]string{
	"nbd": {"10809"}, "iscsi": {"3260"}, "rbd": {"3300", "6789"}, "gluster": {"24007"}, "nfs": {"2049"}, "ssh": {"22"},
	"http": {"80"}, "https": {"443"}, "ftp": {"21"}, "ftps": {"990"}, "sheepdog": {"7000"}, "vxhs": {"9999"},
}

// servers are the addresses at which a network disk's data is served, any of which will do; nil where there is
// none to be tried over TCP.
func servers(n *libvirtxml.DomainDiskSourceNetwork) (addresses []string) {
	usual, overTCP := serverPorts[n.Protocol]
	for _, h := range n.Hosts {
		ports := usual
		if h.Port != "" {
			ports = []string{h.Port}
		}
		if !overTCP || h.Name == "" || h.Transport != "" && h.Transport != "tcp" {
			continue
		}
		for _, port := range ports {
			addresses = append(addresses, net.JoinHostPort(strings.Trim(h.Name, "[]"), port))
		}
	}
	return addresses
}

// Vantage is a place on the host from which servers can be reached as its QEMU reaches them: a login of its own,
// through which sshd opens connections, or this machine itself. Nothing is sent on them.
type Vantage struct {
	// way is nil on this machine.
	way  *sshPath
	once sync.Once
}

// How long a server may take to be reached, and how long a host to say that it is still there.
const (
	reachLimit = 5 * time.Second
	hereLimit  = 2 * time.Second
)

// Vantage opens one. ErrNoLogin: the connection has no login, and there is no other way. The caller closes it.
func (h *Host) Vantage(ctx context.Context) (*Vantage, error) {
	switch h.target.conn {
	case overSSH:
	case overUNIX:
		if err := h.isThisMachine(ctx); err != nil {
			return nil, err
		}
		return &Vantage{}, nil
	default:
		return nil, &Error{Host: h.cfg.Name, Call: "reach servers from there", Err: fmt.Errorf("%w: %s reaches only the daemon; a qemu+ssh URI would do", ErrNoLogin, h.target.conn)}
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	way, err := h.target.logIn(ctx)
	if err != nil {
		return nil, dialError(ctx, h.cfg.Name, h.target, err)
	}
	go way.keepAlive()
	return &Vantage{way: way}, nil
}

// Close ends the login. It may be called again.
func (v *Vantage) Close() error {
	var err error
	v.once.Do(func() {
		if v.way != nil {
			err = v.way.Close()
		}
	})
	return err
}

// Reach says whether one of the addresses, each a name and a TCP port, can be reached from the host. Unknown is the
// answer, too, when the SSH server does not open connections for us, or is itself not to be heard.
func (v *Vantage) Reach(ctx context.Context, addresses []string) Answer {
	var last Answer
	for _, address := range addresses {
		if last = v.reach(ctx, address); last.Can || !last.Known {
			break
		}
	}
	return last
}

func (v *Vantage) reach(ctx context.Context, address string) Answer {
	limited, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	dial := (&net.Dialer{}).DialContext
	if v.way != nil {
		dial = v.way.last.DialContext
	}
	conn, err := dial(limited, "tcp", address)
	if err == nil {
		_ = conn.Close() // it was good for what it told
		return Answer{Known: true, Can: true}
	}
	why := fmt.Sprintf("%s: %s", address, terminal.Line(err.Error()))
	var refused *ssh.OpenChannelError
	switch {
	case ctx.Err() != nil:
		return Answer{Why: ctx.Err().Error()}
	case limited.Err() != nil:
		return Answer{Known: v.isThere(), Why: fmt.Sprintf("%s: no answer within %s", address, reachLimit)}
	case v.way == nil, errors.As(err, &refused) && refused.Reason == ssh.ConnectionFailed:
		return Answer{Known: true, Why: why}
	}
	return Answer{Why: why}
}

// isThere says whether the host itself can still be heard.
func (v *Vantage) isThere() bool {
	if v.way == nil {
		return true
	}
	answered := make(chan error, 1)
	go func() {
		_, _, err := v.way.last.SendRequest("keepalive@openssh.com", true, nil) // ends with the connection at the latest
		answered <- err
	}()
	select {
	case err := <-answered:
		return err == nil
	case <-time.After(hereLimit):
		return false
	}
}
