package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// virsh's cases are driven from outside the hosts as ours are, but for its tunnel, like ours.
var virsh = map[string][]string{
	"virsh-plain":        nil,
	"virsh-tls":          {"--tls"},
	"virsh-tls-parallel": {"--tls", "--parallel", "--parallel-connections", "2"},
	"virsh-tunnelled":    {"--p2p", "--tunnelled"},
}

// caseNames in the order of the table: ours, then as peers what virsh does by itself.
var caseNames = slices.Concat(bench.Names, []string{"virsh-plain", "virsh-tls", "virsh-tls-parallel", "virsh-tunnelled"})

// mover moves the guests to and fro, all of them at once.
type mover struct {
	lab    *lab.Lab
	guests []*lab.Guest
	// fleet reaches the hosts as virsh does; the relay needs a login, and has one in bySSH.
	fleet, bySSH *migration.Fleet
	hosts        []*host.Host // the benchmark's own connections, on which it looks on
	at           int          // index of the host the guests are on
	// last are the engine's own results of the latest case.
	last []migration.Result
}

func newMover(ctx context.Context, l *lab.Lab, guests []*lab.Guest) (_ *mover, err error) {
	m := &mover{lab: l, guests: guests}
	for _, h := range l.Hosts {
		c, err := host.Dial(ctx, host.Config{Name: h.Name, URI: h.URI(lab.TLS)})
		if err != nil {
			m.close()
			return nil, err
		}
		m.hosts = append(m.hosts, c)
	}
	for kind, fleet := range map[lab.Kind]**migration.Fleet{lab.TLS: &m.fleet, lab.SSH: &m.bySSH} {
		hosts := map[string]migration.HostConfig{}
		for _, h := range l.Hosts {
			hosts[h.Name] = migration.HostConfig{URI: h.URI(kind), MigrationAddress: h.MigrationAddress(), TLSDestination: h.TLSName(), PeerURI: h.PeerURI(lab.TLS)}
		}
		if *fleet, err = migration.NewFleet(migration.Config{Hosts: hosts, MigrationsPerHost: len(guests) + 1}); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

func (m *mover) close() {
	for _, fleet := range []*migration.Fleet{m.fleet, m.bySSH} {
		if fleet != nil {
			_ = fleet.Close()
		}
	}
	for _, h := range m.hosts {
		_ = h.Close()
	}
}

func (m *mover) cases(chosen []string, chunkKiB int) []bench.Case {
	var cases []bench.Case
	for _, name := range chosen {
		move := m.byVirsh(virsh[name])
		if options, is := bench.Options(name, chunkKiB); is {
			move = m.byEngine(options)
		}
		cases = append(cases, bench.Case{Name: name, Move: func(ctx context.Context) (bench.Sample, error) { return m.measured(ctx, move) }})
	}
	return cases
}

// measured lets the machine come to rest, moves the guests, and adds what is asked in the same way of every case.
// The lab's hosts are one machine, whose load is both's.
func (m *mover) measured(ctx context.Context, move moveOne) (bench.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	time.Sleep(2 * time.Second)
	m.last = make([]migration.Result, len(m.guests))
	samples := make([]bench.Sample, len(m.guests))
	load, err := watchLoad()
	if err != nil {
		return bench.Sample{}, err
	}
	begun := time.Now()
	moves, moving := errgroup.WithContext(ctx)
	for i := range m.guests {
		moves.Go(func() (err error) {
			samples[i], err = move(moving, i)
			return err
		})
	}
	err = moves.Wait()
	wall := float64(time.Since(begun).Milliseconds())
	idle, busy, programs, loadErr := load.stop()
	if err != nil {
		return bench.Sample{}, err
	}
	if loadErr != nil {
		return bench.Sample{}, loadErr
	}
	m.at = 1 - m.at
	for i := range samples {
		if err := m.completed(ctx, i, &samples[i]); err != nil {
			return bench.Sample{}, err
		}
	}
	s := atOnce(samples)
	s.WallMS, s.CPUSeconds, s.CPUByProgram, s.SourceIdlePercent, s.DestinationIdlePercent = &wall, &busy, programs, idle, idle
	return s, nil
}

// atOnce is the sample of moves that ran at once: the longest times, the bytes of all.
func atOnce(samples []bench.Sample) bench.Sample {
	out := samples[0]
	for _, s := range samples[1:] {
		out.TotalMS, out.CopyMS, out.DowntimeMS = longer(out.TotalMS, s.TotalMS), longer(out.CopyMS, s.CopyMS), longer(out.DowntimeMS, s.DowntimeMS)
		sum := *out.TransferredBytes + *s.TransferredBytes
		out.TransferredBytes = &sum
	}
	return out
}

func longer(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// moveOne brings one of the guests to the other host.
type moveOne func(ctx context.Context, guest int) (bench.Sample, error)

func (m *mover) byEngine(options migration.Options) moveOne {
	return func(ctx context.Context, guest int) (bench.Sample, error) {
		var course bench.Course
		fleet := m.fleet
		if options.Transport == migration.TransportRelay {
			fleet = m.bySSH
		}
		o, err := fleet.Migrate(ctx, migration.Request{
			Guest: migration.GuestRef{Name: m.guests[guest].Name}, Host: m.lab.Hosts[1-m.at].Name, Options: options, Watch: course.Watch,
		})
		if err != nil {
			return bench.Sample{}, err
		}
		m.last[guest] = *o.Result
		s := bench.OfResult(*o.Result)
		s.Course = course.Points
		return s, nil
	}
}

func (m *mover) byVirsh(options []string) moveOne {
	return func(ctx context.Context, guest int) (bench.Sample, error) {
		from, to, name := m.lab.Hosts[m.at], m.lab.Hosts[1-m.at], m.guests[guest].Name
		args := append([]string{"--quiet", "--connect", from.URI(lab.TLS), "migrate", "--live", "--persistent", "--undefinesource"}, options...)
		if slices.Contains(options, "--p2p") {
			args = append(args, name, to.PeerURI(lab.TLS))
		} else {
			if slices.Contains(options, "--tls") {
				args = append(args, "--tls-destination", to.TLSName())
			}
			args = append(args, name, to.URI(lab.TLS), "tcp://"+to.MigrationAddress())
		}
		looking, stop := context.WithCancel(ctx)
		course := make(chan bench.Course, 1)
		go func() { course <- m.look(looking, m.guests[guest].UUID) }()
		text, err := exec.CommandContext(ctx, "virsh", args...).CombinedOutput()
		stop()
		s := bench.Sample{Course: (<-course).Points}
		if err != nil {
			return s, fmt.Errorf("virsh migrate: %w: %s", err, strings.TrimSpace(string(text)))
		}
		return s, nil
	}
}

// look asks the source how far virsh's job is, as often as the engine does of its own.
func (m *mover) look(ctx context.Context, uuid string) (c bench.Course) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c
		case <-tick.C:
			if j, err := m.hosts[m.at].Job(ctx, uuid); err == nil && j.MemoryProcessedBytes != nil && j.MemoryRemainingBytes != nil {
				c.Note(j.At, *j.MemoryProcessedBytes, *j.MemoryRemainingBytes)
			}
		}
	}
}

// completed takes from libvirt what the job cost, whoever moved the guest.
func (m *mover) completed(ctx context.Context, guest int, s *bench.Sample) error {
	j, err := m.hosts[m.at].CompletedJob(ctx, m.guests[guest].UUID)
	if err != nil {
		return err
	}
	if j.ElapsedMS == nil || j.DowntimeMS == nil || j.MemoryProcessedBytes == nil {
		return fmt.Errorf("libvirt does not tell what the move of %s cost", m.guests[guest].Name)
	}
	elapsed, downtime, processed := float64(*j.ElapsedMS), float64(*j.DowntimeMS), float64(*j.MemoryProcessedBytes)
	s.TotalMS, s.DowntimeMS, s.TransferredBytes = &elapsed, &downtime, &processed
	return nil
}

func (m *mover) versions(ctx context.Context) (map[string]string, error) {
	f, err := m.hosts[0].Facts(ctx)
	if err != nil {
		return nil, err
	}
	kernel, err := exec.CommandContext(ctx, "uname", "-r").Output()
	return map[string]string{"libvirt": f.LibvirtVersion.String(), "QEMU": f.HypervisorVersion.String(), "Linux": strings.TrimSpace(string(kernel))}, err
}
