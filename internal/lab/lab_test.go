package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m, "labself") }

// virshMove moves a guest as libvirt's own client does.
func virshMove(t *testing.T, g *lab.Guest, from, to *lab.Host, options ...string) {
	t.Helper()
	args := append([]string{"migrate", g.Name, to.PeerURI(lab.TLS), "--live", "--p2p", "--persistent", "--undefinesource"}, options...)
	if _, err := from.Virsh(labtest.Context(t, time.Minute), args...); err != nil {
		t.Fatal(err)
	}
}

func mustBeGood(t *testing.T, g *lab.Guest) {
	t.Helper()
	if err := g.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// mustBeBad demands that Check notices what a test did to the guest.
func mustBeBad(t *testing.T, g *lab.Guest, want string) {
	t.Helper()
	if err := g.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("Check says %v, which does not hold %q", err, want)
	}
}

func TestEveryWayToReachAHostWorksAndNeedsNoPassword(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	for _, host := range l.Hosts {
		uris := []string{host.SSHURI(lab.Operator)}
		for _, kind := range lab.Kinds {
			uris = append(uris, host.URI(kind))
		}
		for _, uri := range uris {
			// virsh runs outside the hosts, as a controller does.
			// With qemu+ssh it would run the ssh command, which has never heard of these keys.
			name, err := virsh(ctx, strings.Replace(uri, "qemu+ssh:", "qemu+libssh2:", 1), "hostname")
			if err != nil || strings.TrimSpace(name) != host.Name {
				t.Errorf("%s: %q, %v", uri, name, err)
			}
		}
		for _, other := range l.Hosts {
			for _, kind := range []lab.Kind{lab.TCP, lab.TLS} {
				name, err := host.Exec(ctx, "virsh", "--quiet", "--connect", other.PeerURI(kind), "hostname")
				if err != nil || strings.TrimSpace(name) != other.Name {
					t.Errorf("from %s by %s: %q, %v", host.Name, other.PeerURI(kind), name, err)
				}
			}
		}
	}
}

func TestAGuestMovesToAndFroUnharmed(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{FillMiB: 64, DirtyMiBPerSecond: 10, Disk: true, NIC: true, Autostart: true})
	mustBeGood(t, g)
	for name, options := range map[string][]string{"plain": nil, "tls": {"--tls"}, "tls on two channels": {"--tls", "--parallel", "--parallel-connections", "2"}} {
		from, to := alpha, beta
		for range 2 {
			since := time.Now()
			virshMove(t, g, from, to, options...)
			mustBeGood(t, g)
			if err := g.VerifyMemory(labtest.Context(t, time.Minute)); err != nil {
				t.Fatalf("after a move by %s: %v", name, err)
			}
			health, err := g.Health(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			gap, err := g.SwitchoverGap(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s from %s to %s: %v without a beat, %d beats, %d lost", name, from.Name, to.Name, gap.Length, health.Beats, health.Lost)
			if health.Host != to.Name || gap.FromHost != from.Name || gap.ToHost != to.Name {
				t.Errorf("the beat comes from %s and its switchover lies between %s and %s", health.Host, gap.FromHost, gap.ToHost)
			}
			if health.Lost > 0 {
				t.Errorf("%d beats were lost", health.Lost)
			}
			if gap.From.Before(since) || gap.From.After(time.Now()) {
				t.Errorf("the gap began at %v, the move at %v", gap.From, since)
			}
			copies, err := g.Copies(t.Context())
			if err != nil || len(copies) != 1 || copies[to.Name] != "running" {
				t.Errorf("copies %v, %v", copies, err)
			}
			from, to = to, from
		}
	}
}

func TestCheckNoticesAGuestThatWasStartedAgainElsewhere(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{NIC: true})
	text, err := alpha.Virsh(ctx, "dumpxml", g.Name, "--inactive")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alpha.Virsh(ctx, "destroy", g.Name); err != nil {
		t.Fatal(err)
	}
	mustBeBad(t, g, "no beat arrives")
	create := beta.Command(ctx, "virsh", "create", "/dev/stdin")
	create.Stdin = strings.NewReader(text)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	await(t, "a beat from beta", func() bool {
		health, err := g.Health(ctx, time.Time{})
		return err == nil && health.Host == "beta"
	})
	mustBeBad(t, g, "it booted 2 times")
	mustBeBad(t, g, "TCP sessions were opened")
}

