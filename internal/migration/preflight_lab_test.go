package migration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// tinyGuest starts a guest of a few MiB on alpha that is held before its first instruction, with what the
// test wants of it.
type tinyGuest struct {
	emulator, cpu, vcpus, devices, command string
	memoryMiB                              int
}

func (g tinyGuest) start(t *testing.T, name string) { g.make(t, name, "create", "--paused") }

// make gives the guest's description to virsh.
func (g tinyGuest) make(t *testing.T, name string, verb ...string) {
	t.Helper()
	alpha := labtest.Lab(t).Host("alpha")
	at := "/var/lib/libvirt/" + name + ".xml"
	text := fmt.Sprintf(`<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>%s</name><metadata><lab:guest xmlns:lab='urn:virtmigrate:lab'/></metadata><memory unit='MiB'>%d</memory>%s
<os><type arch='x86_64' machine='q35'>hvm</type></os>%s<devices><emulator>%s</emulator><controller type='usb' model='none'/><memballoon model='none'/>%s</devices>
<qemu:commandline>%s</qemu:commandline></domain>`, name, cmp.Or(g.memoryMiB, 32), cmp.Or(g.vcpus, "<vcpu>1</vcpu>"), g.cpu,
		cmp.Or(g.emulator, "/usr/bin/qemu-system-x86_64"), g.devices, g.command)
	if err := os.WriteFile(alpha.Path(at), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := labtest.Context(t, time.Minute)
	if _, err := alpha.Virsh(ctx, append(verb, at)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, h := range labtest.Lab(t).Hosts {
			_, _ = h.Virsh(ctx, "destroy", name)
		}
		_ = os.Remove(alpha.Path(at))
	})
}

// overSSH is the lab's fleet with logins.
func overSSH(t *testing.T, l *lab.Lab) *Fleet {
	return labFleet(t, l, func(hosts map[string]HostConfig) {
		for key, h := range hosts {
			h.URI = l.Host(key).URI(lab.SSH)
			hosts[key] = h
		}
	})
}

// resultOf finds what came of one check.
func resultOf(t *testing.T, p Preflight, id string) CheckResult {
	t.Helper()
	for _, c := range p.Checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("there is no check %q: %+v", id, p)
	return CheckResult{}
}

func TestPreflightOfAHealthyPairWarnsOfNothingAndCreatesNothing(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, NIC: true, CPUs: 2})
	for _, kind := range []lab.Kind{lab.TLS, lab.SSH} {
		t.Run(string(kind), func(t *testing.T) {
			f := labFleet(t, l, func(hosts map[string]HostConfig) {
				for key, h := range hosts {
					h.URI = l.Host(key).URI(kind)
					hosts[key] = h
				}
			})
			ctx := labtest.Context(t, time.Minute)
			before, err := l.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			p, err := f.Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}, false)
			if err != nil {
				t.Fatal(err)
			}
			if !p.OK || len(p.Checks) != len(checks) || p.From != "alpha" || len(p.Warnings) > 0 {
				t.Errorf("preflight %+v", p)
			}
			open := map[string]bool{"address": kind == lab.TLS, "begin": true, "prepare": true, "way": true, "clocks": kind == lab.TLS, "certificates": kind == lab.TLS, "network_disks": kind == lab.TLS, "transport": kind == lab.SSH}
			for _, c := range p.Checks {
				if want := map[bool]Status{true: StatusToBeConfirmed, false: StatusPass}[open[c.ID]]; c.Status != want {
					t.Errorf("%s: %s (%s), want %s", c.ID, c.Status, c.Finding, want)
				}
			}
			_ = f.Close() // its login is a process of the host
			mustBeAsBefore(t, l, before)
		})
	}
}

// mustBeAsBefore compares the hosts with what they were. A login takes a moment to end.
func mustBeAsBefore(t *testing.T, l *lab.Lab, before []lab.Snapshot) {
	t.Helper()
	ctx := labtest.Context(t, 30*time.Second)
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		after, err := l.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		diff := lab.DiffAll(before, after)
		if len(diff) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the hosts have changed: %q", diff)
		}
	}
}

