package migration

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestTwoHostsWithOneUUIDAndOneName: beta is a clone of alpha, as far as libvirt's own words go. To take them for one
// host would be to say that the guest of the one runs on the other.
func TestTwoHostsWithOneUUIDAndOneName(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	undo, err := l.Host("beta").CloneIdentity(labtest.Context(t, time.Minute), l.Host("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := undo(ctx); err != nil {
			t.Error(err)
		}
	})
	for kind, says := range map[lab.Kind]string{
		lab.TLS: "nothing shows whether they are one daemon", lab.SSH: "two daemons of one machine",
	} {
		t.Run(string(kind), func(t *testing.T) {
			before, err := l.Snapshot(labtest.Context(t, 30*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			f := labFleet(t, l, func(hosts map[string]HostConfig) {
				for key := range hosts {
					h := hosts[key]
					h.URI = l.Host(key).URI(kind)
					hosts[key] = h
				}
			})
			refused := func(what string, err error) {
				t.Helper()
				for _, w := range []string{`"alpha"`, `"beta"`, "host_uuid", says} {
					if err == nil || !strings.Contains(err.Error(), w) {
						t.Errorf("%s: the error does not say %q: %v", what, w, err)
					}
				}
			}
			r := Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}
			_, err = f.Locate(labtest.Context(t, time.Minute), r.Guest)
			refused("locate", err)
			_, err = f.Plan(labtest.Context(t, time.Minute), r)
			refused("plan", err)
			o, err := f.Migrate(labtest.Context(t, time.Minute), r)
			refused("migrate", err)
			if o.Moved {
				t.Error("it says that the guest was moved")
			}
			_ = f.Close()
			mustBeAsBefore(t, l, before)
			labtest.MustRun(t, g, "alpha")
		})
	}
}

// TestTwoKeysOfOneDaemon: whatever connections two keys stand for, their daemon is known for one.
func TestTwoKeysOfOneDaemon(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	alpha := l.Host("alpha")
	uris := map[string]string{"operator": alpha.SSHURI(lab.Operator)}
	for _, kind := range lab.Kinds {
		uris[string(kind)] = alpha.URI(kind)
	}
	for _, keys := range [][]string{{"ssh", "operator"}, {"ssh", "tls"}, {"tls", "tls"}, {"tcp", "unix"}} {
		f := labFleet(t, l, func(hosts map[string]HostConfig) {
			hosts["alpha"] = HostConfig{URI: uris[keys[0]], AllowPlainControl: true}
			hosts["also-alpha"] = HostConfig{URI: uris[keys[1]], AllowPlainControl: true}
		})
		loc, err := f.Locate(labtest.Context(t, time.Minute), GuestRef{Name: g.Name})
		if err != nil || loc.Host != "alpha" || !slices.Equal(loc.Keys, []string{"alpha", "also-alpha"}) {
			t.Errorf("by %s: %+v, %v", strings.Join(keys, " and "), loc, err)
		}
	}
}
