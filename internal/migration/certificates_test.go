package migration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// someFiles is a host's file system for tests; a path in denied may not be read.
type someFiles struct {
	fstest.MapFS
	denied map[string]bool
}

func (f someFiles) Read(path string, _ int64) ([]byte, error) {
	if f.denied[path] {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrPermission}
	}
	return f.ReadFile(strings.TrimPrefix(path, "/"))
}
func (f someFiles) Stat(path string) (fs.FileInfo, error) {
	return f.MapFS.Stat(strings.TrimPrefix(path, "/"))
}
func (f someFiles) Clock() (time.Time, error) { return noon, nil }
func (f someFiles) Close() error              { return nil }

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(1000 * time.Hour)}
	a.pem = a.sign(t, a.cert, a.cert, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a authority) sign(t *testing.T, cert, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// issue makes a certificate for a name, for both uses unless told otherwise.
func (a authority) issue(t *testing.T, name string, change func(*x509.Certificate)) []byte {
	t.Helper()
	cert := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(900 * time.Hour)}
	if change != nil {
		change(cert)
	}
	return a.sign(t, cert, a.cert, newKey(t))
}

var noon = time.Date(2031, 5, 6, 12, 0, 0, 0, time.UTC)

func TestCertificatesSayBeforehandWhyTLSCannotWork(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	good := func(name string) map[string][]byte {
		own := ca.issue(t, name, nil)
		return map[string][]byte{caFile: ca.pem, serverFile: own, clientFile: own}
	}
	const dir = "/etc/pki/qemu/"
	for name, c := range map[string]struct {
		change    func(src, dst map[string][]byte)
		denied    string
		ruledOut  string // "" when nothing rules it out
		confirm   string
		warning   string
		tlsName   string
		somewhere string // the someFiles, where it is not dir
	}{
		"all is well":           {confirm: "can read the keys"},
		"no server certificate": {change: func(_, dst map[string][]byte) { delete(dst, serverFile) }, ruledOut: "QEMU on b has no server-cert.pem in /etc/pki/qemu"},
		"no client certificate": {change: func(src, _ map[string][]byte) { delete(src, clientFile) }, ruledOut: "QEMU on a has no client-cert.pem"},
		"no authority":          {change: func(src, _ map[string][]byte) { delete(src, caFile) }, ruledOut: "QEMU on a has no ca-cert.pem"},
		"rubbish":               {change: func(_, dst map[string][]byte) { dst[serverFile] = []byte("hello") }, ruledOut: "there is no certificate in it"},
		"expired": {change: func(_, dst map[string][]byte) {
			dst[serverFile] = ca.issue(t, "b.example", func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Minute) })
		}, ruledOut: "expired on 2031-05-06"},
		"not yet valid": {change: func(src, _ map[string][]byte) {
			src[clientFile] = ca.issue(t, "a.example", func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Minute) })
		}, ruledOut: "is not valid before 2031-05-06T12:01:00Z"},
		"for another name":       {change: func(_, dst map[string][]byte) { dst[serverFile] = ca.issue(t, "c.example", nil) }, ruledOut: `is for "c.example", and not for "b.example"`},
		"another name asked for": {tlsName: "c.example", ruledOut: `is for "b.example", and not for "c.example"`},
		"server of another CA":   {change: func(_, dst map[string][]byte) { dst[serverFile] = other.issue(t, "b.example", nil) }, ruledOut: "QEMU on a does not trust the certificate of b"},
		"client of another CA":   {change: func(src, _ map[string][]byte) { src[clientFile] = other.issue(t, "a.example", nil) }, ruledOut: "QEMU on b does not trust the certificate of a"},
		"a server's for the client": {change: func(src, _ map[string][]byte) {
			src[clientFile] = ca.issue(t, "a.example", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
		}, ruledOut: "for a client"},
		"only a common name": {change: func(_, dst map[string][]byte) {
			dst[serverFile] = ca.issue(t, "b.example", func(c *x509.Certificate) { c.DNSNames = nil })
		}, confirm: "can read the keys"},
		"two authorities in one file": {change: func(src, _ map[string][]byte) { src[caFile] = append(append([]byte{}, other.pem...), ca.pem...) }, confirm: "can read the keys"},
		"expires in a week": {change: func(_, dst map[string][]byte) {
			dst[serverFile] = ca.issue(t, "b.example", func(c *x509.Certificate) { c.NotAfter = noon.Add(7 * 24 * time.Hour) })
		}, confirm: "can read the keys", warning: "expires on 2031-05-13"},
		"not to be looked at":     {denied: dir + serverFile, confirm: "certificates one CA signed"},
		"libvirt's own someFiles": {somewhere: "/etc/pki/libvirt-migrate/", confirm: "/etc/pki/libvirt-migrate"},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := good("a.example"), good("b.example")
			if c.change != nil {
				c.change(src, dst)
			}
			fa := someFacts()
			fa.destination.cfg.TLSDestination = c.tlsName
			look := func(files map[string][]byte) *certificates {
				f := someFiles{fstest.MapFS{}, map[string]bool{c.denied: true}}
				for name, text := range maps.All(files) {
					where := dir
					if c.somewhere != "" {
						where = c.somewhere
					}
					f.MapFS[strings.TrimPrefix(where, "/")+name] = &fstest.MapFile{Data: text}
				}
				return lookAtCertificates(f, "", noon)
			}
			fa.source.certificates, fa.destination.certificates = look(src), look(dst)
			p := decide(Options{}, fa)
			if c.ruledOut != "" {
				if p.Transport == TransportTLS || !strings.Contains(p.RuledOut[TransportTLS], c.ruledOut) {
					t.Errorf("took %s; tls: %q, want %q", p.Transport, p.RuledOut[TransportTLS], c.ruledOut)
				}
				return
			}
			if p.Transport != TransportTLS {
				t.Fatalf("took %s: %s", p.Transport, p.Reason)
			}
			if confirm := strings.Join(p.ToBeConfirmed, "; "); !strings.Contains(confirm, c.confirm) {
				t.Errorf("to be confirmed: %q, want %q", confirm, c.confirm)
			}
			if warnings := strings.Join(p.Warnings, "; "); c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
		})
	}
}

func TestFailuresAfterTheFirstByteAreNotTriedAgain(t *testing.T) {
	for text, want := range map[string]bool{
		"operation failed: migration out job: Certificate does not match the hostname b":                                                                 true,
		"internal error: unable to execute QEMU command 'object-add': Unable to access credentials /etc/pki/qemu/ca-cert.pem: No such file or directory": true,
		"operation failed: migration out job: Unable to write to socket: Connection reset by peer":                                                       false,
		"operation failed: migration out job: Cannot read from TLS channel: Input/output error":                                                          false,
		"operation aborted: migration out: canceled by client":                                                                                           false,
	} {
		if got := beforeMemory(errors.New(text)); got != want {
			t.Errorf("%q: before memory %v, want %v", text, got, want)
		}
	}
}

func FuzzCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseCertificates(text)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d certificates and error %v", len(list), err)
		}
		c := &certificates{dir: "/d", roots: list, server: list, client: list, at: noon}
		fa := someFacts()
		fa.source.certificates, fa.destination.certificates = c, c
		decide(Options{}, fa)
	})
}
