package migration

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func someFacts() facts {
	of := func(key string) hostFacts {
		return hostFacts{
			key: key, keys: []string{key},
			cfg: HostConfig{URI: "qemu+tls://" + key + ".example/system?pkipath=/home/me/pki"},
			Facts: host.Facts{Hostname: key, UUID: "uuid-" + key, Driver: "QEMU", Arch: "x86_64", LibvirtVersion: 9000000,
				HypervisorVersion: 7002022, RoundTrip: time.Millisecond},
		}
	}
	return facts{source: of("a"), destination: of("b"), guest: host.Domain{
		ID: host.DomainID{Name: "web", UUID: "u", ID: 3}, State: running, Persistent: true, MemoryBytes: 3 << 30,
		Disks: []host.Disk{{Target: "vda", Type: "network", Protocol: "nbd"}, {Target: "sda", Device: "cdrom", Empty: true, Local: true}},
	}}
}

func TestDecideChooses(t *testing.T) {
	for name, c := range map[string]struct {
		options   Options
		change    func(*facts)
		transport Transport
		control   Control
		flags     host.Flags
		check     func(*testing.T, Plan)
	}{
		"auto takes tls on two connections and says why not plain": {
			transport: TransportTLS, control: ControlController,
			flags: host.FlagLive | host.FlagTLS | host.FlagParallel | host.FlagPersistDest | host.FlagUndefineSource,
			check: func(t *testing.T, p Plan) {
				if p.recipe.params.ParallelConnections != 2 || p.recipe.params.TLSDestination != "b.example" || p.recipe.params.MigrateURI != "tcp://b.example" {
					t.Errorf("parameters %+v", p.recipe.params)
				}
				if !strings.Contains(p.Reason, "plain: it is not encrypted") || !p.Encrypted || len(p.ToBeConfirmed) == 0 {
					t.Errorf("reason %q, to be confirmed %q", p.Reason, p.ToBeConfirmed)
				}
				if p.Timeout != 17*time.Minute+30*time.Second {
					t.Errorf("time-out %s for 3 GiB", p.Timeout)
				}
			}},
		"permission for plain does not make auto take it": {options: Options{AllowPlain: true}, transport: TransportTLS, control: ControlController},
		"plain when asked for and allowed, with a warning": {
			options: Options{Transport: TransportPlain, AllowPlain: true}, transport: TransportPlain, control: ControlController,
			flags: host.FlagLive | host.FlagPersistDest | host.FlagUndefineSource,
			check: func(t *testing.T, p Plan) {
				if p.Encrypted || !slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.Contains(w, "unencrypted") }) {
					t.Errorf("encrypted %v, warnings %q", p.Encrypted, p.Warnings)
				}
			}},
		"plain on several connections": {
			options: Options{Transport: TransportPlain, AllowPlain: true, ParallelConnections: 4}, transport: TransportPlain, control: ControlController,
			flags: host.FlagLive | host.FlagParallel | host.FlagPersistDest | host.FlagUndefineSource},
		"a transient guest keeps its source from being undefined": {
			change: func(fa *facts) { fa.guest.Persistent = false }, transport: TransportTLS, control: ControlController,
			flags: host.FlagLive | host.FlagTLS | host.FlagParallel | host.FlagPersistDest},
		"a paused guest stays paused": {
			change: func(fa *facts) { fa.guest.State = userPaused }, transport: TransportTLS, control: ControlController,
			flags: host.FlagLive | host.FlagTLS | host.FlagParallel | host.FlagPersistDest | host.FlagUndefineSource | host.FlagPaused},
		"peer to peer strips what only the controller has": {
			options: Options{Control: ControlPeerToPeer}, transport: TransportTLS, control: ControlPeerToPeer,
			check: func(t *testing.T, p Plan) {
				if p.recipe.peerURI != "qemu+tls://b.example/system" {
					t.Errorf("peer URI %q", p.recipe.peerURI)
				}
			}},
		"tunnel where tls cannot be": {
			change: func(fa *facts) { fa.destination.LibvirtVersion = 5000000 }, transport: TransportTunnel, control: ControlPeerToPeer,
			flags: host.FlagLive | host.FlagTunnelled | host.FlagPersistDest | host.FlagUndefineSource,
			check: func(t *testing.T, p Plan) {
				if p.recipe.params.MigrateURI != "" || p.recipe.params.TLSDestination != "" || p.recipe.params.ParallelConnections != 0 {
					t.Errorf("a tunnel has parameters libvirt refuses: %+v", p.recipe.params)
				}
				if !p.Encrypted || p.recipe.encryption.Protocol != "TLS (by libvirt)" || !strings.Contains(p.Reason, "tls: libvirt on b is 5.0.0") {
					t.Errorf("encryption %+v, reason %q", p.recipe.encryption, p.Reason)
				}
			}},
		"tunnel where the handshake of tls failed": {
			change: func(fa *facts) { fa.failed = map[Transport]string{TransportTLS: "its handshake failed"} }, transport: TransportTunnel, control: ControlPeerToPeer},
		"an unencrypted tunnel when asked for and allowed": {
			options: Options{Transport: TransportTunnel, AllowPlain: true}, transport: TransportTunnel, control: ControlPeerToPeer,
			change: func(fa *facts) {
				fa.destination.cfg.PeerURI, fa.destination.cfg.AllowPlainControl = "qemu+tcp://b.example/system", true
			},
			check: func(t *testing.T, p Plan) {
				if p.Encrypted || p.recipe.encryption != nil || len(p.Warnings) == 0 {
					t.Errorf("encrypted %v, warnings %q", p.Encrypted, p.Warnings)
				}
			}},
		"a far controller lets the hosts drive": {
			change: func(fa *facts) {
				fa.source.RoundTrip, fa.destination.RoundTrip = 160*time.Millisecond, 160*time.Millisecond
			},
			transport: TransportTLS, control: ControlPeerToPeer},
		"a far controller drives when the hosts cannot, with a warning": {
			change: func(fa *facts) {
				fa.source.RoundTrip, fa.destination.RoundTrip = 160*time.Millisecond, 160*time.Millisecond
				fa.destination.cfg = HostConfig{URI: "qemu:///system", MigrationAddress: "10.0.0.2"}
			},
			transport: TransportTLS, control: ControlController,
			check: func(t *testing.T, p Plan) {
				if len(p.Warnings) == 0 {
					t.Error("no warning")
				}
			}},
		"an IPv6 address is bracketed": {
			change:    func(fa *facts) { fa.destination.cfg.MigrationAddress = "fd00::2" },
			transport: TransportTLS, control: ControlController,
			check: func(t *testing.T, p Plan) {
				if p.recipe.params.MigrateURI != "tcp://[fd00::2]" || p.recipe.params.TLSDestination != "fd00::2" {
					t.Errorf("parameters %+v", p.recipe.params)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			fa := someFacts()
			if c.change != nil {
				c.change(&fa)
			}
			p := decide(c.options, fa)
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			if p.Transport != c.transport || p.Control != c.control {
				t.Errorf("%s by %s, want %s by %s", p.Transport, p.Control, c.transport, c.control)
			}
			if c.flags != 0 && p.recipe.flags != c.flags {
				t.Errorf("flags %#x, want %#x", p.recipe.flags, c.flags)
			}
			for _, row := range transportRows {
				if row.name != p.Transport && p.RuledOut[row.name] == "" {
					t.Errorf("nothing says why not %s", row.name)
				}
			}
			if c.check != nil {
				c.check(t, p)
			}
		})
	}
}

