package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// The five calls of a migration that the controller drives, in their order, and the one call of a
// migration that the source's daemon drives. Cookies go from one to the next byte for byte.

// Begin starts the migration at the source and gives the description that the destination is to start.
// The daemon holds the domain's job until Confirm, or until the session ends.
func (s *Session) Begin(ctx context.Context, dom DomainID, p Params, f Flags) (cookie []byte, xml string, err error) {
	type begun struct {
		cookie []byte
		xml    string
	}
	b, err := s.askDomain(ctx, "begin the migration", dom, p, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain, params []libvirt.TypedParam) (any, error) {
		cookie, xml, err := l.DomainMigrateBegin3Params(d, params, uint32(f))
		return begun{cookie, xml}, err
	})
	if err != nil {
		return nil, "", s.earlier(ctx, dom, err)
	}
	return b.(begun).cookie, b.(begun).xml, nil
}

// Prepare makes the destination start a QEMU that waits for the guest. uri is where the source must send
// it to; empty means that the one in p stands.
func (s *Session) Prepare(ctx context.Context, p Params, cookie []byte, f Flags) (out []byte, uri string, err error) {
	type prepared struct {
		cookie []byte
		uri    libvirt.OptString
	}
	a, err := s.ask(ctx, "prepare the destination", p, processLimit, func(l *libvirt.Libvirt, params []libvirt.TypedParam) (any, error) {
		cookie, uri, err := l.DomainMigratePrepare3Params(params, cookie, uint32(f))
		return prepared{cookie, uri}, err
	})
	if err != nil {
		return nil, "", err
	}
	if got := a.(prepared); len(got.uri) > 0 {
		return got.cookie, got.uri[0], nil
	}
	return a.(prepared).cookie, "", nil
}

// Perform sends the guest and returns when it has left, or has not. It has no limit but ctx; when ctx
// ends, so does the session. To end it softly, use [Host.Abort].
func (s *Session) Perform(ctx context.Context, dom DomainID, p Params, cookie []byte, f Flags) ([]byte, error) {
	return s.perform(ctx, "send the guest", dom, nil, p, cookie, f)
}

// PerformPeerToPeer lets the source's daemon drive the whole migration to the daemon at peerURI, which it
// opens as itself. It has no limit but ctx; when ctx ends, so does the session, and the migration goes on.
func (s *Session) PerformPeerToPeer(ctx context.Context, dom DomainID, peerURI string, p Params, f Flags) error {
	_, err := s.perform(ctx, "migrate the guest", dom, libvirt.OptString{peerURI}, p, nil, f|FlagPeerToPeer)
	return s.earlier(ctx, dom, err)
}

func (s *Session) perform(ctx context.Context, what string, dom DomainID, peer libvirt.OptString, p Params, cookie []byte, f Flags) ([]byte, error) {
	a, err := s.askDomain(ctx, what, dom, p, noLimit, func(l *libvirt.Libvirt, d libvirt.Domain, params []libvirt.TypedParam) (any, error) {
		return l.DomainMigratePerform3Params(d, peer, params, cookie, libvirt.DomainMigrateFlags(f))
	})
	if err != nil {
		return nil, err
	}
	return a.([]byte), nil
}

// Finish lets the guest run at the destination, or with cancelled throws its copy there away. p must name
// the destination's domain. An error with CodeMigrateFinishOK after cancelled is success. With FlagPostCopy it has no
// limit but ctx.
func (s *Session) Finish(ctx context.Context, p Params, cookie []byte, f Flags, cancelled bool) (DomainID, []byte, error) {
	type finished struct {
		dom    libvirt.Domain
		cookie []byte
	}
	limit := finishLimit
	if f&FlagPostCopy != 0 { // it may answer only when all the memory has come
		limit = noLimit
	}
	a, err := s.ask(ctx, "finish the migration", p, limit, func(l *libvirt.Libvirt, params []libvirt.TypedParam) (any, error) {
		if p.DestinationName == "" {
			return nil, errors.New("the guest's name at the destination is missing")
		}
		dom, cookie, err := l.DomainMigrateFinish3Params(params, cookie, uint32(f), asInt(cancelled))
		return finished{dom, cookie}, err
	})
	if err != nil {
		return DomainID{}, nil, err
	}
	got := a.(finished)
	return identify(got.dom), got.cookie, nil
}

// Confirm ends the migration at the source: the guest's copy there goes, or with cancelled runs again.
func (s *Session) Confirm(ctx context.Context, dom DomainID, p Params, cookie []byte, f Flags, cancelled bool) error {
	_, err := s.askDomain(ctx, "confirm the migration", dom, p, processLimit, func(l *libvirt.Libvirt, d libvirt.Domain, params []libvirt.TypedParam) (any, error) {
		return nil, l.DomainMigrateConfirm3Params(d, params, cookie, uint32(f), asInt(cancelled))
	})
	return err
}

func (s *Session) ask(ctx context.Context, what string, p Params, limit time.Duration, f func(*libvirt.Libvirt, []libvirt.TypedParam) (any, error)) (any, error) {
	params, err := p.typed()
	if err != nil {
		return nil, &Error{Host: s.rpc.host, Call: what, Err: err}
	}
	return call(ctx, s.rpc, what, limit, func(l *libvirt.Libvirt) (any, error) { return f(l, params) })
}

func (s *Session) askDomain(ctx context.Context, what string, dom DomainID, p Params, limit time.Duration, f func(*libvirt.Libvirt, libvirt.Domain, []libvirt.TypedParam) (any, error)) (any, error) {
	d, err := wireDomain(dom)
	if err != nil {
		return nil, &Error{Host: s.rpc.host, Call: what, Err: err}
	}
	return s.ask(ctx, what, p, limit, func(l *libvirt.Libvirt, params []libvirt.TypedParam) (any, error) { return f(l, d, params) })
}

// typed gives the parameters the types that the daemon insists on.
func (p Params) typed() ([]libvirt.TypedParam, error) {
	const most = 64 // libvirt takes no more
	var list []libvirt.TypedParam
	add := func(name string, v *libvirt.TypedParamValue) {
		list = append(list, libvirt.TypedParam{Field: name, Value: *v})
	}
	for _, s := range []struct{ name, value string }{
		{"migrate_uri", p.MigrateURI},
		{"destination_name", p.DestinationName},
		{"destination_xml", p.DestinationXML},
		{"persistent_xml", p.PersistentXML},
		{"listen_address", p.ListenAddress},
		{"tls.destination", p.TLSDestination},
		{"disks_uri", p.DisksURI},
	} {
		if s.value != "" {
			add(s.name, libvirt.NewTypedParamValueString(s.value))
		}
	}
	for _, d := range p.MigrateDisks {
		add("migrate_disks", libvirt.NewTypedParamValueString(d))
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"parallel.connections", p.ParallelConnections},
		{"disks_port", p.DisksPort},
	} {
		if n.value < 0 || n.value > math.MaxInt32 {
			return nil, fmt.Errorf("%s cannot be %d", n.name, n.value)
		}
		if n.value != 0 {
			add(n.name, libvirt.NewTypedParamValueInt(int32(n.value)))
		}
	}
	if p.BandwidthMiBPerSecond != 0 {
		add("bandwidth", libvirt.NewTypedParamValueUllong(p.BandwidthMiBPerSecond))
	}
	if len(list) > most {
		return nil, fmt.Errorf("%d parameters are more than the %d that libvirt takes", len(list), most)
	}
	return list, nil
}
