package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host/sshconfig"
)

const (
	sshKeepalive = 15 * time.Second
	sshVersion   = "SSH-2.0-virtmigrate"
)

// checkSSHFiles finds what is wrong with the files that the URI and ~/.ssh/config name.
func (t target) checkSSHFiles(log hclog.Logger) error {
	way, err := t.hops(sshconfig.Standard())
	if err != nil {
		return err
	}
	for _, p := range way {
		warnOnce(log, p.remarks)
		known, err := p.pinned()
		if err != nil {
			return err
		}
		if skipped := known.db.skipped; len(skipped) > 0 {
			log.Warn("lines of known_hosts cannot be read, and are skipped", "lines", skipped)
		}
	}
	if t.keyfile != "" {
		k, err := way[len(way)-1].keys()
		if err != nil {
			return err
		}
		k.close()
	}
	return nil
}

// warned are the remarks on the user's configuration that this process has made: it is the same for every host and
// every login.
var warned sync.Map

func warnOnce(log hclog.Logger, remarks []string) {
	if !log.IsWarn() {
		return // somebody else may yet hear of it
	}
	for _, r := range remarks {
		if _, before := warned.LoadOrStore(r, true); !before {
			log.Warn("the SSH configuration is not evaluated in full", "because", r)
		}
	}
}

// sshPath is an SSH connection through any number of hops. Closing it closes the lowest TCP connection,
// and all above it with that.
type sshPath struct {
	lowest net.Conn
	last   *ssh.Client
	hops   []hop
	once   sync.Once
	done   chan struct{}
}

func (p *sshPath) Close() error {
	var err error
	p.once.Do(func() {
		close(p.done)
		err = p.lowest.Close()
	})
	return err
}

// keepAlive shows every machine on the way that we are still there.
func (p *sshPath) keepAlive() {
	tick := time.NewTicker(sshKeepalive)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		if _, _, err := p.last.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return // the connection is gone; its reader says so
		}
	}
}

func (t target) dialSSH(ctx context.Context, log hclog.Logger) (io.ReadWriteCloser, error) {
	path, err := t.logIn(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = path.Close() })
	defer stop()
	daemon, err := t.reachDaemon(ctx, path, log)
	if err != nil {
		_ = path.Close()
		return nil, err
	}
	go path.keepAlive()
	return daemon, nil
}

// logIn opens an SSH connection to the host, by the way that the user's configuration tells.
func (t target) logIn(ctx context.Context) (*sshPath, error) {
	hops, err := t.hops(sshconfig.Standard())
	if err != nil {
		return nil, err
	}
	hops[len(hops)-1].first = t.first
	return openPath(ctx, hops)
}

// openPath logs in on one hop after the other.
func openPath(ctx context.Context, hops []hop) (*sshPath, error) {
	path := &sshPath{done: make(chan struct{}), hops: hops}
	for i, p := range hops {
		where := ""
		if len(hops) > 1 {
			where = fmt.Sprintf(" (hop %d of %d)", i+1, len(hops))
		}
		var conn net.Conn
		var err error
		if i == 0 {
			conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", p.address())
			path.lowest = conn
		} else {
			conn, err = path.last.DialContext(ctx, "tcp", p.address())
		}
		if err == nil {
			path.last, err = p.login(ctx, conn, path.lowest)
		}
		if err != nil {
			if path.lowest != nil {
				_ = path.Close()
			}
			return nil, fmt.Errorf("ssh to %s@%s%s: %w", p.user, p.address(), where, err)
		}
	}
	return path, nil
}

