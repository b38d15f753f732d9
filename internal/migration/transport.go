package migration

import (
	"fmt"
	"net"
	"net/netip"

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
	name      Transport
	encrypted bool
	// ruledOut gives the fact that makes this transport impossible here, "" when it is possible.
	ruledOut func(facts, Options) string
	// toBeConfirmed lists what only the run can prove.
	toBeConfirmed func(facts) []string
	// carry fills the recipe.
	carry func(facts, Options, *recipe)
}

// transportRows are all transports, fastest encrypted first: auto takes the first that is encrypted and
// not ruled out.
var transportRows = []transportRow{
	{
		name: TransportTLS, encrypted: true,
		ruledOut: tlsRuledOut,
		toBeConfirmed: func(fa facts) []string {
			return []string{fmt.Sprintf("that QEMU on %s and %s has certificates one CA signed, and that the destination's is for the name %q",
				fa.source.key, fa.destination.key, fa.destination.tlsName())}
		},
		carry: func(fa facts, o Options, r *recipe) {
			r.flags |= host.FlagTLS | host.FlagParallel
			r.params.TLSDestination = fa.destination.tlsName()
			r.params.ParallelConnections = max(o.ParallelConnections, DefaultParallelConnections)
			r.encryption = &Encryption{Protocol: "TLS (by QEMU)"}
		},
	},
	{
		name:          TransportPlain,
		ruledOut:      func(facts, Options) string { return "" },
		toBeConfirmed: func(facts) []string { return nil },
		carry: func(_ facts, o Options, r *recipe) {
			if o.ParallelConnections > 1 {
				r.flags |= host.FlagParallel
				r.params.ParallelConnections = o.ParallelConnections
			}
		},
	},
}

func tlsRuledOut(fa facts, _ Options) string {
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if need := max(parallelLibvirt, tlsDestinationLibvirt); h.LibvirtVersion < need {
			return fmt.Sprintf("libvirt on %s is %s, and tls needs %s", h.key, h.LibvirtVersion, need)
		}
		if h.HypervisorVersion < parallelQEMU {
			return fmt.Sprintf("QEMU on %s is %s, and tls on parallel connections needs %s", h.key, h.HypervisorVersion, parallelQEMU)
		}
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
