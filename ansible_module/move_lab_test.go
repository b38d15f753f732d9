package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func TestPlaybookMovesARunningGuest(t *testing.T) {
	l := labtest.Lab(t)
	for name, c := range map[string]struct {
		kind      lab.Kind
		migration vars
		transport migration.Transport
		control   migration.Control
	}{
		"by default, over ssh":        {lab.SSH, nil, migration.TransportRelay, migration.ControlController},
		"tls, controller, over tls":   {lab.TLS, vars{"transport": "tls", "control": "controller", "parallel_connections": "4"}, migration.TransportTLS, migration.ControlController},
		"tls, peer to peer, by unix":  {lab.Unix, vars{"transport": "tls", "control": "peer_to_peer"}, migration.TransportTLS, migration.ControlPeerToPeer},
		"plain, controller, over tcp": {lab.TCP, vars{"transport": "plain", "allow_plain": "yes", "control": "controller"}, migration.TransportPlain, migration.ControlController},
		"plain, peer to peer":         {lab.TLS, vars{"transport": "plain", "allow_plain": true, "control": "peer_to_peer"}, migration.TransportPlain, migration.ControlPeerToPeer},
	} {
		t.Run(name, func(t *testing.T) {
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64, DirtyMiBPerSecond: 8, Disk: true, NIC: true})
			options := moveVars(l, g, "beta", vars{"hosts": hostVars(l, c.kind)})
			if c.migration != nil {
				options["migration"] = c.migration
			}
			all := play(labtest.Context(t, time.Minute), t, []string{"--diff"}, vars{module: options}, vars{module: options})
			if len(all) != 2 {
				t.Fatalf("two tasks returned %d results", len(all))
			}
			labtest.MustRun(t, g, "beta")
			first, second := all[0], all[1]
			if first.Failed || !first.Changed || first.Name != g.Name || first.UUID != g.UUID || first.Host != "beta" || first.State == "" || string(first.Diff) == "" {
				t.Errorf("the first returned %+v", first)
			}
			if p := first.PlannedMigration; p == nil || p.From != "alpha" || p.To != "beta" || p.Transport != c.transport || p.Control != c.control || p.Reason == "" {
				t.Errorf("planned_migration %+v", p)
			}
			m := first.LastMigration
			if m == nil {
				t.Fatal("no last_migration")
			}
			if m.Transport != c.transport || m.Control != c.control || m.Encrypted == nil || *m.Encrypted != (c.transport != migration.TransportPlain) || m.SourceHost != "alpha" || m.DestinationHost != "beta" {
				t.Errorf("last_migration %+v", m)
			}
			for figure, v := range map[string]*int64{"total_ms": m.TotalMS, "copy_ms": m.CopyMS, "wall_ms": m.WallMS, "transferred_bytes": m.TransferredBytes, "parallel_connections": m.ParallelConnections} {
				if v == nil || *v <= 0 {
					t.Errorf("%s is %v (%s)", figure, v, m.MissingFigures[figure])
				}
			}
			if over := c.transport == migration.TransportRelay; over != (m.WireBytes != nil) || over != (m.Reconnects != nil) || over && *m.WireBytes < *m.TransferredBytes/2 {
				t.Errorf("over the relay is %v: wire_bytes %v, reconnects %v", over, m.WireBytes, m.Reconnects)
			}
			if c.migration["parallel_connections"] == "4" && *m.ParallelConnections != 4 {
				t.Errorf("%d parallel connections", *m.ParallelConnections)
			}
			if warned := len(first.Warnings) > 0; warned != (c.transport == migration.TransportPlain) {
				t.Errorf("warnings %q", first.Warnings)
			}
			if second.Failed || second.Changed || second.Host != "beta" || second.LastMigration != nil || second.PlannedMigration != nil {
				t.Errorf("the second returned %+v", second)
			}
			for _, field := range []string{"last_migration", "planned_migration"} {
				if v, there := second.Fields[field]; !there || v != nil {
					t.Errorf("%s of a task without a move is %v, want null", field, v)
				}
			}
		})
	}
}

