package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// hop is one machine on the way to a host: the host itself, or one to go through.
type hop struct {
	host string // after ~/.ssh/config's HostName
	port int
	user string

	identities     []string // key files named for this hop; empty: the usual ones
	identitiesOnly bool     // no other keys of the agent than these
	agent          string   // socket of the agent, empty: none

	knownHosts []string // files
	pinTo      string   // the one of them that a new key belongs into
	keyAlias   string   // name to look its key up by, instead of its own
	direct     bool     // reached without another hop, so that ssh-keyscan reaches it too

	first *firstSeen // of the last hop: what the first login met
}

func (p hop) address() string { return net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

// name is what the hop's key is known by.
func (p hop) name() string {
	if p.keyAlias != "" {
		return net.JoinHostPort(p.keyAlias, "22")
	}
	return p.address()
}

// sshConfig is the user's configuration and, behind it, the system's.
type sshConfig struct{ files []*ssh_config.Config }

func loadSSHConfig() (sshConfig, error) {
	var c sshConfig
	for _, path := range []string{expandHome("~/.ssh/config"), "/etc/ssh/ssh_config"} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, fmt.Errorf("%w: %w", errConfig, err)
		}
		parsed, err := ssh_config.DecodeBytes(withoutMatch(text))
		if err != nil {
			return c, fmt.Errorf("%w: %s cannot be read: %w", errConfig, path, err)
		}
		c.files = append(c.files, parsed)
	}
	return c, nil
}

// withoutMatch drops Match blocks whose criteria are not understood here, among them those that run a
// command, so that the rest of the file stays of use.
func withoutMatch(text []byte) []byte {
	var kept []byte
	skipping := false
	for line := range bytes.Lines(text) {
		fields := strings.Fields(strings.ToLower(strings.ReplaceAll(string(line), "=", " ")))
		if len(fields) > 0 {
			switch fields[0] {
			case "host":
				skipping = false
			case "match":
				skipping = len(fields) != 2 || fields[1] != "all"
			}
		}
		if !skipping {
			kept = append(kept, line...)
		}
	}
	return kept
}

func (c sshConfig) get(alias, key string) string {
	for _, f := range c.files {
		if v, err := f.Get(alias, key); err == nil && v != "" {
			return unquote(v)
		}
	}
	return ""
}

