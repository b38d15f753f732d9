package migration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// sighting is one host's answer about one guest.
type sighting struct {
	// keys are all the configured names of the host that answered.
	keys       []string
	id         host.DomainID
	state      host.State
	job        host.JobKind
	persistent bool
}

func (s sighting) host() string { return s.keys[0] }

// part is what a sighting is of a guest.
type part int

const (
	partDefinition part = iota // defined, not running
	partLive                   // the guest itself: running, or paused for a reason of its own
	partHalf                   // a paused half of a migration: a stopped source, or a copy that never ran
	partPostCopy               // one of two halves of a post-copy migration: both are needed
)

func (s sighting) part() part {
	switch {
	case !s.id.Active() || s.state.ShutOff():
		return partDefinition
	case postCopy(s.state):
		return partPostCopy
	case s.state.Incoming(), s.state.PausedByMigration(), s.job == host.JobMigrationIn:
		return partHalf
	default:
		return partLive
	}
}

// postCopy says that the guest's memory is, or may be, on two hosts at once.
func postCopy(s host.State) bool {
	switch s.State {
	case host.StateRunning:
		return s.Reason == host.RunningPostCopy || s.Reason == host.RunningPostCopyFailed
	case host.StatePaused:
		return s.Reason == host.PausedPostCopy || s.Reason == host.PausedPostCopyFailed
	}
	return false
}

// incoming says that this half is for certain a copy that never ran, not a stopped source.
func (s sighting) incoming() bool {
	return s.part() == partHalf && (s.state.Incoming() || s.job == host.JobMigrationIn)
}

// situation is what all sightings of one guest mean together.
type situation int

const (
	// sitNowhere: no answering host has the guest.
	sitNowhere situation = iota
	// sitShutOff: only definitions are left.
	sitShutOff
	// sitSettled: one live copy and nothing else of a migration.
	sitSettled
	// sitMoving: a migration job runs; somebody drives it, or its daemon does.
	sitMoving
	// sitLeftover: a live copy, and a dead half of an interrupted migration beside it.
	sitLeftover
	// sitStopped: no live copy; a half that can be made live again.
	sitStopped
	// sitPerson: a state only a person may decide.
	sitPerson
)

// standing is the judgement over all sightings.
type standing struct {
	situation situation
	// at is the sighting of the guest itself; nil under sitNowhere and sitPerson.
	at *sighting
	// dead are the halves to be removed under sitLeftover and sitStopped.
	dead []sighting
	// postCopy: its memory may be on two hosts.
	postCopy bool
	// towards is the host a moving guest is on its way to, "" when it is not among ours.
	towards string
	// definitions are hosts that keep an inactive definition beside the guest.
	definitions []sighting
	// words say what was found, for people.
	words string
}

// judge is pure: it says what the sightings of one guest mean. silent are the hosts that did not answer:
// with one of them, an absence proves nothing.
func judge(sightings []sighting, silent []string) standing {
	var live, halves, definitions, post []sighting
	for _, s := range sightings {
		switch s.part() {
		case partLive:
			live = append(live, s)
		case partHalf:
			halves = append(halves, s)
		case partPostCopy:
			post = append(post, s)
		case partDefinition:
			definitions = append(definitions, s)
		}
	}
	st := standing{definitions: definitions}
	switch {
	case len(post) > 0:
		judgePostCopy(&st, post, append(live, halves...), silent)
	case len(live) > 1:
		st.situation = sitPerson
		st.words = "running twice: " + describe(live)
	case anyJob(live, halves):
		st.situation = sitMoving
		st.at, st.towards = mover(live, halves)
		st.words = "being migrated: " + describe(append(live, halves...))
	case len(live) == 1 && len(halves) == 0:
		st.situation = sitSettled
		st.at = &live[0]
		st.words = fmt.Sprintf("%s on %s", live[0].state, live[0].host())
	case len(live) == 1:
		st.situation = sitLeftover
		st.at, st.dead = &live[0], halves
		st.words = fmt.Sprintf("%s on %s, and an interrupted migration left %s", live[0].state, live[0].host(), describe(halves))
	case len(halves) > 0:
		judgeHalves(&st, halves, silent)
	case len(definitions) > 0:
		st.situation = sitShutOff
		st.at = &definitions[0]
		st.words = "shut off: " + describe(definitions)
	default:
		st.situation = sitNowhere
		st.words = "on no host that answered"
	}
	return st
}

// judgeHalves decides when no copy is live and no job runs. The stopped source may be resumed only when
// no host can have the running guest: every host must have answered, and the source must be told from
// a copy that never ran.
func judgeHalves(st *standing, halves []sighting, silent []string) {
	st.words = "stopped in an interrupted migration: " + describe(halves)
	st.situation = sitPerson
	if len(silent) > 0 {
		st.words += "; " + strings.Join(silent, ", ") + " did not answer and may have the running guest"
		return
	}
	var sources, copies []sighting
	for _, h := range halves {
		// a copy becomes persistent only after it ran
		if h.incoming() || (len(halves) > 1 && !h.persistent) {
			copies = append(copies, h)
		} else {
			sources = append(sources, h)
		}
	}
	if len(sources) != 1 {
		st.words += "; it cannot be told which of them is the source"
		return
	}
	st.situation, st.at, st.dead = sitStopped, &sources[0], copies
}

// judgePostCopy decides when a guest's memory is on two hosts: it runs on the destination, and the source has what is
// missing there. Nobody destroys either half; what has not broken is waited for.
func judgePostCopy(st *standing, post, others []sighting, silent []string) {
	st.words = "in a post-copy migration (" + describe(append(post, others...)) + "): both halves are needed, neither may be destroyed"
	st.situation, st.postCopy = sitPerson, true
	var fetching, giving []sighting
	for _, s := range post {
		switch {
		case s.state.PostCopyFailed():
			return
		case s.state.Running():
			fetching = append(fetching, s)
		default:
			giving = append(giving, s)
		}
	}
	// the source's half is gone in the moment after the last of the memory
	if len(fetching) == 1 && len(giving) <= 1 && len(others) == 0 && len(silent) == 0 {
		st.situation, st.at, st.towards = sitMoving, &fetching[0], fetching[0].host()
	}
}

func anyJob(groups ...[]sighting) bool {
	for _, g := range groups {
		for _, s := range g {
			if s.job == host.JobMigrationIn || s.job == host.JobMigrationOut {
				return true
			}
		}
	}
	return false
}

// mover tells, of a guest in motion, where it still is and where it is going.
func mover(live, halves []sighting) (at *sighting, towards string) {
	all := slices.Concat(live, halves)
	for i := range all {
		if all[i].incoming() {
			towards = all[i].host()
		} else if at == nil || all[i].part() == partLive {
			at = &all[i]
		}
	}
	if towards == "" && at != nil && at.part() == partLive {
		for i := range halves {
			if halves[i].job == host.JobMigrationOut { // finished there, not yet confirmed here
				towards = at.host()
			}
		}
	}
	return at, towards
}

func describe(sightings []sighting) string {
	words := make([]string, 0, len(sightings))
	for _, s := range sightings {
		words = append(words, fmt.Sprintf("%s on %s", s.state, s.host()))
	}
	return strings.Join(words, " and ")
}

// where is the answer to "where is the guest now", for errors: in words, and the host's key when one
// host has it.
func (st standing) where() (words, key string) {
	if st.at != nil && st.situation != sitShutOff {
		key = st.at.host()
	}
	return st.words, key
}
