package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pkiFiles are the controller's files for TLS.
type pkiFiles struct{ ca, cert, key string }

// pki finds the files: in pkipath, else in the user's folder, else in the system's. As with libvirt's own
// client, a user's folder counts only when it has all that is needed.
func (t target) pki() (pkiFiles, error) {
	in := func(dir string) pkiFiles {
		return pkiFiles{filepath.Join(dir, "cacert.pem"), filepath.Join(dir, "clientcert.pem"), filepath.Join(dir, "clientkey.pem")}
	}
	if t.pkipath != "" {
		return in(expandHome(t.pkipath)), nil
	}
	if home, err := os.UserHomeDir(); err == nil {
		f := in(filepath.Join(home, ".pki", "libvirt"))
		if exist(f.ca, f.cert, f.key) {
			return f, nil
		}
	}
	system := pkiFiles{"/etc/pki/CA/cacert.pem", "/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem"}
	if !exist(system.ca) {
		return pkiFiles{}, errors.New("no certificates for qemu+tls: neither ~/.pki/libvirt nor /etc/pki has them; name their folder with ?pkipath=")
	}
	return system, nil
}

func exist(paths ...string) bool {
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return false
		}
	}
	return true
}

// tlsConfig loads the authority that the daemon must be certified by, and our own certificate. A daemon
// may ask for none, hence ours may be missing; half a pair may not.
func (t target) tlsConfig() (*tls.Config, error) {
	files, err := t.pki()
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(files.ca)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", files.ca)
	}
	c := &tls.Config{RootCAs: roots, ServerName: t.host, MinVersion: tls.VersionTLS12}
	_, noCert := os.Stat(files.cert)
	_, noKey := os.Stat(files.key)
	if errors.Is(noCert, fs.ErrNotExist) && errors.Is(noKey, fs.ErrNotExist) {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the client certificate %s: %w", files.cert, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// hardConn is a connection over another one; closing it closes the lowest one without a word, because a
// farewell would wait for a peer that may be gone.
type hardConn struct {
	io.ReadWriter
	lowest io.Closer
}

func (c hardConn) Close() error { return c.lowest.Close() }

func (t target) dialTLS(ctx context.Context) (io.ReadWriteCloser, error) {
	c, err := t.tlsConfig()
	if err != nil {
		return nil, err
	}
	// called once the certificate has stood up to all other checks, and before ours is shown
	c.VerifyConnection = func(s tls.ConnectionState) error { return t.first.certificate(s.PeerCertificates[0].Raw) }
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
	defer stop()
	conn := tls.Client(tcp, c)
	if err := handshake(ctx, conn); err != nil {
		_ = tcp.Close()
		return nil, t.tlsError(err)
	}
	return hardConn{conn, tcp}, nil
}

// handshake ends with the daemon's verdict on our certificate: one byte, 1 for yes, or a closed
// connection for no. With TLS 1.3 a refusal is seen only here.
func handshake(ctx context.Context, conn *tls.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	var verdict [1]byte
	if _, err := io.ReadFull(conn, verdict[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errRejected
		}
		return err
	}
	if verdict[0] != 1 {
		return errRejected
	}
	return conn.SetDeadline(time.Time{})
}

var errRejected = fmt.Errorf("%w: the daemon does not accept our client certificate: it must be signed by an authority the daemon knows, and its name be among tls_allowed_dn_list where libvirtd.conf has one", ErrDenied)

// tlsError tells a host that is not who it should be from one that is not there.
func (t target) tlsError(err error) error {
	var (
		verify *tls.CertificateVerificationError
		name   x509.HostnameError
		alert  tls.AlertError
	)
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%w: its certificate is for %s and not for %q; use a name that the certificate has, or issue one with this name", ErrUntrusted, namesIn(name.Certificate), t.host)
	case errors.As(err, &verify):
		return fmt.Errorf("%w: its certificate does not stand up to our certificate authority: %w", ErrUntrusted, err)
	case errors.As(err, &alert):
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	return err
}

// namesIn are the names that a certificate vouches for.
func namesIn(c *x509.Certificate) string {
	var names []string
	for _, n := range c.DNSNames {
		names = append(names, strconv.Quote(n))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, strconv.Quote(ip.String()))
	}
	if len(names) == 0 {
		return fmt.Sprintf("no host (its common name %q does not count; certificates need subject alternative names)", c.Subject.CommonName)
	}
	return strings.Join(names, ", ")
}
