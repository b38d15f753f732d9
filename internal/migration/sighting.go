package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// sighting is one host's answer about one guest.
type sighting struct {
	// keys are all the configured names of the host that answered, self is who its daemon says it is.
	keys       []string
	self       journal.Daemon
	id         host.DomainID
	state      host.State
	job        host.JobKind
	persistent bool
	// move is the record of a move that the running instance carries, or the definition of a guest that is off. token
	// is that of the definition beside a running instance. Both are nil where there is none.
	move, token *journal.Move
	// sameBoot: the host still runs the system that the attempt of its token saw.
	sameBoot bool
}

func (s sighting) host() string { return s.keys[0] }

// isSource says that this copy is the one that its record moves away, isArrival that it came with its record.
func (s sighting) isSource() bool {
	return s.move != nil && s.move.Role == journal.Leaving && s.move.From == s.self
}

func (s sighting) isArrival() bool {
	return s.move != nil && s.move.Role != journal.Awaited && s.move.To == s.self && s.move.From != s.self
}

// awaits is the token of this host, nil for none.
func (s sighting) awaits() *journal.Move {
	for _, m := range []*journal.Move{s.move, s.token} {
		if m != nil && m.Role == journal.Awaited {
			return m
		}
	}
	return nil
}

// provesNeverRan says that the guest of the attempt never ran on this host: the token that its finish would have
// overwritten is there, and no power cut can have brought it back.
func (s sighting) provesNeverRan(attempt string) bool {
	token := s.awaits()
	return token != nil && token.Attempt == attempt && (s.sameBoot || switchedOff.boot) && (s.part() == partStub || s.part() == partDefinition || s.part() == partHalf)
}

// part is what a sighting is of a guest.
type part int

const (
	partDefinition part = iota // defined, not running
	partLive                   // the guest itself: running, or paused for a reason of its own
	partHalf                   // a paused half of a migration: a stopped source, or a copy that never ran
	partPostCopy               // one of two halves of a post-copy migration: both are needed
	partStub                   // no guest: the definition that an attempt's token lives in
)

