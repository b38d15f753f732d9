package host

import "fmt"

// libvirt's numbers of a domain's states.
const (
	StateNone       = 0
	StateRunning    = 1
	StateBlocked    = 2
	StatePaused     = 3
	StateShutdown   = 4
	StateShutOff    = 5
	StateCrashed    = 6
	StatePMSuspends = 7
)

// libvirt's numbers of the reasons that decisions are made on; each belongs to one state.
const (
	RunningBooted            = 1
	RunningMigrated          = 2
	RunningUnpaused          = 5
	RunningMigrationCanceled = 6
	RunningPostCopy          = 10
	RunningPostCopyFailed    = 11

	PausedUser           = 1
	PausedMigration      = 2
	PausedIOError        = 5
	PausedStartingUp     = 11
	PausedPostCopy       = 12
	PausedPostCopyFailed = 13

	ShutOffDestroyed = 2
	ShutOffCrashed   = 3
	ShutOffMigrated  = 4
	ShutOffFailed    = 6
)

// libvirt's numbers of lifecycle events and of the details that matter in a migration.
const (
	EventDefined   = 0
	EventUndefined = 1
	EventStarted   = 2
	EventSuspended = 3
	EventResumed   = 4
	EventStopped   = 5
	EventShutdown  = 6
	EventCrashed   = 8

	// EventMemoryPass is of our own: QEMU begins another pass over the memory of a guest that migrates
	// away. Detail counts the passes; at the first, all disks that are copied have been.
	EventMemoryPass = 1000
	// EventIOError is, too: QEMU could not read or write a disk of the guest.
	EventIOError = 1001

	StartedMigrated         = 1
	SuspendedPaused         = 0
	SuspendedMigrated       = 1
	SuspendedIOError        = 2
	SuspendedPostCopy       = 7
	SuspendedPostCopyFailed = 8
	ResumedUnpaused         = 0
	ResumedMigrated         = 1
	ResumedPostCopy         = 3
	StoppedShutdown         = 0
	StoppedDestroyed        = 1
	StoppedCrashed          = 2
	StoppedMigrated         = 3
	StoppedFailed           = 5
)

// Running says that the guest executes.
func (s State) Running() bool { return s.State == StateRunning || s.State == StateBlocked }

// Paused says that the guest is in memory and does not execute.
func (s State) Paused() bool { return s.State == StatePaused }

// Active says that the domain has a QEMU, running or paused.
func (s State) Active() bool {
	return s.State != StateNone && s.State != StateShutOff && s.State != StateCrashed
}

// ShutOff says that the domain has no QEMU.
func (s State) ShutOff() bool { return s.State == StateShutOff }

// PausedByMigration: at the source after the switchover began, at the destination from the time that its
// QEMU waits for the guest until the guest is let run there.
func (s State) PausedByMigration() bool {
	return s == State{StatePaused, PausedMigration}
}

// PausedByUser: somebody paused the guest, and it must stay so.
func (s State) PausedByUser() bool { return s == State{StatePaused, PausedUser} }

// Incoming: a QEMU that has been started and is not ready yet for the guest that is to arrive.
func (s State) Incoming() bool { return s == State{StatePaused, PausedStartingUp} }

// Arrived: the guest runs here because it came by migration.
func (s State) Arrived() bool { return s == State{StateRunning, RunningMigrated} }

// Died: the domain is shut off here because its QEMU crashed or could not start, and not because anybody
// wanted it so.
func (s State) Died() bool {
	return s == State{StateShutOff, ShutOffCrashed} || s == State{StateShutOff, ShutOffFailed}
}

// Left: the domain is shut off here because the guest went away by migration.
func (s State) Left() bool { return s == State{StateShutOff, ShutOffMigrated} }

// PostCopyFailed: memory of the guest is on both hosts and neither copy may be killed.
func (s State) PostCopyFailed() bool {
	return s == State{StatePaused, PausedPostCopyFailed} || s == State{StateRunning, RunningPostCopyFailed}
}

var stateWords = []string{"no state", "running", "blocked", "paused", "in shutdown", "shut off", "crashed", "suspended to memory"}

var reasonWords = map[int][]string{
	StateRunning: {"", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled",
		"save canceled", "wakeup", "crashed", "post-copy", "post-copy failed"},
	StatePaused: {"", "user", "migration", "save", "dump", "I/O error", "watchdog", "from snapshot",
		"shutting down", "snapshot", "crashed", "starting up", "post-copy", "post-copy failed", "api error"},
	StateShutdown: {"", "user"},
	StateShutOff: {"", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot",
		"daemon"},
	StateCrashed: {"", "panicked"},
}

// String is the state in libvirt's words: "paused (migration)".
func (s State) String() string {
	if s.State < 0 || s.State >= len(stateWords) {
		return fmt.Sprintf("state %d (reason %d)", s.State, s.Reason)
	}
	words := reasonWords[s.State]
	switch {
	case s.Reason == 0:
		return stateWords[s.State]
	case s.Reason < 0 || s.Reason >= len(words):
		return fmt.Sprintf("%s (reason %d)", stateWords[s.State], s.Reason)
	}
	return fmt.Sprintf("%s (%s)", stateWords[s.State], words[s.Reason])
}

var eventWords = []string{"defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "suspended to memory", "crashed"}

// String is the event in libvirt's words: "suspended (migrated)".
func (e Event) String() string {
	switch e.Kind {
	case EventMemoryPass:
		return fmt.Sprintf("pass %d over the memory", e.Detail)
	case EventIOError:
		return "I/O error of a disk"
	}
	if e.Kind < 0 || e.Kind >= len(eventWords) {
		return fmt.Sprintf("event %d (detail %d)", e.Kind, e.Detail)
	}
	word := eventWords[e.Kind]
	switch {
	case e.Kind == EventStarted && e.Detail == StartedMigrated,
		e.Kind == EventSuspended && e.Detail == SuspendedMigrated,
		e.Kind == EventResumed && e.Detail == ResumedMigrated,
		e.Kind == EventStopped && e.Detail == StoppedMigrated:
		return word + " (migrated)"
	}
	return fmt.Sprintf("%s (detail %d)", word, e.Detail)
}
