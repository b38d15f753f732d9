package migration

import (
	"errors"
	"strings"
	"time"
)

// Plan is what a move would do: all that [Fleet.Plan] can know without creating anything on any host.
type Plan struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	// From and To are keys of hosts; equal when there is nothing to move.
	From string `json:"from"`
	To   string `json:"to"`
	// Transport and Control are the ones chosen, with the reason for each; empty without a move.
	Transport     Transport `json:"transport"`
	Reason        string    `json:"reason"`
	Control       Control   `json:"control"`
	ControlReason string    `json:"control_reason"`
	Encrypted     bool      `json:"encrypted"`
	// Storage is what becomes of the guest's disks on its host.
	Storage Storage `json:"storage"`
	// RuledOut has, for every transport not chosen, the fact that ruled it out.
	RuledOut map[Transport]string `json:"ruled_out"`
	// Recovery says, in words, what an interrupted earlier run left and what would be done about it
	// first; empty when there is nothing of the kind.
	Recovery string `json:"recovery"`
	// Checks has what came of every check of [Checks], in that order; empty without a move.
	Checks []CheckResult `json:"checks"`
	// Blockers rule the move out, all of them at once. Warnings do not.
	Blockers []Finding `json:"blockers"`
	Warnings []string  `json:"warnings"`
	// ToBeConfirmed lists what only the handshake at run time can prove.
	ToBeConfirmed []string `json:"to_be_confirmed"`
	// Timeout is the bound the move would have.
	Timeout time.Duration `json:"-"`

	recipe recipe
}

// Finding is one thing that rules a move out, and what to do about it.
type Finding struct {
	ID string `json:"id"`
	// Check is the ID of the check that found it.
	Check string `json:"check"`
	Text  string `json:"text"`
	Hint  string `json:"hint"`
}

// Moves says whether carrying out the plan changes anything on a host.
func (p Plan) Moves() bool { return p.From != p.To || p.Recovery != "" }

// Err is nil, or one [Error] that carries every blocker.
func (p Plan) Err() error {
	if len(p.Blockers) == 0 {
		return nil
	}
	texts := make([]string, 0, len(p.Blockers))
	hints := make([]string, 0, len(p.Blockers))
	for _, f := range p.Blockers {
		texts = append(texts, f.Text)
		if f.Hint != "" {
			hints = append(hints, f.Hint)
		}
	}
	return &Error{
		Phase: PhaseDecide, Guest: p.Name, Host: p.From, GuestAt: "untouched on " + p.From,
		Hint: strings.Join(hints, "; "), Err: errors.New(strings.Join(texts, "; ")),
	}
}
