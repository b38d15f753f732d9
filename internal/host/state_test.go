package host

import (
	"errors"
	"fmt"
	"testing"

	libvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/go-cmp/cmp"
)

func TestStatesAndEventsInLibvirtsWords(t *testing.T) {
	for want, s := range map[string]State{
		"paused (migration)":   {StatePaused, PausedMigration},
		"running (migrated)":   {StateRunning, RunningMigrated},
		"shut off (migrated)":  {StateShutOff, ShutOffMigrated},
		"running":              {StateRunning, 0},
		"paused (reason 99)":   {StatePaused, 99},
		"state -1 (reason -2)": {-1, -2},
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
	if s := (Event{Kind: EventSuspended, Detail: SuspendedMigrated}).String(); s != "suspended (migrated)" {
		t.Error(s)
	}
	if s := (Event{Kind: 77, Detail: -1}).String(); s != "event 77 (detail -1)" {
		t.Error(s)
	}
}

// libvirt's header is the other place where these numbers stand.
func TestNumbersAreThoseOfLibvirt(t *testing.T) {
	for ours, theirs := range map[int]int{
		StateRunning: int(libvirt.DomainRunning), StatePaused: int(libvirt.DomainPaused), StateShutOff: int(libvirt.DomainShutoff),
		100 + RunningMigrationCanceled:  100 + int(libvirt.DomainRunningMigrationCanceled),
		200 + PausedStartingUp:          200 + int(libvirt.DomainPausedStartingUp),
		300 + PausedPostCopyFailed:      300 + int(libvirt.DomainPausedPostcopyFailed),
		400 + ShutOffMigrated:           400 + int(libvirt.DomainShutoffMigrated),
		500 + StoppedMigrated:           500 + int(libvirt.DomainEventStoppedMigrated),
		600 + int(CodeMigrateFinishOK):  600 + int(libvirt.ErrMigrateFinishOk),
		700 + int(CodeAborted):          700 + int(libvirt.ErrOperationAborted),
		800 + int(CodeUnsupported):      800 + int(libvirt.ErrOperationUnsupported),
		900 + int(CodeAuthUnavailable):  900 + int(libvirt.ErrAuthUnavailable),
		1 << 20 * int(FlagTLS>>16):      1 << 20 * int(libvirt.MigrateTLS>>16),
		1 << 21 * int(FlagParallel>>17): 1 << 21 * int(libvirt.MigrateParallel>>17),
	} {
		if ours != theirs {
			t.Errorf("%d is %d in libvirt", ours, theirs)
		}
	}
}

func TestErrorsKeepLibvirtsCode(t *testing.T) {
	err := fmt.Errorf("while moving: %w", explain("alpha", "look up guest x", libvirt.Error{Code: 42, Message: "Domain not found:\nno domain"}))
	if Code(err) != CodeNoDomain || !errors.Is(err, ErrNoDomain) || errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
	if s := err.Error(); s != "while moving: alpha: look up guest x: Domain not found: no domain (libvirt error 42)" {
		t.Error(s)
	}
	if Code(errors.New("x")) != 0 || Code(nil) != 0 {
		t.Error("a code from nowhere")
	}
	again := explain("beta", "other", err)
	if again != err {
		t.Error("explained twice: ", again)
	}
}

func TestAJobsFiguresAreNilWhereThereAreNone(t *testing.T) {
	figure := func(n uint64) *uint64 { return &n }
	param := func(name string, v *libvirt.TypedParamValue) libvirt.TypedParam {
		return libvirt.TypedParam{Field: name, Value: *v}
	}
	got := readJob(2, []libvirt.TypedParam{
		param("operation", libvirt.NewTypedParamValueInt(5)),
		param("time_elapsed", libvirt.NewTypedParamValueUllong(1234)),
		param("downtime", libvirt.NewTypedParamValueLlong(-7)),
		param("memory_total", libvirt.NewTypedParamValueString("much")),
		param("memory_iteration", libvirt.NewTypedParamValueUint(0)),
		param("errmsg", libvirt.NewTypedParamValueString("it\nfailed")),
		param("news", libvirt.NewTypedParamValueDouble(1)),
	})
	want := Job{Kind: JobMigrationOut, ElapsedMS: figure(1234), Iterations: figure(0), ErrorMessage: "it failed"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Job{}, readJob(0, nil)); d != "" {
		t.Error(d)
	}
}

func TestParametersHaveTheTypesTheDaemonInsistsOn(t *testing.T) {
	p := Params{MigrateURI: "tcp://b", TLSDestination: "b", ParallelConnections: 2, BandwidthMiBPerSecond: 9, MigrateDisks: []string{"vda", "vdb"}, DisksPort: 49153}
	list, err := p.typed()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, l := range list {
		got[l.Field] = l.Value.D
	}
	const isInt, isUllong, isString = 1, 4, 7
	want := map[string]uint32{"migrate_uri": isString, "tls.destination": isString, "parallel.connections": isInt, "bandwidth": isUllong, "migrate_disks": isString, "disks_port": isInt}
	if d := cmp.Diff(want, got); d != "" || len(list) != 7 {
		t.Error(len(list), d)
	}
	for _, bad := range []Params{{ParallelConnections: -1}, {DisksPort: 1 << 40}, {MigrateDisks: make([]string, 65)}} {
		if _, err := bad.typed(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if list, err := (Params{}).typed(); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}
