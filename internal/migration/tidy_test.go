package migration

import (
	"fmt"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// settledView is what judge makes of sightings, when every host but the silent ones answered.
func settledView(t *testing.T, sightings []sighting, silent ...string) view {
	t.Helper()
	inv := &inventory{groups: map[identity][]string{}}
	e := evidence{sightings: sightings, silent: silent, answered: map[journal.Daemon]string{}}
	v := view{inv: inv, found: sightings, silent: map[string]error{}}
	for _, key := range []string{"a", "b", "c"} {
		d := daemonOf(key)
		inv.groups[identity{d.UUID, d.Hostname}] = []string{key}
		e.answered[d] = key
	}
	for _, key := range silent {
		v.silent[key] = errLost
	}
	v.standing = judge(e)
	return v
}

func withMark(s *sighting) { s.move.ToBoot = "pool:virtmigrate-boot-1" }
func ofTransient(s *sighting) {
	s.move.Transient = true
}
func ofAutostart(s *sighting)  { s.move.Autostart = true }
func ofDefinition(s *sighting) { s.move.DefinitionOnly = true }

func TestChores(t *testing.T) {
	names := map[choreKind]string{choreAutostart: "autostart", choreTransient: "make transient", choreUndefine: "undefine", choreClear: "clear"}
	for name, c := range map[string]struct {
		sightings []sighting
		silent    []string
		want      []string
	}{
		"nothing was left":                                 {sightings: list(seen("a", running))},
		"somebody's definition is left alone":              {sightings: list(seen("a", running), seen("b", shutOff))},
		"a killed copy: the stub first, then the record":   {sightings: list(seen("a", running, moving), seen("b", shutOff, aStub(attemptA), withMark)), want: []string{"undefine b", "drop b", "clear a"}},
		"the token in an old definition":                   {sightings: list(seen("a", running, moving), seen("b", shutOff, awaiting(attemptA))), want: []string{"clear b", "clear a"}},
		"a stub whose guest has forgotten it":              {sightings: list(seen("a", running), seen("b", shutOff, aStub(attemptA))), want: []string{"undefine b"}},
		"a record whose stub is out of reach":              {sightings: list(seen("a", running, moving)), silent: []string{"b"}, want: []string{"clear a"}},
		"it arrived, and the source is clean":              {sightings: list(seen("b", migrated, moving, ofAutostart)), want: []string{"autostart b", "clear b"}},
		"it arrived, and was transient":                    {sightings: list(seen("b", migrated, moving, ofTransient, ofAutostart)), want: []string{"make transient b", "clear b"}},
		"it arrived, and the source does not answer":       {sightings: list(seen("b", migrated, arrived, ofTransient)), silent: []string{"a"}},
		"it arrived; somebody destroyed the source's half": {sightings: list(seen("a", shutOff, moving), seen("b", migrated, moving)), want: []string{"undefine a", "clear b"}},
		"it is off where it may have arrived":              {sightings: list(seen("a", shutOff, moving), seen("b", shutOff, moving))},
		"it is off where it arrived":                       {sightings: list(seen("a", shutOff, moving), seen("b", shutOff, arrived)), want: []string{"undefine a", "clear b"}},
		"a definition that moved is on both":               {sightings: list(seen("a", shutOff, moving, ofDefinition), seen("b", shutOff, moving, ofDefinition, ofAutostart)), want: []string{"undefine a", "autostart b", "clear b"}},
		"a definition that did not move":                   {sightings: list(seen("a", shutOff, moving, ofDefinition)), want: []string{"clear a"}},
		"somebody resumed the half":                        {sightings: list(seen("a", running, moving), seen("b", shutOff, moving)), want: []string{"clear a"}},
		"it was moved on by hand":                          {sightings: list(seen("c", migrated, moving)), want: []string{"clear c"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range chores(settledView(t, c.sightings, c.silent...)) {
				got = append(got, names[c.do]+" "+c.on.host())
				if c.mark != "" {
					got = append(got, "drop "+c.on.host())
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestFateOfAFile(t *testing.T) {
	now := time.Unix(1<<30, 0)
	a, b := daemonOf("a"), daemonOf("b")
	for name, c := range map[string]struct {
		sightings []sighting
		kind      journal.FileKind
		keeper    journal.Daemon
		age       time.Duration
		want      fate
	}{
		"a probe is of no use to anybody":                   {list(seen("a", running)), journal.Probe, a, 0, fateDelete},
		"an image of a copy that is proved not to have run": {list(seen("a", running, moving), seen("b", shutOff, aStub(attemptA))), journal.Made, b, 0, fateDelete},
		"one whose token is gone":                           {list(seen("a", running, moving)), journal.Made, b, 0, fateStay},
		"one whose destination was restarted since":         {list(seen("a", running, moving), seen("b", shutOff, aStub(attemptA), restarted)), journal.Made, b, 0, fateStay},
		"one that finish has handed over":                   {list(seen("a", running, moving), seen("b", shutOff, moving)), journal.Made, b, 0, fateStay},
		"one of another attempt":                            {list(seen("a", running, moving), seen("b", shutOff, aStub(attemptB))), journal.Made, b, 0, fateStay},
		"one on the host that has the guest":                {list(seen("b", migrated, moving)), journal.Made, b, 0, fateForget},
		"the source's image, when the guest has arrived":    {list(seen("b", migrated, moving)), journal.Old, a, 0, fateDelete},
		"the same after it was shut down there":             {list(seen("b", shutOff, arrived)), journal.Old, a, 0, fateDelete},
		"the source's image, when it has not":               {list(seen("a", running, moving)), journal.Old, a, 0, fateForget},
		"the source's image, when it went elsewhere":        {list(seen("c", migrated)), journal.Old, a, 0, fateStay},
		"the source's image after a week":                   {list(seen("b", migrated, moving)), journal.Old, a, oldImagesKept + time.Hour, fateForget},
	} {
		t.Run(name, func(t *testing.T) {
			rec := journal.Files{Attempt: attemptA, From: a, To: b, Since: now.Add(-c.age)}
			if got := fateOf(settledView(t, c.sightings), rec, journal.File{Path: "/i", Kind: c.kind}, c.keeper, now); got != c.want {
				t.Errorf("fate %d, want %d", got, c.want)
			}
		})
	}
}
