package migration

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

var (
	running    = host.State{State: host.StateRunning, Reason: host.RunningBooted}
	migrated   = host.State{State: host.StateRunning, Reason: host.RunningMigrated}
	userPaused = host.State{State: host.StatePaused, Reason: host.PausedUser}
	halfPaused = host.State{State: host.StatePaused, Reason: host.PausedMigration}
	startingUp = host.State{State: host.StatePaused, Reason: host.PausedStartingUp}
	shutOff    = host.State{State: host.StateShutOff, Reason: host.ShutOffDestroyed}

	postCopyFetching       = host.State{State: host.StateRunning, Reason: host.RunningPostCopy}
	postCopyFetchingFailed = host.State{State: host.StateRunning, Reason: host.RunningPostCopyFailed}
	postCopyGiving         = host.State{State: host.StatePaused, Reason: host.PausedPostCopy}
	postCopyGivingFailed   = host.State{State: host.StatePaused, Reason: host.PausedPostCopyFailed}
)

func seen(on string, state host.State, change ...func(*sighting)) sighting {
	s := sighting{keys: []string{on}, self: daemonOf(on), id: host.DomainID{Name: "web", UUID: "u", ID: 1}, state: state, persistent: true}
	if state.ShutOff() {
		s.id.ID = -1
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func transient(s *sighting)         { s.persistent = false }
func leaving(s *sighting)           { s.job = host.JobMigrationOut }
func arriving(s *sighting)          { s.job, s.persistent = host.JobMigrationIn, false }
func backingUp(s *sighting)         { s.job = host.JobOther }
func list(s ...sighting) []sighting { return s }

// Records of an attempt, and the daemons that it is about.
const (
	attemptA = "11111111-1111-4111-8111-111111111111"
	attemptB = "22222222-2222-4222-8222-222222222222"
)

func daemonOf(key string) journal.Daemon { return journal.Daemon{UUID: "uuid-" + key, Hostname: key} }

func aMove(attempt, from, to string) *journal.Move {
	return &journal.Move{Attempt: attempt, Role: journal.Leaving, From: daemonOf(from), To: daemonOf(to), Controller: "runner-7", Since: time.Unix(0, 0)}
}

// moving gives a sighting the record of attempt A from a to b.
func moving(s *sighting) { s.move = aMove(attemptA, "a", "b") }

func arrived(s *sighting) { moving(s); s.move.Role = journal.Arrived }

// awaiting gives a definition the token of an attempt; aStub one that is nothing else. An incoming copy has it beside
// the record that came with it.
func awaiting(attempt string) func(*sighting) {
	return func(s *sighting) {
		token := aMove(attempt, "a", "b")
		token.Role, s.sameBoot = journal.Awaited, true
		if s.id.Active() {
			s.token = token
		} else {
			s.move = token
		}
	}
}

func aStub(attempt string) func(*sighting) {
	return func(s *sighting) { awaiting(attempt)(s); s.awaits().Stub = true }
}

func restarted(s *sighting) { s.sameBoot = false }

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		sightings []sighting
		silent    []string
		neverRan  string
		want      situation
		at        string
		dead      string
		towards   string
		says      string
	}{
		"no host has it":                                    {want: sitNowhere},
		"a stub is no guest":                                {sightings: list(seen("b", shutOff, aStub(attemptA))), want: sitNowhere},
		"one running copy is settled":                       {sightings: list(seen("a", running)), want: sitSettled, at: "a"},
		"a silent host does not unsettle a running copy":    {sightings: list(seen("a", running)), silent: []string{"b"}, want: sitSettled, at: "a"},
		"a guest its user paused is settled":                {sightings: list(seen("a", userPaused)), want: sitSettled, at: "a"},
		"a backup job does not make it a moving guest":      {sightings: list(seen("a", running, backingUp)), want: sitSettled, at: "a"},
		"a leftover definition is not a second copy":        {sightings: list(seen("a", shutOff), seen("b", migrated)), want: sitSettled, at: "b"},
		"a stub beside a running copy":                      {sightings: list(seen("a", running, moving), seen("b", shutOff, aStub(attemptA))), want: sitSettled, at: "a"},
		"definitions alone are a guest that is shut off":    {sightings: list(seen("a", shutOff)), want: sitShutOff, at: "a"},
		"of two definitions, the one it moved to":           {sightings: list(seen("a", shutOff, moving), seen("b", shutOff, arrived)), want: sitShutOff, at: "b"},
		"two running copies need a person":                  {sightings: list(seen("a", running), seen("b", migrated)), want: sitPerson},
		"also when a record says which came first":          {sightings: list(seen("a", running, moving), seen("b", migrated, arrived)), want: sitPerson},
		"a running and a user-paused copy need a person":    {sightings: list(seen("a", running), seen("b", userPaused)), want: sitPerson},
		"a paused guest that has arrived leaves an old one": {sightings: list(seen("a", userPaused, moving), seen("b", userPaused, arrived)), want: sitLeftover, at: "b", dead: "a"},
		"a paused guest that may have arrived":              {sightings: list(seen("a", userPaused, moving), seen("b", userPaused, moving)), want: sitPerson},
		"post-copy needs a person":                          {sightings: list(seen("a", halfPaused), seen("b", postCopyFetching)), want: sitPerson},
		"a job under way is told with its goal":             {sightings: list(seen("a", running, leaving), seen("b", startingUp, arriving)), want: sitMoving, at: "a", towards: "b"},
		"and with who drives it":                            {sightings: list(seen("a", running, leaving, moving), seen("b", startingUp, arriving)), want: sitMoving, at: "a", towards: "b", says: "moved from a to b by runner-7 since 1970-01-01T00:00:00Z"},
		"a job that has just begun has no goal yet":         {sightings: list(seen("a", running, leaving)), want: sitMoving, at: "a"},
		"a switchover under way is still moving":            {sightings: list(seen("a", halfPaused, leaving, moving), seen("b", halfPaused, arriving, moving, aStub(attemptA))), want: sitMoving, at: "a", towards: "b"},
		"an incoming copy that has a job is waited for":     {sightings: list(seen("a", halfPaused, moving), seen("b", halfPaused, arriving, moving, aStub(attemptA))), want: sitMoving, at: "a", towards: "b"},
		"finished and not yet confirmed is still moving":    {sightings: list(seen("a", halfPaused, leaving), seen("b", migrated)), want: sitMoving, at: "b", towards: "b"},
		"finished and never confirmed leaves a dead source": {sightings: list(seen("a", halfPaused), seen("b", migrated, transient)), want: sitLeftover, at: "b", dead: "a"},
		"the same, and its user has paused it since":        {sightings: list(seen("a", halfPaused, moving), seen("b", userPaused, moving)), want: sitLeftover, at: "b", dead: "a"},
		"a half beside a paused copy of another attempt":    {sightings: list(seen("a", halfPaused, moving), seen("b", userPaused)), want: sitPerson, says: "newer"},
		"it was moved on by hand and runs there":            {sightings: list(seen("a", halfPaused, moving), seen("c", migrated, moving)), want: sitLeftover, at: "c", dead: "a"},
		"a failed copy leaves a dead arrival":               {sightings: list(seen("a", running), seen("b", startingUp, transient)), want: sitLeftover, at: "a", dead: "b"},
		"a paused guest's dead arrival is told from it":     {sightings: list(seen("a", userPaused, moving), seen("b", halfPaused, moving)), want: sitLeftover, at: "a", dead: "b"},

		"a stopped source whose token is there":              {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, aStub(attemptA))), want: sitStopped, at: "a"},
		"a transient one":                                    {sightings: list(seen("a", halfPaused, transient, moving), seen("b", shutOff, aStub(attemptA))), want: sitStopped, at: "a"},
		"the token is in a definition that was there before": {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, awaiting(attemptA))), want: sitStopped, at: "a"},
		"its copy stands beside the token":                   {sightings: list(seen("a", halfPaused, moving), seen("b", halfPaused, moving, aStub(attemptA))), want: sitStopped, at: "a", dead: "b"},
		"the destination was restarted since":                {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, aStub(attemptA), restarted)), want: sitPerson, says: "restarted"},
		"the token is of another attempt":                    {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, aStub(attemptB))), want: sitPerson, says: "may have run there"},
		"the token is on another host":                       {sightings: list(seen("a", halfPaused, moving), seen("c", shutOff, aStub(attemptA))), want: sitPerson, says: "b has nothing of it"},
		"the token is gone with the definition":              {sightings: list(seen("a", halfPaused, moving)), want: sitPerson, says: "b has nothing of it"},
		"finish has written its definition":                  {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, moving)), want: sitPerson, says: "may have run there"},
		"somebody has defined it there anew":                 {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff)), want: sitPerson, says: "may have run there"},
		"it had arrived, and is shut off there":              {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, arrived)), want: sitEnded, at: "b", dead: "a"},
		"its destination is not among hosts":                 {sightings: list(seen("a", halfPaused, func(s *sighting) { s.move = aMove(attemptA, "a", "z") })), want: sitPerson, says: "z (UUID uuid-z), which is not among hosts"},
		"nobody has written down whose migration it was":     {sightings: list(seen("a", halfPaused)), want: sitPerson, says: "no record"},
		"the same with a copy":                               {sightings: list(seen("a", halfPaused), seen("b", startingUp, transient)), want: sitPerson, says: "no record"},
		"its record is of another host's departure":          {sightings: list(seen("a", halfPaused, func(s *sighting) { s.move = aMove(attemptA, "c", "b") }), seen("b", shutOff, aStub(attemptA))), want: sitPerson},
		"a host is silent":                                   {sightings: list(seen("a", halfPaused, moving), seen("b", shutOff, aStub(attemptA))), silent: []string{"c"}, want: sitPerson, says: "c did not answer"},
		"this process knows that it never ran":               {sightings: list(seen("a", halfPaused, moving)), neverRan: attemptA, want: sitStopped, at: "a"},
		"this process knows that of another attempt":         {sightings: list(seen("a", halfPaused, moving)), neverRan: attemptB, want: sitPerson},
		"two halves without records cannot be told apart":    {sightings: list(seen("a", halfPaused, transient), seen("b", halfPaused, transient)), want: sitPerson},

		"a post-copy migration that broke":        {sightings: list(seen("a", postCopyGivingFailed), seen("b", postCopyFetchingFailed, transient)), want: sitPerson},
		"one that goes on":                        {sightings: list(seen("a", postCopyGiving), seen("b", postCopyFetching, transient)), want: sitMoving, at: "b", towards: "b"},
		"one of which one end says that it broke": {sightings: list(seen("a", postCopyGivingFailed), seen("b", postCopyFetching, transient)), want: sitPerson},
		"one whose source is done":                {sightings: list(seen("b", postCopyFetching, transient)), want: sitMoving, at: "b", towards: "b"},
		"one whose source is silent":              {sightings: list(seen("b", postCopyFetchingFailed, transient)), silent: []string{"a"}, want: sitPerson},
		"one whose source is gone":                {sightings: list(seen("b", postCopyFetchingFailed, transient)), want: sitPerson},
		"a source in post-copy alone":             {sightings: list(seen("a", postCopyGivingFailed)), want: sitPerson},
		"a post-copy pair and another copy":       {sightings: list(seen("a", postCopyGiving), seen("b", postCopyFetching, transient), seen("c", running)), want: sitPerson},
		"a copy that never ran is not resumed":    {sightings: list(seen("b", startingUp, transient)), want: sitPerson},
	} {
		t.Run(name, func(t *testing.T) {
			answered := map[journal.Daemon]string{}
			for _, key := range []string{"a", "b", "c"} {
				answered[daemonOf(key)] = key
			}
			st := judge(evidence{sightings: c.sightings, silent: c.silent, answered: answered, neverRan: c.neverRan})
			if st.situation != c.want {
				t.Fatalf("situation %d (%s), want %d", st.situation, st.words, c.want)
			}
			at := ""
			if st.at != nil {
				at = st.at.host()
			}
			var dead []string
			for _, d := range st.dead {
				dead = append(dead, d.host())
			}
			if at != c.at || strings.Join(dead, ",") != c.dead || st.towards != c.towards {
				t.Errorf("at %q, dead %q, towards %q; want %q, %q, %q", at, dead, st.towards, c.at, c.dead, c.towards)
			}
			if !strings.Contains(st.words, c.says) || st.words == "" {
				t.Errorf("%q does not say %q", st.words, c.says)
			}
		})
	}
}

func TestFindRefusesANameOfTwoGuests(t *testing.T) {
	inv := &inventory{domains: map[string][]host.DomainID{
		"a": {{Name: "web", UUID: "1"}, {Name: "db", UUID: "3"}},
		"b": {{Name: "web", UUID: "2"}, {Name: "db", UUID: "3"}},
	}}
	if _, err := inv.find(GuestRef{Name: "web"}); err == nil || !strings.Contains(err.Error(), "give uuid") {
		t.Errorf("error %v does not ask for the UUID", err)
	}
	if id, err := inv.find(GuestRef{UUID: "2"}); err != nil || id.Name != "web" {
		t.Errorf("by UUID: %v, %v", id, err)
	}
	if id, err := inv.find(GuestRef{Name: "db"}); err != nil || id.UUID != "3" {
		t.Errorf("one guest on two hosts: %v, %v", id, err)
	}
	if _, err := inv.find(GuestRef{Name: "web", UUID: "3"}); err == nil {
		t.Error("a name that is not the UUID's was accepted")
	}
}
