package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// preflightArguments are the options of the module preflight.
type preflightArguments struct {
	Hosts     map[string]migration.HostConfig `json:"hosts"`
	Name      string                          `json:"name"`
	UUID      string                          `json:"uuid"`
	Host      string                          `json:"host"`
	Migration migration.Options               `json:"migration"`
	Deep      bool                            `json:"deep"`
	// FailOnBlocker is true unless it is given.
	FailOnBlocker bool `json:"fail_on_blocker"`
}

func (a preflightArguments) shown() any {
	a.Hosts = withoutPasswords(a.Hosts)
	return a
}

// preflightAnswer is what the module preflight prints; the report is missing when it could not be made.
type preflightAnswer struct {
	outcome
	*migration.Preflight
}

// surveyor is what the module needs of [migration.Fleet].
type surveyor interface {
	Preflight(context.Context, migration.Request, bool) (migration.Preflight, error)
}

// preflight is the module virtmigrate.libvirt.preflight. It moves nothing, and in check mode it creates
// nothing on any host either.
func preflight(ctx context.Context, raw []byte, log io.Writer) answer {
	args := preflightArguments{FailOnBlocker: true}
	t, zero, err := readOptions(raw, &args)
	if err == nil {
		err = arguments{Hosts: args.Hosts, Name: args.Name, UUID: args.UUID, Host: args.Host}.check(zero)
	}
	if err != nil {
		return preflightAnswer{outcome: failing(err)}
	}
	f, err := migration.NewFleet(migration.Config{Hosts: args.Hosts, Log: logger(t, log)})
	if err != nil {
		return preflightAnswer{outcome: failing(err)}
	}
	defer f.Close() // the answer stands, whatever the hosts say to a farewell
	answer := args.survey(ctx, f, t.Check)
	answer.Invocation = &invocation{args}
	return answer
}

func (a preflightArguments) survey(ctx context.Context, f surveyor, check bool) preflightAnswer {
	request := arguments{Name: a.Name, UUID: a.UUID, Host: a.Host, Migration: a.Migration}.request()
	report, err := f.Preflight(ctx, request, a.Deep && !check)
	if err != nil {
		return preflightAnswer{outcome: failing(err)}
	}
	answer := preflightAnswer{outcome{Warnings: report.Warnings}, &report}
	if a.FailOnBlocker && !report.OK {
		var words []string
		for _, c := range report.Blockers() {
			words = append(words, c.Finding)
		}
		answer.Failed, answer.Phase = true, migration.PhaseDecide
		answer.Msg = fmt.Sprintf("guest %s cannot go to %s: %s", report.Name, report.Host, strings.Join(words, "; "))
	}
	return answer
}
