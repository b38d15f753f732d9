package migration

import "strings"

// Check is one thing that is looked at before a guest moves. The words are for people.
type Check struct {
	// ID is stable; reports and documentation use it.
	ID string
	// LooksAt is what is looked at, Why what goes wrong otherwise, ToDo what to do about a finding.
	LooksAt, Why, ToDo string

	// runs: it concerns only a guest that runs or is paused. off: only one that is shut off.
	runs, off bool
	// look writes what it finds into the plan: blockers through block, warnings, what is to be confirmed,
	// and the recipe of what it decides. It returns what was seen, "" where a pass needs no words.
	look func(p *Plan, o Options, fa facts, block blocker) string
	// deep: only a dry run tells; the move itself begins with the same.
	deep bool
}

// Status is the outcome of one check.
type Status string

// The outcomes, worst first.
const (
	StatusBlocker       Status = "blocker"
	StatusWarning       Status = "warning"
	StatusToBeConfirmed Status = "to_be_confirmed"
	StatusPass          Status = "pass"
)

// CheckResult is what came of one check. Its JSON form is the one both faces show.
type CheckResult struct {
	ID      string `json:"id"`
	Status  Status `json:"status"`
	LooksAt string `json:"looks_at"`
	// Finding is what was found, ToDo what to do about it; both may be empty for a pass.
	Finding string `json:"finding"`
	Why     string `json:"why"`
	ToDo    string `json:"to_do"`
}

// lookThrough makes every check in turn, and notes in the plan what came of each.
func (p *Plan) lookThrough(rows []Check, o Options, fa facts) {
	off := fa.guest.State.ShutOff()
	for _, row := range rows {
		blockers, warnings, open := len(p.Blockers), len(p.Warnings), len(p.ToBeConfirmed)
		seen := ""
		switch {
		case row.runs && off:
			seen = "does not concern a guest that is shut off"
		case row.off && !off:
			seen = "concerns only guests that are shut off"
		default:
			seen = row.look(p, o, fa, p.blocker())
		}
		for i := range p.Blockers[blockers:] {
			p.Blockers[blockers+i].Check = row.ID
		}
		p.Checks = append(p.Checks, row.result(p.Blockers[blockers:], p.Warnings[warnings:], p.ToBeConfirmed[open:], seen))
	}
}

// result puts together what one check found.
func (c Check) result(blockers []Finding, warnings, open []string, seen string) CheckResult {
	r := CheckResult{ID: c.ID, LooksAt: c.LooksAt, Why: c.Why, Status: StatusPass}
	var words, hints []string
	for _, b := range blockers {
		words = append(words, b.Text)
		if b.Hint != "" {
			hints = append(hints, b.Hint)
		}
	}
	words = append(words, warnings...)
	for _, that := range open {
		words = append(words, "to be confirmed: "+that)
	}
	switch {
	case len(blockers) > 0:
		r.Status = StatusBlocker
	case len(warnings) > 0:
		r.Status = StatusWarning
	case len(open) > 0:
		r.Status = StatusToBeConfirmed
	default:
		r.Finding = seen
		return r
	}
	r.Finding, r.ToDo = strings.Join(words, "; "), strings.Join(hints, "; ")
	if r.ToDo == "" {
		r.ToDo = c.ToDo
	}
	return r
}
