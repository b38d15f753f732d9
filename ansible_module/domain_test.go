package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// scripted answers as told and notes what it was asked. It stands in for the engine only where the
// question is how answers are put into words; what the engine does is tried on the lab.
type scripted struct {
	location migration.Location
	plan     migration.Plan
	outcome  migration.Outcome
	err      error
	asked    []string
	request  migration.Request
}

func (s *scripted) Locate(context.Context, migration.GuestRef) (migration.Location, error) {
	s.asked = append(s.asked, "locate")
	return s.location, s.err
}

func (s *scripted) Plan(_ context.Context, r migration.Request) (migration.Plan, error) {
	s.asked, s.request = append(s.asked, "plan"), r
	return s.plan, s.err
}

func (s *scripted) Migrate(_ context.Context, r migration.Request) (migration.Outcome, error) {
	s.asked, s.request = append(s.asked, "migrate"), r
	return s.outcome, s.err
}

var (
	onAlpha = migration.Location{Name: "web", UUID: "u", Host: "alpha", State: "running (booted)"}
	onBeta  = migration.Location{Name: "web", UUID: "u", Host: "beta", State: "running (migrated)", Warnings: []string{"host \"gamma\" did not answer"}}
	toBeta  = migration.Plan{Name: "web", UUID: "u", From: "alpha", To: "beta", Transport: "tls", Control: "controller", Reason: "because", Warnings: []string{"careful"}}
	stays   = migration.Plan{Name: "web", UUID: "u", From: "alpha", To: "alpha"}
)

func TestAnswers(t *testing.T) {
	recovers := stays
	recovers.Recovery = "resume the guest"
	blocked := toBeta
	blocked.Blockers = []migration.Finding{{Text: "it has a local disk", Hint: "move the disk"}}
	result := &migration.Result{Transport: "tls"}
	shownPlan := &migration.Planned{CopiedDisks: []string{}, From: "alpha", To: "beta", Transport: "tls", Reason: "because", Control: "controller"}
	for name, c := range map[string]struct {
		fleet scripted
		task  task
		asked string
		want  response
	}{
		"check mode with a move to make": {
			scripted{plan: toBeta, location: onAlpha}, task{Check: true, Diff: true}, "plan locate",
			response{Changed: true, Name: "web", UUID: "u", Host: "alpha", State: "running (booted)", PlannedMigration: shownPlan, Warnings: []string{"careful"}, Diff: between("alpha", "beta")},
		},
		"check mode with nothing to do": {
			scripted{plan: stays, location: onAlpha}, task{Check: true}, "plan locate",
			response{Name: "web", UUID: "u", Host: "alpha", State: "running (booted)"},
		},
		"check mode with something to recover": {
			scripted{plan: recovers, location: onAlpha}, task{Check: true}, "plan locate",
			response{Changed: true, Name: "web", UUID: "u", Host: "alpha", State: "running (booted)", PlannedMigration: &migration.Planned{CopiedDisks: []string{}, From: "alpha", To: "alpha", Reason: "resume the guest"}},
		},
		"check mode with a move that cannot be made": {
			scripted{plan: blocked}, task{Check: true, Diff: true}, "plan",
			response{Failed: true, Msg: "decide of guest web: it has a local disk; the guest is untouched on alpha; move the disk",
				Name: "web", Host: "alpha", Phase: "decide", GuestAt: "untouched on alpha", Hint: "move the disk"},
		},
		"a move": {
			scripted{outcome: migration.Outcome{Location: onBeta, Moved: true, Changed: true, Plan: toBeta, Result: result}}, task{Diff: true}, "migrate",
			response{Changed: true, Name: "web", UUID: "u", Host: "beta", State: "running (migrated)", PlannedMigration: shownPlan, LastMigration: result, Warnings: onBeta.Warnings, Diff: between("alpha", "beta")},
		},
		"a guest that is there already": {
			scripted{outcome: migration.Outcome{Location: onAlpha}}, task{Diff: true}, "migrate",
			response{Name: "web", UUID: "u", Host: "alpha", State: "running (booted)", Diff: between("alpha", "alpha")},
		},
		"a guest that was recovered where it is": {
			scripted{outcome: migration.Outcome{Location: onAlpha, Changed: true}}, task{}, "migrate",
			response{Changed: true, Name: "web", UUID: "u", Host: "alpha", State: "running (booted)"},
		},
		"a failure the engine explains": {
			scripted{err: &migration.Error{Phase: "run", Guest: "web", GuestAt: "running on alpha", Host: "alpha", Hint: "look", Err: errors.New("it broke\nin two")}}, task{}, "migrate",
			response{Failed: true, Msg: "run of guest web: it broke; in two; the guest is running on alpha; look", Name: "web", Host: "alpha", Phase: "run", GuestAt: "running on alpha", Hint: "look"},
		},
		"a failure without explanation": {
			scripted{err: io.ErrUnexpectedEOF}, task{}, "migrate",
			response{Failed: true, Msg: "unexpected EOF", Name: "web"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := bring(t.Context(), &c.fleet, arguments{Name: "web", Host: "beta", TimeoutSeconds: 90, Migration: migration.Options{MaxDowntimeMS: 7}}, c.task)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if asked := strings.Join(c.fleet.asked, " "); asked != c.asked {
				t.Errorf("asked the engine to %s, want %s", asked, c.asked)
			}
			if r := c.fleet.request; r.Guest.Name != "web" || r.Host != "beta" || r.Timeout.Seconds() != 90 || r.Options.MaxDowntimeMS != 7 {
				t.Errorf("request %+v", r)
			}
		})
	}
}

