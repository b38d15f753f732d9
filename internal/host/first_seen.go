package host

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"sync"

	libvirt "github.com/digitalocean/go-libvirt"
	"golang.org/x/crypto/ssh"
)

// ErrOtherDaemon marks a connection that led to another daemon or machine than the first connection of the same
// Host did, as a virtual address, a round robin name or a changed DNS entry makes it. It was closed unused.
var ErrOtherDaemon = errors.New("another daemon answered")

// firstSeen is what the first connection of a Host showed of who answers. Every later one must show the same:
// a decision made on the answers of one machine must not be carried out on another.
type firstSeen struct {
	mu    sync.Mutex
	shown map[string]string // by what it is
}

// check notes what is shown for the first time, and refuses what is not the same later. A nil firstSeen accepts
// everything.
func (f *firstSeen) check(what, shown string, same func(a, b string) bool) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	first, seen := f.shown[what]
	if !seen {
		if f.shown == nil {
			f.shown = map[string]string{}
		}
		f.shown[what] = shown
		return nil
	}
	if same(first, shown) {
		return nil
	}
	return fmt.Errorf("%w: its %s is %.100q, and was %.100q at the first connection; nothing was done there. "+
		"Let the URI lead to one machine only; if this machine itself was changed meanwhile, run the same again",
		ErrOtherDaemon, what, shown, first)
}

// sshKey checks the key that an SSH server has proved to hold, before we log in. A certificate may be renewed; its
// key counts.
func (f *firstSeen) sshKey(key ssh.PublicKey) error {
	if certificate, ok := key.(*ssh.Certificate); ok {
		key = certificate.Key
	}
	return f.check("SSH host key", ssh.FingerprintSHA256(key), equal)
}

// certificate checks the certificate that a TLS server has proved to hold.
func (f *firstSeen) certificate(der []byte) error {
	return f.check("TLS certificate's SHA-256", fmt.Sprintf("%x", sha256.Sum256(der)), equal)
}

// daemon checks who a libvirt daemon says that it is.
func (f *firstSeen) daemon(uuid, hostname string) error {
	if err := f.check("host UUID", uuid, strings.EqualFold); err != nil {
		return err
	}
	return f.check("host name", hostname, sameHostname)
}

func equal(a, b string) bool { return a == b }

// sameHostname compares two answers of virConnectGetHostname. libvirt resolves the host's name each time, and
// answers without the domain while the resolver does not.
func sameHostname(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	return strings.Contains(a, ".") != strings.Contains(b, ".") && sameMachine(a, b)
}

// recognise asks the daemon at the other end of a new connection who it is, and refuses any but the first.
func (h *Host) recognise(ctx context.Context, r *rpc) error {
	uuid, hostname, err := whoAnswers(ctx, r)
	if err != nil {
		return err
	}
	if err := h.target.first.daemon(uuid, hostname); err != nil {
		return &Error{Host: h.cfg.Name, Call: "connect to " + h.target.String(), Err: err}
	}
	return nil
}

// whoAnswers reads the host's UUID and name at the price of one round trip. Only the capabilities have the UUID.
func whoAnswers(ctx context.Context, r *rpc) (uuid, hostname string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	named := make(chan error, 1)
	go func() {
		name, err := call(ctx, r, "ask for the host name", callLimit, (*libvirt.Libvirt).ConnectGetHostname)
		hostname = name
		named <- err
	}()
	text, err := call(ctx, r, "ask for the capabilities", callLimit, (*libvirt.Libvirt).ConnectGetCapabilities)
	if err == nil {
		uuid, err = hostUUID(text)
	}
	if err != nil {
		cancel()
		<-named
		return "", "", explain(r.host, "read the capabilities", err)
	}
	if err = <-named; err != nil {
		return "", "", err
	}
	return uuid, hostname, nil
}

// hostUUID reads the host's UUID from libvirt's capabilities.
func hostUUID(capabilities string) (string, error) {
	var c struct {
		UUID string `xml:"host>uuid"`
	}
	err := xml.Unmarshal([]byte(capabilities), &c)
	return strings.TrimSpace(c.UUID), err
}
