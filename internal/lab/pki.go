package lab

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
)

// keys are the secrets of a lab. They are worthless outside it and vanish with it.
type keys struct {
	authority  *Authority
	authorized string            // the line that lets the controller log in
	hosts      map[string]string // host name → its private SSH key
}

// Authority signs the lab's certificates. Tests make others, to be refused.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// PEM is the authority's own certificate.
	PEM []byte
}

// Certificate is a signed certificate and its key, both PEM.
type Certificate struct{ PEM, KeyPEM []byte }

// NewAuthority makes a certificate authority.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// Sign makes a certificate for server and client use. The first name is also the common name;
// names that are addresses become address entries. The certificate ends at the given time.
func (a *Authority) Sign(until time.Time, names ...string) (Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Certificate{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

func inTenYears() time.Time { return time.Now().Add(10*365*24*time.Hour - 24*time.Hour) }

// writeKeys makes the lab's secrets and writes the controller's share of them.
func (l *Lab) writeKeys() (keys, error) {
	k := keys{hosts: map[string]string{}}
	var err error
	if k.authority, err = NewAuthority("virtmigrate lab " + l.Name); err != nil {
		return k, err
	}
	own, err := k.authority.Sign(inTenYears(), "controller", l.Controller.String())
	if err != nil {
		return k, err
	}
	login, public, err := sshKey()
	if err != nil {
		return k, err
	}
	k.authorized = string(ssh.MarshalAuthorizedKey(public))
	var known string
	for _, host := range l.Hosts {
		private, public, err := sshKey()
		if err != nil {
			return k, err
		}
		k.hosts[host.Name] = private
		known += fmt.Sprintf("%s,%s %s", host.Address, host.Name, ssh.MarshalAuthorizedKey(public))
	}
	authorityKey, err := x509.MarshalPKCS8PrivateKey(k.authority.key)
	if err != nil {
		return k, err
	}
	return k, writeFiles(map[string][]byte{
		filepath.Join(l.PKIDir(), "cacert.pem"):      k.authority.PEM,
		filepath.Join(l.PKIDir(), "clientcert.pem"):  own.PEM,
		filepath.Join(l.PKIDir(), "clientkey.pem"):   own.KeyPEM,
		filepath.Join(l.dir, "pki", "authority.pem"): k.authority.PEM,
		filepath.Join(l.dir, "pki", "authority.key"): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: authorityKey}),
		l.SSHKey():          []byte(login),
		l.SSHKey() + ".pub": []byte(k.authorized),
		l.KnownHosts():      []byte(known),
	})
}

// Authority returns the authority that signed the hosts' certificates.
func (l *Lab) Authority() (*Authority, error) {
	certificate, err := os.ReadFile(filepath.Join(l.dir, "pki", "authority.pem"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(l.dir, "pki", "authority.key"))
	if err != nil {
		return nil, err
	}
	certBlock, _ := pem.Decode(certificate)
	keyBlock, _ := pem.Decode(key)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("the lab's authority is not PEM")
	}
	parsed, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	return &Authority{parsed, private.(*ecdsa.PrivateKey), certificate}, nil
}

// writeCertificates gives the host its certificates: for the daemon (as server, and as root's
// client towards the other hosts) and for QEMU.
func (h *Host) writeCertificates(k keys) error {
	c, err := k.authority.Sign(inTenYears(), h.Name, h.Address.String())
	if err != nil {
		return err
	}
	return errors.Join(h.SetDaemonCertificate(k.authority, c), h.SetQEMUCertificate(k.authority, c))
}

// SetDaemonCertificate replaces what the libvirt daemon shows and trusts. A running daemon reads
// it when it is restarted.
func (h *Host) SetDaemonCertificate(a *Authority, c Certificate) error {
	return rewriteFiles(map[string][]byte{
		h.Path("/etc/pki/CA/cacert.pem"):                 a.PEM,
		h.Path("/etc/pki/libvirt/servercert.pem"):        c.PEM,
		h.Path("/etc/pki/libvirt/clientcert.pem"):        c.PEM,
		h.Path("/etc/pki/libvirt/private/serverkey.pem"): c.KeyPEM,
		h.Path("/etc/pki/libvirt/private/clientkey.pem"): c.KeyPEM,
	})
}

// SetQEMUCertificate replaces what QEMU shows and trusts when it migrates. QEMU reads it at the
// start of each migration.
func (h *Host) SetQEMUCertificate(a *Authority, c Certificate) error {
	account, _, err := qemuAccount()
	if err != nil {
		return err
	}
	dir := h.Path("/etc/pki/qemu")
	err = rewriteFiles(map[string][]byte{
		filepath.Join(dir, "ca-cert.pem"):     a.PEM,
		filepath.Join(dir, "server-cert.pem"): c.PEM,
		filepath.Join(dir, "client-cert.pem"): c.PEM,
		filepath.Join(dir, "server-key.pem"):  c.KeyPEM,
		filepath.Join(dir, "client-key.pem"):  c.KeyPEM,
	})
	return errors.Join(err, ownedBy(filepath.Join(dir, "server-key.pem"), account), ownedBy(filepath.Join(dir, "client-key.pem"), account))
}

// sshKey returns a private key in OpenSSH's format and its public half.
func sshKey() (string, ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "virtmigrate lab")
	if err != nil {
		return "", nil, err
	}
	key, err := ssh.NewPublicKey(public)
	return string(pem.EncodeToMemory(block)), key, err
}

// rewriteFiles is writeFiles for files that a running host has already: it would not see others that take their place.
func rewriteFiles(files map[string][]byte) error {
	fresh := map[string][]byte{}
	for path, content := range files {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if errors.Is(err, os.ErrNotExist) {
			fresh[path] = content
			continue
		}
		if err == nil {
			_, err = file.Write(content)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			return err
		}
	}
	return writeFiles(fresh)
}

// writeFiles writes small files, with their directories. Whatever is a key is for its owner only.
func writeFiles(files map[string][]byte) error {
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if block, _ := pem.Decode(content); block != nil && block.Type != "CERTIFICATE" {
			mode = 0o600
		}
		if err := writeWhole(path, content, mode); err != nil {
			return err
		}
	}
	return nil
}
