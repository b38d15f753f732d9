package migration

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// certificates are what could be seen of QEMU's certificates on one host, which its own TLS uses: the
// public files alone, never a key. Nothing here proves that a handshake succeeds; much proves that it
// cannot.
type certificates struct {
	dir string
	// roots are the certificates of ca-cert.pem; server and client this host's own when it receives and
	// when it sends. nil where the file could not be seen, and then the reason is one of the next.
	roots          []*x509.Certificate
	server, client chain
	// missing are files that are known not to be there, broken those that cannot be used as they are.
	missing, broken []string
	// unseen says why a file could not be looked at, "" when all could.
	unseen string
	at     time.Time
}

// chain is a host's own certificate and those below its root, empty where it could not be seen.
type chain []*x509.Certificate

// QEMU's names: https://www.qemu.org/docs/master/system/tls.html
const (
	caFile         = "ca-cert.pem"
	serverFile     = "server-cert.pem"
	clientFile     = "client-cert.pem"
	maxCertificate = 1 << 20
)

// certificateDirs are where libvirt looks, unless qemu.conf names another folder: the first that exists
// when the daemon starts (https://libvirt.org/migration.html).
var certificateDirs = []string{"/etc/pki/libvirt-migrate", "/etc/pki/qemu"}

// publicFiles are the files of a host that its login may read. *host.Files is the real one.
type publicFiles interface {
	Read(path string, limit int64) ([]byte, error)
	Stat(path string) (fs.FileInfo, error)
	// Clock is what the host's clock shows.
	Clock() (time.Time, error)
	Close() error
}

// seesHost says whether a login sees the host's own tree. One that is locked into a folder (a chroot of
// its SSH server) would report everything else as missing.
func seesHost(files publicFiles) bool {
	_, err := files.Stat("/proc/version")
	return err == nil
}

// lookAtCertificates reads the public ones among the files of a host. dir is the folder the user named,
// "" for libvirt's own choice.
func lookAtCertificates(files publicFiles, dir string, now time.Time) *certificates {
	c := &certificates{dir: dir, at: now}
	if dir == "" {
		c.dir = certificateDirs[len(certificateDirs)-1]
		for _, d := range certificateDirs {
			if _, err := files.Stat(d); err == nil {
				c.dir = d
				break
			}
		}
	}
	one := func(name string) []*x509.Certificate {
		text, err := files.Read(path.Join(c.dir, name), maxCertificate)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.missing = append(c.missing, name)
			return nil
		case err != nil:
			c.unseen = fmt.Sprintf("%s: %v", path.Join(c.dir, name), err)
			return nil
		}
		list, err := parseCertificates(text)
		if err != nil {
			c.broken = append(c.broken, fmt.Sprintf("%s: %v", name, err))
		}
		return list
	}
	c.roots = one(caFile)
	c.server, c.client = one(serverFile), one(clientFile)
	return c
}

// parseCertificates reads every certificate of a PEM file; at least one must be there.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return list, nil
}

// unusable gives the fact of one host that rules QEMU's TLS out, "" when none is known.
func (c *certificates) unusable(key string) string {
	switch {
	case c == nil:
		return ""
	case len(c.missing) > 0:
		return fmt.Sprintf("QEMU on %s has no %s in %s", key, c.missing[0], c.dir)
	case len(c.broken) > 0:
		return fmt.Sprintf("QEMU on %s cannot use %s", key, path.Join(c.dir, c.broken[0]))
	}
	if why := outOfDate(c.server, c.at); why != "" {
		return fmt.Sprintf("QEMU's %s on %s %s", path.Join(c.dir, serverFile), key, why)
	}
	if why := outOfDate(c.client, c.at); why != "" {
		return fmt.Sprintf("QEMU's %s on %s %s", path.Join(c.dir, clientFile), key, why)
	}
	for _, root := range c.roots {
		if outOfDate(chain{root}, c.at) == "" {
			return ""
		}
	}
	if len(c.roots) > 0 {
		return fmt.Sprintf("QEMU's %s on %s %s", path.Join(c.dir, caFile), key, outOfDate(c.roots[:1], c.at))
	}
	return ""
}

