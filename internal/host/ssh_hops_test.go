package host

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host/sshconfig"
)

// configured is a home folder with this ~/.ssh/config.
func configured(t *testing.T, text string) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

func way(t *testing.T, uri string) ([]hop, error) {
	t.Helper()
	target, err := parseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return target.hops(sshconfig.Standard())
}

// route is a way as a person would write it.
func route(hops []hop) string {
	var parts []string
	for _, h := range hops {
		parts = append(parts, h.user+"@"+h.address())
	}
	return strings.Join(parts, " > ")
}

func TestTheConfigurationsRoutes(t *testing.T) {
	configured(t, `
Host far
  HostName far.example.org
  User admin
  Port 2022
  ProxyJump near,inner:2200
Host near
  HostName %h.example.org
  User jumper
  ProxyJump root@[fe80::9]:23
Host nowhere
  ProxyJump none
Host circle
  ProxyJump circle
Host piped
  ProxyCommand nc %h %p
Host quoted
  User "space man"
Match user nobody
  User wrong
Host *
  User everybody
`)
	for uri, want := range map[string]string{
		"qemu+ssh://far/system":           "root@[fe80::9]:23 > jumper@near.example.org:22 > everybody@inner:2200 > admin@far.example.org:2022",
		"qemu+ssh://me@far:7/system":      "root@[fe80::9]:23 > jumper@near.example.org:22 > everybody@inner:2200 > me@far.example.org:7",
		"qemu+ssh://nowhere/system":       "everybody@nowhere:22",
		"qemu+ssh://root@[::1]:24/system": "root@[::1]:24",
		"qemu+ssh://quoted/system":        "space man@quoted:22",
	} {
		hops, err := way(t, uri)
		if err != nil || route(hops) != want {
			t.Errorf("%s: %s, %v; want %s", uri, route(hops), err, want)
		}
		for i, h := range hops {
			if h.direct != (i == 0) {
				t.Errorf("%s: hop %d direct = %v", uri, i, h.direct)
			}
		}
	}
	for uri, words := range map[string]string{
		"qemu+ssh://circle/system": "circle",
		"qemu+ssh://piped/system":  "ProxyCommand",
	} {
		if _, err := way(t, uri); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", uri, err, words)
		}
	}
}

func TestWhichKeysAndWhichKnownHostsCount(t *testing.T) {
	home := configured(t, `
Host own
  IdentityFile ~/.ssh/%r-key
  IdentitiesOnly yes
  UserKnownHostsFile ~/known-of-own
  HostKeyAlias cluster
Host agentless
  IdentityAgent none
  IdentityFile none
`)
	known := filepath.Join(home, "known-of-own")
	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(uri string) hop {
		t.Helper()
		hops, err := way(t, uri)
		if err != nil || len(hops) != 1 {
			t.Fatal(hops, err)
		}
		return hops[0]
	}
	own := one("qemu+ssh://root@own/system")
	if d := cmp.Diff([]string{filepath.Join(home, ".ssh", "root-key")}, own.identities); d != "" || !own.identitiesOnly || own.agent != "/agent" {
		t.Errorf("%+v", own)
	}
	if own.pinTo != known || own.knownHosts[0] != known || own.name() != "cluster:22" {
		t.Errorf("%+v", own)
	}
	agentless := one("qemu+ssh://root@agentless/system")
	if agentless.agent != "" || agentless.identities != nil || agentless.pinTo != filepath.Join(home, ".ssh", "known_hosts") {
		t.Errorf("%+v", agentless)
	}
	// The URI beats the configuration.
	named := one("qemu+ssh://root@own/system?keyfile=/k&known_hosts=/h")
	if d := cmp.Diff([]string{"/k"}, named.identities); d != "" || !named.identitiesOnly || named.pinTo != "/h" || len(named.knownHosts) != 1 {
		t.Errorf("%+v", named)
	}
}

