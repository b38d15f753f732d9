// Package sshconfig evaluates ssh_config(5) for one host, as OpenSSH's client does: the first value obtained for an
// option counts, Host and Match blocks apply or not, and a configuration that asks for it is read a second time with
// the name that HostName gave. No program is run: a Match block that depends on one is skipped, and that is reported.
//
// Only the options that this program honours are kept; all others are passed over.
package sshconfig

import (
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Files says where a configuration is, and for whom it is evaluated.
type Files struct {
	// User is the user's own file, System the machine's behind it. Either may be missing.
	User, System string
	// Home is what ~ means. Relative includes of the user's file are in its folder .ssh.
	Home string
	// SystemDir is where relative includes of the machine's file are.
	SystemDir string
	// LocalUser is who runs this program.
	LocalUser string
}

// Standard are the files that ssh reads for whoever runs this program.
func Standard() Files {
	home, _ := os.UserHomeDir()
	return Files{
		User: filepath.Join(home, ".ssh", "config"), System: "/etc/ssh/ssh_config",
		Home: home, SystemDir: "/etc/ssh", LocalUser: LocalUser(),
	}
}

// LocalUser is the name of who runs this program.
func LocalUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// Query is what is known before a configuration is read. As on ssh's command line, it precedes the files.
type Query struct {
	// Host is the name as it was given, an alias perhaps.
	Host string
	// User and Port are empty where they were not given.
	User string
	Port int
}

// Values are what the configuration says of one host. What it does not say is empty. ~ and tokens are as they were
// written, except in HostName.
type Values struct {
	HostName string // never empty
	User     string
	Port     int

	// ProxyJump and ProxyCommand may both be "none"; no more than one of them is anything else.
	ProxyJump, ProxyCommand string

	IdentityFiles    []string
	CertificateFiles []string
	IdentitiesOnly   bool
	IdentityAgent    string

	HostKeyAlias          string
	UserKnownHostsFiles   []string
	GlobalKnownHostsFiles []string

	// Remarks are what could not be evaluated here, each with its file and line.
	Remarks []string
}

// mostName bounds a host's name, and with it the time that patterns take. No name or address is as long.
const mostName = 1024

// Get evaluates the configuration for one host.
func (f Files) Get(q Query) (Values, error) {
	if len(q.Host) > mostName {
		return Values{}, fmt.Errorf("a host's name has %d bytes, more than any", len(q.Host))
	}
	e := evaluation{files: f, given: q, host: q.Host, set: map[string]bool{}}
	e.values.User, e.values.Port = q.User, q.Port
	e.set["user"], e.set["port"] = q.User != "", q.Port != 0
	if err := e.pass(); err != nil {
		return Values{}, err
	}
	name := e.hostName()
	if _, err := netip.ParseAddr(name); err != nil {
		name = strings.ToLower(name)
	}
	e.values.HostName, e.set["hostname"] = name, true
	if e.canonicalizes && strings.Count(name, ".") < 2 {
		e.remark("CanonicalizeHostname: names are not completed here; write the whole name of " + name)
	}
	if e.wantsFinal || e.canonicalizes {
		e.final, e.host = true, name
		if err := e.pass(); err != nil {
			return Values{}, err
		}
	}
	return e.values, nil
}

// evaluation is one host's way through the files.
type evaluation struct {
	files  Files
	given  Query
	values Values
	// set are the options, in lower case, that have their value.
	set map[string]bool
	// host is what the patterns of Host blocks are compared with.
	host string
	// final marks the second pass; wantsFinal and canonicalizes are the two reasons for one.
	final, wantsFinal, canonicalizes bool
	// opened and bytes count what was read, over both passes.
	opened, bytes int
}

func (e *evaluation) pass() error {
	if err := e.read(source{path: e.files.User, user: true}); err != nil {
		return err
	}
	return e.read(source{path: e.files.System})
}

// hostName is the name to connect to, as far as the files have been read.
func (e *evaluation) hostName() string {
	if !e.set["hostname"] {
		return e.given.Host
	}
	if e.final {
		return e.values.HostName
	}
	return strings.NewReplacer("%h", e.given.Host, "%%", "%").Replace(e.values.HostName)
}

func (e *evaluation) remark(text string) {
	for _, said := range e.values.Remarks {
		if said == text {
			return
		}
	}
	const most = 100
	if len(e.values.Remarks) < most {
		e.values.Remarks = append(e.values.Remarks, text)
	}
}
