package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyring is what we can log in with on one hop, and what we could not use, for the error.
type keyring struct {
	signers  []ssh.Signer
	offered  []string
	unusable []string
	close    func()

	held     []ssh.Signer // by the agent
	agent    string       // its socket
	unsigned error        // why the agent did not sign, when it was to
	// certificates are those named for the hop; nil: those beside the key files count
	certificates []*ssh.Certificate
}

// keys collects the signers for a hop: the files named for it, then the agent's keys, then the usual
// files. A file whose private half cannot be read, because it is locked or on a token, stands for the agent's key.
func (p hop) keys() (*keyring, error) {
	k := &keyring{close: func() {}, agent: p.agent}
	k.openAgent()
	k.readCertificates(p.certificates)
	files, named := p.identities, true
	if len(files) == 0 {
		files, named = nil, false
		if !p.noIdentities {
			files = usualIdentities()
		}
	}
	var fromFiles []ssh.Signer
	for _, file := range files {
		signers, err := k.identity(file)
		if err == nil {
			fromFiles = append(fromFiles, signers...)
			k.offered = append(k.offered, file)
			continue
		}
		if named && len(p.identities) == 1 && p.identitiesOnly {
			k.close()
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		k.unusable = append(k.unusable, err.Error())
	}
	var rest []ssh.Signer
	for _, s := range k.held {
		if !p.identitiesOnly && find(fromFiles, s.PublicKey()) == nil {
			rest = append(rest, s)
		}
	}
	if len(rest) > 0 {
		k.offered = append(k.offered, fmt.Sprintf("%d of the agent", len(rest)))
	}
	if named {
		k.signers = append(fromFiles, rest...)
	} else {
		k.signers = append(rest, fromFiles...)
	}
	return k, nil
}

func (k *keyring) openAgent() {
	if k.agent == "" {
		return
	}
	conn, err := net.Dial("unix", k.agent)
	if err != nil {
		k.unusable = append(k.unusable, "the agent does not answer: "+err.Error())
		return
	}
	// A locked agent must not hold up a dial that is to end in time.
	_ = conn.SetDeadline(time.Now().Add(openLimit))
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close()
		k.unusable = append(k.unusable, "the agent gives no keys: "+err.Error())
		return
	}
	k.close = func() { _ = conn.Close() }
	for _, s := range signers {
		if a, can := s.(ssh.AlgorithmSigner); can {
			s = agentSigner{a, k}
		}
		k.held = append(k.held, s)
	}
}

// agentSigner remembers that a key of the agent was not to be used after all: a token that is not plugged in, or that
// nobody touched.
type agentSigner struct {
	ssh.AlgorithmSigner
	k *keyring
}

func (s agentSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	if err != nil {
		key := s.PublicKey()
		s.k.unsigned = fmt.Errorf("the agent does not sign with its key %s %s: %w",
			keyKind(key), ssh.FingerprintSHA256(key), err)
	}
	return sig, err
}

// said lists what was tried, for the person who wonders why the login failed.
func (k *keyring) said() string {
	parts := []string{"no key to offer"}
	if len(k.offered) > 0 {
		parts = []string{"offered " + strings.Join(k.offered, ", ")}
	}
	return strings.Join(append(parts, k.unusable...), "; ")
}

// identity is what a key file stands for: its certificates first, then the key itself.
func (k *keyring) identity(file string) ([]ssh.Signer, error) {
	signer, err := k.signer(file)
	if err != nil {
		return nil, err
	}
	return append(k.certified(file, signer), signer), nil
}

