package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
}

// keys collects the signers for a hop: the files named for it, then the agent's keys, then the usual
// files. Files that are locked by a passphrase are used through the agent, if it has them.
func (p hop) keys() (*keyring, error) {
	k := &keyring{close: func() {}}
	held := k.openAgent(p.agent)
	files, named := p.identities, true
	if len(files) == 0 {
		files, named = usualIdentities(), false
	}
	var fromFiles []ssh.Signer
	for _, file := range files {
		s, err := readKey(file)
		var locked *ssh.PassphraseMissingError
		switch {
		case err == nil:
			fromFiles = append(fromFiles, s)
		case errors.As(err, &locked):
			if inAgent := find(held, publicOf(file, locked)); inAgent != nil {
				fromFiles = append(fromFiles, inAgent)
				err = nil
			} else {
				err = fmt.Errorf("%s is protected by a passphrase, and nobody is there to ask: load it into an agent (ssh-add %s) or use a key without one", file, file)
			}
		}
		if err == nil {
			k.offered = append(k.offered, file)
			continue
		}
		if named && len(p.identities) == 1 && p.identitiesOnly {
			k.close()
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		k.unusable = append(k.unusable, err.Error())
	}
	rest := held
	if p.identitiesOnly {
		rest = nil
	}
	if len(rest) > 0 {
		k.offered = append(k.offered, fmt.Sprintf("%d of the agent", len(rest)))
	}
	if named {
		k.signers = append(fromFiles, rest...)
	} else {
		k.signers = append(append(k.signers, rest...), fromFiles...)
	}
	return k, nil
}

func (k *keyring) openAgent(socket string) []ssh.Signer {
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		k.unusable = append(k.unusable, "the agent does not answer: "+err.Error())
		return nil
	}
	// A locked agent must not hold up a dial that is to end in time.
	_ = conn.SetDeadline(time.Now().Add(openLimit))
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		_ = conn.Close()
		k.unusable = append(k.unusable, "the agent gives no keys: "+err.Error())
		return nil
	}
	k.close = func() { _ = conn.Close() }
	return signers
}

// said lists what was tried, for the person who wonders why the login failed.
func (k *keyring) said() string {
	parts := []string{"no key to offer"}
	if len(k.offered) > 0 {
		parts = []string{"offered " + strings.Join(k.offered, ", ")}
	}
	return strings.Join(append(parts, k.unusable...), "; ")
}

// readKey reads a private key and, if there is one beside it, its certificate.
func readKey(file string) (ssh.Signer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	defer f.Close()
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no usable private key: %w", file, err)
	}
	if pub := readPublic(file + "-cert.pub"); pub != nil {
		if cert, ok := pub.(*ssh.Certificate); ok {
			if certified, err := ssh.NewCertSigner(cert, signer); err == nil {
				return certified, nil
			}
		}
	}
	return signer, nil
}

// publicOf finds the public half of a locked key: in the file itself, or beside it.
func publicOf(file string, locked *ssh.PassphraseMissingError) ssh.PublicKey {
	if locked.PublicKey != nil {
		return locked.PublicKey
	}
	return readPublic(file + ".pub")
}

func readPublic(file string) ssh.PublicKey {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key
}

func find(signers []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}
