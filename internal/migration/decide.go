package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// decide is pure: it turns a request's options and the facts into the plan of a move, with what came of every
// check at once. The libvirt daemons accept several combinations of flags and parameters that
// cannot work (their checks are in the client library, which this program does not use), so nothing
// leaves here that was not checked here.
func decide(o Options, fa facts) Plan {
	o = o.withDefaults()
	p := Plan{
		Name: fa.guest.ID.Name, UUID: fa.guest.ID.UUID, From: fa.source.key, To: fa.destination.key,
		RuledOut: map[Transport]string{}, Storage: o.Storage,
	}
	if slices.Contains(fa.source.keys, fa.destination.key) {
		p.To = p.From
		return p
	}
	p.lookThrough(checks, o, fa)
	bytes := fa.guest.MemoryBytes
	for _, d := range p.recipe.disks.copied {
		bytes += d.CapacityBytes
	}
	p.recipe.pacing = pacingOf(o, bytes)
	p.Timeout = DefaultTimeout + p.recipe.pacing.limit
	if !fa.guest.State.ShutOff() {
		p.complete(o, fa)
	}
	return p
}

// complete fills in the part of a running guest's recipe that no check decides. It comes after all of them: what a
// transport carries depends on the disks that were decided on, and on the pacing that follows from these.
func (p *Plan) complete(o Options, fa facts) {
	r := &p.recipe
	for _, row := range transportRows {
		if row.name == p.Transport {
			row.carry(fa, o, r)
		}
	}
	r.flags |= host.FlagLive
	if o.Convergence.AutoConverge {
		r.flags |= host.FlagAutoConverge
	}
	if mayPostCopy(o, fa) {
		r.flags |= host.FlagPostCopy
	}
	if r.mayVouch() {
		r.flags |= host.FlagUnsafe
	}
	r.autostart = fa.guest.Autostart
	// finish overwrites the token with the guest's definition, which a transient guest gives up again after it arrived
	r.flags |= host.FlagPersistDest
	if r.persistent = fa.guest.Persistent; r.persistent {
		r.flags |= host.FlagUndefineSource
	}
	if r.paused = fa.guest.State.PausedByUser(); r.paused {
		r.flags |= host.FlagPaused
	}
	switch p.Transport {
	case TransportTunnel: // it has no address of its own, and libvirt refuses one
	case TransportRelay: // its sockets are named when they are made
	default:
		r.params.MigrateURI = migrateURI(fa.destination.cfg.migrationAddress())
	}
	r.params.DestinationName = fa.guest.ID.Name
	r.params.BandwidthMiBPerSecond = o.BandwidthMiBPerSecond
}

// blocker notes what rules a move out: what it is called, what to do about it, and what it is in words.
type blocker func(id, hint, format string, args ...any)

