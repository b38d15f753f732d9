package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// reported is a fleet that has a report, and notes whether a dry run was asked for.
type reported struct {
	report migration.Preflight
	err    error
	deep   *bool
	asked  migration.Request
}

func (r *reported) Preflight(_ context.Context, q migration.Request, deep bool) (migration.Preflight, error) {
	r.deep, r.asked = &deep, q
	return r.report, r.err
}

func TestPreflightFailsOnBlockersUnlessToldNotTo(t *testing.T) {
	blocked := migration.Preflight{Name: "web", From: "alpha", Host: "beta", Checks: []migration.CheckResult{
		{ID: "snapshots", Status: migration.StatusBlocker, Finding: "it has 2 snapshots"}, {ID: "clocks", Status: migration.StatusWarning, Finding: "they differ"},
		{ID: "networks", Status: migration.StatusBlocker, Finding: "there is no bridge"}}}
	well := migration.Preflight{Name: "web", From: "alpha", Host: "beta", OK: true, Checks: []migration.CheckResult{}, Warnings: []string{"host gamma is silent"}}
	for name, c := range map[string]struct {
		fleet  reported
		args   preflightArguments
		check  bool
		deep   bool
		failed bool
		msg    string
	}{
		"blocked":                       {fleet: reported{report: blocked}, args: preflightArguments{FailOnBlocker: true}, failed: true, msg: "guest web cannot go to beta: it has 2 snapshots; there is no bridge"},
		"blocked, and only to be told":  {fleet: reported{report: blocked}},
		"well":                          {fleet: reported{report: well}, args: preflightArguments{FailOnBlocker: true}},
		"with a dry run":                {fleet: reported{report: well}, args: preflightArguments{Deep: true}, deep: true},
		"with a dry run, in check mode": {fleet: reported{report: well}, args: preflightArguments{Deep: true}, check: true},
		"not to be made: fails anyway":  {fleet: reported{err: &migration.Error{Phase: migration.PhaseLocate, Err: errors.New("it is nowhere")}}, failed: true, msg: "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			c.args.Name, c.args.Host, c.args.Migration.MaxDowntimeMS = "web", "beta", 7
			a := c.args.survey(t.Context(), &c.fleet, c.check)
			if a.Failed != c.failed || !strings.Contains(a.Msg, c.msg) || a.Changed || c.msg == "" && a.Msg != "" {
				t.Errorf("answer %+v", a.outcome)
			}
			if (c.fleet.err == nil) != (a.Preflight != nil) || a.Preflight != nil && len(a.outcome.Warnings) != len(c.fleet.report.Warnings) {
				t.Errorf("answer %+v", a)
			}
			if *c.fleet.deep != c.deep || c.fleet.asked.Guest.Name != "web" || c.fleet.asked.Host != "beta" || c.fleet.asked.Options.MaxDowntimeMS != 7 {
				t.Errorf("asked %+v, with a dry run: %v", c.fleet.asked, *c.fleet.deep)
			}
		})
	}
}

func TestPreflightFailsOnBlockersByDefault(t *testing.T) {
	for given, want := range map[string]bool{``: true, `, "fail_on_blocker": "no"`: false, `, "fail_on_blocker": true`: true} {
		args := preflightArguments{FailOnBlocker: true}
		if _, _, err := readOptions([]byte(`{"name": "web"`+given+`}`), &args); err != nil || args.FailOnBlocker != want {
			t.Errorf("%q: %v, error %v", given, args.FailOnBlocker, err)
		}
	}
}
