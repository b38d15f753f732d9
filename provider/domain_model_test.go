package main

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// TestEveryOptionReachesTheEngine sets every option to a value of its own.
func TestEveryOptionReachesTheEngine(t *testing.T) {
	want := migration.Options{Transport: "plain", AllowPlain: true, Control: "peer_to_peer", ParallelConnections: 3, BandwidthMiBPerSecond: 44, MaxDowntimeMS: 555,
		BlackoutTimeoutMS: 7777, Convergence: migration.Convergence{TimeoutSecondsPerGiB: 8, StallSeconds: 9, DowntimeSteps: 1, AutoConverge: true, OnTimeout: "suspend"},
		Acknowledge: "each", Compression: "zstd", ReconnectSeconds: 6, ChunkKiB: 64,
		Storage: "copy", MigrateDisks: []string{"vda", "vdb"}, AssumeSharedDisks: []string{"vdc"}, SourceImages: "delete", ExistingImages: "overwrite", ProgressFile: "/p"}
	obj, err := object(t.Context(), want, migrationType())
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("the test does not set %s", v.Type().Field(i).Name)
		}
	}
	m := domainModel{Name: types.StringValue("web"), UUID: types.StringUnknown(), Host: types.StringValue("beta"), Migration: obj}
	req, diags := m.request(t.Context(), 7)
	report(t, diags)
	if !reflect.DeepEqual(req.Options, want) || req.Guest != (migration.GuestRef{Name: "web"}) || req.Host != "beta" || req.Timeout != 7 {
		t.Errorf("request %+v", req)
	}
	m.Migration = types.ObjectNull(obj.AttributeTypes(t.Context()))
	if req, diags = m.request(t.Context(), 0); diags.HasError() || !reflect.DeepEqual(req.Options, migration.Options{}) || req.Timeout != 0 {
		t.Errorf("without migration: request %+v, %v", req, diags)
	}
}

func TestFoundGuestKeepsTheNameOfItsHost(t *testing.T) {
	for name, c := range map[string]struct{ had, want string }{
		"the host it had":         {"alpha", "alpha"},
		"another name of that":    {"alias", "alias"},
		"a host it is not on":     {"beta", "alpha"},
		"no host, as at imports":  {"", "alpha"},
		"a host no longer a host": {"old", "alpha"},
	} {
		t.Run(name, func(t *testing.T) {
			m := domainModel{Host: types.StringValue(c.had)}
			m.found(migration.Location{Name: "web", UUID: "u", Host: "alpha", Keys: []string{"alpha", "alias"}, State: "running (booted)"})
			if m.Host.ValueString() != c.want || m.Name.ValueString() != "web" || m.UUID.ValueString() != "u" || m.State.ValueString() != "running (booted)" {
				t.Errorf("model %+v", m)
			}
		})
	}
}

func TestCompletedPlanKeepsWhatItKnew(t *testing.T) {
	m := domainModel{Name: types.StringValue("web"), UUID: types.StringUnknown(), State: types.StringUnknown()}
	m.complete(migration.Location{Name: "renamed meanwhile", UUID: "u", State: "running (migrated)"})
	if m.Name.ValueString() != "web" || m.UUID.ValueString() != "u" || m.State.ValueString() != "running (migrated)" {
		t.Errorf("model %+v", m)
	}
}