func (p *Plan) blocker() blocker {
	return func(id, hint, format string, args ...any) {
		p.Blockers = append(p.Blockers, Finding{ID: id, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
}

func checkTransport(p *Plan, o Options, fa facts, block blocker) string {
	decideTransport(p, o, fa, block)
	if p.Transport == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s", p.Transport, p.Reason)
}

// mayPostCopy says whether the move may end in post-copy. A guest that its user paused writes nothing.
func mayPostCopy(o Options, fa facts) bool {
	return o.Convergence.OnTimeout == OnTimeoutPostCopy && !fa.guest.State.PausedByUser()
}

func checkPostCopy(p *Plan, o Options, fa facts, _ blocker) string {
	if !mayPostCopy(o, fa) {
		return "was not asked for"
	}
	toBeConfirmed(p, "that %s and %s allow post-copy (vm.unprivileged_userfaultfd = 1, or libvirt 10.2 with /dev/userfaultfd)", fa.source.key, fa.destination.key)
	for _, h := range []hostFacts{fa.source, fa.destination} {
		if h.LibvirtVersion >= resumeBroken && h.LibvirtVersion < resumeMended {
			p.Warnings = append(p.Warnings, fmt.Sprintf("libvirt %s on %s may crash when a post-copy whose network broke is resumed; libvirt %s does not", h.LibvirtVersion, h.key, resumeMended))
		}
	}
	return ""
}

func checkControl(p *Plan, o Options, fa facts, block blocker) string {
	decideControl(p, o, fa, block)
	return fmt.Sprintf("%s: %s", p.Control, p.ControlReason)
}

// decideTransport takes the transport asked for, or for auto the first encrypted one no fact rules out.
func decideTransport(p *Plan, o Options, fa facts, block blocker) {
	var chosen *transportRow
	for i := range transportRows {
		row := &transportRows[i]
		why := row.why(fa, o)
		switch {
		case why != "":
		case o.Transport == TransportAuto && row.encryption(fa) == nil:
			why = "it is not encrypted"
		case o.Transport == TransportAuto && chosen != nil:
			why = fmt.Sprintf("%s is faster", chosen.name)
		case o.Transport != TransportAuto && o.Transport != row.name:
			why = fmt.Sprintf("%s was asked for", o.Transport)
		default:
			chosen = row
			continue
		}
		p.RuledOut[row.name] = why
	}
	if chosen == nil && o.Transport == TransportTLS && certificatesUnusable(fa) != "" {
		return // the check of certificates says it
	}
	if chosen == nil {
		block("transport", "", "no transport: %s", ruledOutWords(p.RuledOut))
		return
	}
	p.Transport, p.recipe.encryption = chosen.name, chosen.encryption(fa)
	p.Encrypted = p.recipe.encryption != nil
	if o.Transport == TransportAuto {
		p.Reason = fmt.Sprintf("the fastest encrypted transport both hosts can do (ruled out: %s)", ruledOutWords(p.RuledOut))
	} else {
		p.Reason = "asked for"
	}
	if !p.Encrypted {
		if !o.AllowPlain {
			block("plain", "choose transport auto, or set allow_plain = true", "transport %q sends guest memory unencrypted%s", chosen.name, plainBecause(chosen.name, fa))
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("the memory of guest %q will cross the network unencrypted (transport %q)", p.Name, chosen.name))
	}
	p.ToBeConfirmed = append(p.ToBeConfirmed, chosen.toBeConfirmed(fa)...)
}

// decideControl says who drives. Under controller the blackout contains one round trip of this machine.
func decideControl(p *Plan, o Options, fa facts, block blocker) {
	p.recipe.peerURI = fa.destination.cfg.peerURI()
	noPeer, tunnel, relayed := "", p.Transport == TransportTunnel, p.Transport == TransportRelay
	switch {
	case relayed: // it carries what the daemons say to one another
	case p.recipe.peerURI == "":
		noPeer = fmt.Sprintf("no peer_uri says how %s logs in to %s", fa.source.key, fa.destination.key)
	case strings.HasPrefix(p.recipe.peerURI, "qemu+tcp:") && !fa.destination.cfg.AllowPlainControl:
		noPeer = fmt.Sprintf("the peer_uri of %s is unencrypted (qemu+tcp)", fa.destination.key)
	}
	roundTrip := (fa.source.RoundTrip + fa.destination.RoundTrip) / 2
	limit := time.Duration(o.MaxDowntimeMS) * time.Millisecond / 2
	measured := fmt.Sprintf("this machine's round trip to the hosts is %s", roundTrip.Round(10*time.Microsecond))
	switch {
	case o.Control == ControlPeerToPeer && noPeer != "":
		block("peer_uri", fmt.Sprintf("set peer_uri of host %q, for example qemu+tls://NAME/system", fa.destination.key), "control peer_to_peer is not possible: %s", noPeer)
	case tunnel && noPeer != "":
		block("peer_uri", fmt.Sprintf("set peer_uri of host %q, for example qemu+tls://NAME/system", fa.destination.key), "a tunnel is not possible: %s", noPeer)
	case tunnel:
		p.Control, p.ControlReason = ControlPeerToPeer, "a tunnel leads from daemon to daemon"
	case o.Control != ControlAuto:
		p.Control, p.ControlReason = o.Control, "asked for"
	case roundTrip > limit && noPeer == "":
		p.Control, p.ControlReason = ControlPeerToPeer, fmt.Sprintf("%s, more than half of max_downtime_ms", measured)
	case roundTrip > limit:
		p.Control, p.ControlReason = ControlController, fmt.Sprintf("%s, more than half of max_downtime_ms, but %s", measured, noPeer)
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s and is part of the downtime; peer_to_peer is not possible: %s", measured, noPeer))
	default:
		p.Control, p.ControlReason = ControlController, measured
	}
	if p.Control == ControlPeerToPeer && !relayed {
		p.ToBeConfirmed = append(p.ToBeConfirmed, fmt.Sprintf("that libvirtd on %s can log in to %s", fa.source.key, p.recipe.peerURI))
	}
}

// plainBecause says why a transport that can be encrypted is not.
func plainBecause(t Transport, fa facts) string {
	if t != TransportTunnel {
		return ""
	}
	return fmt.Sprintf(": nothing is known to encrypt the daemons' connection %s", withoutParameters(fa.destination.cfg.peerURI()))
}

func ruledOutWords(out map[Transport]string) string {
	var words []string
	for _, row := range transportRows {
		if why, ok := out[row.name]; ok {
			words = append(words, fmt.Sprintf("%s: %s", row.name, why))
		}
	}
	return strings.Join(words, ", ")
}

// DefaultTimeout is what an operation nobody gave a bound may take beyond the copy.
const DefaultTimeout = 10 * time.Minute
