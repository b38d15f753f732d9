package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/bench"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// benchmarkArguments are the options of the module benchmark.
type benchmarkArguments struct {
	Hosts map[string]migration.HostConfig `json:"hosts"`
	Name  string                          `json:"name"`
	UUID  string                          `json:"uuid"`
	Host  string                          `json:"host"`
	// Cases are names of package bench; none is every encrypted one the hosts can do.
	Cases      []string `json:"cases"`
	Rounds     int      `json:"rounds"`
	ChunkKiB   int      `json:"chunk_kib"`
	AllowPlain bool     `json:"allow_plain"`
	// Dest is the folder of the report; none for no report.
	Dest           string `json:"dest"`
	TimeoutSeconds int64  `json:"timeout_seconds"`
}

func (a benchmarkArguments) shown() any {
	a.Hosts = withoutPasswords(a.Hosts)
	return a
}

const (
	defaultRounds = 7
	maxRounds     = 1000
)

// benchmarkAnswer is what the module benchmark prints; the figures are missing after a failure and in check mode.
type benchmarkAnswer struct {
	outcome
	// Host is where the guest is, also after a failure when it is known.
	Host  string   `json:"host,omitempty"`
	Cases []string `json:"cases,omitempty"`
	*bench.Results
}

// benchmark is the module virtmigrate.libvirt.benchmark: the guest travels to and fro, and ends where it began.
func benchmark(ctx context.Context, raw []byte, log io.Writer) answer {
	var args benchmarkArguments
	t, zero, err := readOptions(raw, &args)
	if err == nil {
		err = args.check(zero)
	}
	if err != nil {
		return benchmarkAnswer{outcome: failing(err)}
	}
	f, err := migration.NewFleet(migration.Config{Hosts: args.Hosts, Log: logger(t, log)})
	if err != nil {
		return benchmarkAnswer{outcome: failing(err)}
	}
	defer f.Close() // the answer stands, whatever the hosts say to a farewell
	b := &comparison{fleet: f, args: args}
	answer := b.run(ctx, t.Check)
	answer.Invocation = &invocation{args}
	return answer
}

// check finds what can be found without a host.
func (a *benchmarkArguments) check(zero []string) error {
	wrong := checkMove(a.Hosts, migration.GuestRef{Name: a.Name, UUID: a.UUID}, a.TimeoutSeconds, zero)
	if a.Host == "" {
		wrong = append(wrong, errors.New("host is missing: name the host, one of hosts, to which the guest shall travel and from which it comes back"))
	}
	if a.Rounds < 0 || a.Rounds > maxRounds {
		wrong = append(wrong, fmt.Errorf("rounds is %d, but must be %s", a.Rounds, notZero["rounds"]))
	}
	if relay, _ := bench.Options("relay-window", a.ChunkKiB); relay.Validate() != nil {
		wrong = append(wrong, fmt.Errorf("chunk_kib is %d, but must be %s", a.ChunkKiB, notZero["chunk_kib"]))
	}
	if a.Dest != "" && !filepath.IsAbs(a.Dest) {
		wrong = append(wrong, fmt.Errorf("dest is %q, but must be an absolute path", a.Dest))
	}
	seen := map[string]bool{}
	for _, name := range a.Cases {
		o, known := bench.Options(name, a.ChunkKiB)
		switch {
		case !known:
			wrong = append(wrong, fmt.Errorf("cases has %q, and there are %s", name, strings.Join(bench.Names, ", ")))
		case o.Transport == migration.TransportPlain && !a.AllowPlain:
			wrong = append(wrong, fmt.Errorf("cases has %q, which sends guest memory unencrypted and is refused unless allow_plain is true", name))
		case seen[name]:
			wrong = append(wrong, fmt.Errorf("cases has %q twice", name))
		}
		seen[name] = true
	}
	return errors.Join(wrong...)
}

// comparison is one run of the module.
type comparison struct {
	fleet    *migration.Fleet
	args     benchmarkArguments
	home     string // the host the guest began on
	at       string
	guest    migration.GuestRef
	versions map[string]string
}

