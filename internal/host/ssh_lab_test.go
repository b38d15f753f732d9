package host_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// sshd runs another SSH daemon on a host, with options of its own, until the test ends.
func sshd(t *testing.T, h *lab.Host, port string, options ...string) {
	t.Helper()
	sshdOf(t, h, "/etc/ssh/sshd_config", port, options...)
}

// sshdOf is sshd with another file of options.
func sshdOf(t *testing.T, h *lab.Host, file, port string, options ...string) {
	t.Helper()
	pidFile := "/run/sshd-" + port + ".pid"
	args := []string{"/usr/sbin/sshd", "-f", file, "-p", port, "-o", "PidFile=" + pidFile}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	if _, err := h.Exec(within(t, time.Minute), args...); err != nil {
		t.Fatal(err)
	}
	listens := func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort(h.Address.String(), port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	waitFor(t, "the second sshd does not listen", listens)
	t.Cleanup(func() {
		if _, err := h.Exec(within(t, time.Minute), "pkill", "-F", pidFile); err != nil {
			t.Error(err)
		}
		waitFor(t, "the second sshd does not end", func() bool { return !listens() }) // the next one has the same port
	})
}

// knownAt is the lab's known_hosts for another port of a host.
func knownAt(t *testing.T, h *lab.Host, port string) string {
	t.Helper()
	keys, err := os.ReadFile(testLab.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	var known strings.Builder
	for line := range strings.Lines(string(keys)) {
		if fields := strings.Fields(line); len(fields) == 3 && strings.Contains(fields[0], h.Address.String()) {
			fmt.Fprintf(&known, "[%s]:%s %s %s\n", h.Address, port, fields[1], fields[2])
		}
	}
	return file(t, "known", known.String())
}

func TestWithoutSocketForwardingTheHostsOwnHelperIsUsed(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2299"
	sshd(t, a, port, "AllowStreamLocalForwarding=no")
	parameters := fmt.Sprintf("keyfile=%s&known_hosts=%s", testLab.SSHKey(), knownAt(t, a, port))
	for _, user := range []string{"root", lab.Operator} {
		h := dial(t, fmt.Sprintf("qemu+ssh://%s@%s:%s/system?%s", user, a.Address, port, parameters))
		if f, err := h.Facts(within(t, time.Minute)); err != nil || f.Hostname != a.Name {
			t.Errorf("%s: %+v, %v", user, f, err)
		}
	}
	// With a socket of the user's choice there is no other way than sshd's.
	refuses(t, fmt.Sprintf("qemu+ssh://root@%s:%s/system?socket=/run/libvirt/libvirt-sock&%s", a.Address, port, parameters),
		host.ErrUnreachable, "/run/libvirt/libvirt-sock")
}

func TestWithoutAnyWayToTheSocketTheErrorNamesBoth(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2298"
	sshd(t, a, port, "AllowStreamLocalForwarding=no", "ForceCommand=/bin/false")
	refuses(t, fmt.Sprintf("qemu+ssh://root@%s:%s/system?keyfile=%s&known_hosts=%s", a.Address, port, testLab.SSHKey(), knownAt(t, a, port)),
		host.ErrUnreachable, "virt-ssh-helper")
}

func TestHashedKnownHostsOfAnotherPort(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2297"
	sshd(t, a, port)
	known := knownAt(t, a, port)
	if out, err := exec.Command("ssh-keygen", "-q", "-H", "-f", known).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(known)
	if err != nil || !strings.HasPrefix(string(text), "|1|") {
		t.Fatalf("not hashed: %q, %v", text, err)
	}
	dial(t, fmt.Sprintf("qemu+ssh://root@%s:%s/system?keyfile=%s&known_hosts=%s", a.Address, port, testLab.SSHKey(), known))
}

func TestAHostCertifiedByAKnownAuthorityIsTrusted(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2296"
	_, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyPath, key := keypair(t)
	private, err := os.ReadFile(keyPath)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{Key: key, CertType: ssh.HostCert, ValidPrincipals: []string{a.Address.String()},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	replace(t, a, "/run/certified", private)
	if _, err := a.Exec(within(t, time.Minute), "chmod", "600", "/run/certified"); err != nil {
		t.Fatal(err)
	}
	replace(t, a, "/run/certified-cert.pub", ssh.MarshalAuthorizedKey(certificate))
	sshd(t, a, port, "HostKey=/run/certified", "HostCertificate=/run/certified-cert.pub")
	uri := "qemu+ssh://root@" + a.Address.String() + ":" + port + "/system?keyfile=" + testLab.SSHKey() + "&known_hosts="
	authority := func(key ssh.PublicKey) string {
		return file(t, "known", fmt.Sprintf("@cert-authority [%s]:%s %s", a.Address, port, ssh.MarshalAuthorizedKey(key)))
	}
	dial(t, uri+authority(ca.PublicKey()))
	_, stranger := keypair(t)
	refuses(t, uri+authority(stranger), host.ErrUntrusted)
}

func TestALockedKeyIsUsedThroughTheAgentThatHoldsIt(t *testing.T) {
	a := alpha(t)
	noHome(t)
	text, err := os.ReadFile(testLab.SSHKey())
	if err != nil {
		t.Fatal(err)
	}
	open, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(open, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	locked := file(t, "locked", string(pem.EncodeToMemory(block)))
	uri := func(parameters string) string {
		return fmt.Sprintf("qemu+ssh://root@%s/system?known_hosts=%s%s", a.Address, testLab.KnownHosts(), parameters)
	}
	if err := config(uri("&keyfile=" + locked)).Validate(); err == nil || !strings.Contains(err.Error(), "ssh-add "+locked) {
		t.Errorf("a locked key without an agent: %v", err)
	}

	socket := filepath.Join(t.TempDir(), "agent")
	program := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill(); _ = program.Wait() })
	var conn net.Conn
	waitFor(t, "the agent does not listen", func() bool {
		conn, err = net.Dial("unix", socket)
		return err == nil
	})
	defer conn.Close()
	t.Setenv("SSH_AUTH_SOCK", socket)
	refuses(t, uri(""), host.ErrDenied, "no key to offer") // the agent is empty
	if err := agent.NewClient(conn).Add(agent.AddedKey{PrivateKey: open}); err != nil {
		t.Fatal(err)
	}
	dial(t, uri("&keyfile="+locked))
	dial(t, uri(""))
}
