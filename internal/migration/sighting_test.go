package migration

import (
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
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
	s := sighting{keys: []string{on}, id: host.DomainID{Name: "web", UUID: "u", ID: 1}, state: state, persistent: true}
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

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		sightings []sighting
		silent    []string
		want      situation
		at        string
		dead      string
		towards   string
	}{
		"no host has it":                                    {want: sitNowhere},
		"one running copy is settled":                       {sightings: list(seen("a", running)), want: sitSettled, at: "a"},
		"a silent host does not unsettle a running copy":    {sightings: list(seen("a", running)), silent: []string{"b"}, want: sitSettled, at: "a"},
		"a guest its user paused is settled":                {sightings: list(seen("a", userPaused)), want: sitSettled, at: "a"},
		"a backup job does not make it a moving guest":      {sightings: list(seen("a", running, backingUp)), want: sitSettled, at: "a"},
		"a leftover definition is not a second copy":        {sightings: list(seen("a", shutOff), seen("b", migrated)), want: sitSettled, at: "b"},
		"definitions alone are a guest that is shut off":    {sightings: list(seen("a", shutOff)), want: sitShutOff, at: "a"},
		"two running copies need a person":                  {sightings: list(seen("a", running), seen("b", migrated)), want: sitPerson},
		"a running and a user-paused copy need a person":    {sightings: list(seen("a", running), seen("b", userPaused)), want: sitPerson},
		"post-copy needs a person":                          {sightings: list(seen("a", halfPaused), seen("b", postCopyFetching)), want: sitPerson},
		"a job under way is told with its goal":             {sightings: list(seen("a", running, leaving), seen("b", startingUp, arriving)), want: sitMoving, at: "a", towards: "b"},
		"a job that has just begun has no goal yet":         {sightings: list(seen("a", running, leaving)), want: sitMoving, at: "a"},
		"a switchover under way is still moving":            {sightings: list(seen("a", halfPaused, leaving), seen("b", halfPaused, arriving)), want: sitMoving, at: "a", towards: "b"},
		"finished and not yet confirmed is still moving":    {sightings: list(seen("a", halfPaused, leaving), seen("b", migrated)), want: sitMoving, at: "b", towards: "b"},
		"finished and never confirmed leaves a dead source": {sightings: list(seen("a", halfPaused), seen("b", migrated, transient)), want: sitLeftover, at: "b", dead: "a"},
		"a failed copy leaves a dead arrival":               {sightings: list(seen("a", running), seen("b", startingUp, transient)), want: sitLeftover, at: "a", dead: "b"},
		"a paused guest's dead arrival is told from it":     {sightings: list(seen("a", userPaused), seen("b", halfPaused, transient)), want: sitLeftover, at: "a", dead: "b"},
		"a stopped source alone can be resumed":             {sightings: list(seen("a", halfPaused)), want: sitStopped, at: "a"},
		"a stopped transient source alone can be resumed":   {sightings: list(seen("a", halfPaused, transient)), want: sitStopped, at: "a"},
		"a stopped source is told from its copy":            {sightings: list(seen("a", halfPaused), seen("b", halfPaused, transient)), want: sitStopped, at: "a", dead: "b"},
		"two transient halves cannot be told apart":         {sightings: list(seen("a", halfPaused, transient), seen("b", halfPaused, transient)), want: sitPerson},
		"a transient source is told from a starting copy":   {sightings: list(seen("a", halfPaused, transient), seen("b", startingUp, transient)), want: sitPerson},
		"a stopped source waits while a host is silent":     {sightings: list(seen("a", halfPaused)), silent: []string{"b"}, want: sitPerson},
		"a post-copy migration that broke":                  {sightings: list(seen("a", postCopyGivingFailed), seen("b", postCopyFetchingFailed, transient)), want: sitPerson},
		"one that goes on":                                  {sightings: list(seen("a", postCopyGiving), seen("b", postCopyFetching, transient)), want: sitMoving, at: "b", towards: "b"},
		"one of which one end says that it broke":           {sightings: list(seen("a", postCopyGivingFailed), seen("b", postCopyFetching, transient)), want: sitPerson},
		"one whose source is done":                          {sightings: list(seen("b", postCopyFetching, transient)), want: sitMoving, at: "b", towards: "b"},
		"one whose source is silent":                        {sightings: list(seen("b", postCopyFetchingFailed, transient)), silent: []string{"a"}, want: sitPerson},
		"one whose source is gone":                          {sightings: list(seen("b", postCopyFetchingFailed, transient)), want: sitPerson},
		"a source in post-copy alone":                       {sightings: list(seen("a", postCopyGivingFailed)), want: sitPerson},
		"a post-copy pair and another copy":                 {sightings: list(seen("a", postCopyGiving), seen("b", postCopyFetching, transient), seen("c", running)), want: sitPerson},
		"a copy that never ran is not resumed":              {sightings: list(seen("b", startingUp, transient)), want: sitPerson},
	} {
		t.Run(name, func(t *testing.T) {
			st := judge(c.sightings, c.silent)
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
			if st.words == "" {
				t.Error("no words for people")
			}
		})
	}
}

func TestSameDaemons(t *testing.T) {
	facts := map[string]host.Facts{
		"a": {UUID: "1", Hostname: "alpha"}, "also-a": {UUID: "1", Hostname: "alpha"}, "b": {UUID: "2", Hostname: "beta"},
	}
	groups, err := sameDaemons(facts, []string{"a", "also-a", "b", "silent"})
	if err != nil || len(groups) != 2 || strings.Join(groups[identity{"1", "alpha"}], ",") != "a,also-a" {
		t.Fatalf("groups %v, error %v", groups, err)
	}
	facts["b"] = host.Facts{UUID: "1", Hostname: "beta"}
	if _, err = sameDaemons(facts, []string{"a", "also-a", "b"}); err == nil || !strings.Contains(err.Error(), "host_uuid") {
		t.Errorf("one UUID under two host names: error %v does not name host_uuid", err)
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
