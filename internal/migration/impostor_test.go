package migration

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// impostor answers in a host's place, and counts who came and what was said to him once he was trusted.
type impostor struct {
	address    string
	met, heard atomic.Int64
}

func newImpostor(t *testing.T, serve func(i *impostor, c net.Conn)) *impostor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	i := &impostor{address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			i.met.Add(1)
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				serve(i, c)
			}()
		}
	}()
	return i
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// tlsImpostor is somebody with a certificate, who takes anybody for a client.
func tlsImpostor(t *testing.T, certificate lab.Certificate) *impostor {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate.PEM, certificate.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return newImpostor(t, func(i *impostor, c net.Conn) {
		server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert})
		_, _ = server.Write([]byte{1}) // as a daemon does that is content
		_, _ = io.Copy(counter{&i.heard}, server)
	})
}

// sshImpostor is somebody with a host key of his own, who lets in whoever knocks.
func sshImpostor(t *testing.T) *impostor {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return newImpostor(t, func(i *impostor, c net.Conn) {
		config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			i.heard.Add(1)
			return nil, errors.New("thank you")
		}}
		config.AddHostKey(signer)
		_, _, _, _ = ssh.NewServerConn(c, config)
	})
}