func TestAConfigurationThatCannotBeReadIsAnError(t *testing.T) {
	configured(t, "Host x\n  Port many\n")
	if _, err := way(t, "qemu+ssh://x/system"); err == nil || !strings.Contains(err.Error(), `.ssh/config`) {
		t.Error(err)
	}
}

// TestBlocksThatDistributionsInclude: a file such as Fedora's ends in a block for the second reading.
func TestBlocksThatDistributionsInclude(t *testing.T) {
	home := configured(t, `
Include config.d/*.conf
Host alpha
  HostName alpha.example.org
Match host *.example.org
  User inside
`)
	dir := filepath.Join(home, ".ssh", "config.d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"50-distribution.conf": "# the machine's policy\nMatch final all\n\tInclude " + dir + "/policy\n",
		"policy":               "Port 2200\nGSSAPIKeyExchange no\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hops, err := way(t, "qemu+ssh://alpha/system")
	if want := "inside@alpha.example.org:2200"; err != nil || route(hops) != want {
		t.Errorf("%s, %v; want %s", route(hops), err, want)
	}
}

func TestBlocksThatWouldRunAProgramAreReportedOnce(t *testing.T) {
	configured(t, "Match exec true\n  User never\nHost *\n  User me\n")
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Warn})
	for i := range 3 {
		if err := (Config{Name: "alpha", URI: "qemu+ssh://alpha/system"}).Validate(); err != nil { // nobody hears of it
			t.Fatal(err)
		}
		c := Config{Name: "alpha", URI: "qemu+ssh://alpha" + strconv.Itoa(i) + "/system", Log: log}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	if said := strings.Count(out.String(), "config line 1"); said != 1 {
		t.Errorf("reported %d times:\n%s", said, out.String())
	}
	if hops, err := way(t, "qemu+ssh://alpha/system"); err != nil || route(hops) != "me@alpha:22" {
		t.Error(route(hops), err)
	}
}

func TestHostKeysGivenWithTheHost(t *testing.T) {
	configured(t, "Host far\n  ProxyJump near\n")
	_, key := privateKey(t, "")
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	_, other := privateKey(t, "")
	private, _ := privateKey(t, "")
	const far = "qemu+ssh://far/system"
	both := "# both\n" + line + " a comment\n\n" + string(ssh.MarshalAuthorizedKey(other))
	c := Config{Name: "far", URI: "qemu+ssh://far/system", HostKey: both}
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	hops, err := target.hops(sshconfig.Standard())
	if err != nil || len(hops) != 2 || len(hops[0].hostKeys) != 0 || len(hops[1].hostKeys) != 2 {
		t.Errorf("they are the last hop's alone: %+v, %v", hops, err)
	}
	for name, c := range map[string]struct{ uri, key, says string }{
		"words":                 {far, "the key", "line 1: it begins with no kind"},
		"no key":                {far, "# nothing\n", "no key in it"},
		"a fingerprint":         {far, ssh.FingerprintSHA256(key), "line 1: it begins with no kind"},
		"a line of known_hosts": {far, "far " + line, "leave out the host's name"},
		"half a key":            {far, line[:len(line)-5], "line 1: its key is not base64, or not whole"},
		"a key cut short":       {far, line[:len(line)-4], "line 1: its key is no whole key"},
		"a kind alone":          {far, "ssh-ed25519", "line 1: it has no key behind"},
		"another kind":          {far, strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1), "of the kind ssh-rsa"},
		"a private key":         {far, private, "the public half"},
		"the second line":       {far, line + "\nssh-ed25519 x", "line 2"},
		"more than any":         {far, strings.Repeat(line+"\n", mostHostKeys+1), "more than 16 keys"},
		"longer than any":       {far, strings.Repeat("#", mostHostKeyBytes+1), "32769 bytes"},
		"no SSH":                {"qemu:///system", line, "the connection unix"},
		"and known_hosts":       {"qemu+ssh://far/system?known_hosts=/k", line, "leave one of them out"},
	} {
		err := Config{Name: "far", URI: c.uri, HostKey: c.key}.Validate()
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "far: ") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: the error repeats a private key", name)
		}
	}
}