func TestCheckNoticesAGuestThatRestartsItself(t *testing.T) {
	g := labtest.Guest(t, lab.GuestConfig{})
	if err := g.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "a second boot", func() bool {
		health, err := g.Health(t.Context(), time.Time{})
		return err == nil && len(health.Boots) == 2
	})
	mustBeBad(t, g, "the guest restarted")
}

func TestCheckNoticesTwoRunningCopies(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{})
	// The same state of the same guest, brought to life on both hosts.
	const file = "/var/lib/libvirt/copy.state"
	if _, err := alpha.Virsh(ctx, "save", g.Name, file); err != nil {
		t.Fatal(err)
	}
	copyState(t, alpha.Path(file), beta.Path(file))
	for _, host := range l.Hosts {
		if _, err := host.Virsh(ctx, "restore", file); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "beats from two processes", func() bool {
		health, err := g.Health(ctx, time.Time{})
		return err == nil && len(health.Faults) > 1
	})
	mustBeBad(t, g, "two copies run")
}

func TestCheckNoticesWhatGoesWrongInsideAGuest(t *testing.T) {
	l := labtest.Lab(t)
	t.Run("a disk that lost what was written", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{Disk: true})
		await(t, "30 blocks on disk", func() bool {
			health, err := g.Health(t.Context(), time.Time{})
			return err == nil && health.Status.DiskWritten >= 30
		})
		mustBeGood(t, g)
		if blocks, err := g.SpoilDisk(); err != nil || blocks == 0 {
			t.Fatalf("%d blocks spoiled, %v", blocks, err)
		}
		await(t, "a disk error", func() bool {
			health, err := g.Health(t.Context(), time.Time{})
			return err == nil && health.Status.DiskErrors > 0
		})
		mustBeBad(t, g, "disk errors")
	})
	t.Run("a TCP session that was reset", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{NIC: true})
		if err := g.ResetSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, "a broken session", func() bool {
			health, err := g.Health(t.Context(), time.Time{})
			return err == nil && health.Status.NetBroken
		})
		mustBeBad(t, g, "TCP session broken: true")
	})
	t.Run("a guest that stands still", func(t *testing.T) {
		g := labtest.Guest(t, lab.GuestConfig{})
		alpha := l.Host("alpha")
		if err := g.FreezeQEMU(alpha); err != nil {
			t.Fatal(err)
		}
		mustBeBad(t, g, "no beat arrives")
		if err := g.ThawQEMU(alpha); err != nil {
			t.Fatal(err)
		}
		mustBeGood(t, g)
		if gap, err := g.LongestGap(t.Context(), time.Time{}); err != nil || gap.Length < 4*time.Second {
			t.Fatalf("the gap of five seconds measured %v, %v", gap.Length, err)
		}
	})
}

func TestAGuestDirtiesMemoryAsFastAsItIsTold(t *testing.T) {
	g := labtest.Guest(t, lab.GuestConfig{FillMiB: 64})
	rate := func() float64 {
		before, err := g.Health(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		after := before
		await(t, "two seconds of the guest's time", func() bool {
			after, err = g.Health(t.Context(), time.Time{})
			return err == nil && after.StatusAt-before.StatusAt > 2*time.Second
		})
		return float64(after.Status.DirtiedBytes-before.Status.DirtiedBytes) / (1 << 20) / (after.StatusAt - before.StatusAt).Seconds()
	}
	if got := rate(); got != 0 {
		t.Errorf("an idle guest dirties %.1f MiB/s", got)
	}
	for _, want := range []int{20, 100} {
		if err := g.SetDirtyRate(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got := rate(); got < 0.7*float64(want) || got > 1.1*float64(want) {
			t.Errorf("told to dirty %d MiB/s, the guest reports %.1f", want, got)
		}
	}
}
