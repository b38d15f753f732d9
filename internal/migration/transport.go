package migration

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// Transports can be ruled out by versions: https://libvirt.org/formatdomain.html and the notes of the
// releases say when each parameter came.
const (
	parallelLibvirt       host.Version = 5002000 // VIR_MIGRATE_PARALLEL
	tlsDestinationLibvirt host.Version = 6000000 // VIR_MIGRATE_PARAM_TLS_DESTINATION
	parallelQEMU          host.Version = 5002000 // multifd together with TLS
)

// transportRow is one way for guest memory to travel.
type transportRow struct {
	name Transport
	// encryption is nil for a transport that is not encrypted here.
	encryption func(facts) *Encryption
	// hostRuledOut gives the fact of one host that makes this transport impossible for it, "" for none.
	hostRuledOut func(hostFacts) string
	// ruledOut gives the fact of a pair of hosts, or of the request, that does; each host was asked before.
	ruledOut func(facts, Options) string
	// toBeConfirmed lists what only the run can prove.
	toBeConfirmed func(facts) []string
	// carry fills the recipe, once every check has been made.
	carry func(facts, Options, *recipe)
}

// parallelConnections is on how many connections the memory travels beside QEMU's main one, 0 for none.
func (t Transport) parallelConnections(o Options) int {
	switch {
	case t == TransportTLS:
		return max(o.ParallelConnections, DefaultParallelConnections)
	case t != TransportTunnel && o.ParallelConnections > 1:
		return o.ParallelConnections
	}
	return 0
}

// spread has the memory travel on parallel connections, where it does.
func (r *recipe) spread(t Transport, o Options) {
	if n := t.parallelConnections(o); n > 0 {
		r.flags |= host.FlagParallel
		r.params.ParallelConnections = n
	}
}

// transportRows are all transports, fastest encrypted first: auto takes the first that is encrypted and
// not ruled out.
var transportRows = []transportRow{
	relayRow,
	{
		name:          TransportTLS,
		encryption:    func(facts) *Encryption { return &Encryption{Protocol: "TLS (by QEMU)"} },
		hostRuledOut:  tlsRuledOutOn,
		ruledOut:      func(fa facts, _ Options) string { return certificatesRuledOut(fa) },
		toBeConfirmed: func(facts) []string { return nil }, // the handshake, which checkCertificates names
		carry: func(fa facts, o Options, r *recipe) {
			r.flags |= host.FlagTLS
			r.params.TLSDestination = fa.destination.tlsName()
			r.spread(TransportTLS, o)
		},
	},
	{
		name: TransportTunnel,
		encryption: func(fa facts) *Encryption {
			if protocol := peerProtocol(fa.destination.cfg.peerURI()); protocol != "" {
				return &Encryption{Protocol: protocol + " (by libvirt)"}
			}
			return nil
		},
		hostRuledOut:  tunnelRuledOutOn,
		ruledOut:      tunnelRuledOut,
		toBeConfirmed: func(facts) []string { return nil }, // the login, which decideControl names
		carry:         func(_ facts, _ Options, r *recipe) { r.flags |= host.FlagTunnelled },
	},
	{
		name:          TransportPlain,
		encryption:    func(facts) *Encryption { return nil },
		hostRuledOut:  func(hostFacts) string { return "" },
		ruledOut:      func(facts, Options) string { return "" },
		toBeConfirmed: func(facts) []string { return nil },
		carry:         func(_ facts, o Options, r *recipe) { r.spread(TransportPlain, o) },
	},
}

// why gives the fact that makes a transport impossible for this pair of hosts and this request, "" when
// it is possible.
func (row transportRow) why(fa facts, o Options) string {
	if failed := fa.failed[row.name]; failed != "" {
		return failed
	}
	if why := postCopyRuledOut(row.name, fa, o); why != "" {
		return why
	}
	for _, h := range []hostFacts{fa.source, fa.destination} {
		// a peer_uri leads to a host, and only the destination's matters
		if row.name == TransportTunnel && h.key == fa.source.key {
			continue
		}
		if why := row.hostRuledOut(h); why != "" {
			return why
		}
	}
	return row.ruledOut(fa, o)
}

func tlsRuledOutOn(h hostFacts) string {
	if need := max(parallelLibvirt, tlsDestinationLibvirt); h.LibvirtVersion < need {
		return fmt.Sprintf("libvirt on %s is %s, and tls needs %s", h.key, h.LibvirtVersion, need)
	}
	if h.HypervisorVersion < parallelQEMU {
		return fmt.Sprintf("QEMU on %s is %s, and tls on parallel connections needs %s", h.key, h.HypervisorVersion, parallelQEMU)
	}
	return h.certificates.unusable(h.key)
}

func tunnelRuledOutOn(h hostFacts) string {
	if h.cfg.peerURI() == "" {
		return fmt.Sprintf("no peer_uri says how other hosts' daemons log in to %s", h.key)
	}
	return ""
}

func tunnelRuledOut(_ facts, o Options) string {
	switch {
	case o.copies():
		return "libvirt cannot copy disks through a tunnel"
	case o.Control == ControlController:
		return "control controller was asked for, and a tunnel is always peer_to_peer"
	}
	return ""
}

// peerProtocol says what encrypts the connection that one daemon opens to another by this URI; "" when
// nothing is known to. A URI with a host and no transport means TLS: https://libvirt.org/uri.html
func peerProtocol(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	switch u.Scheme {
	case "qemu", "qemu+tls":
		return "TLS"
	case "qemu+ssh", "qemu+libssh", "qemu+libssh2":
		return "SSH"
	}
	return ""
}

func (h hostFacts) tlsName() string {
	if h.cfg.TLSDestination != "" {
		return h.cfg.TLSDestination
	}
	return h.cfg.migrationAddress()
}

// recipe is what the run needs of a decision: how to call libvirt.
type recipe struct {
	flags      host.Flags
	params     host.Params
	peerURI    string
	encryption *Encryption
	persistent bool
	autostart  bool
	paused     bool
	// offline: the guest is shut off, and only its definition moves.
	offline bool
	disks   diskWork
	pacing  pacing
	// served are the disks that a server on the network has.
	served []host.Disk
	// relay is nil where another transport carries the memory.
	relay *relayWork
	// vouched and unvouched count the shared disks with a cache mode that is safe for certain, and others.
	vouched, unvouched int
	// unsafe are shared disks with the cache mode of that name.
	unsafe []diskFacts
}

// migrateURI is the address QEMU connects to, without a port: libvirt picks one.
func migrateURI(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		return "tcp://" + net.JoinHostPort(address, "")[:len(address)+2]
	}
	return "tcp://" + address
}

// sourceFlags and destinationFlags are what each end may be given: the daemons refuse, or worse accept,
// flags that belong to the other.
func (r recipe) sourceFlags() host.Flags { return r.flags | host.FlagChangeProtection }

func (r recipe) destinationFlags() host.Flags {
	return r.flags &^ (host.FlagAbortOnError | host.FlagAutoConverge | host.FlagChangeProtection)
}
