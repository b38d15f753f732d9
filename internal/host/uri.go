package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
)

// A connection is how a daemon is reached.
type connection string

const (
	overUNIX connection = "unix"
	overTCP  connection = "tcp"
	overTLS  connection = "tls"
	overSSH  connection = "ssh"
)

var defaultPort = map[connection]int{overTCP: 16509, overTLS: 16514}

// target is what a libvirt URI says, checked.
type target struct {
	driver string // "qemu" or "test"
	conn   connection
	user   string
	host   string
	port   int    // 0: the connection's default (for ssh, what ~/.ssh/config says, else 22)
	path   string // what the daemon is asked to open: "/system", "/session", a file for the test driver

	socket     string          // unix, ssh: the daemon's socket instead of the usual ones
	keyfile    string          // ssh: the only key to log in with
	knownHosts string          // ssh: instead of the user's and the system's
	hostKeys   []ssh.PublicKey // ssh: instead of any file; not in the URI
	pkipath    string          // tls: folder with cacert.pem, clientcert.pem and clientkey.pem

	first *firstSeen // nil where it does not matter who answers
}

// refused are parameters of libvirt's URIs that are known and not taken, with the reason.
var refused = map[string]string{
	"no_verify":          "the far side is always verified",
	"known_hosts_verify": "host keys are always verified; name the file of known keys with known_hosts",
	"no_sanity":          "certificates are always checked",
	"no_tty":             "ssh never asks here; log in with an agent or a key without passphrase",
	"command":            "no external program is run; ssh is built in",
	"netcat":             "nothing is run through a shell on the host; the daemon's socket is reached directly",
	"proxy":              "the way to the daemon's socket is found by itself; name the socket with socket",
	"mode":               "monolithic and modular daemons are both tried; name the socket with socket",
	"auth":               "the user name belongs before the host; log in with an agent or a key",
	"sshauth":            "log in with an agent or a key",
	"password":           "log in with an agent or a key",
	"name":               "give the driver's path in the URI itself",
	"debug":              "use the log level of the caller",
	"authfile":           "SASL is not supported",
	"tls_priority":       "TLS 1.2 and later with Go's ciphers is used",
	"pki_path":           "the parameter is called pkipath",
}

// taken says which parameters each connection knows.
var taken = map[connection][]string{
	overUNIX: {"socket"},
	overTCP:  nil,
	overTLS:  {"pkipath"},
	overSSH:  {"socket", "keyfile", "known_hosts"},
}

// errMisread: what stands before an @ may be a password, also where a sign in it makes it look like something else.
var errMisread = errors.New("not a URI; write for example qemu+ssh://root@host/system")

// parseURI reads a libvirt URI. Its errors never repeat the URI, which may carry a password.
func parseURI(s string) (target, error) {
	if strings.TrimSpace(s) == "" {
		return target{}, errors.New("the libvirt URI is empty; write for example qemu+ssh://root@host/system")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return target{}, errors.New("the libvirt URI has a control character in it, such as a line break; write for example qemu+ssh://root@host/system")
	}
	u, err := url.Parse(s)
	if err == nil && strings.Contains(u.Path, "@") {
		err = errMisread
	}
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		if strings.Contains(s, "@") {
			err = errMisread // the cause could quote what stands before the @
		}
		return target{}, fmt.Errorf("malformed libvirt URI: %w", err)
	}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			return target{}, errors.New("the libvirt URI holds a password; log in with an agent or a key file instead")
		}
	}
	if u.Opaque != "" || u.Scheme == "" {
		return target{}, errors.New("the libvirt URI has no connection or no machine; write for example qemu+ssh://root@host/system")
	}
	if u.Fragment != "" {
		return target{}, errors.New("the libvirt URI has a part after #, which means nothing there")
	}
	t := target{host: u.Hostname(), path: u.Path}
	if u.User != nil {
		t.user = u.User.Username()
	}
	if err := t.setScheme(u.Scheme); err != nil {
		return target{}, err
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return target{}, fmt.Errorf("the libvirt URI has port %q; ports are 1 to 65535", p)
		}
		t.port = n
	} else if strings.HasSuffix(u.Host, ":") {
		return target{}, errors.New("the libvirt URI has a colon without a port after it")
	}
	if err := t.setParameters(u.RawQuery); err != nil {
		return target{}, err
	}
	return t, t.check()
}

func (t *target) setScheme(scheme string) error {
	driver, conn, has := strings.Cut(strings.ToLower(scheme), "+")
	switch driver {
	case "qemu", "test":
		t.driver = driver
	default:
		return fmt.Errorf("the libvirt URI names the driver %q; only qemu can migrate guests here", driver)
	}
	switch {
	case !has && t.host == "":
		t.conn = overUNIX
	case !has:
		t.conn = overTLS // as libvirt does
	case conn == "ssh", conn == "libssh", conn == "libssh2":
		t.conn = overSSH
	case conn == "unix", conn == "tcp", conn == "tls":
		t.conn = connection(conn)
	case conn == "ext":
		return errors.New("the libvirt URI asks for qemu+ext, which runs an external program and is not supported; use unix, tcp, tls or ssh")
	default:
		return fmt.Errorf("the libvirt URI asks for the connection %q; there are unix, tcp, tls and ssh", conn)
	}
	return nil
}

