package migration

import (
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestPlanSaysWhatAMoveDoesAndCreatesNothing(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	f := labFleet(t, l)
	ctx := labtest.Context(t, time.Minute)
	before := map[string]lab.Snapshot{}
	for _, h := range l.Hosts {
		s, err := h.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before[h.Name] = s
	}
	p, err := f.Plan(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	if err != nil || p.Err() != nil {
		t.Fatal(err, p.Err())
	}
	if p.From != "alpha" || p.To != "beta" || p.Transport != TransportTLS || p.Reason == "" || len(p.ToBeConfirmed) == 0 {
		t.Errorf("plan %+v", p)
	}
	for _, h := range l.Hosts {
		after, err := h.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := lab.Diff(before[h.Name], after); len(diff) > 0 {
			t.Errorf("the plan changed %s: %q", h.Name, diff)
		}
	}
}