// signer finds the private half to a key file: in it, or in the agent.
func (k *keyring) signer(file string) (ssh.Signer, error) {
	text, err := readSmall(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	var locked *ssh.PassphraseMissingError
	public := readPublic(file + ".pub")
	switch private, parseErr := ssh.ParsePrivateKey(text); {
	case err != nil && public == nil:
		return nil, fmt.Errorf("cannot read the key: %w", err)
	case err != nil: // the public half alone is there
	case parseErr == nil:
		return private, nil
	case errors.As(parseErr, &locked) && locked.PublicKey != nil:
		public = locked.PublicKey
	case locked != nil:
	default:
		if own := parsePublic(text); own != nil {
			public = own
		}
		if public == nil {
			return nil, fmt.Errorf("%s is no usable private key: %w", file, parseErr)
		}
	}
	if s := k.inAgent(public); s != nil {
		return s, nil
	}
	return nil, k.missing(file, locked != nil, public)
}

// missing says why the agent is of no help with a key whose private half cannot be read from its file.
func (k *keyring) missing(file string, locked bool, public ssh.PublicKey) error {
	if locked {
		return fmt.Errorf("%s is protected by a passphrase, and nobody is there to ask: "+
			"load it into an agent (ssh-add %s) or use a key without one", file, file)
	}
	where := "the agent does not hold its private half"
	if k.agent == "" {
		where = "there is no agent to hold its private half (set SSH_AUTH_SOCK, or IdentityAgent in ~/.ssh/config)"
	}
	return fmt.Errorf("%s is the public half of a key (%s), and %s", file, ssh.FingerprintSHA256(public), where)
}

// inAgent finds the agent's key to a public half, which may be a certificate.
func (k *keyring) inAgent(public ssh.PublicKey) ssh.Signer {
	if s := find(k.held, public); s != nil {
		return s
	}
	certificate, is := public.(*ssh.Certificate)
	if !is {
		return nil
	}
	s := find(k.held, certificate.Key)
	if s == nil {
		return nil
	}
	certified, err := ssh.NewCertSigner(certificate, s)
	if err != nil {
		return nil
	}
	return certified
}

// certified are a key's certificates: those named for the hop or beside the file, and those that the agent holds.
func (k *keyring) certified(file string, signer ssh.Signer) (signers []ssh.Signer) {
	candidates := k.certificates
	if candidates == nil {
		for _, beside := range []string{file, strings.TrimSuffix(file, ".pub")} {
			if c, is := readPublic(beside + "-cert.pub").(*ssh.Certificate); is {
				candidates = append(candidates, c)
				break
			}
		}
	}
	for _, c := range candidates {
		if s, err := ssh.NewCertSigner(c, signer); err == nil { // else it is another key's
			signers = append(signers, s)
		}
	}
	for _, s := range k.held {
		c, is := parsed(s.PublicKey()).(*ssh.Certificate)
		if is && sameKey(c.Key, signer.PublicKey()) && find(signers, c) == nil {
			signers = append(signers, s)
		}
	}
	return signers
}

func (k *keyring) readCertificates(files []string) {
	for _, file := range files {
		c, is := readPublic(file).(*ssh.Certificate)
		if !is {
			k.unusable = append(k.unusable, file+" holds no certificate")
			continue
		}
		k.certificates = append(k.certificates, c)
	}
}

// readSmall reads a file of a size that keys have.
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 1 << 20
	return io.ReadAll(io.LimitReader(f, most))
}

// readPublic reads a public key or a certificate; nil if there is none.
func readPublic(file string) ssh.PublicKey {
	text, err := readSmall(file)
	if err != nil {
		return nil
	}
	return parsePublic(text)
}

func parsePublic(text []byte) ssh.PublicKey {
	key, _, options, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil || len(options) > 0 { // with options it is a line of another file: authorized_keys, known_hosts
		return nil
	}
	return key
}

// parsed is the key that an agent described by its bytes alone.
func parsed(key ssh.PublicKey) ssh.PublicKey {
	if k, err := ssh.ParsePublicKey(key.Marshal()); err == nil {
		return k
	}
	return key
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

func find(signers []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range signers {
		if sameKey(s.PublicKey(), key) {
			return s
		}
	}
	return nil
}
