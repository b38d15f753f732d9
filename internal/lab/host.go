package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one libvirt host of a lab.
type Host struct {
	Name    string
	Address netip.Addr
	// UUID is the host's identity for libvirt.
	UUID string

	lab   *Lab
	index int
	dir   string // the host's own files, in the controller's eyes
	pid   int    // its process 1, in the controller's eyes
}

func (l *Lab) newHost(index int, name string) *Host {
	a := l.Network.Addr().As4()
	return &Host{
		Name: name, Address: l.address(firstHostNumber + index),
		UUID: fmt.Sprintf("10ab0000-0000-4000-8000-%02x%02x%02x0000%02x", a[0], a[1], a[2], index+1),
		lab:  l, index: index, dir: filepath.Join(l.dir, name),
	}
}

// Path returns where a file of the host is for the controller. Only what the host has for itself
// can be named: /etc/libvirt, /etc/pki, /etc/ssh, /var/lib/libvirt, /var/log/libvirt, /run, /tmp,
// /var/tmp, /root and /home. Files of /etc must not be created this way once the host runs, only
// rewritten: an overlay does not like it.
func (h *Host) Path(path string) string { return filepath.Join(h.dir, "root", path) }

// start builds the host's files, namespaces and network, and starts its daemons.
func (h *Host) start(ctx context.Context, program string, keys keys) error {
	if err := h.writeFiles(keys); err != nil {
		return err
	}
	if err := h.boot(ctx, program); err != nil {
		return err
	}
	if err := h.join(ctx, h.pid); err != nil {
		return err
	}
	if _, err := h.Exec(ctx, "/usr/sbin/sshd"); err != nil {
		return err
	}
	if err := h.StartDaemon(ctx); err != nil {
		return err
	}
	return h.keepCapabilities()
}

// boot starts the host's process 1 in new namespaces and waits until it has mounted everything.
func (h *Host) boot(ctx context.Context, program string) error {
	ready := filepath.Join(h.dir, "init.ready")
	log, err := os.Create(filepath.Join(h.dir, "init.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "host-init", h.dir, h.Name)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = inNewNamespaces()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	h.pid = cmd.Process.Pid
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	if err := os.WriteFile(filepath.Join(h.dir, "init.pid"), []byte(strconv.Itoa(h.pid)), 0o600); err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		select {
		case err := <-died:
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("its first process ended: %w: %s", err, strings.TrimSpace(string(text)))
		default:
		}
		_, err := os.Stat(ready)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for its file system: %w", err)
	}
	return nil
}

// attach finds the process 1 that another process started.
func (h *Host) attach() error {
	text, err := os.ReadFile(filepath.Join(h.dir, "init.pid"))
	if err != nil {
		return err
	}
	h.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if !isProgram(h.pid, h.dir) {
		return fmt.Errorf("host %s has died", h.Name)
	}
	return nil
}

// Exec runs a program inside the host as root and returns what it printed.
func (h *Host) Exec(ctx context.Context, args ...string) (string, error) {
	return output(h.Command(ctx, args...))
}

// Command prepares a program to be run inside the host as root.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(h.pid), "--mount", "--uts", "--net", "--pid", "--root", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	// nsenter has to fork to enter the host's processes, so there are two to kill.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	return cmd
}

// Virsh runs libvirt's own client inside the host: a witness that shares no code with the product.
func (h *Host) Virsh(ctx context.Context, args ...string) (string, error) {
	text, err := h.Exec(ctx, append([]string{"virsh", "--quiet", "--connect", "qemu:///system"}, args...)...)
	if err != nil {
		return text, fmt.Errorf("on host %s: %w", h.Name, err)
	}
	return text, nil
}

// DomainState returns virsh's word for the state of a domain ("running", "paused", "shut off"),
// or "" when the host does not know it.
func (h *Host) DomainState(ctx context.Context, name string) (string, error) {
	text, err := h.Virsh(ctx, "domstate", name)
	switch {
	case err == nil:
		return strings.TrimSpace(text), nil
	case strings.Contains(err.Error(), "failed to get domain"):
		return "", nil
	}
	return "", err
}

// Domains lists the host's domains with their states, like "demo (running)".
func (h *Host) Domains(ctx context.Context) ([]string, error) {
	text, err := h.Virsh(ctx, "list", "--all", "--name")
	if err != nil {
		return nil, err
	}
	var domains []string
	for name := range strings.FieldsSeq(text) {
		state, err := h.DomainState(ctx, name)
		if err != nil {
			return nil, err
		}
		domains = append(domains, fmt.Sprintf("%s (%s)", name, state))
	}
	return domains, nil
}

// PID is the host's process 1, for nsenter.
func (h *Host) PID() int { return h.pid }

// Kind is a way to reach a host's libvirt daemon.
type Kind string

// The ways a lab's host can be reached.
const (
	Unix Kind = "unix"
	TCP  Kind = "tcp"
	TLS  Kind = "tls"
	SSH  Kind = "ssh"
)

// Kinds are all of them.
var Kinds = []Kind{Unix, TCP, TLS, SSH}

// URI returns the libvirt URI by which the controller reaches the host.
func (h *Host) URI(kind Kind) string {
	switch kind {
	case Unix:
		return "qemu+unix:///system?socket=" + h.Path("/run/libvirt/libvirt-sock")
	case TCP:
		return fmt.Sprintf("qemu+tcp://%s/system", h.Address)
	case TLS:
		return fmt.Sprintf("qemu+tls://%s/system?pkipath=%s", h.Address, h.lab.PKIDir())
	case SSH:
		return h.SSHURI("root")
	}
	panic(fmt.Sprintf("lab: no connection kind %q", kind))
}

// SSHURI returns the URI for a login of that name: "root", or Operator, who is in group libvirt.
func (h *Host) SSHURI(user string) string {
	return fmt.Sprintf("qemu+ssh://%s@%s/system?keyfile=%s&known_hosts=%s", user, h.Address, h.lab.SSHKey(), h.lab.KnownHosts())
}

// PeerURI returns the URI by which another host of the lab reaches this one.
func (h *Host) PeerURI(kind Kind) string { return fmt.Sprintf("qemu+%s://%s/system", kind, h.Name) }

// MigrationAddress is where other hosts send guest memory to.
func (h *Host) MigrationAddress() string { return h.Address.String() }

// TLSName is the name in the host's certificates.
func (h *Host) TLSName() string { return h.Name }

// Operator is the login of every host that is not root but may use libvirt.
const Operator = "operator"

// PKIDir holds the controller's certificate in the layout of libvirt's pkipath parameter.
func (l *Lab) PKIDir() string { return filepath.Join(l.dir, "pki", "controller") }

// SSHKey is the controller's private key, which root and Operator accept on every host.
func (l *Lab) SSHKey() string { return filepath.Join(l.dir, "ssh", "id_ed25519") }

// KnownHosts names the hosts' SSH keys.
func (l *Lab) KnownHosts() string { return filepath.Join(l.dir, "ssh", "known_hosts") }

var errNoDaemon = errors.New("no daemon runs")