func TestDecideBlocks(t *testing.T) {
	for id, c := range map[string]struct {
		options Options
		change  func(*facts)
		id      string // of the blocker, where it is not the name of the case
		says    string
	}{
		"driver":            {change: func(fa *facts) { fa.destination.Driver = "Xen" }, says: "Xen"},
		"host_uuid":         {change: func(fa *facts) { fa.destination.UUID = fa.source.UUID }, says: "same UUID"},
		"architecture":      {change: func(fa *facts) { fa.destination.Arch = "aarch64" }, says: "aarch64"},
		"migration_address": {change: func(fa *facts) { fa.destination.cfg = HostConfig{URI: "qemu:///system"} }, says: "which address"},
		"name_taken":        {change: func(fa *facts) { fa.nameTakenBy = "other" }, says: "another domain named"},
		"state":             {change: func(fa *facts) { fa.guest.State = host.State{State: host.StatePaused, Reason: host.PausedIOError} }, says: "I/O error"},
		"job":               {change: func(fa *facts) { fa.otherJob = true }, says: "a job"},
		"host_device":       {change: func(fa *facts) { fa.guest.HostDevices = []string{"PCI device 0000:01:00.0"} }, says: "0000:01:00.0"},
		"device":            {change: func(fa *facts) { fa.guest.Blockers = []string{"virtiofs filesystem data"} }, says: "virtiofs"},
		"snapshots":         {change: func(fa *facts) { fa.guest.Snapshots = 2 }, says: "2 snapshots"},
		"checkpoints":       {change: func(fa *facts) { fa.guest.Checkpoints = 1 }, says: "checkpoints"},
		"transport":         {options: Options{Transport: TransportTLS}, change: func(fa *facts) { fa.destination.LibvirtVersion = 5000000 }, says: "5.0.0"},
		"plain tunnel": {id: "plain", options: Options{Transport: TransportTunnel}, change: func(fa *facts) {
			fa.destination.cfg.PeerURI, fa.destination.cfg.AllowPlainControl = "qemu+tcp://b.example/system", true
		}, says: "unencrypted"},
		"auto never takes a plain tunnel": {id: "transport", change: func(fa *facts) {
			fa.destination.LibvirtVersion = 5000000
			fa.destination.cfg.PeerURI, fa.destination.cfg.AllowPlainControl = "qemu+tcp://b.example/system", true
		}, says: "tunnel: it is not encrypted"},
		"tunnel without a login": {id: "transport", options: Options{Transport: TransportTunnel}, change: func(fa *facts) {
			fa.destination.cfg = HostConfig{URI: "qemu:///system", MigrationAddress: "b"}
		}, says: "no peer_uri"},
		"plain": {options: Options{Transport: TransportPlain}, says: "unencrypted"},
		"peer_uri": {options: Options{Control: ControlPeerToPeer}, change: func(fa *facts) {
			fa.destination.cfg = HostConfig{URI: "qemu:///system", MigrationAddress: "b"}
		}, says: "peer_uri"},
	} {
		t.Run(id, func(t *testing.T) {
			fa := someFacts()
			if c.change != nil {
				c.change(&fa)
			}
			p := decide(c.options, fa)
			i := slices.IndexFunc(p.Blockers, func(f Finding) bool { return f.ID == cmp.Or(c.id, id) })
			if i < 0 || len(p.Blockers) != 1 {
				t.Fatalf("blockers %+v", p.Blockers)
			}
			if !strings.Contains(p.Blockers[i].Text, c.says) {
				t.Errorf("%q does not say %q", p.Blockers[i].Text, c.says)
			}
			if err := p.Err(); err == nil || !strings.Contains(err.Error(), "untouched on a") {
				t.Errorf("error %v does not say where the guest is", err)
			}
		})
	}
}

func TestDecideShowsAllBlockersAtOnce(t *testing.T) {
	fa := someFacts()
	fa.guest.Snapshots, fa.otherJob, fa.nameTakenBy = 1, true, "x"
	if p := decide(Options{}, fa); len(p.Blockers) != 3 {
		t.Errorf("blockers %+v", p.Blockers)
	}
}

func TestDecideOfOneHostUnderTwoKeysIsNoMove(t *testing.T) {
	fa := someFacts()
	fa.source.keys = []string{"a", "b"}
	if p := decide(Options{}, fa); p.Moves() || p.Err() != nil {
		t.Errorf("plan %+v", p)
	}
}
