package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

const sourceFlags = host.FlagLive | host.FlagPersistDest | host.FlagUndefineSource | host.FlagTLS | host.FlagParallel

// trip is one migration driven call by call.
type trip struct {
	t        *testing.T
	src, dst *host.Host
	out, in  *host.Session
	dom      host.DomainID
	params   host.Params
}

func newTrip(t *testing.T, config lab.GuestConfig) (*trip, *lab.Guest) {
	t.Helper()
	a := alpha(t)
	b := testLab.Hosts[1]
	ctx := within(t, time.Minute)
	g, err := testLab.StartGuest(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Remove(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
	})
	r := &trip{t: t, src: dial(t, a.URI(lab.TLS)), dst: dial(t, b.SSHURI("root"))}
	if r.out, err = r.src.Session(ctx); err != nil {
		t.Fatal(err)
	}
	if r.in, err = r.dst.Session(ctx); err != nil {
		t.Fatal(err)
	}
	doms, err := r.src.Domains(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doms {
		if d.Name == g.Name {
			r.dom = d
		}
	}
	if !r.dom.Active() {
		t.Fatalf("guest %s is not among %v", g.Name, doms)
	}
	r.params = host.Params{
		MigrateURI: "tcp://" + b.MigrationAddress(), TLSDestination: b.TLSName(),
		DestinationName: r.dom.Name, ParallelConnections: 2,
	}
	return r, g
}

// prepare is Begin and Prepare.
func (r *trip) prepare(ctx context.Context) (cookie []byte) {
	r.t.Helper()
	c1, xml, err := r.out.Begin(ctx, r.dom, r.params, sourceFlags|host.FlagChangeProtection)
	if err != nil {
		r.t.Fatal(err)
	}
	r.params.DestinationXML = xml
	c2, uri, err := r.in.Prepare(ctx, r.params, c1, sourceFlags)
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.HasPrefix(uri, r.params.MigrateURI+":") {
		r.t.Fatalf("the destination listens at %q", uri)
	}
	r.params.MigrateURI = uri
	return c2
}

func TestAGuestMovesCallByCall(t *testing.T) {
	r, g := newTrip(t, lab.GuestConfig{Name: "walker", FillMiB: 64, NIC: true, Autostart: true})
	ctx := within(t, 2*time.Minute)
	src, dst, id := r.src, r.dst, r.dom.UUID

	d, err := src.Domain(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Persistent || !d.Autostart || !d.State.Running() || d.MemoryBytes != 256<<20 || d.VCPUs != 1 || d.Type != "qemu" ||
		d.Arch != "x86_64" || !strings.HasPrefix(d.Emulator, "/") || d.Snapshots != 0 || len(d.HostDevices)+len(d.Blockers) != 0 ||
		len(d.Interfaces) != 1 || d.Interfaces[0].Type != "bridge" || d.ID != r.dom {
		t.Errorf("facts of the guest: %+v", d)
	}
	if c, err := dst.CompareCPU(ctx, d.Emulator, d.Arch, d.Machine, d.Type, d.CPUXML); err != nil || c == host.CPUIncompatible {
		t.Errorf("the guest's CPU %q on the other host: %s, %v", d.CPUXML, c, err)
	}
	if caps, err := dst.DomainCapabilities(ctx, d.Emulator, d.Arch, d.Machine, d.Type); err != nil || !strings.Contains(caps, d.Machine) {
		t.Error("capabilities: ", err)
	}
	if _, err := dst.DomainCapabilities(ctx, d.Emulator, d.Arch, "pc-never", d.Type); err == nil {
		t.Error("an unknown machine type is not refused")
	}
	if err := src.SetMaxDowntime(ctx, id, 123*time.Millisecond); err != nil {
		t.Error(err)
	}
	if limit, err := src.MaxDowntime(ctx, id); err != nil || limit != 123*time.Millisecond {
		t.Error(limit, err)
	}
	if xml, err := src.XML(ctx, id, true); err != nil || !strings.Contains(xml, id) {
		t.Error(err)
	}
	cpu, err := src.CPU(ctx)
	if err != nil || cpu.Idle <= 0 || cpu.User <= 0 || cpu.System <= 0 || cpu.CPUs < 1 || cpu.At.IsZero() {
		t.Errorf("CPU counters %+v, %v", cpu, err)
	}
	if j, err := src.Job(ctx, id); err != nil || j.Kind != host.JobNone {
		t.Errorf("a job before there is one: %+v, %v", j, err)
	}

	cookie := r.prepare(ctx)
	if s, err := dst.State(ctx, id); err != nil || !s.PausedByMigration() && !s.Incoming() {
		t.Errorf("the waiting copy is %s, %v", s, err)
	}
	if j, err := dst.Job(ctx, id); err != nil || j.Kind != host.JobMigrationIn {
		t.Errorf("job at the destination: %+v, %v", j, err)
	}
	if j, err := src.Job(ctx, id); err != nil || j.Kind != host.JobMigrationOut {
		t.Errorf("job at the source: %+v, %v", j, err)
	}
	cookie, err = r.out.Perform(ctx, r.dom, r.params, cookie, sourceFlags|host.FlagChangeProtection)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := src.State(ctx, id); err != nil || !s.PausedByMigration() {
		t.Errorf("after perform the source's copy is %s, %v", s, err)
	}
	arrived, cookie, err := r.in.Finish(ctx, r.params, cookie, sourceFlags, false)
	if err != nil || arrived.UUID != id || !arrived.Active() {
		t.Fatal(arrived, err)
	}
	if err := r.out.Confirm(ctx, r.dom, r.params, cookie, sourceFlags|host.FlagChangeProtection, false); err != nil {
		t.Fatal(err)
	}

	if s, err := dst.State(ctx, id); err != nil || !s.Arrived() {
		t.Errorf("at the destination the guest is %s, %v", s, err)
	}
	if _, err := src.State(ctx, id); !errors.Is(err, host.ErrNoDomain) || host.Code(err) != host.CodeNoDomain {
		t.Errorf("the source still knows the guest: %v", err)
	}
	for range 2 { // the figures are kept
		j, err := dst.CompletedJob(ctx, id)
		if err != nil || j.Kind != host.JobMigrationIn || j.DowntimeMS == nil || j.MemoryTotalBytes == nil ||
			*j.MemoryTotalBytes < 256<<20 || *j.MemoryProcessedBytes < 64<<20 || *j.ElapsedMS == 0 {
			t.Errorf("the completed job: %+v, %v", j, err)
		}
	}
	if err := dst.SetAutostart(ctx, id, true); err != nil {
		t.Error(err)
	}
	if d, err := dst.Domain(ctx, id); err != nil || !d.Autostart || !d.Persistent {
		t.Errorf("at the destination: %+v, %v", d, err)
	}
	sees(t, r.out, id, host.EventSuspended, host.SuspendedMigrated)
	sees(t, r.out, id, host.EventStopped, host.StoppedMigrated)
	sees(t, r.in, id, host.EventResumed, host.ResumedMigrated)
	healthy(t, g)
}

// sees waits for an event.
func sees(t *testing.T, s *host.Session, uuid string, kind, detail int) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		select {
		case ev, open := <-s.Events():
			if !open {
				t.Fatal("the session ended")
			}
			if ev.UUID == uuid && ev.Kind == kind && ev.Detail == detail {
				if age := time.Since(ev.At); age < 0 || age > time.Minute {
					t.Errorf("%s was stamped %s ago", ev, age)
				}
				return
			}
		case <-deadline.C:
			t.Fatalf("no event %s", host.Event{Kind: kind, Detail: detail})
		}
	}
}