func (c sshConfig) all(alias, key string) []string {
	var list []string
	for _, f := range c.files {
		vs, _ := f.GetAll(alias, key)
		for _, v := range vs {
			list = append(list, unquote(v))
		}
	}
	return list
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// hops is the way to the target, the machines to go through first.
func (t target) hops(c sshConfig) ([]hop, error) {
	way, err := c.way(t.host, t.user, t.port, 0)
	if err != nil {
		return nil, err
	}
	last := &way[len(way)-1]
	if t.keyfile != "" {
		last.identities, last.identitiesOnly = []string{expandHome(t.keyfile)}, true
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

func (c sshConfig) way(alias, login string, port, depth int) ([]hop, error) {
	if depth > mostHops {
		return nil, fmt.Errorf("%w: ~/.ssh/config leads through more than %d hosts, or in a circle", errConfig, mostHops)
	}
	last, err := c.resolve(alias, login, port)
	if err != nil {
		return nil, err
	}
	jumps := c.get(alias, "ProxyJump")
	if strings.EqualFold(jumps, "none") || jumps == "" {
		if cmd := c.get(alias, "ProxyCommand"); cmd != "" && !strings.EqualFold(cmd, "none") {
			return nil, fmt.Errorf("%w: ~/.ssh/config has a ProxyCommand for %s; no programs are run here, use ProxyJump", errConfig, alias)
		}
		last.direct = true
		return []hop{last}, nil
	}
	var way []hop
	for i, spec := range strings.Split(jumps, ",") {
		alias, login, port, err := parseJump(strings.TrimSpace(spec))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			// As with ssh, only the first may itself be behind others.
			before, err := c.way(alias, login, port, depth+1)
			if err != nil {
				return nil, err
			}
			way = before
			continue
		}
		next, err := c.resolve(alias, login, port)
		if err != nil {
			return nil, err
		}
		way = append(way, next)
	}
	way = append(way, last)
	if len(way) > mostHops {
		return nil, fmt.Errorf("%w: ~/.ssh/config leads through more than %d hosts", errConfig, mostHops)
	}
	return way, nil
}

// parseJump reads [user@]host[:port] or ssh://[user@]host[:port].
func parseJump(spec string) (alias, login string, port int, err error) {
	if !strings.Contains(spec, "://") {
		at := strings.LastIndex(spec, "@") + 1
		if name := spec[at:]; !strings.HasPrefix(name, "[") && strings.Count(name, ":") > 1 {
			spec = spec[:at] + "[" + name + "]" // a bare IPv6 address
		}
		spec = "ssh://" + spec
	}
	u, err := url.Parse(spec)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.Trim(u.Path, "/") != "" {
		return "", "", 0, fmt.Errorf("%w: ~/.ssh/config has a ProxyJump that cannot be read; write user@host:port", errConfig)
	}
	if p := u.Port(); p != "" {
		if port, err = parsePort(p); err != nil {
			return "", "", 0, err
		}
	}
	return u.Hostname(), u.User.Username(), port, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%w: ~/.ssh/config has the port %q", errConfig, s)
	}
	return n, nil
}

// resolve applies the configuration to one machine. What the URI says comes first.
func (c sshConfig) resolve(alias, login string, port int) (hop, error) {
	p := hop{host: alias, port: port, user: login}
	if name := c.get(alias, "HostName"); name != "" {
		p.host = strings.NewReplacer("%h", alias, "%%", "%").Replace(name)
	}
	if p.user == "" {
		p.user = c.get(alias, "User")
	}
	if p.user == "" {
		p.user = localUser()
	}
	if p.port == 0 {
		p.port = 22
		if s := c.get(alias, "Port"); s != "" {
			n, err := parsePort(s)
			if err != nil {
				return hop{}, err
			}
			p.port = n
		}
	}
	home, _ := os.UserHomeDir()
	token := strings.NewReplacer("%d", home, "%h", p.host, "%n", alias, "%r", p.user, "%u", localUser(), "%%", "%")
	for _, file := range c.all(alias, "IdentityFile") {
		if !strings.EqualFold(file, "none") {
			p.identities = append(p.identities, expandHome(token.Replace(file)))
		}
	}
	p.identitiesOnly = strings.EqualFold(c.get(alias, "IdentitiesOnly"), "yes")
	p.agent = os.Getenv("SSH_AUTH_SOCK")
	switch a := c.get(alias, "IdentityAgent"); {
	case strings.EqualFold(a, "none"):
		p.agent = ""
	case a != "" && !strings.EqualFold(a, "SSH_AUTH_SOCK"):
		p.agent = expandHome(os.ExpandEnv(token.Replace(a)))
	}
	p.keyAlias = c.get(alias, "HostKeyAlias")
	for _, k := range []struct{ key, usual string }{
		{"UserKnownHostsFile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"},
		{"GlobalKnownHostsFile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"},
	} {
		files := c.get(alias, k.key)
		if files == "" {
			files = k.usual
		}
		for _, f := range strings.Fields(files) {
			if strings.EqualFold(f, "none") {
				continue
			}
			f = expandHome(token.Replace(f))
			if p.pinTo == "" {
				p.pinTo = f
			}
			if exist(f) {
				p.knownHosts = append(p.knownHosts, f)
			}
		}
	}
	return p, nil
}

func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// usualIdentities are the key files that ssh tries of itself.
func usualIdentities() []string {
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if f := expandHome(filepath.Join("~/.ssh", name)); exist(f) {
			files = append(files, f)
		}
	}
	return files
}
