package labtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// Planted is the controller's way into the lab, with secrets that can be told from all others.
type Planted struct {
	Secrets
	// Folder has the keys, and is the one place where they may be.
	Folder string
	// Variable is what a user has in the environment: NAME=secret.
	Variable string
	lab      *lab.Lab
}

// TheVariable is the secret in [Planted.Variable].
const TheVariable = "the password in the environment"

// Plant copies the controller's keys into a folder. Each has a line before it that is a secret of its own, as a key
// that its passphrase is kept with: who repeats any part of the file is found.
func Plant(t testing.TB) *Planted {
	t.Helper()
	l := Lab(t)
	// the relays' own keys are made within them: whoever writes one down writes this before it
	p := &Planted{Secrets: Secrets{TheVariable: "marker-of-the-environment-77ab1c", "a private key of whomever": "PRIVATE KEY-----\n"}, Folder: t.TempDir(), lab: l}
	p.Variable = "DATABASE_PASSWORD=" + p.Secrets[TheVariable]
	for _, file := range []string{l.SSHKey(), filepath.Join(l.PKIDir(), "clientkey.pem"), filepath.Join(l.PKIDir(), "clientcert.pem"), filepath.Join(l.PKIDir(), "cacert.pem")} {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if block, _ := pem.Decode(text); block == nil {
			t.Fatalf("%s is not PEM", file)
		} else if block.Type != "CERTIFICATE" {
			p.Secrets["the key in "+name] = private(t, block, text)
			p.Secrets["the passphrase in "+name] = "passphrase-of-" + name + "-93e0d2"
			text = append([]byte(p.Secrets["the passphrase in "+name]+"\n"), text...)
		}
		if err := os.WriteFile(filepath.Join(p.Folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found, _ := p.InFiles(t, p.Folder); len(found) < 2 {
		t.Fatalf("the planted secrets are not found where they are: %q", found)
	}
	return p
}

// private is the secret half of a key, as it is in the memory of whoever uses it.
func private(t testing.TB, block *pem.Block, text []byte) string {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		key, err = ssh.ParseRawPrivateKey(text)
	}
	switch key := key.(type) {
	case *ed25519.PrivateKey:
		return string(key.Seed())
	case *ecdsa.PrivateKey:
		if secret, err := key.Bytes(); err == nil {
			return string(secret)
		}
	}
	t.Fatalf("a key of an unknown kind: %T, %v", key, err)
	return ""
}

// URI leads to a host by SSH or TLS, with the planted keys.
func (p *Planted) URI(h *lab.Host, kind lab.Kind) string {
	if kind == lab.TLS {
		return fmt.Sprintf("qemu+tls://%s/system?pkipath=%s", h.Address, p.Folder)
	}
	return fmt.Sprintf("qemu+ssh://root@%s/system?keyfile=%s&known_hosts=%s", h.Address, filepath.Join(p.Folder, filepath.Base(p.lab.SSHKey())), p.lab.KnownHosts())
}

// OnHosts are the folders of the lab's hosts in which something could be left.
func (p *Planted) OnHosts() []string {
	var folders []string
	for _, h := range p.lab.Hosts {
		for _, folder := range []string{"/root", "/home", "/tmp", "/var/tmp", "/run", "/var/log", "/var/lib/libvirt/qemu"} {
			folders = append(folders, h.Path(folder))
		}
	}
	return folders
}
