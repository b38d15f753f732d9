package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestGuestsOfEveryForm(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	beta := l.Host("beta")
	t.Run("a transient one is not defined and moves", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{Transient: true, Host: "beta"})
		text, err := beta.Virsh(ctx, "dominfo", g.Name)
		if err != nil || !strings.Contains(text, "Persistent:     no") {
			t.Errorf("%s, %v", text, err)
		}
		if _, err := beta.Virsh(ctx, "migrate", g.Name, "qemu+tls://alpha/system", "--live", "--p2p"); err != nil {
			t.Fatal(err)
		}
		mustBeGood(t, g)
	})
	t.Run("a paused one does not beat until it is resumed", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{Paused: true, Host: "beta", UUID: "6c5b5ab5-8c3f-4e3e-9a58-0242ac120002"})
		mustBeBad(t, g, "last heard of on no host")
		if uuid, err := beta.Virsh(ctx, "domuuid", g.Name); err != nil || strings.TrimSpace(uuid) != g.UUID {
			t.Errorf("UUID %q, %v", uuid, err)
		}
		if _, err := beta.Virsh(ctx, "resume", g.Name); err != nil {
			t.Fatal(err)
		}
		await(t, "the first beat", func() bool {
			health, err := g.Health(ctx, time.Time{})
			return err == nil && health.Beats > 0
		})
		mustBeGood(t, g)
	})
	t.Run("one with a local disk, a marker and more devices", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{
			Host: "beta", LocalDisk: true, FillMiB: 16, Fill: lab.Compressible, Marker: "a marker & \"more\"",
			Devices: "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>", Autostart: true,
		})
		text, err := beta.Virsh(ctx, "domblklist", g.Name)
		if err != nil || !strings.Contains(text, g.Name+".qcow2") {
			t.Errorf("%s, %v", text, err)
		}
		const dump = "/tmp/dump"
		if _, err := beta.Virsh(ctx, "dump", g.Name, dump, "--memory-only", "--live"); err != nil {
			t.Fatal(err)
		}
		// 16 MiB of pages with the marker eight times each.
		if count, err := beta.Exec(ctx, "grep", "--text", "--count", "--fixed-strings", g.Marker, dump); err != nil || len(strings.TrimSpace(count)) < 3 {
			t.Errorf("the marker stands in %s lines of the guest's memory, %v", count, err)
		}
		if _, err := beta.Exec(ctx, "rm", dump); err != nil {
			t.Error(err)
		}
		if err := g.VerifyMemory(ctx); err != nil {
			t.Error(err)
		}
		mustBeGood(t, g)
	})
	t.Run("two of one name are refused", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{})
		if _, err := l.StartGuest(ctx, lab.GuestConfig{Name: g.Name}); err == nil || !strings.Contains(err.Error(), "already has a guest") {
			t.Error(err)
		}
		mustBeGood(t, g)
	})
}
