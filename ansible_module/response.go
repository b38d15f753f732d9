package main

import (
	"errors"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// response is what the module domain prints. Its fields are documented in the sidecar's RETURN.
type response struct {
	Changed bool   `json:"changed"`
	Failed  bool   `json:"failed,omitempty"`
	Msg     string `json:"msg,omitempty"`

	Name string `json:"name,omitempty"`
	UUID string `json:"uuid,omitempty"`
	// Host is where the guest is now, also after a failure when it is known.
	Host  string `json:"host,omitempty"`
	State string `json:"state,omitempty"`

	// Phase, GuestAt and Hint are those of the error.
	Phase   migration.Phase `json:"phase,omitempty"`
	GuestAt string          `json:"guest_at,omitempty"`
	Hint    string          `json:"hint,omitempty"`

	PlannedMigration *migration.Planned `json:"planned_migration"`
	LastMigration    *migration.Result  `json:"last_migration"`

	Warnings   []string    `json:"warnings,omitempty"`
	Diff       *diff       `json:"diff,omitempty"`
	Invocation *invocation `json:"invocation,omitempty"`
}

func (r response) hasFailed() bool { return r.Failed }

// diff is what Ansible shows with --diff.
type diff struct {
	Before placement `json:"before"`
	After  placement `json:"after"`
}

type placement struct {
	Host string `json:"host"`
}

// refused answers options that are wrong; nothing was dialled.
func refused(err error) response {
	return response{Failed: true, Phase: migration.PhaseRequest, Msg: oneLine(err)}
}

// failed answers with what the engine knows of a failure.
func failed(args arguments, err error) response {
	r := response{Failed: true, Msg: oneLine(err), Name: args.Name, UUID: args.UUID}
	var e *migration.Error
	if errors.As(err, &e) {
		r.Phase, r.GuestAt, r.Host, r.Hint = e.Phase, e.GuestAt, e.Host, e.Hint
		r.Changed = len(e.Recovered) > 0 // what an earlier run had left was mended before this one failed
	}
	return r
}

// planned answers in check mode.
func planned(at migration.Location, p migration.Plan) response {
	return response{
		Changed: p.Moves(), Name: p.Name, UUID: p.UUID, Host: p.From, State: at.State,
		PlannedMigration: p.Planned(), Warnings: p.Warnings, Diff: between(p.From, p.To),
	}
}

// done answers after a run that did not fail.
func done(o migration.Outcome) response {
	r := response{
		Changed: o.Changed, Name: o.Name, UUID: o.UUID, Host: o.Host, State: o.State,
		LastMigration: o.Result, Warnings: o.Warnings, Diff: between(o.Host, o.Host),
	}
	if o.Moved {
		r.PlannedMigration, r.Diff = o.Plan.Planned(), between(o.Plan.From, o.Plan.To)
	}
	return r
}

func between(before, after string) *diff {
	return &diff{Before: placement{before}, After: placement{after}}
}

// oneLine joins what several mistakes say: Ansible prints msg as one JSON string.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
