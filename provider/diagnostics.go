package main

import (
	"errors"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// deed is what was going on when something failed.
type deed int

const (
	looking deed = iota
	asking
	planning
	moving
)

// failure turns an error of the engine into a diagnostic at the attribute it belongs to.
func failure(during deed, err error) diag.Diagnostic {
	text := sentence(err.Error())
	var e *migration.Error
	if errors.As(err, &e) {
		text = sentence(e.Err.Error())
		if e.GuestAt != "" {
			text += "\n\nThe guest is " + e.GuestAt + "."
		}
		if e.Hint != "" {
			text += "\n\n" + sentence(e.Hint)
		}
		text += "\n\n(phase: " + string(e.Phase) + ")"
	}
	at, summary := path.Root("host"), ""
	switch {
	case errors.Is(err, migration.ErrNotFound):
		at, summary = path.Root("name"), "Guest Not Found"
	case errors.Is(err, migration.ErrHostSilent):
		summary = "Host Did Not Answer"
	case errors.Is(err, migration.ErrNeedsPerson):
		summary = "A Person Must Decide About This Guest"
	case errors.Is(err, migration.ErrBusy):
		summary = "Guest Is Being Migrated By Somebody Else"
	case e != nil && e.Phase == migration.PhaseRequest:
		summary = "Request Refused"
	case during == looking:
		at, summary = path.Root("name"), "Guest Could Not Be Located"
	case during == asking:
		summary = "Host Could Not Be Asked"
	case during == planning:
		summary = "Move Could Not Be Planned"
	case e != nil && (e.Phase == migration.PhaseRun || e.Phase == migration.PhaseVerify) && e.Host == "":
		summary = "Outcome Of The Move Is Not Known"
	default:
		summary = "Guest Was Not Moved"
	}
	return diag.NewAttributeErrorDiagnostic(at, summary, text)
}

// blocked has one error for each thing that rules a move out.
func blocked(p migration.Plan) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, b := range p.Blockers {
		text := sentence(b.Text)
		if b.Hint != "" {
			text += "\n\n" + sentence(b.Hint)
		}
		text += "\n\nThe guest is untouched on " + p.From + "."
		diags.AddAttributeError(path.Root("host"), "Guest Cannot Be Moved", text)
	}
	return diags
}

// told remembers warnings, so that what concerns all resources of a run (a host that does not answer) is
// said once. The zero value is ready.
type told struct{ texts sync.Map }

// warnings turns the engine's warnings into diagnostics, leaving out those that were said before. Each has
// a summary of its own, because Terraform shows only the first of those that have the same.
func (t *told) warnings(texts []string) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, text := range texts {
		if _, before := t.texts.LoadOrStore(text, true); !before {
			diags.AddWarning(heading(text), sentence(text))
		}
	}
	return diags
}

// heading is the part of a text before its explanation.
func heading(text string) string {
	for _, end := range []string{": ", " (", "; "} {
		text, _, _ = strings.Cut(text, end)
	}
	return strings.TrimSuffix(sentence(text), ".")
}

// sentence makes the lower-case text of an error a sentence. A first word that is a name keeps its form.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	word, _, _ := strings.Cut(text, " ")
	if !strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") && !strings.HasSuffix(text, "!") {
		text += "."
	}
	return text
}
