package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// HostConfig says how to reach one host and how guests travel to it. Both faces show its fields under
// the JSON names.
type HostConfig struct {
	// URI of the host's libvirt daemon, as the controller reaches it.
	URI string `json:"uri"`
	// HostKey holds the public keys of the SSH server of URI, one a line, in place of known_hosts; default: known_hosts
	// counts.
	HostKey string `json:"host_key"`
	// MigrationAddress is the name or address at which the other hosts reach this one's QEMU; default:
	// the host of URI.
	MigrationAddress string `json:"migration_address"`
	// TLSDestination is the name in this host's QEMU certificate; default: MigrationAddress.
	TLSDestination string `json:"tls_destination"`
	// TLSCertificatesDir is where QEMU on this host has its certificates, where qemu.conf names another
	// folder than libvirt's own; default: /etc/pki/libvirt-migrate if it exists, else /etc/pki/qemu. It is
	// only looked at, to say beforehand whether tls can work.
	TLSCertificatesDir string `json:"tls_certificates_dir"`
	// PeerURI is the libvirt URI by which the other hosts' daemons log in to this one; default: URI,
	// without the parameters that only mean something on the controller, where it is not a UNIX socket.
	PeerURI string `json:"peer_uri"`
	// RelayPorts is the range of ports of which the relay takes one where guests come to this host; default:
	// DefaultRelayPorts.
	RelayPorts string `json:"relay_ports"`
	// RelayProgram is the absolute path of a relay that is installed on the host, for logins that may not run
	// what is brought to them.
	RelayProgram string `json:"relay_program"`
	// AllowPlainControl permits an unencrypted connection (tcp) beyond loopback.
	AllowPlainControl bool `json:"allow_plain_control"`
}

// Config is what a Fleet is made of.
type Config struct {
	Hosts map[string]HostConfig
	// MigrationsPerHost bounds how many guests enter one host, and how many leave it, at a time; 0
	// means DefaultMigrationsPerHost.
	MigrationsPerHost int
	// Log may be nil.
	Log hclog.Logger
}

// Fleet is the hosts a user named, and everything that can be asked of them together. It is safe for
// concurrent use.
type Fleet struct {
	members map[string]*member
	keys    []string // sorted
	slots   slots
	// legacyDir is where versions that kept a journal on the controller had it; empty for the user's state directory.
	legacyDir string
	log       hclog.Logger

	mu        sync.Mutex
	inventory *inventory
}

