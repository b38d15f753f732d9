package host_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// keypair writes a new private key and gives its path and public half.
func keypair(t *testing.T) (string, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "key", string(pem.EncodeToMemory(block))), key
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// noHome keeps the tester's own keys and configuration out.
func noHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	return home
}

func TestAnUnknownHostKeyIsRefusedWithTheWayToPinIt(t *testing.T) {
	a := alpha(t)
	noHome(t)
	empty := file(t, "known", "")
	uri := fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s&known_hosts=%s", a.Address, testLab.SSHKey(), empty)
	fingerprint := fingerprintOf(t, a)
	refuses(t, uri, host.ErrUntrusted, "is not known", fingerprint,
		fmt.Sprintf("ssh-keyscan -t ed25519 -p 22 %s >> %s", a.Address, empty))
}

func TestAChangedHostKeyIsRefusedLoudly(t *testing.T) {
	a := alpha(t)
	noHome(t)
	_, other := keypair(t)
	known := file(t, "known", fmt.Sprintf("%s %s", a.Address, ssh.MarshalAuthorizedKey(other)))
	uri := fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s&known_hosts=%s", a.Address, testLab.SSHKey(), known)
	refuses(t, uri, host.ErrUntrusted, "HAS CHANGED", fingerprintOf(t, a), ssh.FingerprintSHA256(other), "line 1")
}

func TestAHostWithoutAKeyOfThePinnedKindIsRefused(t *testing.T) {
	a := alpha(t)
	noHome(t)
	known := file(t, "known", fmt.Sprintf("%s ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=\n", a.Address))
	uri := fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s&known_hosts=%s", a.Address, testLab.SSHKey(), known)
	refuses(t, uri, host.ErrUntrusted, "ecdsa-sha2-nistp256", "ssh-keyscan")
}

// fingerprintOf reads the fingerprint where the host keeps its key.
func fingerprintOf(t *testing.T, h *lab.Host) string {
	t.Helper()
	out, err := h.Exec(within(t, time.Minute), "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)[1]
}

func TestAKeyTheHostDoesNotTakeIsNamed(t *testing.T) {
	a := alpha(t)
	noHome(t)
	key, _ := keypair(t)
	uri := fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s&known_hosts=%s", a.Address, key, testLab.KnownHosts())
	refuses(t, uri, host.ErrDenied, key, `user "root"`)
}

func TestTheUsersConfigurationLeadsToTheHost(t *testing.T) {
	a := alpha(t)
	home := noHome(t)
	sshDir := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(sshDir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The controller reaches alpha; beta only through alpha, as far as this configuration goes.
	b := testLab.Hosts[1]
	text := fmt.Sprintf(`Host away
  HostName %s
  ProxyJump operator@door:22
Host door
  HostName %s
  Port 22
Match exec "touch /tmp/never"
  Port 1
Host *
  User root
  IdentityFile %s
  UserKnownHostsFile %s
`, b.Address, a.Address, testLab.SSHKey(), testLab.KnownHosts())
	if err := os.WriteFile(filepath.Join(sshDir, "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := dial(t, "qemu+ssh://away/system")
	f, err := h.Facts(within(t, time.Minute))
	if err != nil || f.Hostname != b.Name {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestASessionDaemonIsReachedOverSSH(t *testing.T) {
	a := alpha(t)
	noHome(t)
	uri := strings.Replace(a.SSHURI(lab.Operator), "/system", "/session", 1)
	h := dial(t, uri)
	f, err := h.Facts(within(t, time.Minute))
	if err != nil || f.Driver != "QEMU" {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestADaemonOfAnotherNameOrAuthorityIsNotTrusted(t *testing.T) {
	a := alpha(t)
	noHome(t)
	other, err := lab.NewAuthority("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	mine, err := other.Sign(time.Now().Add(time.Hour), "controller")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := os.ReadFile(filepath.Join(testLab.PKIDir(), "cacert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	put("cacert.pem", ca)
	put("clientcert.pem", mine.PEM)
	put("clientkey.pem", mine.KeyPEM)
	uri := fmt.Sprintf("qemu+tls://%s/system?pkipath=%s", a.Address, dir)
	t.Run("our certificate is somebody else's", func(t *testing.T) {
		refuses(t, uri, host.ErrDenied, "does not accept our client certificate")
	})
	t.Run("the daemon's is", func(t *testing.T) {
		put("cacert.pem", other.PEM)
		refuses(t, uri, host.ErrUntrusted, "certificate authority")
	})
	t.Run("the daemon has another name", func(t *testing.T) {
		authority, err := testLab.Authority()
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := authority.Sign(time.Now().Add(time.Hour), "elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		ctx := within(t, time.Minute)
		swap := func(c lab.Certificate) {
			replace(t, a, "/etc/pki/libvirt/servercert.pem", c.PEM)
			replace(t, a, "/etc/pki/libvirt/private/serverkey.pem", c.KeyPEM)
			if err := a.RestartDaemon(ctx); err != nil {
				t.Fatal(err)
			}
		}
		right, err := authority.Sign(time.Now().Add(24*time.Hour), a.Name, a.Address.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { swap(right) })
		swap(elsewhere)
		refuses(t, a.URI(lab.TLS), host.ErrUntrusted, "its certificate is for", "elsewhere")
	})
}

// replace writes a file inside a running host.
func replace(t *testing.T, h *lab.Host, path string, text []byte) {
	t.Helper()
	cmd := h.Command(within(t, time.Minute), "tee", path)
	cmd.Stdin = bytes.NewReader(text)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func TestAHostKeyGivenWithTheHostTakesThePlaceOfKnownHosts(t *testing.T) {
	a := alpha(t)
	noHome(t)
	out, err := a.Exec(within(t, time.Minute), "ssh-keygen", "-y", "-f", "/etc/ssh/ssh_host_ed25519_key")
	if err != nil {
		t.Fatal(err)
	}
	_, other := keypair(t)
	stranger := string(ssh.MarshalAuthorizedKey(other))
	ecdsa := "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5Y" +
		"RrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
	c := config(fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s", a.Address, testLab.SSHKey()))
	for name, known := range map[string]string{"its key": out, "one of several": stranger + ecdsa + "\n" + out} {
		t.Run(name, func(t *testing.T) {
			c.HostKey = known
			h, err := host.Dial(within(t, time.Minute), c)
			if err != nil {
				t.Fatal(err)
			}
			_ = h.Close()
		})
	}
	for name, known := range map[string]struct{ key, says string }{
		"another key":  {stranger, "IS NOT THE ONE GIVEN"},
		"another kind": {ecdsa, "no key of the kinds in host_key (ecdsa-sha2-nistp256)"},
		"none":         {"", "as host_key"},
	} {
		t.Run(name, func(t *testing.T) {
			c.HostKey = known.key
			_, err := host.Dial(within(t, time.Minute), c)
			if !errors.Is(err, host.ErrUntrusted) || !strings.Contains(err.Error(), known.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