func (s sighting) part() part {
	switch {
	case (!s.id.Active() || s.state.ShutOff()) && s.move != nil && s.move.Role == journal.Awaited && s.move.Stub:
		return partStub
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
	// sitStopped: no live copy; a half that is proved to be the newest of the guest.
	sitStopped
	// sitEnded: no live copy; the guest arrived on its destination and is shut off there. Its half is old.
	sitEnded
	// sitPerson: a state only a person may decide.
	sitPerson
)

// standing is the judgement over all sightings.
type standing struct {
	situation situation
	// at is the sighting of the guest itself; nil under sitNowhere and sitPerson.
	at *sighting
	// dead are the halves to be removed under sitLeftover, sitStopped and sitEnded.
	dead []sighting
	// postCopy: its memory may be on two hosts.
	postCopy bool
	// towards is the host a moving guest is on its way to, "" when it is not among ours.
	towards string
	// definitions are hosts that keep an inactive definition beside the guest, stubs those that keep a token alone.
	definitions, stubs []sighting
	// mover names who drives, or drove, the migration that was found; nil where no record says.
	mover *journal.Move
	// words say what was found, for people.
	words string
}

// evidence is what a judgement rests on.
type evidence struct {
	sightings []sighting
	// silent are the hosts that did not answer: with one of them, an absence proves nothing.
	silent []string
	// answered has the key of every daemon that did.
	answered map[journal.Daemon]string
	// neverRan is the attempt of which this very process knows that its copy was never let run.
	neverRan string
}

// at is what the daemon says, nil when it has nothing of the guest.
func (e evidence) at(d journal.Daemon) *sighting {
	for i := range e.sightings {
		if e.sightings[i].self == d {
			return &e.sightings[i]
		}
	}
	return nil
}

// judge is pure: it says what the sightings of one guest mean.
func judge(e evidence) standing {
	var live, halves, post []sighting
	var st standing
	for _, s := range e.sightings {
		if s.move != nil && s.move.Role == journal.Leaving && (st.mover == nil || s.move.Since.After(st.mover.Since)) {
			st.mover = s.move
		}
		switch s.part() {
		case partLive:
			live = append(live, s)
		case partHalf:
			halves = append(halves, s)
		case partPostCopy:
			post = append(post, s)
		case partDefinition:
			st.definitions = append(st.definitions, s)
		case partStub:
			st.stubs = append(st.stubs, s)
		}
	}
	switch {
	case len(post) > 0:
		judgePostCopy(&st, post, append(live, halves...), e.silent)
	case len(live) > 1:
		judgeTwo(&st, live, halves)
	case anyJob(live, halves):
		st.situation = sitMoving
		st.at, st.towards = mover(live, halves)
		st.words = "being migrated: " + describe(append(live, halves...)) + drivenBy(st.mover)
	case len(live) == 1 && len(halves) == 0:
		st.situation = sitSettled
		st.at = &live[0]
		st.words = fmt.Sprintf("%s on %s", live[0].state, live[0].host())
	case len(live) == 1:
		judgeLeftover(&st, live[0], halves)
	case len(halves) > 0:
		judgeHalves(&st, e, halves)
	case len(st.definitions) > 0:
		st.situation = sitShutOff
		st.at = newest(st.definitions)
		st.words = "shut off: " + describe(st.definitions)
	default:
		st.situation = sitNowhere
		st.words = "on no host that answered"
		if len(st.stubs) > 0 {
			st.words += fmt.Sprintf("; %s awaited it in a migration that did not end", st.stubs[0].host())
		}
	}
	return st
}

// newest picks the definition that stands for a guest that is shut off: the one to which it moved, where a record says
// so, else the first.
func newest(definitions []sighting) *sighting {
	for i, d := range definitions {
		if d.isArrival() && (d.move.Role == journal.Arrived || d.move.DefinitionOnly) {
			return &definitions[i]
		}
	}
	return &definitions[0]
}

// judgeTwo decides when two copies run, or stand still for a reason of their own. A guest that its user had paused looks
// so on both hosts; only the record of its arrival tells which of the two is old.
func judgeTwo(st *standing, live, halves []sighting) {
	st.situation = sitPerson
	st.words = "running twice: " + describe(live)
	if len(live) > 2 || len(halves) > 0 {
		return
	}
	for i, source := range live {
		there := live[1-i]
		if source.isSource() && source.state.PausedByUser() && source.job == host.JobNone && there.isArrival() && there.move.Role == journal.Arrived && there.move.Attempt == source.move.Attempt {
			st.situation, st.at, st.dead = sitLeftover, &live[1-i], []sighting{source}
			st.words = fmt.Sprintf("%s on %s, and an interrupted migration left the copy on %s", there.state, there.host(), source.host())
		}
	}
}

// judgeLeftover decides when one copy is live and others are halves without a job. A half may go when the guest is seen
// to run elsewhere, when it never ran itself, or when the live copy is the very one that it became.
func judgeLeftover(st *standing, live sighting, halves []sighting) {
	st.situation, st.at, st.dead = sitLeftover, &live, halves
	st.words = fmt.Sprintf("%s on %s, and an interrupted migration left %s", live.state, live.host(), describe(halves))
	if live.state.Running() {
		return
	}
	for _, h := range halves {
		became := h.isSource() && live.isArrival() && live.move.Attempt == h.move.Attempt
		if !became && !h.incoming() && !h.isArrival() {
			st.situation, st.at, st.dead = sitPerson, nil, nil
			st.words += "; nothing shows which of them is the newer one"
			return
		}
	}
}

// judgeHalves decides when no copy is live and no job runs. The half at the source goes on only on proof that the guest
// never ran elsewhere. That something is not to be seen is no proof: the guest may have run, been shut down, been
// undefined, or been moved on.
func judgeHalves(st *standing, e evidence, halves []sighting) {
	st.words = "stopped in an interrupted migration: " + describe(halves) + drivenBy(st.mover)
	st.situation = sitPerson
	if len(e.silent) > 0 {
		st.words += "; " + strings.Join(e.silent, ", ") + " did not answer and may have the running guest"
		return
	}
	var sources, copies []sighting
	for _, h := range halves {
		if h.incoming() || h.isArrival() {
			copies = append(copies, h)
		} else {
			sources = append(sources, h)
		}
	}
	if len(sources) != 1 {
		st.words += "; it cannot be told which of them is the source"
		return
	}
	source := sources[0]
	if !source.isSource() {
		st.words += "; no record says whose migration it was, and whether the guest has run elsewhere since"
		return
	}
	to := source.move.To
	there := e.at(to)
	switch {
	case e.neverRan == source.move.Attempt, switchedOff.token:
		st.situation, st.at, st.dead = sitStopped, &sources[0], copies
	case e.answered[to] == "":
		st.words += fmt.Sprintf("; it was on its way to %s (UUID %s), which is not among hosts", to.Hostname, to.UUID)
	case there == nil:
		st.words += fmt.Sprintf("; %s has nothing of it any more, so that it may have run there, and elsewhere since", e.answered[to])
	case there.part() == partDefinition && there.isArrival() && there.move.Role == journal.Arrived && there.move.Attempt == source.move.Attempt:
		st.situation, st.at, st.dead = sitEnded, there, halves
		st.words = fmt.Sprintf("%s on %s, where it had arrived, and an interrupted migration left %s", there.state, there.host(), describe(halves))
	case there.provesNeverRan(source.move.Attempt):
		st.situation, st.at, st.dead = sitStopped, &sources[0], copies
	case there.awaits() != nil && there.awaits().Attempt == source.move.Attempt:
		st.words += fmt.Sprintf("; %s was restarted since, or cannot say whether it was, so that the guest may have run there before", there.host())
	default:
		st.words += fmt.Sprintf("; the definition on %s is not the one that awaited it, so that the guest may have run there", there.host())
	}
}

// drivenBy says who moves, or moved, the guest, as the record tells.
func drivenBy(m *journal.Move) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf(", moved from %s to %s by %s since %s", m.From.Hostname, m.To.Hostname, m.Controller, m.Since.UTC().Format(time.RFC3339))
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
