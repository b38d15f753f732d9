package host

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// Domains lists every domain of the daemon, running or only defined.
func (h *Host) Domains(ctx context.Context) ([]DomainID, error) {
	doms, err := ask(ctx, h, "list the guests", callLimit, func(l *libvirt.Libvirt) ([]libvirt.Domain, error) {
		doms, _, err := l.ConnectListAllDomains(1, libvirt.ConnectListDomainsActive|libvirt.ConnectListDomainsInactive)
		return doms, err
	})
	if err != nil {
		return nil, err
	}
	ids := make([]DomainID, len(doms))
	for i, d := range doms {
		ids[i] = identify(d)
	}
	return ids, nil
}

// Lookup finds a domain by its UUID. ErrNoDomain: the daemon has none such.
func (h *Host) Lookup(ctx context.Context, uuid string) (DomainID, error) {
	raw, err := h.parseUUID(uuid)
	if err != nil {
		return DomainID{}, err
	}
	d, err := ask(ctx, h, "look up guest "+uuid, callLimit, func(l *libvirt.Libvirt) (libvirt.Domain, error) {
		return l.DomainLookupByUUID(raw)
	})
	if err != nil {
		return DomainID{}, err
	}
	return identify(d), nil
}

// State reads a domain's state. ErrNoDomain: the daemon has none such.
func (h *Host) State(ctx context.Context, uuid string) (State, error) {
	return askDomain(ctx, h, "read the state of", uuid, callLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (State, error) {
		state, reason, err := l.DomainGetState(d, 0)
		return State{int(state), int(reason)}, err
	})
}

// XML is the domain's description: with inactive the persistent definition, else the running one in the
// form that another host can take over. It may hold secrets, such as the password of a console: never log
// it.
func (h *Host) XML(ctx context.Context, uuid string, inactive bool) (string, error) {
	flags := libvirt.DomainXMLSecure | libvirt.DomainXMLMigratable
	if h.target.driver != "qemu" {
		flags = 0 // the test driver knows neither
	}
	if inactive {
		flags = libvirt.DomainXMLSecure | libvirt.DomainXMLInactive
	}
	return h.describe(ctx, uuid, flags)
}

func (h *Host) describe(ctx context.Context, uuid string, flags libvirt.DomainXMLFlags) (string, error) {
	return askDomain(ctx, h, "read the description of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (string, error) {
		return l.DomainGetXMLDesc(d, flags)
	})
}

// askDomain makes one call about one domain.
func askDomain[T any](ctx context.Context, h *Host, what, uuid string, limit time.Duration, f func(*libvirt.Libvirt, libvirt.Domain) (T, error)) (T, error) {
	raw, err := h.parseUUID(uuid)
	if err != nil {
		var zero T
		return zero, err
	}
	return ask(ctx, h, what+" guest "+uuid, limit, func(l *libvirt.Libvirt) (T, error) {
		return f(l, libvirt.Domain{UUID: raw, ID: -1})
	})
}

// tellDomain is askDomain for calls without a result.
func tellDomain(ctx context.Context, h *Host, what, uuid string, limit time.Duration, f func(*libvirt.Libvirt, libvirt.Domain) error) error {
	_, err := askDomain(ctx, h, what, uuid, limit, func(l *libvirt.Libvirt, d libvirt.Domain) (struct{}, error) {
		return struct{}{}, f(l, d)
	})
	return err
}

func (h *Host) parseUUID(s string) (libvirt.UUID, error) {
	u, err := parseUUID(s)
	if err != nil {
		return u, &Error{Host: h.cfg.Name, Err: err}
	}
	return u, nil
}

func parseUUID(s string) (libvirt.UUID, error) {
	var u libvirt.UUID
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("%q is not a UUID", s)
	}
	copy(u[:], b)
	return u, nil
}

func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

func identify(d libvirt.Domain) DomainID {
	return DomainID{Name: d.Name, UUID: formatUUID(d.UUID), ID: d.ID}
}

// wireDomain is the domain as go-libvirt names it.
func wireDomain(d DomainID) (libvirt.Domain, error) {
	u, err := parseUUID(d.UUID)
	return libvirt.Domain{Name: d.Name, UUID: u, ID: d.ID}, err
}

// Persistent says whether the domain has a definition that outlives its running instance.
func (h *Host) Persistent(ctx context.Context, uuid string) (bool, error) {
	return askDomain(ctx, h, "ask whether there is a definition of", uuid, callLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (bool, error) {
		n, err := l.DomainIsPersistent(d)
		return n == 1, err
	})
}
