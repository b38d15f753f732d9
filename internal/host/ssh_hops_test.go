package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	c, err := loadSSHConfig()
	if err != nil {
		return nil, err
	}
	return target.hops(c)
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
