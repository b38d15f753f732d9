package mistakes

import "strings"

// uri is a mistake in the URI of a host.
func uri(what, value, shown, hint string) Mistake {
	return Mistake{What: what, Given: map[string]any{"hosts/beta/uri": value}, Words: Words{"beta: the libvirt URI", shown, hint}}
}

// uris are mistakes in a host's URI, each kind of it. Where they name a machine, it is the door.
var uris = []Mistake{
	uri("no URI", "beta", "", "write for example qemu+ssh://root@host/system"),
	uri("a line break in a URI", "qemu+ssh://root@DOOR/system\n", "", "control character"),
	uri("spaces alone", "   ", "", "write for example"),
	uri("another hypervisor", "xen+tcp://DOOR/system", `"xen"`, "only qemu"),
	uri("a program for a connection", "qemu+ext://DOOR/system?command=/bin/sh", "qemu+ext", "use unix, tcp, tls or ssh"),
	uri("an unknown connection", "qemu+pigeon://DOOR/system", `"pigeon"`, "unix, tcp, tls and ssh"),
	uri("a port that is none", "qemu+tcp://127.0.0.1:99999/system", `"99999"`, "1 to 65535"),
	uri("a port of nothing", "qemu+tcp://127.0.0.1:/system", "colon", "port"),
	uri("no driver's path", "qemu+tcp://DOOR", `""`, "/system or /session"),
	uri("a session over the network", "qemu+tcp://DOOR/session", "session", "unix or ssh"),
	uri("a path of somebody's", "qemu+ssh://root@DOOR/../etc/passwd", `"/../etc/passwd"`, "/system or /session"),
	uri("no machine", "qemu+ssh:///system", "", "qemu+ssh://HOST/system"),
	uri("a machine over a socket of this one", "qemu+unix://DOOR/system", "", "use ssh or tls"),
	uri("a user where none logs in", "qemu+tcp://root@DOOR/system", `"root"`, "tcp knows none"),
	uri("verification switched off", "qemu+tls://DOOR/system?no_verify=1", `"no_verify"`, "always verified"),
	uri("host keys not looked at", "qemu+ssh://root@DOOR/system?known_hosts_verify=ignore", `"known_hosts_verify"`, "known_hosts"),
	uri("a slip in a parameter", "qemu+ssh://root@DOOR/system?keyfle=/k", `"keyfle"`, `did you mean "keyfile"?`),
	uri("another connection's parameter", "qemu+ssh://root@DOOR/system?pkipath=/k", `"pkipath"`, "keyfile, known_hosts"),
	uri("a parameter twice", "qemu+ssh://root@DOOR/system?keyfile=/a&keyfile=/b", `"keyfile"`, "once"),
	uri("a line break in a parameter", "qemu+ssh://root@DOOR/system?keyfile=/a%0Ab", `"keyfile"`, "control character"),
	uri("a socket that is nowhere", "qemu+unix:///system?socket=sock", `"sock"`, "absolute path"),
	uri("a socket that cannot be", "qemu+unix:///system?socket=/"+strings.Repeat("x", 107), "108", "107 bytes"),
	uri("a command for a machine", "qemu+ssh://root@beta;reboot/system", `"beta;reboot"`, "letters, digits"),
	uri("an option for a machine", "qemu+ssh://-oProxyCommand=reboot/system", `"-oProxyCommand=reboot"`, "letters, digits"),
	uri("a name longer than any", "qemu+ssh://root@"+strings.Repeat("long.", 60)+"example/system", "307", "253"),
	uri("an option for a user", "qemu+ssh://-oProxyCommand=reboot@DOOR/system", `"-oProxyCommand=reboot"`, "begin"),
	uri("something behind a #", "qemu+ssh://root@DOOR/system#fast", "#", "means nothing"),
	{
		What: "a password", Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root:hunter2@DOOR/system"}, Secret: "hunter2",
		Words: Words{"beta: the libvirt URI", "password", "an agent or a key file"},
	},
	{
		What: "a password with a # in it", Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root:hun#ter2@DOOR/system"}, Secret: "ter2",
		Words: Words{"beta: malformed libvirt URI", "", "not a URI"},
	},
	{
		What: "a key that is not there", Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root@DOOR/system?keyfile=/nonexistent/key"},
		Words: Words{"beta", "/nonexistent/key", "no such file"},
	},
	{
		What: "a key that is none", Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root@DOOR/system?keyfile=/etc/passwd"},
		Words: Words{"beta", "/etc/passwd", "no usable private key"},
	},
	{
		What: "known keys that are none", Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root@DOOR/system?known_hosts=/etc/passwd"},
		Words: Words{"beta", "/etc/passwd", "known host keys cannot be read"},
	},
	{
		What: "certificates that are not there", Given: map[string]any{"hosts/beta/uri": "qemu+tls://DOOR/system?pkipath=/nonexistent"},
		Words: Words{"beta", "/nonexistent/cacert.pem", "no such file"},
	},
	{
		What: "a machine in the clear", Given: map[string]any{"hosts/beta/uri": "qemu+tcp://192.0.2.1/system"},
		Words: Words{"beta", "192.0.2.1", "allow_plain_control = true"},
	},
}

// host is a mistake in another option of a host.
func host(what, option, value, hint string) Mistake {
	return Mistake{What: what, Given: map[string]any{"hosts/beta/" + option: value}, Words: Words{option, value, hint}}
}

// hostKey is a mistake in the key of an SSH server.
func hostKey(what, value, hint string) Mistake {
	return Mistake{
		What: what, Given: map[string]any{"hosts/beta/uri": "qemu+ssh://root@DOOR/system", "hosts/beta/host_key": value},
		Words: Words{"beta: host_key line 1", "", hint},
	}
}

