package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Bounds on host_key: a host has one key of each kind, perhaps two while it changes them.
const (
	mostHostKeys     = 16
	mostHostKeyBytes = 32 << 10
)

// hostKeyAlgorithms are the kinds of keys that host_key may hold, with the signatures that prove each.
var hostKeyAlgorithms = map[string][]string{
	ssh.KeyAlgoED25519:  {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256: {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384: {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521: {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:      {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// parseHostKeys reads public host keys, one a line, as known_hosts has them behind the host's name. Its errors never
// repeat the text, which may be a private key.
func parseHostKeys(text string) (keys []ssh.PublicKey, err error) {
	if len(text) > mostHostKeyBytes {
		return nil, fmt.Errorf("host_key has %d bytes, more than any keys", len(text))
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseHostKey(line)
		if err != nil {
			return nil, fmt.Errorf("host_key line %d: %w", n, err)
		}
		if keys = append(keys, key); len(keys) > mostHostKeys {
			return nil, fmt.Errorf("host_key has more than %d keys", mostHostKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("host_key has no key in it; write for example ssh-ed25519 AAAA…")
	}
	return keys, nil
}

func parseHostKey(line string) (ssh.PublicKey, error) {
	const example = "write the kind of key and the key, such as ssh-ed25519 AAAA…"
	fields := strings.Fields(line)
	if hostKeyAlgorithms[fields[0]] == nil {
		switch {
		case len(fields) > 1 && hostKeyAlgorithms[fields[1]] != nil:
			return nil, errors.New("it begins with something else than the kind of key; leave out the host's name")
		case strings.HasPrefix(fields[0], "-----"):
			return nil, errors.New("it is no public key; the public half is in the file that ends in .pub")
		}
		return nil, errors.New("it begins with no kind of host key; " + example)
	}
	if len(fields) < 2 {
		return nil, errors.New("it has no key behind the kind of key; " + example)
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return nil, errors.New("its key is not base64, or not whole; " + example)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != fields[0] {
		return nil, fmt.Errorf("its key is no whole key of the kind %s", fields[0])
	}
	return key, nil
}

// given pins a hop to keys that the user gave with the host, instead of known_hosts.
func (p hop) given() *pinned {
	k := &pinned{hop: p}
	for _, key := range p.hostKeys {
		for _, a := range hostKeyAlgorithms[key.Type()] {
			if !slices.Contains(k.algorithms, a) {
				k.algorithms = append(k.algorithms, a)
			}
		}
	}
	return k
}

func (k *pinned) checkGiven(key ssh.PublicKey) error {
	var want []string
	for _, own := range k.hop.hostKeys {
		if sameKey(own, key) {
			k.refusal = k.hop.first.sshKey(key)
			return k.refusal
		}
		want = append(want, ssh.FingerprintSHA256(own))
	}
	k.refusal = fmt.Errorf("%w: THE HOST KEY OF %s IS NOT THE ONE GIVEN: it shows %s %s, host_key has %s. "+
		"Either the host was installed anew, or somebody else answers in its place. "+
		"Do not go on before you know; then correct host_key",
		ErrUntrusted, k.hop.address(), keyKind(key), ssh.FingerprintSHA256(key), strings.Join(want, ", "))
	return k.refusal
}
