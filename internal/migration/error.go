package migration

import (
	"errors"
	"strings"
)

// Phase is a part of the operation, as errors name it.
type Phase string

// The phases, in order.
const (
	PhaseRequest Phase = "request"
	PhaseLocate  Phase = "locate"
	PhaseInspect Phase = "inspect"
	PhaseDecide  Phase = "decide"
	PhaseRun     Phase = "run"
	PhaseVerify  Phase = "verify"
)

// Step is a point an operation reached; finer than a phase.
type Step string

// The steps a move goes through, in order.
const (
	StepLocate  Step = "locate"
	StepInspect Step = "inspect"
	StepDecide  Step = "decide"
	StepBegin   Step = "begin"
	StepPrepare Step = "prepare"
	StepPerform Step = "perform"
	StepCopy    Step = "copy"    // guest memory is flowing
	StepSwitch  Step = "switch"  // the source's CPUs have stopped
	StepConfirm Step = "confirm" // the guest runs on the destination
	StepVerify  Step = "verify"
	StepDone    Step = "done"
)

// Errors a caller may branch on.
var (
	// ErrNotFound: every configured host answered, and none has the guest.
	ErrNotFound = errors.New("no configured host has the guest")
	// ErrHostSilent: a host that had to answer did not.
	ErrHostSilent = errors.New("a host did not answer")
	// ErrNeedsPerson: the state found may only be decided by a person; nothing was touched.
	ErrNeedsPerson = errors.New("a person must decide")
	// ErrBusy: another controller is migrating this guest.
	ErrBusy = errors.New("the guest is being migrated by somebody else")
)

// Error is the failure of an operation on a guest: what failed, in which phase, where the guest is now,
// and what to do.
type Error struct {
	Phase Phase
	Guest string
	// GuestAt is where the guest is now, in words ("running on alpha"); empty before anything was
	// looked at.
	GuestAt string
	// Host is the key of the host that runs the guest now, "" when that is not known.
	Host string
	// Hint says what to do next; may be empty.
	Hint string
	// Silent are the keys of hosts that did not answer, where that is what is wrong.
	Silent []string
	// Recovered lists what an earlier, interrupted run had left and was brought to a good end before
	// this failure.
	Recovered []string
	Err       error
}

// Error is one paragraph: the failure, where the guest is, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Phase))
	if e.Guest != "" {
		b.WriteString(" of guest " + e.Guest)
	}
	b.WriteString(": " + e.Err.Error())
	if e.GuestAt != "" {
		b.WriteString("; the guest is " + e.GuestAt)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	for _, done := range e.Recovered {
		b.WriteString("; before that: " + done)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
