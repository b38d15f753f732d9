package main

import (
	"context"
	"errors"
	"io"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// hostArguments are the options of the module host_info.
type hostArguments struct {
	Hosts map[string]migration.HostConfig `json:"hosts"`
	Host  string                          `json:"host"`
}

// domainArguments are the options of the module domain_info.
type domainArguments struct {
	Hosts map[string]migration.HostConfig `json:"hosts"`
	Name  string                          `json:"name"`
	UUID  string                          `json:"uuid"`
}

// outcome is what both modules return besides what they found out.
type outcome struct {
	Changed bool `json:"changed"`
	Failed  bool `json:"failed,omitempty"`
	// Msg, Phase and Hint are those of the error.
	Msg        string          `json:"msg,omitempty"`
	Phase      migration.Phase `json:"phase,omitempty"`
	Hint       string          `json:"hint,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"`
	Invocation *invocation     `json:"invocation,omitempty"`
}

func (o outcome) hasFailed() bool { return o.Failed }

// hostAnswer is what the module host_info prints; the host's facts are missing after a failure.
type hostAnswer struct {
	outcome
	*migration.HostInfo
}

// domainAnswer is what the module domain_info prints; the guest's facts are missing after a failure.
type domainAnswer struct {
	outcome
	*migration.DomainInfo
}

// failing is the outcome when something went wrong.
func failing(err error) outcome {
	o := outcome{Failed: true, Msg: oneLine(err), Phase: migration.PhaseRequest}
	var e *migration.Error
	if errors.As(err, &e) {
		o.Phase, o.Hint = e.Phase, e.Hint
	}
	return o
}

// hostInfo is the module virtmigrate.libvirt.host_info. It changes nothing on any host.
func hostInfo(ctx context.Context, raw []byte, log io.Writer) answer {
	var args hostArguments
	t, _, err := readOptions(raw, &args)
	switch {
	case err != nil:
	case len(args.Hosts) == 0:
		err = errNoHosts
	case args.Host == "":
		err = errors.New("host is missing: name the host, one of hosts, that is to be asked")
	}
	if err != nil {
		return hostAnswer{outcome: failing(err)}
	}
	f, err := migration.NewFleet(migration.Config{Hosts: args.Hosts, Log: logger(t, log)})
	if err != nil {
		return hostAnswer{outcome: failing(err)}
	}
	defer f.Close() // the answer stands, whatever the hosts say to a farewell
	info, err := f.HostInfo(ctx, args.Host)
	if err != nil {
		return hostAnswer{outcome: failing(err)}
	}
	return hostAnswer{outcome{Invocation: &invocation{args}}, &info}
}

// domainInfo is the module virtmigrate.libvirt.domain_info. It changes nothing on any host.
func domainInfo(ctx context.Context, raw []byte, log io.Writer) answer {
	var args domainArguments
	t, _, err := readOptions(raw, &args)
	switch {
	case err != nil:
	case len(args.Hosts) == 0:
		err = errNoHosts
	case args.Name == "" && args.UUID == "":
		err = errNoGuest
	}
	if err != nil {
		return domainAnswer{outcome: failing(err)}
	}
	f, err := migration.NewFleet(migration.Config{Hosts: args.Hosts, Log: logger(t, log)})
	if err != nil {
		return domainAnswer{outcome: failing(err)}
	}
	defer f.Close() // the answer stands, whatever the hosts say to a farewell
	info, err := f.DomainInfo(ctx, migration.GuestRef{Name: args.Name, UUID: args.UUID})
	if err != nil {
		return domainAnswer{outcome: failing(err)}
	}
	return domainAnswer{outcome{Warnings: info.Warnings, Invocation: &invocation{args}}, &info}
}