func TestResponseIsTheSameJSONAsTheEnginesResult(t *testing.T) {
	var result migration.Result
	fill(reflect.ValueOf(&result).Elem())
	engine := asJSON(t, result)
	var whole struct {
		LastMigration json.RawMessage `json:"last_migration"`
	}
	if err := json.Unmarshal(asJSON(t, done(migration.Outcome{Location: onBeta, Moved: true, Changed: true, Plan: toBeta, Result: &result})), &whole); err != nil {
		t.Fatal(err)
	}
	if string(whole.LastMigration) != string(engine) {
		t.Errorf("the module returns %s, the engine has %s", whole.LastMigration, engine)
	}
	if strings.Contains(string(engine), "null") {
		t.Errorf("the test left a field out: %s", engine)
	}
}

// fill gives every field of a struct a value, at every depth.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.String:
		v.SetString("x")
	case reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func TestResponseSaysNullWhereNothingMoved(t *testing.T) {
	text := string(asJSON(t, done(migration.Outcome{Location: onAlpha})))
	for _, want := range []string{`"changed":false`, `"planned_migration":null`, `"last_migration":null`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s", text, want)
		}
	}
}

func TestInvocationHidesPasswordsAndLeavesOutWhatWasNotGiven(t *testing.T) {
	args := arguments{Hosts: map[string]migration.HostConfig{
		"a": {URI: "qemu+ssh://root:hunter2@a/system", PeerURI: "qemu+tls://b:hunter2@b/system"},
		"b": {URI: "://root:hunter2@b", PeerURI: "qemu+tls://b/system"},
		"c": {URI: "qemu+ssh://root@c/system?keyfile=/k", HostKey: "ssh-ed25519 A"},
		"d": {URI: "qemu:///system", HostKey: "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"},
	}, Name: "web", Host: "a"}
	text := string(asJSON(t, invocation{args}))
	const want = `{"module_args":{"host":"a","hosts":{"a":{"peer_uri":"` + hidden + `","uri":"` + hidden + `"},"b":{"peer_uri":"qemu+tls://b/system","uri":"` + hidden +
		`"},"c":{"host_key":"ssh-ed25519 A","uri":"qemu+ssh://root@c/system?keyfile=/k"},"d":{"host_key":"` + hidden +
		`","uri":"qemu:///system"}},"name":"web"}}`
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if args.Hosts["a"].URI == hidden {
		t.Error("the options themselves were changed")
	}
}

func TestLogIsWrittenFromThreeVsOnAndNeverUnderNoLog(t *testing.T) {
	for name, c := range map[string]struct {
		task  task
		wants string
	}{
		"by default": {task{}, ""},
		"-vv":        {task{Verbosity: 2}, ""},
		"-vvv":       {task{Verbosity: 3}, "told"},
		"-vvvv":      {task{Verbosity: 4}, "told whispered"},
		"no_log":     {task{Verbosity: 4, NoLog: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			l := logger(c.task, &out)
			l.Info("told")
			l.Debug("whispered")
			var got []string
			for _, word := range []string{"told", "whispered"} {
				if strings.Contains(out.String(), word) {
					got = append(got, word)
				}
			}
			if strings.Join(got, " ") != c.wants {
				t.Errorf("wrote %q, want %s", out.String(), c.wants)
			}
		})
	}
}
