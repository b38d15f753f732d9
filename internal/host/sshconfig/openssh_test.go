package sshconfig

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is files to write, by their path below a folder.
type tree map[string]string

func (tr tree) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range tr {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// asOpenSSH are configurations that OpenSSH evaluates, too. DIR is the folder they are in. Each is tried with all
// the names below, and must give what ssh -G gives.
var asOpenSSH = map[string]tree{
	"nothing": {"config": ""},
	"the first value counts": {"config": `
Host alpha
  User one
  Port 2201
Host *
  User two
  Port 2202
  IdentityFile ~/.ssh/all
`},
	"patterns and negation": {"config": `
Host *.example.org !beta.example.org
  User inside
Host !alpha
  User never
Host !alpha *
  User outside
Host al?ha be*
  Port 2203
Host ALPHA
  HostKeyAlias shouted
`},
	"quotes, signs and comments": {"config": `
# a comment
   # another
Host "alpha" beta # trailing
	User="space man"
  Port = 2204
  "HostKeyAlias" 'single'
  IdentityFile "~/.ssh/with space" # trailing
  CertificateFile=~/.ssh/c\ d
  UserKnownHostsFile "/a b" /c
  IdentityAgent "/run/agent of somebody"
`},
	"match all, host and users": {"config": `
Match originalhost alpha
  HostName Alpha.Example.ORG
Match host alpha.example.org
  User named
Match host ALPHA.*,beta
  Port 2205
Match user named
  IdentityFile ~/.ssh/named
Match !user named
  IdentityFile ~/.ssh/unnamed
Match localuser LOCAL user root,somebody
  HostKeyAlias who
Match localuser=nobody
  HostKeyAlias nobody
Match originalhost alpha,!beta !host beta
  CertificateFile /c
Match all
  IdentitiesOnly yes
`},
	"final": {"config": `
Match final host *.example.org
  User final
Match final !host *.example.org
  User elsewhere
Match !final
  IdentityFile ~/.ssh/before
Host alpha
  HostName ALPHA.example.org
  IdentityFile ~/.ssh/alpha
Host alpha.example.org
  Port 2206
Match final all
  IdentityFile ~/.ssh/last
  IdentityFile ~/.ssh/alpha
`},
	"canonical without final": {"config": `
Match canonical all
  User canonical
Match canonical
  Port 2207
`},
	"canonical": {"config": `
CanonicalizeHostname yes
Match canonical all
  User canonical
`},
	"final in a part that does not apply": {"config": `
Host nobody
  Include DIR/part
Match canonical
  User late
`, "part": "Match final\n  Port 1\n"},
	"include": {"config": `
Include DIR/conf.d/*.conf DIR/nothing/*
Host alpha
  Include DIR/inner
  Port 2208
Host *
  User behind
`, "conf.d/20.conf": "Host alpha\n  User twenty\n", "conf.d/10.conf": "Host beta\n  User ten\n",
		"conf.d/no": "User no\n", "inner": "Host beta\n  Port 1\nHost *\n  IdentitiesOnly true\n"},
	"proxies": {"config": `
Host alpha
  ProxyJump one,two:2200
  ProxyCommand nc %h %p
Host beta
  ProxyCommand none
  ProxyJump one
Host *.example.org
  ProxyJump none
  ProxyCommand nc %h %p
Host *
  ProxyJump everybody
`},
	"a name out of another": {"config": `
Host alpha beta
  HostName %h.example.org
Match host alpha.example.org
  GlobalKnownHostsFile /g1 /g2
  IdentityAgent none
`},
}

var names = []Query{
	{Host: "alpha"}, {Host: "beta"}, {Host: "ALPHA"}, {Host: "alpha.example.org"}, {Host: "beta.example.org"},
	{Host: "alpha", User: "somebody"}, {Host: "alpha", Port: 7}, {Host: "192.0.2.1"}, {Host: "fe80::1"},
}

func openSSH(t *testing.T) string {
	t.Helper()
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("there is no ssh to compare with")
	}
	return ssh
}

// options of ssh that stand for a query.
func options(q Query) []string {
	args := []string{"-G"}
	if q.User != "" {
		args = append(args, "-l", q.User)
	}
	if q.Port != 0 {
		args = append(args, "-p", strconv.Itoa(q.Port))
	}
	return append(args, q.Host)
}

func TestTheSameAsOpenSSH(t *testing.T) {
	ssh := openSSH(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range asOpenSSH {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, text := range files {
				files[path] = strings.ReplaceAll(text, "LOCAL", me.Username)
			}
			files.write(t, dir)
			config := filepath.Join(dir, "config")
			for _, q := range names {
				compare(t, Files{User: config, Home: me.HomeDir, LocalUser: me.Username}, q, me,
					exec.Command(ssh, append([]string{"-F", config}, options(q)...)...))
			}
		})
	}
}

