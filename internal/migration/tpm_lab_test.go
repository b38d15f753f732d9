package migration

import (
	"os"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestATPMTravelsAndIsNotLost moves a guest with a TPM, after a controller that was killed in mid-copy. The stub that
// awaits it has the same TPM: without a definition, libvirt deletes the state that a failed incoming migration brought.
func TestATPMTravelsAndIsNotLost(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, Disk: true, Devices: `<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>`})
	state := func(on string) string { return l.Host(on).Path("/var/lib/libvirt/swtpm/" + g.UUID + "/tpm2") }
	has := func(on string) bool {
		_, err := os.Stat(state(on))
		return err == nil
	}
	if !has("alpha") {
		t.Fatalf("no state in %s: the test proves nothing", state("alpha"))
	}
	c := startChild(t, childOrder{Hosts: labHosts(l, lab.TLS), Guest: g.Name, Host: "beta", Options: Options{BandwidthMiBPerSecond: 16}, Stop: "step copy"})
	c.await(t, "step copy")
	c.kill()
	ctx := labtest.Context(t, 2*time.Minute)
	for deadline := time.Now().Add(15 * time.Second); labtest.RunsBeside(ctx, l, g, "alpha") != nil && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
	}
	if !has("beta") {
		t.Error("libvirt deleted the state on beta, which on shared storage is the guest's own")
	}
	if o, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}); err != nil || !o.Moved {
		t.Fatalf("%+v, %v", o, err)
	}
	labtest.MustRun(t, g, "beta")
	if !has("beta") {
		t.Error("the state did not arrive")
	}
}
