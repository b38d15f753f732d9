package host

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host/sshconfig"
)

// FuzzSSHConfig: whatever a user's configuration says, the way to a host is found or refused, and is no longer than we go.
func FuzzSSHConfig(f *testing.F) {
	f.Add([]byte("Host away\n  HostName 10.0.0.2\n  ProxyJump operator@door:22,[::1]:2222\nHost *\n  User root\n  IdentityFile ~/.ssh/%h\n"))
	f.Add([]byte("Host a*\nProxyJump away\n"))
	f.Add([]byte("Match exec \"touch /tmp/never\"\n  Port 1\nMatch all\n  Port 0\n"))
	f.Add([]byte("Match final all\nProxyJump b,c\nMatch host c\nHostName %h.d\n"))
	f.Add([]byte("Port=99999\nHostKeyAlias \"x\"\nUserKnownHostsFile none\nProxyCommand nc %h %p\n"))
	file := filepath.Join(f.TempDir(), "config")
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(bytes.ToLower(text), []byte("include")) {
			return // which would read whatever files this machine has
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		way, err := target{conn: overSSH, host: "away"}.hops(sshconfig.Files{User: file, LocalUser: "me"})
		if err == nil && (len(way) == 0 || len(way) > mostHops) {
			t.Errorf("a way over %d hosts", len(way))
		}
		for _, hop := range way {
			if hop.port < 1 || hop.port > 65535 {
				t.Errorf("port %d", hop.port)
			}
		}
	})
}

// FuzzKnownHosts: a key that nobody pinned is never taken, whatever the file has.
func FuzzKnownHosts(f *testing.F) {
	public := func(seed byte) ssh.PublicKey {
		key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)).Public())
		if err != nil {
			f.Fatal(err)
		}
		return key
	}
	pinnedKey, stranger := public(1), public(2)
	line := ssh.MarshalAuthorizedKey(pinnedKey)
	f.Add(append([]byte("alpha,10.0.0.1 "), line...))
	f.Add(append([]byte("@cert-authority * "), line...))
	f.Add(append([]byte("@revoked * "), line...))
	f.Add(append([]byte("[alpha]:22,!beta,a?p* "), line...))
	f.Add(append([]byte("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= "), line...))
	f.Add([]byte("# nothing\n\nalpha ssh-ed25519 AAAA\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(dir, "known_hosts")
		readable := slices.Concat([]byte("beta "), line, []byte("\n"), text)
		if err := os.WriteFile(file, readable, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := hop{host: "alpha", port: 22, knownHosts: []string{file}, pinTo: file, direct: true}.pinned()
		if err != nil {
			t.Fatalf("a line of the file is in the way of the others: %v", err)
		}
		if err := k.check("", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 22}, stranger); err == nil {
			t.Error("a stranger was taken for alpha")
		}
	})
}

// FuzzHostKey: what host_key holds is pinned, and a key that is not in it is never taken.
func FuzzHostKey(f *testing.F) {
	stranger, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)).Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5uOTWqzB1rxBBYwYSuzOjVxm/GGC0pgXSvvZbZlNzU root@alpha\n\n# another\n")
	f.Add("ssh-rsa AAAAB3NzaC1yc2E=")
	f.Add("alpha ssh-ed25519 AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseHostKeys(text)
		if err != nil {
			return
		}
		k, err := hop{host: "alpha", port: 22, hostKeys: keys}.pinned()
		if err != nil || len(k.algorithms) == 0 {
			t.Fatalf("%d keys, algorithms %q, %v", len(keys), k.algorithms, err)
		}
		for _, key := range keys {
			if err := k.check("", nil, key); err != nil {
				t.Error(err)
			}
		}
		if err := k.check("", nil, stranger); err == nil {
			t.Error("a stranger was taken for alpha")
		}
	})
}
