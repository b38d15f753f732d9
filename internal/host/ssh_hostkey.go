package host

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// pinned is what known_hosts says about one hop.
type pinned struct {
	hop hop
	db  knownKeys
	// algorithms of the known keys; the host is asked for one of these, because it would else show a
	// key of another kind that nobody has pinned
	algorithms []string
	refusal    error // of the key the host showed
}

func (p hop) pinned() (*pinned, error) {
	if len(p.hostKeys) > 0 {
		return p.given(), nil
	}
	db, err := readKnownHosts(p.knownHosts)
	if err != nil {
		return nil, fmt.Errorf("%w: the known host keys cannot be read: %w", errConfig, err)
	}
	k := &pinned{hop: p, db: db}
	for _, a := range db.HostKeyAlgorithms(p.name()) {
		if !slices.Contains(provesNothing, a) {
			k.algorithms = append(k.algorithms, a)
		}
	}
	return k, nil
}

// provesNothing are the algorithms with SHA-1 or DSA, in which signatures can be forged by now.
var provesNothing = []string{ssh.KeyAlgoRSA, ssh.CertAlgoRSAv01, "ssh-dss", "ssh-dss-cert-v01@openssh.com"}

// check is asked by the SSH library with the key the host has proved to hold.
func (k *pinned) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if len(k.hop.hostKeys) > 0 {
		return k.checkGiven(key)
	}
	err := k.db.HostKeyCallback()(k.hop.name(), remote, key)
	if err == nil {
		k.refusal = k.hop.first.sshKey(key)
		return k.refusal
	}
	k.refusal = k.explain(key, err)
	return k.refusal
}

func (k *pinned) explain(key ssh.PublicKey, err error) error {
	var revoked *xknownhosts.RevokedError
	var unknown *xknownhosts.KeyError
	what := fmt.Sprintf("%s %s", keyKind(key), ssh.FingerprintSHA256(key))
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("%w: the host key of %s (%s) is revoked in %s line %d", ErrUntrusted,
			k.hop.address(), what, k.db.file(revoked.Revoked.Filename), revoked.Revoked.Line)
	case errors.As(err, &unknown) && len(unknown.Want) > 0:
		var known []string
		for _, w := range unknown.Want {
			known = append(known, fmt.Sprintf("%s in %s line %d", ssh.FingerprintSHA256(w.Key), k.db.file(w.Filename), w.Line))
		}
		return fmt.Errorf("%w: THE HOST KEY OF %s HAS CHANGED: it shows %s, known is %s. Either the host was installed anew, or somebody else answers in its place. Do not go on before you know; if it was installed anew, remove the old line and pin the new key", ErrUntrusted, k.hop.address(), what, strings.Join(known, ", "))
	case errors.As(err, &unknown):
		how := k.howToPin(key)
		if k.hop.last {
			how += "; or give it with the host, as host_key"
		}
		return fmt.Errorf("%w: the host key of %s is not known: it shows %s. %s", ErrUntrusted, k.hop.address(), what, how)
	}
	return fmt.Errorf("%w: the host key of %s (%s): %w", ErrUntrusted, k.hop.address(), what, err)
}

func (k *pinned) howToPin(key ssh.PublicKey) string {
	compare := fmt.Sprintf("Compare it with what ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub prints on the host itself; if both are equal, pin it: ", keyFile(key))
	if k.hop.direct && k.hop.keyAlias == "" {
		return compare + fmt.Sprintf("ssh-keyscan -t %s -p %d %s >> %s", keyFile(key), k.hop.port, k.hop.host, quoted(k.hop.pinTo))
	}
	// ssh-keyscan does not get there
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return compare + fmt.Sprintf("add the line %q to %s", knownhosts.Line([]string{k.hop.name()}, key), k.hop.pinTo)
}

// quoted makes a path safe to paste after >>.
func quoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return r != '/' && notInHostNames(r) }) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

func keyKind(key ssh.PublicKey) string {
	kind := strings.ToUpper(keyFile(key))
	if _, ok := key.(*ssh.Certificate); ok {
		kind += " certificate"
	}
	return kind
}

// keyFile is the kind of key as OpenSSH's file names and ssh-keyscan's -t have it.
func keyFile(key ssh.PublicKey) string {
	kind := key.Type()
	for _, k := range []string{"ed25519", "ecdsa", "rsa"} {
		if strings.Contains(kind, k) {
			return k
		}
	}
	return kind
}