// playExample runs one of the examples as a user would, with the lab's hosts in place of its own.
func playExample(t *testing.T, name string, g *lab.Guest, to string, flags ...string) []returned {
	t.Helper()
	hosts, err := json.Marshal(vars{"libvirt_hosts": hostVars(labtest.Lab(t), lab.SSH), "guest": g.Name})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hosts.json")
	if err := os.WriteFile(file, hosts, 0o600); err != nil {
		t.Fatal(err)
	}
	return playFile(labtest.Context(t, 3*time.Minute), t, "../examples/playbooks/"+name, append(flags, "-e", "@"+file, "-e", "to="+to)...)
}

func TestExamplePlaybooks(t *testing.T) {
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", NIC: true, LocalDisk: true})
	info := playExample(t, "info.yml", g, "beta")
	if len(info) != 5 || info[0].Changed || info[0].Host != "alpha" || info[0].UUID != g.UUID || info[1].Fields["hostname"] != "beta" || info[1].Fields["transports"] == nil {
		t.Errorf("info.yml returned %+v", info)
	}
	if checks, _ := info[2].Fields["checks"].([]any); info[2].Changed || info[2].Fields["ok"] != false || len(checks) != len(migration.Checks()) {
		t.Errorf("the preflight, of a guest with a disk that beta has not, returned %+v", info[2])
	}
	disks := playExample(t, "disks.yml", g, "beta")
	if len(disks) != 2 || disks[0].LastMigration == nil || !slices.Equal(disks[0].LastMigration.CopiedDisks, []string{"vdb"}) {
		t.Errorf("disks.yml returned %+v", disks)
	}
	labtest.MustRun(t, g, "beta")

	g = labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, NIC: true})
	for _, to := range []string{"beta", "alpha"} {
		all := playExample(t, "move.yml", g, to)
		if len(all) != 2 || !all[0].Changed || all[0].LastMigration == nil {
			t.Errorf("move.yml to %s: returned %+v", to, all)
		}
		labtest.MustRun(t, g, to)
	}
	async := playExample(t, "async.yml", g, "beta")
	if last := async[len(async)-1]; last.Failed || !last.Changed || last.LastMigration == nil {
		t.Errorf("async.yml returned %+v", async)
	}
	labtest.MustRun(t, g, "beta")
}

func TestDiffShowsBothHostsInCheckModeToo(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	r := playOne(t, moveVars(l, g, "beta", nil), "--check", "--diff")
	if text := string(r.Diff); !strings.Contains(text, `"before": {"host": "alpha"}`) || !strings.Contains(text, `"after": {"host": "beta"}`) {
		t.Errorf("diff %s", text)
	}
}

func TestCheckModeSaysWhatWouldHappenAndTouchesNothing(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true})
	for name, c := range map[string]struct {
		options vars
		moves   bool
	}{
		"a move":        {moveVars(l, g, "beta", nil), true},
		"plain":         {moveVars(l, g, "beta", vars{"migration": vars{"transport": "plain", "allow_plain": true}}), true},
		"nothing to do": {moveVars(l, g, "alpha", nil), false},
		"over ssh":      {moveVars(l, g, "beta", vars{"hosts": hostVars(l, lab.SSH)}), true},
	} {
		t.Run(name, func(t *testing.T) {
			compare := mustTouchNothing(t)
			r := playOne(t, c.options, "--check", "--diff")
			compare()
			if r.Failed || r.Changed != c.moves || r.Host != "alpha" || r.State == "" || r.UUID != g.UUID || r.LastMigration != nil {
				t.Errorf("returned %+v", r)
			}
			if p := r.PlannedMigration; (p != nil) != c.moves || p != nil && (p.From != "alpha" || p.To != "beta" || p.Transport == "" || p.Reason == "") {
				t.Errorf("planned_migration %+v", p)
			}
			labtest.MustRun(t, g, "alpha")
		})
	}
}

func TestAsyncTaskReturnsTheSame(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 64})
	all := play(labtest.Context(t, time.Minute), t, nil, vars{module: moveVars(l, g, "beta", nil), "async": 60, "poll": 1})
	last := all[len(all)-1]
	if last.Failed || !last.Changed || last.LastMigration == nil || last.Fields["ansible_job_id"] == nil {
		t.Errorf("returned %+v", last)
	}
	labtest.MustRun(t, g, "beta")
}
