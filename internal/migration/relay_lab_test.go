package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay/programs"
)

// relayHosts are the lab's hosts by SSH alone: no peer_uri, so that the daemons cannot log in to one another.
func relayHosts(l *lab.Lab, user string) func(map[string]HostConfig) {
	return func(hosts map[string]HostConfig) {
		for _, h := range l.Hosts {
			hosts[h.Name] = HostConfig{URI: h.SSHURI(user), MigrationAddress: h.MigrationAddress()}
		}
	}
}

// mustLeaveNoRelay asserts that no relay, no socket and no directory of one is left on any host; a relay
// takes a moment to end.
func mustLeaveNoRelay(t *testing.T, l *lab.Lab) {
	t.Helper()
	ctx := labtest.Context(t, time.Minute)
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		left = nil
		for _, h := range l.Hosts {
			s, err := h.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for item := range s.Items {
				ours := strings.Contains(item, "virtmigrate") && !strings.Contains(item, ".cache/virtmigrate")
				if ours || strings.Contains(item, "process /proc/self") {
					left = append(left, h.Name+": "+item)
				}
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %q", left)
}

func TestMoveThroughTheRelay(t *testing.T) {
	l := labtest.Lab(t)
	for _, c := range []struct {
		user        string
		acknowledge Acknowledge
		control     Control
		compression Compression
		parallel    int
		copied      bool
	}{
		{"root", AcknowledgeWindow, ControlController, CompressionNone, 0, false},
		{"root", AcknowledgeEach, ControlPeerToPeer, CompressionNone, 0, true},
		{lab.Operator, AcknowledgeWindow, ControlPeerToPeer, CompressionZstd, 4, false},
		{lab.Operator, AcknowledgeEach, ControlController, CompressionNone, 2, true},
	} {
		t.Run(fmt.Sprintf("%s_%s_%s_%s_%d", c.user, c.acknowledge, c.control, c.compression, c.parallel), func(t *testing.T) {
			config := lab.GuestConfig{Host: "alpha", FillMiB: 96, DirtyMiBPerSecond: 8, Disk: true, NIC: true}
			options := Options{Control: c.control, Acknowledge: c.acknowledge, Compression: c.compression, ParallelConnections: c.parallel}
			if c.parallel != 0 {
				options.Transport = TransportRelay
			}
			image, sum := imageDir+"relayed-"+c.user+".qcow2", ""
			if c.copied {
				config.Devices, options.Storage = dataDisk(t, l.Host("alpha"), image, "qcow2"), StorageCopy
			}
			g := labtest.Guest(t, config)
			if c.copied {
				sum = content(t, l.Host("alpha"), image, "qcow2")
			}
			f := labFleet(t, l, relayHosts(l, c.user))
			o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: options})
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustKeep(t, l, g, "beta", true, false)
			mustLeaveNoRelay(t, l)
			mustLeaveNoPool(t, l)
			if c.copied {
				if after := content(t, l.Host("beta"), image, "qcow2"); after != sum {
					t.Errorf("the copied disk's checksum is %s, the source's was %s", after, sum)
				}
			}
			r := o.Result
			text, _ := json.MarshalIndent(r, "", " ")
			t.Logf("%s", text)
			if r.Transport != TransportRelay || r.Control != c.control || !*r.Encrypted || r.Encryption.Protocol != "TLS 1.3" || !strings.HasPrefix(*r.Encryption.Cipher, "TLS_") {
				t.Errorf("transport %s, control %s, encryption %+v", r.Transport, r.Control, r.Encryption)
			}
			if r.WireBytes == nil || *r.WireBytes < *r.TransferredBytes/2 || *r.Reconnects != 0 || *r.SourceRelayCPUSeconds <= 0 || *r.DestinationRelayCPUSeconds <= 0 {
				t.Errorf("the relay's figures are wrong")
			}
			if ratio := *r.CompressionRatio; c.compression == CompressionNone && ratio != 1 || c.compression == CompressionZstd && (ratio < 1.05 || ratio > 20) {
				t.Errorf("compression_ratio %v", ratio)
			}
		})
	}
}

