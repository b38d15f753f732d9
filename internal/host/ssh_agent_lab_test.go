package host_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// serve lets an agent answer on a socket.
func serve(t *testing.T, a agent.Agent) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(a, conn); _ = conn.Close() }()
		}
	}()
	return socket
}

// agentWith holds more keys than a server takes, and behind them the given one.
func agentWith(t *testing.T, key agent.AddedKey) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for range 8 {
		_, other, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: other}); err != nil {
			t.Fatal(err)
		}
	}
	if key.PrivateKey != nil {
		if err := ring.Add(key); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

// labKey is the key that every host of the lab takes, and its public half as a line of a file.
func labKey(t *testing.T) (private any, public string) {
	t.Helper()
	text, err := os.ReadFile(testLab.SSHKey())
	if err != nil {
		t.Fatal(err)
	}
	private, err = ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}

// home writes files below ~/.ssh, of which "config" is for one host behind a port.
func home(t *testing.T, h *lab.Host, port string, files map[string]string) (uri string) {
	t.Helper()
	dir := filepath.Join(noHome(t), ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files["known_hosts"] = knownOf(t, h, port)
	files["config"] = fmt.Sprintf("Host it\nHostName %s\nPort %s\nUser root\nIdentitiesOnly yes\n%s",
		h.Address, port, files["config"])
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "qemu+ssh://it/system"
}

func knownOf(t *testing.T, h *lab.Host, port string) string {
	t.Helper()
	path := testLab.KnownHosts()
	if port != "22" {
		path = knownAt(t, h, port)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAPublicHalfPicksTheAgentsKey(t *testing.T) {
	a := alpha(t)
	private, public := labKey(t)
	socket := serve(t, agentWith(t, agent.AddedKey{PrivateKey: private}))
	named := "IdentityFile ~/.ssh/k.pub\n"
	for name, c := range map[string]struct {
		files       map[string]string
		environment string
	}{
		"the public half":         {map[string]string{"k.pub": public, "config": named}, socket},
		"a private half not here": {map[string]string{"k.pub": public, "config": "IdentityFile ~/.ssh/k\n"}, socket},
		"a handle we cannot read": {map[string]string{"k.pub": public, "k": "a handle", "config": "IdentityFile ~/.ssh/k"}, socket},
		"a usual name":            {map[string]string{"id_ed25519.pub": public}, socket},
		"an agent of its own":     {map[string]string{"k.pub": public, "config": named + "IdentityAgent " + socket}, ""},
		"an agent of a variable":  {map[string]string{"k.pub": public, "config": named + `IdentityAgent "$AGENT"`}, ""},
		"a token for the home":    {map[string]string{"k.pub": public, "config": "IdentityFile %d/.ssh/k.pub\n"}, socket},
	} {
		t.Run(name, func(t *testing.T) {
			uri := home(t, a, "22", c.files)
			t.Setenv("SSH_AUTH_SOCK", c.environment)
			t.Setenv("AGENT", socket)
			dial(t, uri)
		})
	}
	t.Run("in the URI", func(t *testing.T) {
		uri := home(t, a, "22", map[string]string{"k.pub": public})
		t.Setenv("SSH_AUTH_SOCK", socket)
		dial(t, uri+"?keyfile=~/.ssh/k.pub")
	})
}

func TestAPublicHalfThatTheAgentDoesNotKnow(t *testing.T) {
	a := alpha(t)
	_, public := labKey(t)
	uri := home(t, a, "22", map[string]string{"k.pub": public, "config": "IdentityFile ~/.ssh/k.pub\n"})
	says := func(words ...string) {
		t.Helper()
		_, err := host.Dial(within(t, time.Minute), config(uri))
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v does not say %q", err, w)
			}
		}
	}
	says("k.pub", "there is no agent")
	t.Setenv("SSH_AUTH_SOCK", serve(t, agentWith(t, agent.AddedKey{})))
	says("k.pub", "the agent does not hold its private half")
}

func TestAKeyThatTheAgentDoesNotSignWithIsNamed(t *testing.T) {
	a := alpha(t)
	private, public := labKey(t)
	uri := home(t, a, "22", map[string]string{"k.pub": public, "config": "IdentityFile ~/.ssh/k.pub\n"})
	t.Setenv("SSH_AUTH_SOCK", serve(t, untouched{agentWith(t, agent.AddedKey{PrivateKey: private})}))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, uri, host.ErrDenied, "does not sign", ssh.FingerprintSHA256(signer.PublicKey()))
}

// untouched is an agent whose keys nobody touches.
type untouched struct{ agent.Agent }

func (untouched) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	return nil, errors.New("not touched")
}

