package host

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/ssh"
)

// publicKey is an ed25519 key of its own for each seed.
func publicKey(t testing.TB, seed byte) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pinnedIn(t *testing.T, host, text string) *pinned {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := hop{host: host, port: 22, knownHosts: []string{file}, pinTo: file, direct: true}.pinned()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestALineThatCannotBeReadIsSkipped: it says nothing about the hosts of the other lines.
func TestALineThatCannotBeReadIsSkipped(t *testing.T) {
	good := "alpha,10.0.0.1 " + string(ssh.MarshalAuthorizedKey(publicKey(t, 1)))
	future := bytes.Replace(publicKey(t, 3).Marshal(), []byte("ssh-ed25519"), []byte("ssh-future0"), 1)
	from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 22}
	for name, bad := range map[string]string{
		"no key":              "beta ssh-ed25519",
		"no base64":           "beta ssh-ed25519 AAAA%",
		"half a key":          "beta ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
		"a new kind of key":   "beta ssh-future0 " + base64.StdEncoding.EncodeToString(future),
		"one word":            "<<<<<<<",
		"a broken hash":       "|1|F1E1|x " + string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(publicKey(t, 3)))),
		"a broken address":    "[beta:22 " + string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(publicKey(t, 3)))),
		"a long line":         "beta ssh-ed25519 " + strings.Repeat("A", 70000),
		"a very long comment": "#" + strings.Repeat("A", 70000),
	} {
		t.Run(name, func(t *testing.T) {
			k := pinnedIn(t, "alpha", "# ours\n"+bad+"\n"+good)
			if err := k.check("", from, publicKey(t, 1)); err != nil {
				t.Error(err)
			}
			if d := k.db.skipped; len(d) != 1 || !strings.HasSuffix(d[0], "known_hosts line 2") {
				t.Errorf("skipped %q", d)
			}
			err := k.check("", from, publicKey(t, 2))
			if err == nil || !strings.Contains(err.Error(), k.hop.pinTo+" line 3") {
				t.Errorf("the error of a changed key: %v", err)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "virtmigrate-known-hosts-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestSkippedLinesAreNamed in the log.
func TestSkippedLinesAreNamed(t *testing.T) {
	configured(t, "")
	file := filepath.Join(t.TempDir(), "known")
	lines := "alpha ssh-ed25519 nonsense\nbeta " + string(ssh.MarshalAuthorizedKey(publicKey(t, 1)))
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := Config{
		Name: "alpha", URI: "qemu+ssh://root@alpha/system?known_hosts=" + file,
		Log: hclog.New(&hclog.LoggerOptions{Output: &log}),
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), file+" line 1") || !strings.Contains(log.String(), "WARN") {
		t.Errorf("log %q", log.String())
	}
}

// TestNoSignatureOfSHA1IsAskedFor, whether a key is pinned or the authority that signs it.
func TestNoSignatureOfSHA1IsAskedFor(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for marker, want := range map[string][]string{
		"":                 {ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
		"@cert-authority ": {ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSASHA512v01},
	} {
		got := pinnedIn(t, "alpha", marker+"alpha "+string(ssh.MarshalAuthorizedKey(key))).algorithms
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", marker, got, want)
		}
	}
}
