package host

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host/sshconfig"
)

// hop is one machine on the way to a host: the host itself, or one to go through.
type hop struct {
	host string // after ~/.ssh/config's HostName
	port int
	user string

	identities     []string // key files named for this hop; empty: the usual ones
	noIdentities   bool     // and not the usual ones either
	identitiesOnly bool     // no other keys of the agent than these
	certificates   []string // files of certificates, instead of those beside the keys
	agent          string   // socket of the agent, empty: none

	knownHosts []string        // files
	pinTo      string          // the one of them that a new key belongs into
	keyAlias   string          // name to look its key up by, instead of its own
	last       bool            // it is the host itself
	hostKeys   []ssh.PublicKey // its own keys, instead of known_hosts
	direct     bool            // reached without another hop, so that ssh-keyscan reaches it too

	remarks []string   // what of the configuration could not be evaluated here
	first   *firstSeen // of the last hop: what the first login met
}

func (p hop) address() string { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

// name is what the hop's key is known by.
func (p hop) name() string {
	if p.keyAlias != "" {
		return net.JoinHostPort(p.keyAlias, "22")
	}
	return p.address()
}

// hops is the way to the target, the machines to go through first.
func (t target) hops(files sshconfig.Files) ([]hop, error) {
	way, err := sshConfig{files}.way(sshconfig.Query{Host: t.host, User: t.user, Port: t.port}, 0)
	if err != nil {
		return nil, err
	}
	last := &way[len(way)-1]
	last.last, last.hostKeys = true, t.hostKeys
	if t.keyfile != "" {
		last.identities, last.noIdentities, last.identitiesOnly = []string{expandHome(t.keyfile)}, false, true
	}
	if t.knownHosts != "" {
		file := expandHome(t.knownHosts)
		last.knownHosts, last.pinTo = []string{file}, file
		for i := range way[:len(way)-1] {
			way[i].knownHosts = append(way[i].knownHosts, file)
		}
	}
	return way, nil
}

const mostHops = 8

// sshConfig finds the hops that a configuration leads over.
type sshConfig struct{ files sshconfig.Files }

func (c sshConfig) way(q sshconfig.Query, depth int) ([]hop, error) {
	if depth > mostHops {
		return nil, fmt.Errorf("%w: ~/.ssh/config leads through more than %d hosts, or in a circle", errConfig, mostHops)
	}
	v, err := c.files.Get(q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	last := resolve(q, v)
	if v.ProxyJump == "" || strings.EqualFold(v.ProxyJump, "none") {
		if v.ProxyCommand != "" && !strings.EqualFold(v.ProxyCommand, "none") {
			return nil, fmt.Errorf("%w: ~/.ssh/config has a ProxyCommand for %s; no programs are run here, use ProxyJump",
				errConfig, q.Host)
		}
		last.direct = true
		return []hop{last}, nil
	}
	var way []hop
	for i, spec := range strings.Split(v.ProxyJump, ",") {
		jump, err := parseJump(strings.TrimSpace(spec))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			// As with ssh, only the first may itself be behind others.
			before, err := c.way(jump, depth+1)
			if err != nil {
				return nil, err
			}
			way = before
			continue
		}
		next, err := c.files.Get(jump)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		way = append(way, resolve(jump, next))
	}
	way = append(way, last)
	if len(way) > mostHops {
		return nil, fmt.Errorf("%w: ~/.ssh/config leads through more than %d hosts", errConfig, mostHops)
	}
	return way, nil
}

// parseJump reads [user@]host[:port] or ssh://[user@]host[:port].
func parseJump(spec string) (sshconfig.Query, error) {
	if !strings.Contains(spec, "://") {
		at := strings.LastIndex(spec, "@") + 1
		if name := spec[at:]; !strings.HasPrefix(name, "[") && strings.Count(name, ":") > 1 {
			spec = spec[:at] + "[" + name + "]" // a bare IPv6 address
		}
		spec = "ssh://" + spec
	}
	u, err := url.Parse(spec)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.Trim(u.Path, "/") != "" {
		return sshconfig.Query{}, fmt.Errorf("%w: ~/.ssh/config has a ProxyJump that cannot be read; write user@host:port", errConfig)
	}
	q := sshconfig.Query{Host: u.Hostname(), User: u.User.Username()}
	if p := u.Port(); p != "" {
		if q.Port, err = parsePort(p); err != nil {
			return sshconfig.Query{}, err
		}
	}
	return q, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%w: ~/.ssh/config has the port %q", errConfig, s)
	}
	return n, nil
}

// resolve makes a hop of what the configuration says of one machine.
func resolve(q sshconfig.Query, v sshconfig.Values) hop {
	p := hop{
		host: v.HostName, port: cmp.Or(v.Port, 22), user: cmp.Or(v.User, sshconfig.LocalUser()), keyAlias: v.HostKeyAlias,
		identitiesOnly: v.IdentitiesOnly, agent: os.Getenv("SSH_AUTH_SOCK"), remarks: v.Remarks,
	}
	home, _ := os.UserHomeDir()
	token := strings.NewReplacer("%d", home, "%h", p.host, "%n", q.Host, "%p", strconv.Itoa(p.port), "%r", p.user,
		"%u", sshconfig.LocalUser(), "%%", "%")
	expand := func(files []string) (paths []string) {
		for _, f := range files {
			if !strings.EqualFold(f, "none") {
				paths = append(paths, expandHome(token.Replace(f)))
			}
		}
		return paths
	}
	p.identities, p.certificates = expand(v.IdentityFiles), expand(v.CertificateFiles)
	p.noIdentities = len(p.identities) == 0 && len(v.IdentityFiles) > 0
	switch a := v.IdentityAgent; {
	case strings.EqualFold(a, "none"):
		p.agent = ""
	case a != "" && !strings.EqualFold(a, "SSH_AUTH_SOCK"):
		p.agent = expandHome(os.ExpandEnv(token.Replace(a)))
	}
	for _, k := range []struct{ named, usual []string }{
		{v.UserKnownHostsFiles, []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}},
		{v.GlobalKnownHostsFiles, []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}},
	} {
		files := k.named
		if len(files) == 0 {
			files = k.usual
		}
		for _, f := range expand(files) {
			p.pinTo = cmp.Or(p.pinTo, f)
			if exist(f) {
				p.knownHosts = append(p.knownHosts, f)
			}
		}
	}
	return p
}

// usualIdentities are the key files that ssh tries of itself. Of a key on a token, the public half may be all.
func usualIdentities() []string {
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"} {
		if f := expandHome(filepath.Join("~/.ssh", name)); exist(f) || exist(f+".pub") {
			files = append(files, f)
		}
	}
	return files
}
