package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func pathOf(d diag.Diagnostic) string {
	if located, ok := d.(diag.DiagnosticWithPath); ok {
		return located.Path().String()
	}
	return ""
}

func TestFailureSaysWhatWhereAndWhatToDo(t *testing.T) {
	broken := errors.New("the link broke")
	for name, c := range map[string]struct {
		during  deed
		err     error
		summary string
		at      string
		says    []string
	}{
		"aborted": {
			moving, &migration.Error{Phase: migration.PhaseRun, Guest: "web", GuestAt: "running on alpha", Host: "alpha", Hint: "try again", Err: broken},
			"Guest Was Not Moved", "host", []string{"The link broke.", "The guest is running on alpha.", "Try again.", "phase: run"},
		},
		"nobody knows": {
			moving, &migration.Error{Phase: migration.PhaseVerify, Guest: "web", GuestAt: "on a host that does not answer", Err: broken},
			"Outcome Of The Move Is Not Known", "host", []string{"The guest is on a host that does not answer."},
		},
		"not found": {
			planning, &migration.Error{Phase: migration.PhaseLocate, Guest: "web", Err: migration.ErrNotFound},
			"Guest Not Found", "name", []string{"No configured host has the guest."},
		},
		"silent":       {looking, &migration.Error{Phase: migration.PhaseLocate, Err: fmt.Errorf("%w: beta", migration.ErrHostSilent)}, "Host Did Not Answer", "host", []string{"beta"}},
		"two copies":   {planning, &migration.Error{Phase: migration.PhaseLocate, GuestAt: "running twice", Err: migration.ErrNeedsPerson}, "A Person Must Decide About This Guest", "host", []string{"running twice"}},
		"busy":         {moving, &migration.Error{Phase: migration.PhaseLocate, Err: migration.ErrBusy}, "Guest Is Being Migrated By Somebody Else", "host", nil},
		"bad request":  {planning, &migration.Error{Phase: migration.PhaseRequest, Err: errors.New("host \"x\" is not among hosts")}, "Request Refused", "host", nil},
		"plan":         {planning, &migration.Error{Phase: migration.PhaseInspect, Err: broken}, "Move Could Not Be Planned", "host", nil},
		"look":         {looking, &migration.Error{Phase: migration.PhaseLocate, Err: broken}, "Guest Could Not Be Located", "name", nil},
		"not ours":     {moving, broken, "Guest Was Not Moved", "host", []string{"The link broke."}},
		"wrapped ours": {moving, fmt.Errorf("outer: %w", &migration.Error{Phase: migration.PhaseDecide, GuestAt: "untouched on a", Host: "a", Err: broken}), "Guest Was Not Moved", "host", []string{"untouched on a"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := failure(c.during, c.err)
			if d.Severity() != diag.SeverityError || d.Summary() != c.summary || pathOf(d) != c.at {
				t.Errorf("%v %q at %s, want an error %q at %s", d.Severity(), d.Summary(), pathOf(d), c.summary, c.at)
			}
			for _, want := range c.says {
				if !strings.Contains(d.Detail(), want) {
					t.Errorf("%q does not say %q", d.Detail(), want)
				}
			}
		})
	}
}

func TestEveryBlockerIsAnErrorOfItsOwn(t *testing.T) {
	diags := blocked(migration.Plan{From: "alpha", Blockers: []migration.Finding{{Text: "disk vda is local", Hint: "use shared storage"}, {Text: "there are snapshots"}}})
	if diags.ErrorsCount() != 2 {
		t.Fatalf("%d errors", diags.ErrorsCount())
	}
	for i, says := range [][]string{{"Disk vda is local.", "Use shared storage.", "untouched on alpha"}, {"There are snapshots."}} {
		for _, want := range says {
			if !strings.Contains(diags[i].Detail(), want) {
				t.Errorf("%q does not say %q", diags[i].Detail(), want)
			}
		}
	}
}

func TestWarningIsSaidOnce(t *testing.T) {
	var once told
	first := once.warnings([]string{"host \"c\" did not answer: no route", "another"})
	second := once.warnings([]string{"host \"c\" did not answer: no route", "new (really)"})
	if len(first) != 2 || first[0].Summary() != "Host \"c\" did not answer" || first[0].Detail() != "Host \"c\" did not answer: no route." {
		t.Errorf("first %v", first)
	}
	if len(second) != 1 || second[0].Summary() != "New" || second[0].Detail() != "New (really)." {
		t.Errorf("second %v", second)
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "the link broke": "The link broke.", "beta: no answer": "beta: no answer.", "Done.": "Done.", "éa b": "Éa b.", "host \"x\" is": "Host \"x\" is.",
	} {
		if got := sentence(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