// hosts are mistakes in what else is said of hosts.
var hosts = []Mistake{
	{
		What: "no hosts", Given: map[string]any{"hosts": map[string]any{}},
		Words: Words{"hosts is missing", "", "name the libvirt hosts"}, Terraform: &Words{"hosts is empty", "", "name at least one"},
	},
	{
		What: "a list of hosts", Given: map[string]any{"hosts": []any{"alpha", "beta"}},
		Words: Words{"hosts", "a list", "dictionary"}, Terraform: &Words{`"hosts"`, "", "map of map of string required"},
	},
	{
		What: "a host that is its URI", Given: map[string]any{"hosts/beta": "qemu+tcp://DOOR/system"},
		Words: Words{"hosts.beta", "text", "dictionary"}, Terraform: &Words{`"hosts"`, `"beta"`, "map of string required"},
	},
	{
		What: "a host without a URI", Given: map[string]any{"hosts/beta/uri": nil},
		Words: Words{"uri", "beta", "needs uri, the libvirt URI of its daemon"},
	},
	{
		What: "a slip in an option of a host", Given: map[string]any{"hosts/beta/migration_adress": "10.0.0.1"},
		Words: Words{"beta", `"migration_adress"`, `did you mean "migration_address"?`},
	},
	{
		What: "a host's name of two words", Given: map[string]any{"hosts/be ta": map[string]any{"uri": "qemu+tcp://DOOR/system"}},
		Words: Words{"host name", `"be ta"`, "spaces"},
	},
	{
		What: "a host's name of two lines", Given: map[string]any{"hosts/be\rta": map[string]any{"uri": "qemu+tcp://DOOR/system"}},
		Words: Words{"host name", `"be\rta"`, "control characters"},
	},
	{
		What: "a host's name longer than any", Given: map[string]any{"hosts/" + strings.Repeat("b", 256): map[string]any{"uri": "qemu+tcp://DOOR/system"}},
		Words: Words{"host name", "256 bytes", "at most 255"},
	},
	{
		What: "in the clear, perhaps", Given: map[string]any{"hosts/beta/allow_plain_control": "perhaps"},
		Words: Words{"allow_plain_control", `"perhaps"`, "true or false"},
	},
	hostKey("a host key in words", "the usual one", "begins with no kind of host key"),
	hostKey("a fingerprint for a host key", "SHA256:eSiHnWPdhsanNErC9MtF65wOo/o2tfLFZKQC7CLZOGY", "such as ssh-ed25519"),
	hostKey("a line of known_hosts for a host key", "beta ssh-ed25519 AAAA", "leave out the host's name"),
	hostKey("half a host key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "no whole key of the kind ssh-ed25519"),
	{
		What:  "a host key where none is looked at",
		Given: map[string]any{"hosts/beta/uri": "qemu+tcp://DOOR/system", "hosts/beta/host_key": "ssh-ed25519 A"},
		Words: Words{"beta: host_key", "tcp", "means nothing"},
	},
	{
		What: "a private key for a host key", Secret: "hunter2",
		Given: map[string]any{
			"hosts/beta/uri":      "qemu+ssh://root@DOOR/system",
			"hosts/beta/host_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n",
		},
		Words: Words{"beta: host_key line 1", "no public key", "ends in .pub"},
	},
	host("an address with a port", "migration_address", "10.0.0.1:49152", "without port"),
	host("a command for an address", "migration_address", "10.0.0.1;reboot", "host name or an IP address"),
	host("a command within an address", "migration_address", "$(reboot)", "host name or an IP address"),
	host("an option for an address", "migration_address", "--dname", "host name or an IP address"),
	host("a certificate's name of two words", "tls_destination", "beta example", "host name or an IP address"),
	host("a folder that is nowhere", "tls_certificates_dir", "etc/pki", "absolute path"),
	host("ports the wrong way round", "relay_ports", "49215-49152", "such as 49152-49215"),
	host("a port beyond the last", "relay_ports", "65000-65536", "such as 49152-49215"),
	host("ports in words", "relay_ports", "high", "such as 49152-49215"),
	host("a relay that is nowhere", "relay_program", "bin/relay", "absolute path"),
	host("a command for a relay", "relay_program", "/bin/relay;reboot", "absolute path of letters"),
	host("a command for a peer", "peer_uri", "qemu+ssh://beta;reboot/system", "qemu+tls://HOST/system"),
	host("an option for a peer", "peer_uri", "qemu+ssh://-oProxyCommand=reboot/system", "qemu+tls://HOST/system"),
	host("a peer of another kind", "peer_uri", "xen+tls://beta/", "qemu+tls://HOST/system"),
	host("a peer that is nowhere", "peer_uri", "qemu:///system", "qemu+tls://HOST/system"),
	host("a peer that a program reaches", "peer_uri", "qemu+ext://beta/system?command=/bin/sh", "qemu+tls://HOST/system"),
	{
		What: "a peer that is not verified", Given: map[string]any{"hosts/beta/peer_uri": "qemu+tls://beta/system?no_verify=1"},
		Words: Words{"peer_uri", "no_verify", "must verify"},
	},
	{
		What: "a peer in the clear", Given: map[string]any{"hosts/beta/peer_uri": "qemu+tcp://beta/system"},
		Words: Words{"peer_uri", "qemu+tcp", "allow_plain_control"},
	},
	{
		What: "a peer's password", Given: map[string]any{"hosts/beta/peer_uri": "qemu+tls://root:hunter2@beta/system"}, Secret: "hunter2",
		Words: Words{"peer_uri", "password", "beta"},
	},
}