// TestPreflightComparesTheCPU takes a guest that is shut off: QEMU's emulation has no CPU that one host of
// the lab could give and the other not, but definitions may ask for any.
func TestPreflightComparesTheCPU(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	alpha := l.Host("alpha")
	tinyGuest{cpu: "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Icelake-Server</model></cpu>"}.make(t, "tiny-cpu", "define")
	t.Cleanup(func() { _, _ = alpha.Virsh(context.Background(), "undefine", "tiny-cpu") })
	p, err := labFleet(t, l).Preflight(ctx, Request{Guest: GuestRef{Name: "tiny-cpu"}, Host: "beta"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if c := resultOf(t, p, "cpu"); !p.OK || c.Status != StatusWarning || !strings.Contains(c.Finding, "will not start") || !strings.Contains(c.Finding, "avx512f") {
		t.Errorf("%+v", c)
	}
}

func TestPreflightNamesWhatTheDestinationLacks(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	ctx := labtest.Context(t, 3*time.Minute)
	const onlyHere = "/var/lib/libvirt/qemu-of-alpha"
	for name, c := range map[string]struct {
		guest  tinyGuest
		before func(t *testing.T)
		check  string
		status Status
		says   string
	}{
		"bridge": {
			before: func(t *testing.T) {
				mustExec(t, ctx, alpha, "ip", "link", "add", "br-app", "type", "bridge")
				t.Cleanup(func() { mustExec(t, context.Background(), alpha, "ip", "link", "del", "br-app") })
			},
			guest: tinyGuest{devices: "<interface type='bridge'><source bridge='br-app'/></interface>"},
			check: "networks", status: StatusBlocker, says: `host "beta" has no bridge "br-app"`,
		},
		"network": {
			before: func(t *testing.T) {
				networkOf(t, ctx, alpha, "<network><name>app</name><forward mode='bridge'/><bridge name='br0'/></network>")
			},
			guest: tinyGuest{devices: "<interface type='network'><source network='app'/></interface>"},
			check: "networks", status: StatusBlocker, says: `host "beta" has no network "app"`,
		},
		"nat": {
			before: func(t *testing.T) {
				for _, h := range []*lab.Host{alpha, beta} {
					networkOf(t, ctx, h, "<network><name>app</name><forward mode='nat'/><bridge name='natbr0'/><dns enable='no'/>"+
						"<ip address='192.168.222.1' netmask='255.255.255.0'/></network>")
				}
			},
			guest: tinyGuest{devices: "<interface type='network'><source network='app'/></interface>"},
			check: "networks", status: StatusWarning, says: `network "app" is behind the NAT of its host on "alpha" and "beta"`,
		},
		"emulator": {
			before: func(t *testing.T) {
				mustExec(t, ctx, alpha, "ln", "-sf", "/usr/bin/qemu-system-x86_64", onlyHere)
				t.Cleanup(func() { mustExec(t, context.Background(), alpha, "rm", onlyHere) })
			},
			guest: tinyGuest{emulator: onlyHere},
			check: "machine", status: StatusBlocker, says: onlyHere,
		},
		"memory": {
			before: func(t *testing.T) {
				at := beta.Path("/tmp/meminfo")
				if err := os.WriteFile(at, []byte("MemTotal: 65536 kB\nMemFree: 1024 kB\nBuffers: 1024 kB\nCached: 2048 kB\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				mustExec(t, ctx, beta, "mount", "--bind", "/tmp/meminfo", "/proc/meminfo")
				t.Cleanup(func() {
					mustExec(t, context.Background(), beta, "umount", "/proc/meminfo")
					_ = os.Remove(at)
				})
			},
			check: "memory", status: StatusWarning, says: "only 4 MiB to spare",
		},
		"threads are no feature that is missing": {
			guest: tinyGuest{vcpus: "<vcpu>2</vcpu>", cpu: "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model><topology sockets='1' dies='1' cores='1' threads='2'/></cpu>"},
			check: "cpu", status: StatusPass,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.before != nil {
				c.before(t)
			}
			guest := "tiny-" + strings.ToLower(strings.Fields(name)[0])
			c.guest.start(t, guest)
			p, err := labFleet(t, l).Preflight(ctx, Request{Guest: GuestRef{Name: guest}, Host: "beta"}, false)
			if err != nil {
				t.Fatal(err)
			}
			got := resultOf(t, p, c.check)
			if got.Status != c.status || !strings.Contains(got.Finding, c.says) || (got.Status != StatusPass) != (got.ToDo != "") {
				t.Errorf("%+v", got)
			}
			if p.OK != (c.status != StatusBlocker) {
				t.Errorf("ok %v: %+v", p.OK, p.Blockers())
			}
		})
	}
}

// networkOf makes a virtual network of a host's daemon, called app, until the test ends.
func networkOf(t *testing.T, ctx context.Context, h *lab.Host, xml string) {
	t.Helper()
	const at = "/var/lib/libvirt/net.xml"
	if err := os.WriteFile(h.Path(at), []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	mustExec(t, ctx, h, "mkdir", "-p", "/var/lib/libvirt/dnsmasq") // a host has it from its package
	if _, err := h.Virsh(ctx, "net-create", at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = h.Virsh(context.Background(), "net-destroy", "app")
		_ = os.Remove(h.Path(at))
	})
}

func TestPreflightNamesServersThatTheDestinationDoesNotReach(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, time.Minute)
	beta := l.Host("beta")
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	if err := beta.LoseDisks(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := beta.Heal(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p, err := overSSH(t, l).Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if c := resultOf(t, p, "network_disks"); p.OK || c.Status != StatusBlocker || !strings.Contains(c.Finding, `host "beta" does not reach nbd://`) {
		t.Errorf("%+v", c)
	}
}

func TestDryRunAsksLibvirtAndLeavesEverythingAsItWas(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	shared := sharedDir(t) + "/dry.raw"
	mustExec(t, ctx, l.Host("alpha"), "truncate", "-s", "8M", shared)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, NIC: true, FillMiB: 32, Devices: diskXML(shared, "raw", "none")})
	before, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := labFleet(t, l).Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"}, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"begin", "prepare", "disks", "network_disks"} {
		if c := resultOf(t, p, id); c.Status != StatusPass || c.Finding == "" {
			t.Errorf("%+v", c)
		}
	}
	if !p.OK {
		t.Errorf("blockers %+v", p.Blockers())
	}
	mustBeAsBefore(t, l, before)
	labtest.MustRun(t, g, "alpha")
}

func TestDryRunTellsWhatNoDescriptionShows(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	// QEMU's NVMe controller keeps state that does not travel, and libvirt does not know of this one
	tinyGuest{command: "<qemu:arg value='-drive'/><qemu:arg value='if=none,id=n,driver=null-co'/><qemu:arg value='-device'/><qemu:arg value='nvme,drive=n,serial=1'/>"}.start(t, "tiny-nvme")
	before, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request := Request{Guest: GuestRef{Name: "tiny-nvme"}, Host: "beta"}
	if p, err := labFleet(t, l).Preflight(ctx, request, false); err != nil || !p.OK {
		t.Errorf("without a dry run: %v, %+v", err, p.Blockers())
	}
	p, err := labFleet(t, l).Preflight(ctx, request, true)
	if err != nil {
		t.Fatal(err)
	}
	if c := resultOf(t, p, "begin"); p.OK || c.Status != StatusBlocker || !strings.Contains(c.Finding, "nvme") {
		t.Errorf("begin: %+v", c)
	}
	if c := resultOf(t, p, "prepare"); c.Status != StatusToBeConfirmed {
		t.Errorf("prepare: %+v", c)
	}
	mustBeAsBefore(t, l, before)
}

// TestDryRunGoesAsFarAsTheTransportAllows: where nothing could wait for the guest, the source alone is asked.
func TestDryRunGoesAsFarAsTheTransportAllows(t *testing.T) {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, LocalDisk: true})
	f := overSSH(t, l)
	before, err := l.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options Options
		prepare Status
	}{
		"relay":      {Options{Transport: TransportRelay, AssumeSharedDisks: []string{"vdb"}}, StatusToBeConfirmed},
		"tunnel":     {Options{Transport: TransportTunnel, AssumeSharedDisks: []string{"vdb"}}, StatusToBeConfirmed},
		"copy":       {Options{Transport: TransportTLS, Storage: StorageCopy}, StatusToBeConfirmed},
		"not shared": {Options{Transport: TransportTLS, AssumeSharedDisks: []string{"vdb"}}, StatusBlocker}, // as the destination's QEMU finds out
	} {
		p, err := f.Preflight(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: c.options}, true)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if begin := resultOf(t, p, "begin"); begin.Status != StatusPass {
			t.Errorf("%s: %+v", name, begin)
		}
		if prepare := resultOf(t, p, "prepare"); prepare.Status != c.prepare || p.OK != (c.prepare != StatusBlocker) {
			t.Errorf("%s: %+v", name, prepare)
		}
	}
	_ = f.Close() // its logins are processes of the hosts
	mustBeAsBefore(t, l, before)
	labtest.MustRun(t, g, "alpha")
}