func outOfDate(own chain, now time.Time) string {
	for _, cert := range own {
		switch {
		case now.After(cert.NotAfter):
			return "expired on " + cert.NotAfter.UTC().Format(time.DateOnly)
		case now.Before(cert.NotBefore):
			return "is not valid before " + cert.NotBefore.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// certificatesRuledOut gives the fact of a pair of hosts that rules QEMU's TLS out between them.
func certificatesRuledOut(fa facts) string {
	src, dst := fa.source.certificates, fa.destination.certificates
	if dst != nil && len(dst.server) > 0 {
		if name := fa.destination.tlsName(); name != "" && !namedFor(dst.server[0], name) {
			return fmt.Sprintf("QEMU's certificate on %s is for %s, and not for %q", fa.destination.key, namesIn(dst.server[0]), name)
		}
	}
	if src == nil || dst == nil {
		return ""
	}
	if len(dst.server) > 0 && len(src.roots) > 0 && !signedBy(dst.server, src.roots, x509.ExtKeyUsageServerAuth, dst.at) {
		return fmt.Sprintf("QEMU on %s does not trust the certificate of %s: it is not signed by its %s for a server", fa.source.key, fa.destination.key, caFile)
	}
	if len(src.client) > 0 && len(dst.roots) > 0 && !signedBy(src.client, dst.roots, x509.ExtKeyUsageClientAuth, src.at) {
		return fmt.Sprintf("QEMU on %s does not trust the certificate of %s: it is not signed by its %s for a client", fa.destination.key, fa.source.key, caFile)
	}
	return ""
}

// namedFor follows GnuTLS, which QEMU uses: the common name counts where there is no alternative name.
func namedFor(cert *x509.Certificate, name string) bool {
	if cert.VerifyHostname(name) == nil {
		return true
	}
	return len(cert.DNSNames) == 0 && len(cert.IPAddresses) == 0 && cert.Subject.CommonName == name
}

func namesIn(cert *x509.Certificate) string {
	words := ""
	add := func(name string) {
		if words != "" {
			words += ", "
		}
		words += fmt.Sprintf("%q", name)
	}
	for _, name := range cert.DNSNames {
		add(name)
	}
	for _, ip := range cert.IPAddresses {
		add(ip.String())
	}
	if words == "" {
		add(cert.Subject.CommonName)
	}
	return words
}

// signedBy says whether the roots vouch for a certificate in this use. What Go refuses and GnuTLS may
// take, such as an old signature algorithm, is left to the handshake.
func signedBy(own chain, roots []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) bool {
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range roots {
		trusted.AddCert(root)
	}
	for _, cert := range own[1:] {
		between.AddCert(cert)
	}
	_, err := own[0].Verify(x509.VerifyOptions{Roots: trusted, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid):
		return invalid.Reason != x509.IncompatibleUsage
	case errors.As(err, &unknown):
		for _, root := range roots {
			var insecure x509.InsecureAlgorithmError
			err := own[len(own)-1].CheckSignatureFrom(root)
			if errors.As(err, &insecure) || errors.Is(err, x509.ErrUnsupportedAlgorithm) {
				return true
			}
		}
		return false
	}
	return true
}

// certificatesUnusable gives the fact that rules QEMU's TLS out by its certificates, "" when none is known.
func certificatesUnusable(fa facts) string {
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if why := h.certificates.unusable(h.key); why != "" {
			return why
		}
	}
	return certificatesRuledOut(fa)
}

// checkCertificates refuses what would only fail at the handshake. Without a wish for tls, certificates that
// do not fit only rule that transport out.
func checkCertificates(p *Plan, o Options, fa facts, block blocker) string {
	why := certificatesUnusable(fa)
	switch {
	case why != "" && o.Transport == TransportTLS:
		block("certificates", "", "transport tls is not possible: %s", why)
	case why != "":
		return "they rule transport tls out, and another one was chosen: " + why
	case p.Transport != TransportTLS:
		return "they are not used: the transport is another one"
	default:
		p.Warnings = append(p.Warnings, certificateWarnings(fa)...)
		p.ToBeConfirmed = append(p.ToBeConfirmed, certificatesToBeConfirmed(fa))
	}
	return ""
}

// soonExpired is how long before its end a certificate is warned about.
const soonExpired = 14 * 24 * time.Hour

// certificateWarnings names what will soon be a blocker.
func certificateWarnings(fa facts) []string {
	var out []string
	for _, own := range []struct {
		h    hostFacts
		name string
		cert func(*certificates) chain
	}{
		{fa.source, clientFile, func(c *certificates) chain { return c.client }},
		{fa.destination, serverFile, func(c *certificates) chain { return c.server }},
	} {
		c := own.h.certificates
		if c == nil || len(own.cert(c)) == 0 {
			continue
		}
		if end := own.cert(c)[0].NotAfter; end.Sub(c.at) < soonExpired {
			out = append(out, fmt.Sprintf("QEMU's %s on %s expires on %s", path.Join(c.dir, own.name), own.h.key, end.UTC().Format(time.DateOnly)))
		}
	}
	return out
}

// certificatesToBeConfirmed is what only the handshake can prove.
func certificatesToBeConfirmed(fa facts) string {
	src, dst := fa.source.certificates, fa.destination.certificates
	if src != nil && dst != nil && src.unseen == "" && dst.unseen == "" {
		return fmt.Sprintf("that QEMU on %s and %s can read the keys of its certificates in %s, and that qemu.conf names no other folder", fa.source.key, fa.destination.key, dst.dir)
	}
	return fmt.Sprintf("that QEMU on %s and %s has certificates one CA signed, and that the destination's is for the name %q",
		fa.source.key, fa.destination.key, fa.destination.tlsName())
}

// certificatesKept is how long what was seen of a host's certificates is good for further plans.
const certificatesKept = time.Minute

// lookLimit bounds the look at a host's files.
const lookLimit = 10 * time.Second

// look returns what can be seen of the host's certificates and its clock; nil where there is no login, or it
// does not get there: then it is the handshake that confirms them.
func (m *member) look(ctx context.Context, fresh bool) (*certificates, *clock) {
	m.looking.Lock()
	defer m.looking.Unlock()
	if c := m.certificates; !fresh && c != nil && time.Since(m.lookedAt) < certificatesKept {
		return c, m.clock
	}
	d, _, err := m.reach(ctx, true)
	if err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	files, err := d.Files(ctx)
	if err != nil {
		return nil, nil
	}
	defer files.Close()
	if !seesHost(files) {
		return nil, nil
	}
	m.clock = readClock(files)
	now := time.Now()
	if m.clock != nil {
		now = now.Add(m.clock.ahead) // QEMU judges by its own host's clock
	}
	m.certificates = lookAtCertificates(files, m.cfg.TLSCertificatesDir, now)
	m.lookedAt = time.Now()
	return m.certificates, m.clock
}
