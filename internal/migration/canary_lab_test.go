package migration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestTheWayIsTriedBeforeAMove sends canaries over every encrypted transport, and over ways that are closed.
func TestTheWayIsTriedBeforeAMove(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, FillMiB: 32})
	ctx := labtest.Context(t, 5*time.Minute)
	closed := func(ports string) func(*testing.T) {
		return func(t *testing.T) {
			mustExec(t, ctx, beta, "iptables", "--wait", "--append", "INPUT", "--protocol", "tcp", "--source", alpha.Address.String(), "--dport", ports, "--jump", "REJECT", "--reject-with", "tcp-reset")
			t.Cleanup(func() {
				if err := beta.Heal(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	// the relay's program, and directories that libvirt makes when it first needs them, stay
	if p, err := overSSH(t, l).Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}, true); err != nil || !p.OK {
		t.Fatalf("%v, %+v", err, p.Blockers())
	}
	for name, c := range map[string]struct {
		options Options
		before  func(*testing.T)
		status  Status
		says    string
		todo    string
		whole   bool // only in the whole suite
	}{
		"relay":                       {Options{Transport: TransportRelay}, nil, StatusPass, "went by relay, driven by controller", "", false},
		"relay, by the daemons":       {Options{Transport: TransportRelay, Control: ControlPeerToPeer}, nil, StatusPass, "went by relay, driven by peer_to_peer", "", true},
		"tls":                         {Options{Transport: TransportTLS}, nil, StatusPass, "went by tls", "", false},
		"tunnel":                      {Options{Transport: TransportTunnel}, nil, StatusPass, "went by tunnel", "", true},
		"auto, but by another way":    {Options{}, closed("49200:49215"), StatusWarning, "went by tls", "", false},
		"tls, the ports are closed":   {Options{Transport: TransportTLS}, closed("49152:49215"), StatusBlocker, "onnection refused", "firewall", false},
		"relay, the ports are closed": {Options{Transport: TransportRelay}, closed("49152:49215"), StatusBlocker, "the relay cannot be used", "", true},
		"tunnel, the port is closed":  {Options{Transport: TransportTunnel}, closed("16514"), StatusBlocker, "onnection refused", "", true},
	} {
		if c.whole && !wholeSuite() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			before, err := l.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if c.before != nil {
				c.before(t)
			}
			f := overSSH(t, l)
			p, err := f.Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: c.options}, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := resultOf(t, p, "way"); got.Status != c.status || !strings.Contains(got.Finding, c.says) || !strings.Contains(got.ToDo, c.todo) || p.OK != (c.status != StatusBlocker) {
				t.Errorf("%+v", got)
			}
			for _, id := range onTheWay {
				if got := resultOf(t, p, id); c.status == StatusPass && got.Status != StatusPass {
					t.Errorf("%+v", got)
				}
			}
			_ = f.Close() // its logins are processes of the hosts
			mustBeAsBefore(t, l, before)
		})
	}
	labtest.MustRun(t, g, "alpha")
}

// TestACanaryOfADeadPreflightIsTakenAway leaves one as a killed process would. The next deep preflight of any guest, by
// anybody, takes it away once it is old enough; a guest that has no more than the name of a canary stays.
func TestACanaryOfADeadPreflightIsTakenAway(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	f := labFleet(t, l)
	alpha, _, err := f.members["alpha"].reach(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	guest, err := alpha.Domain(ctx, g.UUID)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, name := range []string{"dead", "young", "someones"} {
		id := uuid.NewString()
		text, err := describeCanary(canaryPrefix+name, id, guest)
		if err != nil {
			t.Fatal(err)
		}
		if err := alpha.CreatePaused(ctx, text); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = l.Host("alpha").Virsh(context.WithoutCancel(ctx), "destroy", id) })
		ids[name] = id
	}
	old, err := journal.Canary{Controller: "runner-7", Since: time.Now().Add(-2 * canaryKept)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]string{"dead": old, "someones": ""} {
		if err := alpha.SetMetadata(ctx, ids[name], journal.Prefix, journal.CanaryNamespace, record, host.FormLive); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportTLS}}, true); err != nil {
		t.Fatal(err)
	}
	for name, id := range ids {
		if _, err := f.Locate(ctx, GuestRef{UUID: id}); errors.Is(err, ErrNotFound) != (name == "dead") {
			t.Errorf("%s: %v", name, err)
		}
	}
	labtest.MustRun(t, g, "alpha")
}