// TestTheMachinesFilesToo puts both files where ssh looks for them, in a mount namespace of their own.
func TestTheMachinesFilesToo(t *testing.T) {
	openSSH(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tree{
		"home/config": "Include config.d/*\nHost alpha\n  User own\n",
		"home/config.d/one": "Host beta\n  User included\n  IdentityFile ~/.ssh/one\n" +
			"Include ~/.ssh/more\n",
		"home/more":      "Host beta\n  CertificateFile /more\n",
		"etc/ssh_config": "Include ssh_config.d/*.conf\nHost *\n  User machine\n  Port 2209\n",
		// as some distributions have it
		"etc/ssh_config.d/50-redhat.conf": "Match final all\n  Include crypto/*.config\n  ForwardX11Trusted yes\n" +
			"  IdentityFile ~/.ssh/last\n",
		"etc/crypto/policy.config": "Ciphers aes256-ctr\nHostKeyAlias policy\n",
	}.write(t, dir)
	home := filepath.Join(me.HomeDir, ".ssh")
	if err := os.Mkdir(home, 0o700); err == nil {
		t.Cleanup(func() { _ = os.Remove(home) })
	} else if !os.IsExist(err) {
		t.Fatal(err)
	}
	// ours finds them below other names
	ours := Files{User: filepath.Join(dir, "home/config"), System: filepath.Join(dir, "etc/ssh_config"),
		Home: filepath.Join(dir, "root"), SystemDir: filepath.Join(dir, "etc"), LocalUser: me.Username}
	if err := firstOf(os.Mkdir(ours.Home, 0o700), os.Symlink("../home", filepath.Join(ours.Home, ".ssh"))); err != nil {
		t.Fatal(err)
	}
	const script = `mount --bind "$1/home" "$2" && mount --bind "$1/etc" /etc/ssh && shift 2 && exec ssh "$@"`
	for _, q := range names {
		args := append([]string{"-m", "sh", "-c", script, "sh", dir, home}, options(q)...)
		compare(t, ours, q, me, exec.Command("unshare", args...))
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// compare evaluates with both.
func compare(t *testing.T, files Files, q Query, me *user.User, ssh *exec.Cmd) {
	t.Helper()
	out, err := ssh.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", ssh, err, err.(*exec.ExitError).Stderr)
	}
	got, err := files.Get(q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if d := cmp.Diff(theirs(string(out)), printed(got, me)); d != "" {
		t.Errorf("%+v: ssh -G and ours:\n%s", q, d)
	}
}

// theirs are the lines of ssh -G that we honour.
func theirs(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, " ")
		switch {
		case !slices.Contains(honoured, key):
		case key == "identityfile" && slices.Contains(usualKeys, value):
		case key == "identitiesonly" && value == "no", key == "canonicalizehostname":
		case key == "proxycommand" && value == "none", key == "proxyjump" && value == "none":
		case key == "userknownhostsfile" && strings.HasSuffix(value, "/.ssh/known_hosts2"):
		case key == "globalknownhostsfile" && strings.HasSuffix(value, "/ssh_known_hosts2"):
		default:
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

var honoured = []string{
	"hostname", "user", "port", "proxyjump", "proxycommand", "identityfile", "certificatefile",
	"identitiesonly", "identityagent", "hostkeyalias", "userknownhostsfile", "globalknownhostsfile",
}

var usualKeys = []string{
	"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk",
	"~/.ssh/id_xmss", "~/.ssh/id_dsa",
}

// printed is how ssh -G would print values of ours.
func printed(v Values, me *user.User) []string {
	var lines []string
	add := func(key string, values ...string) {
		for _, value := range values {
			if value != "" {
				lines = append(lines, key+" "+value)
			}
		}
	}
	if v.User == "" {
		v.User = me.Username
	}
	if v.Port == 0 {
		v.Port = 22
	}
	add("hostname", v.HostName)
	add("user", v.User)
	add("port", fmt.Sprint(v.Port))
	for key, value := range map[string]string{"proxyjump": v.ProxyJump, "proxycommand": v.ProxyCommand} {
		if value != "none" {
			add(key, value)
		}
	}
	add("identityfile", v.IdentityFiles...)
	add("certificatefile", v.CertificateFiles...)
	if v.IdentitiesOnly {
		add("identitiesonly", "yes")
	}
	add("identityagent", v.IdentityAgent)
	add("hostkeyalias", v.HostKeyAlias)
	add("userknownhostsfile", strings.Join(v.UserKnownHostsFiles, " "))
	add("globalknownhostsfile", strings.Join(v.GlobalKnownHostsFiles, " "))
	slices.Sort(lines)
	return lines
}