// login checks the host's key and shows ours. When ctx ends, lowest is closed.
func (p hop) login(ctx context.Context, conn net.Conn, lowest io.Closer) (*ssh.Client, error) {
	stop := context.AfterFunc(ctx, func() { _ = lowest.Close() })
	defer stop()
	known, err := p.pinned()
	if err != nil {
		return nil, err
	}
	keys, err := p.keys()
	if err != nil {
		return nil, err
	}
	defer keys.close()
	cc, chans, reqs, err := ssh.NewClientConn(conn, p.address(), &ssh.ClientConfig{
		User:              p.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(keys.signers...)},
		HostKeyCallback:   known.check,
		HostKeyAlgorithms: known.algorithms,
		ClientVersion:     sshVersion,
	})
	if err == nil {
		return ssh.NewClient(cc, chans, reqs), nil
	}
	var none *ssh.AlgorithmNegotiationError
	switch {
	case known.refusal != nil:
		return nil, known.refusal
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &none) && len(p.hostKeys) > 0 && strings.Contains(err.Error(), "host key"):
		return nil, fmt.Errorf("%w: the host has no key of the kinds in host_key (%s); give one that it has",
			ErrUntrusted, strings.Join(known.algorithms, ", "))
	case errors.As(err, &none) && len(known.algorithms) > 0 && strings.Contains(err.Error(), "host key"):
		return nil, fmt.Errorf("%w: the host has no key of the kinds that are known of it (%s); pin one that it has: ssh-keyscan -p %d %s >> %s, after comparing the fingerprint", ErrUntrusted, strings.Join(known.algorithms, ", "), p.port, p.host, quoted(p.pinTo))
	case keys.unsigned != nil:
		return nil, fmt.Errorf("%w: %w; unlock or touch what holds the key, or name another one", ErrDenied, keys.unsigned)
	case strings.Contains(err.Error(), "Too many authentication failures"):
		return nil, fmt.Errorf("%w: the host gave up before our right key came (%s); name the key with ?keyfile= or IdentityFile and IdentitiesOnly", ErrDenied, keys.said())
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, fmt.Errorf("%w: the host does not take any of our keys for user %q (%s)", ErrDenied, p.user, keys.said())
	}
	return nil, err
}

// reachDaemon connects to the daemon's socket on the far side through sshd itself. Where sshd does not
// forward to sockets, or the socket's place depends on the user, the program that libvirt installs for
// this is started.
func (t target) reachDaemon(ctx context.Context, path *sshPath, log hclog.Logger) (io.ReadWriteCloser, error) {
	var refusal error
	if t.path != "/session" || t.socket != "" {
		paths := t.sockets(systemSocketDir, "")
		for _, socket := range paths {
			conn, err := path.last.DialContext(ctx, "unix", socket)
			if err == nil {
				return hardConn{conn, path}, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			refusal = fmt.Errorf("sshd does not connect to %s: %w", strings.Join(paths, " or "), err)
		}
	}
	command := t.remoteCommand()
	if command == "" {
		return nil, refusal
	}
	log.Debug("using the host's virt-ssh-helper", "because", refusal)
	conn, err := startRemote(path, command)
	if err != nil {
		return nil, errors.Join(refusal, fmt.Errorf("virt-ssh-helper cannot be started: %w", err))
	}
	conn.instead = refusal
	return conn, nil
}

// remoteCommand is the command for the far side. sshd gives it to a shell, hence it is one of two fixed
// texts, and never holds anything a user wrote.
func (t target) remoteCommand() string {
	switch {
	case t.driver != "qemu" || t.socket != "":
		return ""
	case t.path == "/system":
		return "virt-ssh-helper qemu:///system"
	case t.path == "/session":
		return "virt-ssh-helper qemu:///session"
	}
	return ""
}

// remote is a program on the far side that passes bytes on to the daemon.
type remote struct {
	*started
	path    *sshPath
	instead error // why the shorter way did not do; nil if there is none
}

func startRemote(path *sshPath, command string) (*remote, error) {
	s, err := path.start("exec " + command)
	if err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	return &remote{started: s, path: path}, nil
}

func (r *remote) Write(p []byte) (int, error) { return r.in.Write(p) }

// Read says, where the program ended, what it complained of.
func (r *remote) Read(p []byte) (int, error) {
	n, err := r.out.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	status, ended := r.status()
	said := r.complaint.String()
	if said == "" {
		if !ended || status == 0 {
			return 0, err
		}
		said = fmt.Sprintf("ended with status %d", status)
	}
	if r.instead != nil {
		return 0, fmt.Errorf("virt-ssh-helper on the host: %s (tried because %w)", said, r.instead)
	}
	return 0, fmt.Errorf("virt-ssh-helper on the host: %s", said)
}

func (r *remote) Close() error { return r.path.Close() }
