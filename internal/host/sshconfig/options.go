package sshconfig

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mostFiles is how many files ssh takes of one option.
const mostFiles = 100

// assign takes an option's value, unless the option has one already.
func (b *block) assign(keyword, rest string) error {
	v := &b.values
	switch keyword {
	case "hostname":
		return b.first(keyword, rest, &v.HostName)
	case "user":
		return b.first(keyword, rest, &v.User)
	case "identityagent":
		return b.first(keyword, rest, &v.IdentityAgent)
	case "hostkeyalias":
		return b.first(keyword, rest, &v.HostKeyAlias)
	case "identityfile":
		return add(rest, &v.IdentityFiles)
	case "certificatefile":
		return add(rest, &v.CertificateFiles)
	case "userknownhostsfile":
		return b.list(keyword, rest, &v.UserKnownHostsFiles)
	case "globalknownhostsfile":
		return b.list(keyword, rest, &v.GlobalKnownHostsFiles)
	case "proxyjump":
		rest, _, _ = strings.Cut(rest, "#")
		return b.proxyJump(unquoted(strings.Trim(rest, blank)))
	case "proxycommand":
		return b.proxyCommand(rest)
	case "port":
		return b.port(keyword, rest)
	case "identitiesonly":
		var word string
		err := b.first(keyword, rest, &word)
		if err == nil && word != "" {
			v.IdentitiesOnly = isYes(word)
		}
		return err
	case "canonicalizehostname":
		return b.canonicalize(keyword, rest)
	}
	return nil
}

func isYes(word string) bool {
	return strings.EqualFold(word, "yes") || strings.EqualFold(word, "true")
}

// one is the only argument of a line.
func one(rest string) (string, error) {
	args, err := split(rest)
	switch {
	case err != nil:
		return "", err
	case len(args) == 0 || args[0] == "":
		return "", errors.New("it has no value")
	case len(args) > 1:
		return "", fmt.Errorf("%q follows the value; put quotes around a value with spaces", args[1])
	}
	return args[0], nil
}

func (b *block) first(keyword, rest string, into *string) error {
	value, err := one(rest)
	if err == nil && !b.set[keyword] {
		*into, b.set[keyword] = value, true
	}
	return err
}

// list takes all the arguments of the first line that has the option.
func (b *block) list(keyword, rest string, into *[]string) error {
	values, err := split(rest)
	switch {
	case err != nil:
		return err
	case len(values) == 0 || slices.Contains(values, ""):
		return errors.New("it has no value")
	case len(values) > mostFiles:
		return fmt.Errorf("it names more than %d files", mostFiles)
	}
	if !b.set[keyword] {
		*into, b.set[keyword] = values, true
	}
	return nil
}

// add takes the value of every line that has the option.
func add(rest string, into *[]string) error {
	value, err := one(rest)
	switch {
	case err != nil:
		return err
	case slices.Contains(*into, value):
		return nil
	case len(*into) == mostFiles:
		return fmt.Errorf("there are more than %d", mostFiles)
	}
	*into = append(*into, value)
	return nil
}

// proxyJump takes the whole rest of a line. A way over other hosts leaves no room for a later command, nor the
// other way round.
func (b *block) proxyJump(value string) error {
	if value == "" {
		return errors.New("it has no value")
	}
	if b.set["proxyjump"] || b.set["proxycommand"] && !strings.EqualFold(value, "none") {
		return nil
	}
	b.values.ProxyJump, b.set["proxyjump"] = value, true
	if !strings.EqualFold(value, "none") {
		b.set["proxycommand"] = true
	}
	return nil
}

func (b *block) proxyCommand(value string) error {
	if value == "" {
		return errors.New("it has no value")
	}
	if !b.set["proxycommand"] {
		b.values.ProxyCommand, b.set["proxycommand"] = value, true
	}
	return nil
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2 {
		return s[1 : len(s)-1]
	}
	return s
}

func (b *block) port(keyword, rest string) error {
	var word string
	if err := b.first(keyword, rest, &word); err != nil || word == "" {
		return err
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is no port; ports are 1 to 65535", word)
	}
	b.values.Port = n
	return nil
}

// canonicalize asks for the second pass. The name itself is left as it is: no name server is asked for others.
func (b *block) canonicalize(keyword, rest string) error {
	var word string
	if err := b.first(keyword, rest, &word); err != nil || word == "" {
		return err
	}
	b.canonicalizes = isYes(word) || strings.EqualFold(word, "always")
	return nil
}