func (t *target) setParameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("malformed parameters in the libvirt URI")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		v := values[name]
		if strings.Contains(name, "@") {
			return fmt.Errorf("malformed libvirt URI: %w", errMisread)
		}
		if why, known := refused[name]; known {
			return fmt.Errorf("the libvirt URI's parameter %q is not supported: %s", name, why)
		}
		field := map[string]*string{
			"socket": &t.socket, "keyfile": &t.keyfile, "known_hosts": &t.knownHosts, "pkipath": &t.pkipath,
		}[name]
		if field == nil {
			return fmt.Errorf("the libvirt URI has the unknown parameter %q%s; there are %s", name, spelling.Guess(name, taken[t.conn]), t.parameterNames())
		}
		if !contains(taken[t.conn], name) {
			return fmt.Errorf("the libvirt URI's parameter %q means nothing with the connection %s; it knows %s", name, t.conn, t.parameterNames())
		}
		if len(v) != 1 || v[0] == "" {
			return fmt.Errorf("the libvirt URI's parameter %q must be given once and not be empty", name)
		}
		if strings.ContainsAny(v[0], "\x00\n\r") {
			return fmt.Errorf("the libvirt URI's parameter %q has a control character in it", name)
		}
		*field = v[0]
	}
	return nil
}

func (t *target) parameterNames() string {
	if len(taken[t.conn]) == 0 {
		return "none"
	}
	return strings.Join(taken[t.conn], ", ")
}

// check refuses what does not fit together.
func (t *target) check() error {
	switch {
	case t.conn == overUNIX && t.host != "":
		return errors.New("the libvirt URI names a host, and unix reaches this machine only; use ssh or tls")
	case t.conn == overUNIX && (t.user != "" || t.port != 0):
		return errors.New("the libvirt URI has a user or a port, and unix knows neither")
	case t.conn != overUNIX && t.host == "":
		return fmt.Errorf("the libvirt URI names no host; write qemu+%s://HOST/system", t.conn)
	case t.conn != overSSH && t.user != "":
		return fmt.Errorf("the libvirt URI names the user %q, and the connection %s knows none", t.user, t.conn)
	case len(t.host) > mostHostName:
		return fmt.Errorf("the libvirt URI names a host by %d bytes; a name has at most %d", len(t.host), mostHostName)
	case !IsHostName(t.host) && t.host != "":
		return fmt.Errorf("the libvirt URI names the host %q, which cannot be one: a name or an address has letters, digits and the signs . - _ : alone, and begins with no -", t.host)
	case strings.HasPrefix(t.user, "-") || strings.ContainsAny(t.user, " \t\r\n\x00"):
		return fmt.Errorf("the libvirt URI names the user %q, which cannot be one: a user's name has no spaces, and does not begin with -", t.user)
	case t.driver == "qemu" && t.path != "/system" && t.path != "/session":
		return fmt.Errorf("the libvirt URI has the path %q; it must end in /system or /session", t.path)
	case t.driver == "qemu" && t.path == "/session" && (t.conn == overTCP || t.conn == overTLS):
		return fmt.Errorf("the libvirt URI leads to a session daemon, which listens on no network; reach it with unix or ssh, not %s", t.conn)
	case t.driver == "test" && t.path == "":
		return errors.New("the libvirt URI of the test driver needs a path: /default, or a file on its host")
	case t.socket != "" && !strings.HasPrefix(t.socket, "/"):
		return fmt.Errorf("the libvirt URI's parameter \"socket\" is %q, but must be an absolute path", t.socket)
	case len(t.socket) > 107:
		return fmt.Errorf("the libvirt URI's parameter \"socket\" has %d bytes, and a socket's path at most 107 bytes", len(t.socket))
	}
	return nil
}

// mostHostName is how long the Domain Name System lets a name be: RFC 1035, 2.3.4.
const mostHostName = 253

// IsHostName says whether a text can be the name or the address of a host.
func IsHostName(s string) bool {
	return s != "" && len(s) <= mostHostName && !strings.HasPrefix(s, "-") && !strings.ContainsFunc(s, notInHostNames)
}

// notInHostNames: what no name or address of a host has in it, and what could do harm where an error tells
// people which command to run.
func notInHostNames(r rune) bool {
	return r < 0x80 && !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:%", r))
}

// driverURI is what the daemon is asked to open.
func (t target) driverURI() string { return t.driver + "://" + t.path }

// encrypted says whether what we say to the daemon cannot be read on the way.
func (t target) encrypted() bool { return t.conn != overTCP }

// loopback says whether the host is this machine by the look of its name.
func (t target) loopback() bool {
	if strings.EqualFold(t.host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(t.host)
	return err == nil && a.Unmap().IsLoopback()
}

// address is where tcp and tls connect to.
func (t target) address() string {
	port := t.port
	if port == 0 {
		port = defaultPort[t.conn]
	}
	return net.JoinHostPort(t.host, strconv.Itoa(port))
}

// String is the URI without parameters, for people.
func (t target) String() string {
	var b strings.Builder
	b.WriteString(t.driver + "+" + string(t.conn) + "://")
	if t.user != "" {
		b.WriteString(url.User(t.user).String() + "@")
	}
	switch {
	case t.port != 0:
		b.WriteString(net.JoinHostPort(t.host, strconv.Itoa(t.port)))
	case strings.Contains(t.host, ":"):
		b.WriteString("[" + t.host + "]")
	default:
		b.WriteString(t.host)
	}
	b.WriteString(t.path)
	return b.String()
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