func TestCertificatesOfUsers(t *testing.T) {
	a := alpha(t)
	const port = "2295"
	_, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(caKey)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, a, "/run/user_ca.pub", ssh.MarshalAuthorizedKey(ca.PublicKey()))
	sshd(t, a, port, "TrustedUserCAKeys=/run/user_ca.pub", "AuthorizedKeysFile=none")
	path, public := keypair(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{
		Key: public, CertType: ssh.UserCert, ValidPrincipals: []string{"root"},
		ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-port-forwarding": ""}},
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	k, pub, cert := string(text), string(ssh.MarshalAuthorizedKey(public)), string(ssh.MarshalAuthorizedKey(certificate))
	plain := serve(t, agentWith(t, agent.AddedKey{PrivateKey: private}))
	holding := serve(t, agentWith(t, agent.AddedKey{PrivateKey: private, Certificate: certificate}))
	const (
		one    = "IdentityFile ~/.ssh/k\n"
		half   = "IdentityFile ~/.ssh/k.pub\n"
		itself = "IdentityFile ~/.ssh/k-cert.pub\n"
		both   = one + "CertificateFile ~/.ssh/c\n"
	)
	for name, c := range map[string]struct {
		files  map[string]string
		socket string
	}{
		"beside the key":                  {map[string]string{"k": k, "k-cert.pub": cert, "config": one}, ""},
		"named":                           {map[string]string{"k": k, "c": cert, "config": both}, ""},
		"beside the public half":          {map[string]string{"k.pub": pub, "k-cert.pub": cert, "config": half}, plain},
		"named, the key is the agent's":   {map[string]string{"k.pub": pub, "c": cert, "config": both}, plain},
		"the file of the key":             {map[string]string{"k-cert.pub": cert, "config": itself}, plain},
		"in the agent, by itself":         {map[string]string{"k-cert.pub": cert, "config": itself}, holding},
		"in the agent, of the public key": {map[string]string{"k": k, "config": one}, holding},
	} {
		t.Run(name, func(t *testing.T) {
			uri := home(t, a, port, c.files)
			t.Setenv("SSH_AUTH_SOCK", c.socket)
			dial(t, uri)
		})
	}
	t.Run("another key's", func(t *testing.T) {
		other, _ := keypair(t)
		text, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		uri := home(t, a, port, map[string]string{"k": string(text), "c": cert, "config": both})
		refuses(t, uri, host.ErrDenied)
	})
}

// token is an agent with one key of the kind that FIDO tokens have, which signs as they do after a touch.
type token struct {
	agent.Agent
	key  ssh.PublicKey
	sign func(message []byte) (format string, blob []byte)
}

const application = "ssh:"

func (tk token) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: tk.key.Type(), Blob: tk.key.Marshal()}}, nil
}

func (tk token) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	if !bytes.Equal(key.Marshal(), tk.key.Marshal()) {
		return nil, errors.New("another key")
	}
	// a flag and a counter: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.u2f
	touched := []byte{1, 0, 0, 0, 7}
	app, digest := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	format, blob := tk.sign(bytes.Join([][]byte{app[:], touched, digest[:]}, nil))
	return &ssh.Signature{Format: format, Blob: blob, Rest: touched}, nil
}

func ed25519Token(t *testing.T) token {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const kind = ssh.KeyAlgoSKED25519
	return newToken(t, ssh.Marshal(struct {
		Kind        string
		Key         []byte
		Application string
	}{kind, public, application}), func(message []byte) (string, []byte) { return kind, ed25519.Sign(private, message) })
}

func ecdsaToken(t *testing.T) token {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const kind = ssh.KeyAlgoSKECDSA256
	return newToken(t, ssh.Marshal(struct {
		Kind, Curve string
		Key         []byte
		Application string
	}{kind, "nistp256", point, application}), func(message []byte) (string, []byte) {
		digest := sha256.Sum256(message)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			t.Error(err)
		}
		return kind, ssh.Marshal(struct{ R, S *big.Int }{r, s})
	})
}

func newToken(t *testing.T, blob []byte, sign func([]byte) (string, []byte)) token {
	t.Helper()
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	return token{agent.NewKeyring(), key, sign}
}

func TestKeysOnTokens(t *testing.T) {
	a := alpha(t)
	const port = "2294"
	tokens := map[string]token{"ed25519": ed25519Token(t), "ecdsa": ecdsaToken(t)}
	var lines []byte
	for _, tk := range tokens {
		lines = append(lines, ssh.MarshalAuthorizedKey(tk.key)...)
	}
	replace(t, a, "/run/token_keys", lines)
	sshd(t, a, port, "AuthorizedKeysFile=/run/token_keys")
	for name, tk := range tokens {
		t.Run(name, func(t *testing.T) {
			uri := home(t, a, port, map[string]string{
				"k_sk": "a handle", "k_sk.pub": string(ssh.MarshalAuthorizedKey(tk.key)), "config": "IdentityFile ~/.ssh/k_sk\n",
			})
			t.Setenv("SSH_AUTH_SOCK", serve(t, tk))
			dial(t, uri)
		})
	}
}