// NewFleet checks the configuration; it reaches no host. The error names every host that is wrong.
func NewFleet(cfg Config) (*Fleet, error) {
	log := cfg.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if len(cfg.Hosts) == 0 {
		return nil, errors.New("hosts is empty: name at least one libvirt host")
	}
	if cfg.MigrationsPerHost == 0 {
		cfg.MigrationsPerHost = DefaultMigrationsPerHost
	}
	if cfg.MigrationsPerHost < 1 || cfg.MigrationsPerHost > MaxMigrationsPerHost {
		return nil, fmt.Errorf("max_migrations_per_host is %d, but must be 1 to %d", cfg.MigrationsPerHost, MaxMigrationsPerHost)
	}
	f := &Fleet{members: map[string]*member{}, log: log, slots: slots{perHost: cfg.MigrationsPerHost}}
	f.keys = slices.Sorted(maps.Keys(cfg.Hosts))
	var wrong []error
	for _, key := range f.keys {
		hc := cfg.Hosts[key]
		if err := hc.validate(key); err != nil {
			wrong = append(wrong, err)
			continue
		}
		dialled := host.Config{Name: key, URI: hc.URI, HostKey: hc.HostKey, AllowPlainControl: hc.AllowPlainControl, Log: log.Named("host")}
		if err := dialled.Validate(); err != nil {
			wrong = append(wrong, err)
			continue
		}
		f.members[key] = newMember(key, hc, func(ctx context.Context) (daemon, error) { return dialReal(ctx, dialled) })
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return f, nil
}

// Hosts are the keys of the fleet's hosts, sorted.
func (f *Fleet) Hosts() []string { return slices.Clone(f.keys) }

// Close closes every connection. Unfinished migrations are undone by libvirt.
func (f *Fleet) Close() error {
	var errs []error
	for _, key := range f.keys {
		errs = append(errs, f.members[key].close())
	}
	return errors.Join(errs...)
}

func (h HostConfig) validate(key string) error {
	if err := checkHostKey(key); err != nil {
		return err
	}
	if h.URI == "" {
		return fmt.Errorf("host %q needs uri, the libvirt URI of its daemon, such as qemu+ssh://root@host/system", key)
	}
	if strings.HasPrefix(h.MigrationAddress, "[") || strings.Count(h.MigrationAddress, ":") == 1 {
		return fmt.Errorf("host %q: migration_address %q must be a bare name or IP address, without port or brackets", key, h.MigrationAddress)
	}
	for option, value := range map[string]string{"migration_address": h.MigrationAddress, "tls_destination": h.TLSDestination} {
		if value != "" && !host.IsHostName(value) {
			return fmt.Errorf("host %q: %s %q is not a host name or an IP address", key, option, value)
		}
	}
	if h.TLSCertificatesDir != "" && !path.IsAbs(h.TLSCertificatesDir) {
		return fmt.Errorf("host %q: tls_certificates_dir %q is not an absolute path", key, h.TLSCertificatesDir)
	}
	if _, _, err := parsePorts(h.relayPorts()); err != nil {
		return fmt.Errorf("host %q: relay_ports: %w", key, err)
	}
	if err := host.CheckInstalled(h.RelayProgram); err != nil {
		return fmt.Errorf("host %q: relay_program: %w", key, err)
	}
	return h.validatePeer(key)
}

// peerSchemes are the connections by which a daemon reaches another one; without a plus it is TLS.
var peerSchemes = []string{"qemu", "qemu+tls", "qemu+ssh", "qemu+libssh", "qemu+libssh2", "qemu+tcp"}

// validatePeer checks what libvirt itself would take without a question.
func (h HostConfig) validatePeer(key string) error {
	if h.PeerURI != "" {
		u, err := url.Parse(h.PeerURI)
		if err != nil {
			return fmt.Errorf("host %q: peer_uri is not a URI; write for example qemu+tls://HOST/system", key)
		}
		if u.User != nil {
			if _, has := u.User.Password(); has {
				return fmt.Errorf("host %q: peer_uri must not carry a password", key)
			}
		}
		if !slices.Contains(peerSchemes, u.Scheme) || !host.IsHostName(u.Hostname()) || strings.HasPrefix(u.User.Username(), "-") || strings.Contains(u.Path, "@") {
			shown := u.Redacted()
			if u.User == nil && strings.Contains(h.PeerURI, "@") {
				shown = "(not shown)" // what stands before the @ may be a password
			}
			return fmt.Errorf("host %q: peer_uri %s does not lead from another host to this one; write for example qemu+tls://HOST/system", key, shown)
		}
		for option, value := range u.Query() {
			// libvirt's own ways to switch the check off: https://libvirt.org/uri.html
			if (option == "no_verify" && slices.ContainsFunc(value, func(v string) bool { return v != "0" })) || (option == "known_hosts_verify" && slices.Contains(value, "ignore")) {
				return fmt.Errorf("host %q: peer_uri switches verification off (%s); the hosts' connection must verify certificates and host keys", key, option)
			}
		}
		if u.Scheme == "qemu+tcp" && !h.AllowPlainControl {
			return fmt.Errorf("host %q: peer_uri is unencrypted (qemu+tcp) and is refused unless allow_plain_control is true on that host", key)
		}
	}
	return nil
}

// migrationAddress is where the other hosts' QEMU finds this host's, "" when nothing says.
func (h HostConfig) migrationAddress() string {
	if h.MigrationAddress != "" {
		return h.MigrationAddress
	}
	u, err := url.Parse(h.URI)
	if err != nil {
		return ""
	}
	switch name := u.Hostname(); name {
	case "localhost", "127.0.0.1", "::1":
		return ""
	default:
		return name
	}
}

// peerURI is how another daemon logs in to this one, "" when nothing says.
func (h HostConfig) peerURI() string {
	if h.PeerURI != "" {
		return h.PeerURI
	}
	u, err := url.Parse(h.URI)
	if err != nil || h.migrationAddress() == "" || u.Hostname() == "" {
		return ""
	}
	// keyfile, known_hosts, pkipath and socket name things on the controller
	u.RawQuery = ""
	return u.String()
}