func (b *comparison) run(ctx context.Context, check bool) benchmarkAnswer {
	found, err := b.fleet.DomainInfo(ctx, migration.GuestRef{Name: b.args.Name, UUID: b.args.UUID})
	if err != nil {
		return b.failed(err, false)
	}
	b.home, b.at, b.guest = found.Host, found.Host, migration.GuestRef{UUID: found.UUID}
	if b.home == b.args.Host {
		return b.failed(fmt.Errorf("guest %s is on %s already: host must be the other one, to which it travels and from which it comes back", found.Name, b.home), false)
	}
	names, warnings, err := b.possible(ctx)
	if err != nil {
		return b.failed(err, false)
	}
	if check {
		return benchmarkAnswer{outcome: outcome{Changed: true, Warnings: warnings}, Host: b.at, Cases: names}
	}
	if err := b.ask(ctx); err != nil {
		return b.failed(err, false)
	}
	var cases []bench.Case
	for _, name := range names {
		options := b.options(name)
		cases = append(cases, bench.Case{Name: name, Move: func(ctx context.Context) (bench.Sample, error) { return b.move(ctx, options) }})
	}
	moved := false
	measured, err := bench.Run(ctx, cases, cmp.Or(b.args.Rounds, defaultRounds), func(int, bench.Case, bench.Sample) { moved = true })
	if b.at == b.args.Host && ctx.Err() == nil { // an odd number of moves, or one that failed half way
		if _, back := b.move(ctx, b.options(names[0])); back != nil {
			err = errors.Join(err, fmt.Errorf("bring the guest back to %s: %w", b.home, back))
		}
	}
	if err != nil {
		return b.failed(err, moved)
	}
	results := bench.Summarize(bench.Setting{Guests: 1, GuestMiB: int(found.MemoryBytes >> 20), ChunkKiB: cmp.Or(b.args.ChunkKiB, migration.DefaultChunkKiB)}, b.versions, names, measured)
	if b.args.Dest != "" {
		if err := results.Write(b.args.Dest); err != nil {
			return b.failed(err, moved)
		}
	}
	return benchmarkAnswer{outcome: outcome{Changed: true, Warnings: warnings}, Host: b.at, Cases: names, Results: &results}
}

func (b *comparison) options(name string) migration.Options {
	o, _ := bench.Options(name, b.args.ChunkKiB)
	return o
}

// possible asks for every case whether the guest could travel by it, before it travels at all. A case that was
// asked for must; of those taken by default the others are left out with a warning.
func (b *comparison) possible(ctx context.Context) (names, warnings []string, err error) {
	names = b.args.Cases
	if names == nil {
		names = bench.Names
	}
	var can []string
	for _, name := range names {
		o := b.options(name)
		if b.args.Cases == nil && o.Transport == migration.TransportPlain && !b.args.AllowPlain {
			continue
		}
		p, err := b.fleet.Plan(ctx, migration.Request{Guest: b.guest, Host: b.args.Host, Options: o})
		if err == nil {
			err = p.Err()
		}
		switch {
		case err == nil:
			can = append(can, name)
		case b.args.Cases != nil:
			return nil, nil, fmt.Errorf("case %s: %w", name, err)
		default:
			warnings = append(warnings, fmt.Sprintf("case %s is left out: %s", name, oneLine(err)))
		}
	}
	if len(can) == 0 {
		return nil, nil, fmt.Errorf("the guest can go to %s by none of the cases: %s", b.args.Host, strings.Join(warnings, "; "))
	}
	return can, warnings, nil
}

// ask notes both hosts' versions.
func (b *comparison) ask(ctx context.Context) error {
	b.versions = map[string]string{}
	for _, key := range []string{b.home, b.args.Host} {
		info, err := b.fleet.HostInfo(ctx, key)
		if err != nil {
			return err
		}
		b.versions["libvirt on "+key], b.versions["QEMU on "+key] = info.LibvirtVersion, info.HypervisorVersion
	}
	return nil
}

// move brings the guest to the host where it is not.
func (b *comparison) move(ctx context.Context, o migration.Options) (bench.Sample, error) {
	to := b.args.Host
	if b.at == to {
		to = b.home
	}
	var course bench.Course
	done, err := b.fleet.Migrate(ctx, migration.Request{Guest: b.guest, Host: to, Options: o, Watch: course.Watch, Timeout: time.Duration(b.args.TimeoutSeconds) * time.Second})
	if err != nil {
		var e *migration.Error
		if errors.As(err, &e) {
			b.at = e.Host
		}
		return bench.Sample{}, err
	}
	b.at = done.Host
	if done.Result == nil {
		return bench.Sample{}, fmt.Errorf("the guest was on %s already: somebody else moves it too", to)
	}
	s := bench.OfResult(*done.Result)
	s.Course = course.Points
	return s, nil
}

func (b *comparison) failed(err error, moved bool) benchmarkAnswer {
	a := benchmarkAnswer{outcome: failing(err), Host: b.at}
	a.Changed = moved
	return a
}