// TestRelayThatCannotRunIsAReason: auto finds out before the guest is touched, says why, and takes the next.
func TestRelayThatCannotRunIsAReason(t *testing.T) {
	l := labtest.Lab(t)
	beta := l.Host("beta")
	ports := func(hosts map[string]HostConfig) {
		h := hosts["beta"]
		h.RelayPorts = "50000-50010"
		hosts["beta"] = h
	}
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	ctx := labtest.Context(t, 2*time.Minute)
	for _, c := range []struct {
		name        string
		spoil, mend []string
		says        string
	}{
		{"noexec", []string{"mount", "-t", "tmpfs", "-o", "noexec", "none", "/root/.cache"}, []string{"umount", "/root/.cache"}, "mounted noexec"},
		{"not_private", []string{"chmod", "0777", "/root/.cache/virtmigrate"}, []string{"chmod", "0700", "/root/.cache/virtmigrate"}, ""},
		{"port_closed", []string{"iptables", "--wait", "--append", "INPUT", "--protocol", "tcp", "--dport", "50000:50010", "--jump", "REJECT", "--reject-with", "tcp-reset"}, []string{"iptables", "--flush"}, "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustExec(t, ctx, beta, "mkdir", "-p", "/root/.cache/virtmigrate")
			mustExec(t, ctx, beta, c.spoil...)
			t.Cleanup(func() { mustExec(t, ctx, beta, c.mend...) })
			f := labFleet(t, l, relayHosts(l, "root"), ports)
			p, err := f.Plan(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			if err != nil {
				t.Fatal(err)
			}
			if p.From != "alpha" || p.Transport != TransportRelay || !strings.Contains(strings.Join(p.ToBeConfirmed, "; "), "50000-50010") {
				t.Errorf("the plan is %s from %s, to be confirmed: %q", p.Transport, p.From, p.ToBeConfirmed)
			}
			// asked for by name there is no other way, and the guest stays as it was
			if c.says != "" {
				_, err = f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportRelay}})
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "untouched on alpha") {
					t.Errorf("error %v", err)
				}
			}
			o, err := f.Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			if err != nil {
				t.Fatal(err)
			}
			want := TransportTLS
			if c.says == "" { // brought anew, into a folder that was made private again
				want = TransportRelay
			}
			if r := o.Result; r.Transport != want || !strings.Contains(r.TransportReason, c.says) || c.says != "" && !strings.Contains(strings.Join(o.Warnings, "; "), c.says) {
				t.Errorf("transport %s because %s; warnings %q", r.Transport, r.TransportReason, o.Warnings)
			}
			labtest.MustRun(t, g, "beta")
			mustLeaveNoRelay(t, l)
			back := Request{Guest: GuestRef{Name: g.Name}, Host: "alpha", Options: Options{Transport: TransportTLS}}
			if _, err := f.Migrate(ctx, back); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestInstalledRelay: a host may have its own, where nothing that is brought may run.
func TestInstalledRelay(t *testing.T) {
	l := labtest.Lab(t)
	const at = "/var/lib/libvirt/relay"
	image, err := programs.Image("x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range l.Hosts {
		if err := os.WriteFile(h.Path(at), image, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(h.Path(at)) })
	}
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	installed := func(hosts map[string]HostConfig) {
		for key, h := range hosts {
			h.RelayProgram = at
			hosts[key] = h
		}
	}
	o, err := labFleet(t, l, relayHosts(l, "root"), installed).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
	if err != nil || o.Result.Transport != TransportRelay {
		t.Fatalf("%+v, %v", o.Result, err)
	}
	labtest.MustRun(t, g, "beta")
}

// TestRelayNeedsNoCertificates: neither QEMU's, nor any with which the daemons could log in to one another.
func TestRelayNeedsNoCertificates(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	ctx := labtest.Context(t, 2*time.Minute)
	for _, h := range l.Hosts {
		for _, dir := range []string{"/etc/pki/qemu", "/etc/pki/libvirt"} {
			mustExec(t, ctx, h, "mv", dir, dir+"-taken-away")
			t.Cleanup(func() {
				if _, err := h.Exec(context.WithoutCancel(ctx), "mv", dir+"-taken-away", dir); err != nil {
					t.Error(err)
				}
			})
		}
	}
	// what the other transports need is really gone
	for _, transport := range []Transport{TransportTLS, TransportTunnel} {
		o, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: transport}})
		if err == nil || !strings.Contains(err.Error(), "on alpha") {
			t.Fatalf("%s: %+v, %v", transport, o, err)
		}
	}
	for i, control := range []Control{ControlPeerToPeer, ControlController} {
		to := []string{"beta", "alpha"}[i]
		o, err := labFleet(t, l, relayHosts(l, "root")).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: to, Options: Options{Control: control}})
		if err != nil {
			t.Fatal(err)
		}
		if o.Result.Transport != TransportRelay || !*o.Result.Encrypted {
			t.Errorf("%s: %+v", control, o.Result)
		}
		labtest.MustRun(t, g, to)
	}
	mustLeaveNoRelay(t, l)
}

// mustBeNobody asserts that the relays of a login as root run as users of their own, which are not QEMU's.
func mustBeNobody(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, h := range l.Hosts {
		found := 0
		for line := range strings.Lines(mustExec(t, labtest.Context(t, 20*time.Second), h, "ps", "-eo", "uid,gid,args")) {
			uid, gid, args := 0, 0, ""
			if _, err := fmt.Sscan(line, &uid, &gid, &args); err != nil || !strings.Contains(line, "below-supervisor") {
				continue
			}
			found++
			if uid < 0x70000000 || uid != gid {
				t.Errorf("on %s the relay is user %d and group %d", h.Name, uid, gid)
			}
		}
		if found != 1 {
			t.Errorf("%d relays on %s", found, h.Name)
		}
	}
}

// mustKeepTo asserts that a move neither went beyond its bandwidth, but for what QEMU sends unlimited while the
// guest stands still, nor idled far below it.
func mustKeepTo(t *testing.T, r *Result, mibPerSecond int) {
	t.Helper()
	copied := float64(*r.CopyMS) / 1000
	allowed := float64(mibPerSecond<<20) * copied
	if sent := float64(*r.TransferredBytes); sent > 1.15*allowed+(16<<20) || sent < 0.5*allowed {
		t.Errorf("%.0f MiB were sent in %.1f s, with a limit of %d MiB/s", sent/(1<<20), copied, mibPerSecond)
	}
}
