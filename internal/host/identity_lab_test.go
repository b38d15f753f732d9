package host_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// identity is who answers at a URI, as the facts and as a fresh look have it.
func identity(t *testing.T, h *host.Host) host.Identity {
	t.Helper()
	f, err := h.Facts(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	id, err := h.Identity(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if (host.Identity{UUID: f.UUID, Hostname: f.Hostname, BootID: f.BootID, Process: f.Process}) != id {
		t.Errorf("the facts are %+v, the identity %+v", f, id)
	}
	return id
}

func TestALoginShowsWhichDaemonAnswers(t *testing.T) {
	a := alpha(t)
	noHome(t)
	b := testLab.Hosts[1]
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	h := dial(t, a.URI(lab.SSH))
	id := identity(t, h)
	want := host.Identity{UUID: a.UUID, Hostname: a.Name, BootID: strings.TrimSpace(string(boot)), Process: id.Process}
	if id != want || !strings.Contains(id.Process, "libvirtd") {
		t.Errorf("%+v", id)
	}
	if other := identity(t, dial(t, a.SSHURI(lab.Operator))); other != id {
		t.Errorf("root sees %+v, a user of group libvirt %+v", id, other)
	}
	other := identity(t, dial(t, b.URI(lab.SSH)))
	if other.BootID != id.BootID || other.Process == id.Process || other.Process == "" {
		t.Errorf("another container on this machine: %+v, this one: %+v", other, id)
	}
	for _, kind := range []lab.Kind{lab.TCP, lab.TLS} {
		if other := identity(t, dial(t, a.URI(kind))); other != (host.Identity{UUID: a.UUID, Hostname: a.Name}) {
			t.Errorf("%s gives no login, and %+v", kind, other)
		}
	}
	// behind a socket of another name there may be another daemon than the one that has the pid file
	const usual, another = "/run/libvirt/libvirt-sock", "/run/another-sock"
	if _, err := a.Exec(within(t, time.Minute), "ln", "-sf", usual, another); err != nil {
		t.Fatal(err)
	}
	for socket, process := range map[string]string{usual: id.Process, another: ""} {
		want := host.Identity{UUID: a.UUID, Hostname: a.Name, BootID: id.BootID, Process: process}
		if by := identity(t, dial(t, a.URI(lab.SSH)+"&socket="+socket)); by != want {
			t.Errorf("by the socket %s: %+v", socket, by)
		}
	}
	if err := a.RestartDaemon(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the daemon is not reached again", func() bool {
		_, err := h.Session(within(t, time.Minute))
		return err == nil
	})
	after := identity(t, h)
	if after.BootID != id.BootID || after.Process == id.Process || after.Process == "" {
		t.Errorf("after a restart %+v, before %+v", after, id)
	}
}

func TestASessionDaemonIsAnotherProcess(t *testing.T) {
	a := alpha(t)
	noHome(t)
	system := identity(t, dial(t, a.SSHURI(lab.Operator)))
	h := dial(t, strings.Replace(a.SSHURI(lab.Operator), "/system", "/session", 1))
	session := identity(t, h)
	if session.Process == "" || session.Process == system.Process {
		t.Errorf("the user's own daemon is %+v, the system's %+v", session, system)
	}
}

func TestCallbackIDsRiseOverAllConnectionsOfOneDaemon(t *testing.T) {
	a := alpha(t)
	noHome(t)
	b := dial(t, testLab.Hosts[1].URI(lab.TCP))
	draw := func(hosts ...*host.Host) (ids []int) {
		for _, h := range hosts {
			id, err := h.NextCallbackID(within(t, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	for _, kind := range lab.Kinds {
		h, other := dial(t, a.URI(lab.TLS)), dial(t, a.URI(kind))
		if ids := draw(h, other, h, other, h); !slices.IsSorted(ids) || len(slices.Compact(ids)) != 5 {
			t.Errorf("over tls and %s: %v", kind, ids)
		}
		if ids := draw(h, b, h, b, h); slices.IsSorted(ids) && len(slices.Compact(ids)) == 5 {
			t.Errorf("two daemons: %v", ids)
		}
	}
}

// doorway forwards to whichever address it leads to at the moment, as a virtual address does.
func doorway(t *testing.T) (address string, leads *atomic.Pointer[string]) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	leads = &atomic.Pointer[string]{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", *leads.Load())
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, c); _ = far.Close() }()
			go func() { _, _ = io.Copy(c, far); _ = c.Close() }()
		}
	}()
	return l.Addr().String(), leads
}

func TestAnAddressThatMovesToAnotherHostIsRefused(t *testing.T) {
	a := alpha(t)
	noHome(t)
	b := testLab.Hosts[1]
	known := func(address string) string {
		keys, err := os.ReadFile(testLab.KnownHosts())
		if err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		_, port, _ := strings.Cut(address, ":")
		for line := range strings.Lines(string(keys)) {
			fields := strings.Fields(line)
			fmt.Fprintf(&lines, "[127.0.0.1]:%s %s %s\n", port, fields[1], fields[2])
		}
		return file(t, "known", lines.String())
	}
	for kind, port := range map[lab.Kind]string{lab.TCP: "16509", lab.SSH: "22"} {
		address, leads := doorway(t)
		at := func(h *lab.Host) *string { s := net.JoinHostPort(h.Address.String(), port); return &s }
		leads.Store(at(a))
		uri, differs := "qemu+tcp://"+address+"/system", "host UUID"
		if kind == lab.SSH {
			differs = "SSH host key"
			uri = "qemu+ssh://root@" + address + "/system?keyfile=" + testLab.SSHKey() + "&known_hosts=" + known(address)
		}
		h := dial(t, uri)
		if f, err := h.Facts(within(t, time.Minute)); err != nil || f.UUID != a.UUID {
			t.Fatal(f.UUID, err)
		}
		leads.Store(at(b))
		refused := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, host.ErrOtherDaemon) || !strings.Contains(err.Error(), differs) {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
		_, err := h.Session(within(t, time.Minute))
		refused("a session", err)
		if kind == lab.SSH {
			_, err = h.Files(within(t, time.Minute))
			refused("files", err)
			_, err = h.Vantage(within(t, time.Minute))
			refused("servers", err)
			_, err = h.Run(within(t, time.Minute), host.Program{Name: "true", Argument: "x", Installed: "/bin/true"})
			refused("a program", err)
			_, err = h.Identity(within(t, time.Minute))
			refused("the identity", err)
		}
		if _, err := h.Domains(within(t, time.Minute)); err != nil {
			t.Error(kind, "the connection to the first host: ", err)
		}
	}
}

func TestANewHostKeyIsRefusedAlthoughItIsKnown(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2294"
	var known, given strings.Builder
	var paths []string
	for i := range 2 {
		private, public := keypair(t)
		text, err := os.ReadFile(private)
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("/run/host-key-%d", i)
		replace(t, a, path, text)
		if _, err := a.Exec(within(t, time.Minute), "chmod", "600", path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		fmt.Fprintf(&known, "[%s]:%s %s", a.Address, port, ssh.MarshalAuthorizedKey(public))
		given.Write(ssh.MarshalAuthorizedKey(public))
	}
	uri := fmt.Sprintf("qemu+ssh://root@%s:%s/system?keyfile=%s", a.Address, port, testLab.SSHKey())
	byOption := config(uri)
	byOption.HostKey = given.String()
	for how, c := range map[string]host.Config{
		"known_hosts": config(uri + "&known_hosts=" + file(t, "known", known.String())), "host_key": byOption,
	} {
		t.Run(how, func(t *testing.T) {
			var h *host.Host
			t.Run("the first key", func(t *testing.T) {
				sshd(t, a, port, "HostKey="+paths[0])
				var err error
				if h, err = host.Dial(within(t, time.Minute), c); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Session(within(t, time.Minute)); err != nil {
					t.Error(err)
				}
			})
			defer h.Close()
			sshd(t, a, port, "HostKey="+paths[1])
			_, err := h.Session(within(t, time.Minute))
			if !errors.Is(err, host.ErrOtherDaemon) || !strings.Contains(err.Error(), "SSH host key") ||
				!strings.Contains(err.Error(), "alpha: ") {
				t.Error(err)
			}
		})
	}
}

func TestANewCertificateIsRefusedAlthoughItIsValid(t *testing.T) {
	a := alpha(t)
	noHome(t)
	authority, err := testLab.Authority()
	if err != nil {
		t.Fatal(err)
	}
	h := dial(t, a.URI(lab.TLS))
	if _, err := h.Session(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	c, err := authority.Sign(time.Now().Add(time.Hour), a.Name, a.Address.String())
	if err != nil {
		t.Fatal(err)
	}
	replace(t, a, "/etc/pki/libvirt/servercert.pem", c.PEM)
	replace(t, a, "/etc/pki/libvirt/private/serverkey.pem", c.KeyPEM)
	if err := a.RestartDaemon(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a session":     second(h.Session(within(t, time.Minute))),
		"a call":        second(h.Domains(within(t, time.Minute))),
		"the next call": second(h.Domains(within(t, time.Minute))),
	} {
		if !errors.Is(err, host.ErrOtherDaemon) || !strings.Contains(err.Error(), "TLS certificate") {
			t.Errorf("%s: %v", what, err)
		}
	}
	dial(t, a.URI(lab.TLS)) // the next run takes it
}

func second[T any](_ T, err error) error { return err }