func TestAnAbortedPerformLeavesTheGuestWhereItWas(t *testing.T) {
	r, g := newTrip(t, lab.GuestConfig{Name: "stayer", FillMiB: 128, DirtyMiBPerSecond: 64})
	ctx := within(t, 2*time.Minute)
	r.params.BandwidthMiBPerSecond = 8
	cookie := r.prepare(ctx)
	performed := make(chan error, 1)
	go func() {
		_, err := r.out.Perform(ctx, r.dom, r.params, cookie, sourceFlags|host.FlagChangeProtection)
		performed <- err
	}()
	waitFor(t, "no memory leaves the source", func() bool {
		j, err := r.src.Job(ctx, r.dom.UUID)
		return err == nil && j.MemoryProcessedBytes != nil && *j.MemoryProcessedBytes > 1<<20
	})
	if err := r.src.Abort(ctx, r.dom.UUID); err != nil {
		t.Fatal(err)
	}
	if err := <-performed; host.Code(err) != host.CodeAborted {
		t.Errorf("perform: %v", err)
	}
	// How a copy that is on its way out answers depends on how far it has got.
	_, _, err := r.in.Finish(ctx, r.params, nil, sourceFlags, true)
	if c := host.Code(err); err != nil && c != host.CodeMigrateFinishOK && c != host.CodeNoDomain && c != host.CodeInternal {
		t.Errorf("finish after the abort: %v", err)
	}
	if s, err := r.src.State(ctx, r.dom.UUID); err != nil || !s.Running() {
		t.Errorf("the guest is %s, %v", s, err)
	}
	if _, err := r.dst.Lookup(ctx, r.dom.UUID); !errors.Is(err, host.ErrNoDomain) {
		t.Errorf("the destination still has a copy: %v", err)
	}
	healthy(t, g)
}