// TestAsPlanned: what a plan saw decides what may be done.
func TestAsPlanned(t *testing.T) {
	ctx := t.Context()
	shown := func(from, to string) types.Object {
		var m domainModel
		if err := m.setPlanned(ctx, migration.Plan{From: from, To: to, Transport: "tls"}); err != nil {
			t.Fatal(err)
		}
		return m.PlannedMigration
	}
	null, unknown := types.ObjectNull(plannedType.AttrTypes), types.ObjectUnknown(plannedType.AttrTypes)
	nothing, later := types.ObjectNull(resultType.AttrTypes), types.ObjectUnknown(resultType.AttrTypes)
	for name, c := range map[string]struct {
		planned, last types.Object
		now           migration.Plan
		refused       bool
		recorded      attr.Value
	}{
		"as planned":                      {shown("a", "b"), later, migration.Plan{From: "a", To: "b"}, false, shown("a", "b")},
		"from elsewhere":                  {shown("a", "b"), later, migration.Plan{From: "c", To: "b"}, true, shown("a", "b")},
		"there already":                   {shown("a", "b"), later, migration.Plan{From: "b", To: "b"}, true, shown("a", "b")},
		"in place":                        {null, nothing, migration.Plan{From: "b", To: "b"}, false, null},
		"not in place any more":           {null, nothing, migration.Plan{From: "a", To: "b"}, true, null},
		"an old move, and in place":       {shown("b", "a"), nothing, migration.Plan{From: "a", To: "a"}, false, shown("b", "a")},
		"unknown then, a move now":        {unknown, later, migration.Plan{From: "a", To: "b", Transport: "tls"}, false, shown("a", "b")},
		"unknown then, nothing to do now": {unknown, later, migration.Plan{From: "b", To: "b"}, false, shown("x", "y")},
	} {
		t.Run(name, func(t *testing.T) {
			plan := domainModel{PlannedMigration: c.planned, LastMigration: c.last}
			prior := domainModel{PlannedMigration: shown("x", "y")}
			diags := asPlanned(ctx, prior, &plan, c.now)
			if diags.HasError() != c.refused {
				t.Errorf("diagnostics %v", diags)
			}
			if !plan.PlannedMigration.Equal(c.recorded) {
				t.Errorf("planned_migration is %v, want %v", plan.PlannedMigration, c.recorded)
			}
		})
	}
}

func TestAnotherTransportIsAWarning(t *testing.T) {
	var m domainModel
	if err := m.setPlanned(t.Context(), migration.Plan{From: "a", To: "b", Transport: "tls", Control: "controller"}); err != nil {
		t.Fatal(err)
	}
	came := func(transport migration.Transport, control migration.Control) diag.Diagnostics {
		return otherwise(m.PlannedMigration, migration.Outcome{Location: migration.Location{Name: "web"},
			Result: &migration.Result{Transport: transport, TransportReason: "its handshake failed", Control: control}})
	}
	same, other, driven := came("tls", "controller"), came("tunnel", "peer_to_peer"), came("tls", "peer_to_peer")
	if len(same) != 0 || other.WarningsCount() != 2 || !strings.Contains(other[0].Detail(), "its handshake failed") || driven.WarningsCount() != 1 {
		t.Errorf("same: %v, other: %v, driven: %v", same, other, driven)
	}
	m.neverMoved()
	if diags := came("tls", "controller"); len(diags) != 0 {
		t.Errorf("without a plan to compare with: %v", diags)
	}
}

// TestUnknownHostsAskNobody: without a fleet, nothing can be asked, and nothing that is in state is lost.
func TestUnknownHostsAskNobody(t *testing.T) {
	r := &domainResource{}
	prior := domainModel{Host: types.StringValue("alpha"), State: types.StringValue("running"), PlannedMigration: types.ObjectNull(plannedType.AttrTypes), LastMigration: types.ObjectNull(resultType.AttrTypes)}
	fresh := func(host string) domainModel {
		return domainModel{Host: types.StringValue(host), State: types.StringUnknown(), PlannedMigration: types.ObjectUnknown(plannedType.AttrTypes), LastMigration: types.ObjectUnknown(resultType.AttrTypes)}
	}
	same, other := fresh("alpha"), fresh("beta")
	report(t, r.foresee(context.Background(), domainModel{}, &prior, false, &same))
	report(t, r.foresee(context.Background(), domainModel{}, &prior, false, &other))
	if same.State.IsUnknown() || same.LastMigration.IsUnknown() {
		t.Error("a host that does not change lost what was known")
	}
	if !other.LastMigration.IsUnknown() || !other.PlannedMigration.IsUnknown() {
		t.Error("a host that changes claims to know the outcome")
	}
	if _, diags := r.bring(context.Background(), prior, &other, 0); !diags.HasError() {
		t.Error("a move without hosts did not fail")
	}
}
