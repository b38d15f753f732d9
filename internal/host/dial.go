package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// dial connects to the daemon, not yet speaking with it.
func (t target) dial(ctx context.Context, cfg Config) (io.ReadWriteCloser, error) {
	if cfg.Connect != nil {
		return cfg.Connect(ctx)
	}
	switch t.conn {
	case overUNIX:
		return t.dialUNIX(ctx)
	case overTCP:
		return t.dialTCP(ctx, cfg.AllowPlainControl)
	case overTLS:
		return t.dialTLS(ctx)
	case overSSH:
		return t.dialSSH(ctx, cfg.log().With("host", cfg.Name))
	}
	return nil, fmt.Errorf("no such connection: %q", t.conn)
}

// sockets are the names a daemon's socket may have, in the order libvirt's own client prefers: the
// modular daemon of the driver first, then the monolithic one (or the proxy that took over its name).
func (t target) sockets(systemDir, sessionDir string) []string {
	if t.socket != "" {
		return []string{t.socket}
	}
	dir := systemDir
	if t.path == "/session" {
		dir = sessionDir
	}
	monolithic := filepath.Join(dir, "libvirt-sock")
	if t.driver != "qemu" {
		return []string{monolithic}
	}
	return []string{filepath.Join(dir, "virtqemud-sock"), monolithic}
}

// systemSocketDir is where the system's daemons listen.
const systemSocketDir = "/run/libvirt"

// sessionSocketDir is where this user's own daemons listen.
func sessionSocketDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "libvirt")
	}
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "libvirt")
	}
	return ""
}

func (t target) dialUNIX(ctx context.Context) (io.ReadWriteCloser, error) {
	paths := t.sockets(systemSocketDir, sessionSocketDir())
	var d net.Dialer
	var first error
	for _, path := range paths {
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return conn, nil
		}
		// A socket that exists says more than one that does not.
		if first == nil || errors.Is(first, fs.ErrNotExist) {
			first = err
		}
	}
	switch {
	case errors.Is(first, fs.ErrPermission):
		return nil, fmt.Errorf("%w: this user may not open %s; add the user to the group \"libvirt\" or run as root", ErrDenied, paths[len(paths)-1])
	case errors.Is(first, fs.ErrNotExist), errors.Is(first, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no libvirt daemon listens on %s: %w", strings.Join(paths, " or "), first)
	}
	return nil, first
}

func (t target) dialTCP(ctx context.Context, plainAllowed bool) (io.ReadWriteCloser, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, err
	}
	// A name such as localhost is what the resolver says it is.
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); !plainAllowed && (!ok || !a.IP.IsLoopback()) {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %q is not this machine (%s), and the connection would not be encrypted; set allow_plain_control = true if the network itself is protected", ErrUntrusted, t.host, conn.RemoteAddr())
	}
	return conn, nil
}

// dialError names the host and says whether it is worth trying again.
func dialError(ctx context.Context, host string, t target, err error) error {
	what := "connect to " + t.String()
	switch {
	case errors.Is(err, ErrUntrusted), errors.Is(err, ErrDenied), errors.Is(err, errConfig),
		errors.Is(err, ErrOtherDaemon):
		return &Error{Host: host, Call: what, Err: err}
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Host: host, Call: what, Err: ctx.Err()}
	case ctx.Err() != nil:
		return unanswered(host, what, "the host did not answer in time", ctx.Err())
	}
	return unanswered(host, what, terminal.Line(err.Error()), err)
}

// errConfig marks a mistake on our own side: a file that cannot be read, a key that needs a passphrase.
var errConfig = errors.New("cannot log in as configured")