func TestClosingTheSessionsUndoesAPreparedMigration(t *testing.T) {
	r, g := newTrip(t, lab.GuestConfig{Name: "homebody"})
	ctx := within(t, 2*time.Minute)
	r.prepare(ctx)
	if err := r.out.Close(); err != nil {
		t.Error(err)
	}
	if err := r.in.Close(); err != nil {
		t.Error(err)
	}
	waitFor(t, "the destination keeps the copy it had made ready", func() bool {
		_, err := r.dst.Lookup(ctx, r.dom.UUID)
		return errors.Is(err, host.ErrNoDomain)
	})
	waitFor(t, "the source keeps the job", func() bool {
		j, err := r.src.Job(ctx, r.dom.UUID)
		return err == nil && j.Kind == host.JobNone
	})
	healthy(t, g)
}

func TestPeerToPeerMovesAGuest(t *testing.T) {
	r, g := newTrip(t, lab.GuestConfig{Name: "peer"})
	ctx := within(t, 2*time.Minute)
	r.params.DestinationName = ""
	if err := r.out.PerformPeerToPeer(ctx, r.dom, testLab.Hosts[1].PeerURI(lab.TLS), r.params, sourceFlags|host.FlagAbortOnError); err != nil {
		t.Fatal(err)
	}
	if s, err := r.dst.State(ctx, r.dom.UUID); err != nil || !s.Arrived() {
		t.Errorf("at the destination the guest is %s, %v", s, err)
	}
	healthy(t, g)
}

func TestAPausedGuestIsResumedDestroyedAndUndefined(t *testing.T) {
	a := alpha(t)
	ctx := within(t, 2*time.Minute)
	g, err := testLab.StartGuest(ctx, lab.GuestConfig{Name: "sleeper", Paused: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Remove(within(t, time.Minute)) })
	h := dial(t, a.URI(lab.Unix))
	id := g.UUID
	if s, err := h.State(ctx, id); err != nil || !s.Paused() {
		t.Fatal(s, err)
	}
	if err := h.EndCancel(ctx, id); err == nil || !strings.Contains(err.Error(), "not in expected state") {
		t.Error("QEMU took the word to go on without a migration: ", err)
	}
	if s, err := h.State(ctx, id); err != nil || !s.Paused() {
		t.Error(s, err)
	}
	if err := h.Resume(ctx, id); err != nil {
		t.Error(err)
	}
	if s, err := h.State(ctx, id); err != nil || !s.Running() {
		t.Error(s, err)
	}
	definition, err := h.XML(ctx, id, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Undefine(ctx, id); err != nil {
		t.Error(err)
	}
	if p, err := h.Persistent(ctx, id); err != nil || p {
		t.Error("still persistent: ", p, err)
	}
	if err := h.Define(ctx, definition); err != nil {
		t.Error(err)
	}
	if err := h.Destroy(ctx, id); err != nil {
		t.Error(err)
	}
	if d, err := h.Domain(ctx, id); err != nil || !d.State.ShutOff() || !d.Persistent || d.ID.Active() {
		t.Errorf("%+v, %v", d, err)
	}
	if err := h.Undefine(ctx, id); err != nil {
		t.Error(err)
	}
	if _, err := h.Lookup(ctx, id); !errors.Is(err, host.ErrNoDomain) {
		t.Error(err)
	}
}

// healthy waits until the guest shows from within that it is the one that was started, and runs.
func healthy(t *testing.T, g *lab.Guest) {
	t.Helper()
	var err error
	defer func() {
		if t.Failed() && err != nil {
			t.Log(err)
		}
	}()
	waitFor(t, "the guest is not well", func() bool {
		err = g.Check(within(t, time.Minute))
		return err == nil
	})
}
