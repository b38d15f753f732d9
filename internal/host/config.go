package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/ssh"
)

// Config says which host to reach and how.
type Config struct {
	// Name is the key the user gave the host; errors begin with it.
	Name string
	// URI is libvirt's URI of the host.
	URI string
	// AllowPlainControl permits qemu+tcp to another machine, where everything said to the daemon
	// can be read and changed on the way.
	AllowPlainControl bool
	// HostKey holds the public keys of the host's SSH server, one a line, instead of known_hosts; empty: known_hosts
	// counts.
	HostKey string
	// Connect, where it is not nil, makes the connections instead of what URI says. It is for tests: nothing that users
	// write leads to it.
	Connect func(ctx context.Context) (io.ReadWriteCloser, error)
	// Log takes what is worth knowing while connecting; nil discards it.
	Log hclog.Logger
}

func (c Config) log() hclog.Logger {
	if c.Log == nil {
		return hclog.NewNullLogger()
	}
	return c.Log
}

// Validate finds every mistake that can be found without the network: in the URI, in the files it names,
// and in what they hold.
func (c Config) Validate() error {
	_, err := c.target()
	return err
}

func (c Config) target() (target, error) {
	wrong := func(err error) error { return &Error{Host: c.Name, Err: err} }
	t, err := parseURI(c.URI)
	if err != nil {
		return target{}, wrong(err)
	}
	if t.conn == overTCP && !t.loopback() && !c.AllowPlainControl {
		return target{}, wrong(fmt.Errorf("qemu+tcp to %s is neither encrypted nor authenticated: anybody on the way can take over the host; use qemu+ssh or qemu+tls, or set allow_plain_control = true for this host if the network itself is protected", t.host))
	}
	if c.HostKey != "" {
		if t.hostKeys, err = t.takeHostKey(c.HostKey); err != nil {
			return target{}, wrong(err)
		}
	}
	switch t.conn {
	case overTLS:
		_, err = t.tlsConfig()
	case overSSH:
		err = t.checkSSHFiles(c.log())
	}
	if err != nil {
		return target{}, wrong(err)
	}
	return t, nil
}

func (t target) takeHostKey(text string) ([]ssh.PublicKey, error) {
	switch {
	case t.conn != overSSH:
		return nil, fmt.Errorf("host_key is the key of an SSH server, and means nothing with the connection %s", t.conn)
	case t.knownHosts != "":
		return nil, errors.New("host_key is given, and known_hosts in the URI, too; leave one of them out")
	}
	return parseHostKeys(text)
}

// expandHome replaces a leading ~/ by the user's home folder.
func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}
