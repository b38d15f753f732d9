package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// identity is the key pair a relay makes for one migration. The key is never written anywhere, and the
// other side knows the certificate by its hash alone.
type identity struct {
	certificate tls.Certificate
	pin         string
}

func newIdentity(now time.Time) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	// Nobody looks at names and dates: the hash of all of it is what counts.
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return identity{}, err
	}
	return identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pinOf(der)}, nil
}

// pinOf is the hash by which a certificate is known.
func pinOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// errStranger marks a peer that is not the one whose pin came over the control channel.
var errStranger = errors.New("not the relay of this migration")

// config accepts exactly one certificate, whichever side of the connection this is.
func (id identity) config(peer string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.certificate},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		// Records that begin small are for web pages that are waited for.
		DynamicRecordSizingDisabled: true,
		// There is no authority and no name to verify: VerifyConnection below compares the whole
		// certificate, and TLS proves that the peer has its key.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if peer == "" || len(s.PeerCertificates) != 1 || pinOf(s.PeerCertificates[0].Raw) != peer {
				return fmt.Errorf("%w: its certificate has another hash", errStranger)
			}
			return nil
		},
	}
}
