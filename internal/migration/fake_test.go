package migration

import (
	"context"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/fakelibvirt"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

const fakeGuest = "6f1c3c52-8d2a-1a55-9f43-2f1f6ab2c1d0"

// fakeGuestXML is a guest without disks of its own: what it has lies on storage that all hosts reach.
const fakeGuestXML = `<domain type="qemu"><name>demo</name><uuid>` + fakeGuest + `</uuid>` +
	`<memory unit="MiB">256</memory><vcpu>1</vcpu><os><type arch="x86_64" machine="pc-q35-7.2">hvm</type></os>` +
	`<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>`

// fakeWorld has the given hosts, and the guest running on the first, with a definition.
func fakeWorld(t *testing.T, names ...string) *fakelibvirt.World {
	t.Helper()
	w := fakelibvirt.NewWorld(names...)
	first := w.Host(names[0])
	if err := first.Define(fakeGuestXML); err != nil {
		t.Fatal(err)
	}
	if err := first.Start(fakeGuest); err != nil {
		t.Fatal(err)
	}
	return w
}

// fakeFleet is a controller of that name, which knows the given hosts.
func fakeFleet(t *testing.T, w *fakelibvirt.World, name, dir string, log hclog.Logger, hosts ...string) *Fleet {
	t.Helper()
	if log == nil {
		log = hclog.NewNullLogger()
	}
	f := &Fleet{members: map[string]*member{}, keys: hosts, log: log, legacyDir: filepath.Join(dir, "none")}
	f.slots = slots{perHost: DefaultMigrationsPerHost, dir: filepath.Join(dir, name)}
	for _, key := range hosts {
		cfg := host.Config{Name: key, URI: "qemu+unix:///system?socket=/fake/" + key, Log: log}
		cfg.Connect = func(ctx context.Context) (io.ReadWriteCloser, error) { return w.Host(key).Dial(ctx, name) }
		hc := HostConfig{URI: cfg.URI, MigrationAddress: key, PeerURI: "qemu+tls://" + key + "/system"}
		f.members[key] = newMember(key, hc, func(ctx context.Context) (daemon, error) { return dialReal(ctx, cfg) })
	}
	return f
}

func TestAGuestMovesBetweenTwoFakes(t *testing.T) {
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := fakeWorld(t, "alpha", "beta")
				f := fakeFleet(t, w, "one", dir, testLog(t), "alpha", "beta")
				defer f.Close()
				o, err := f.Migrate(t.Context(), Request{
					Guest: GuestRef{Name: "demo"}, Host: "beta",
					Options: Options{Transport: TransportPlain, AllowPlain: true, Control: control},
				})
				if err != nil {
					t.Fatal(err)
				}
				if !o.Moved || o.Host != "beta" || len(w.Violations()) > 0 {
					t.Errorf("%+v, %q", o, w.Violations())
				}
				time.Sleep(time.Minute) // until what was written is on the disks
				if got := w.Picture(); got != "beta demo running (migrated) live[] config[]\n" {
					t.Errorf("left on the hosts:\n%s", got)
				}
			})
		})
	}
}
