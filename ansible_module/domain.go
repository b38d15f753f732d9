package main

import (
	"context"
	"io"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// fleet is what the module needs of [migration.Fleet].
type fleet interface {
	Locate(context.Context, migration.GuestRef) (migration.Location, error)
	Plan(context.Context, migration.Request) (migration.Plan, error)
	Migrate(context.Context, migration.Request) (migration.Outcome, error)
}

// domain is the module virtmigrate.libvirt.domain: the guest runs on the wanted host afterwards.
func domain(ctx context.Context, raw []byte, log io.Writer) response {
	args, t, err := readArguments(raw)
	if err != nil {
		return refused(err)
	}
	f, err := migration.NewFleet(migration.Config{Hosts: args.Hosts, MigrationsPerHost: args.MaxMigrationsPerHost, Log: logger(t, log)})
	if err != nil {
		return refused(err)
	}
	answer := bring(ctx, f, args, t)
	_ = f.Close() // the answer stands, whatever the hosts say to a farewell
	answer.Invocation = &invocation{ModuleArgs: args.withoutSecrets()}
	return answer
}

// bring carries out the task, or says in check mode what it would do.
func bring(ctx context.Context, f fleet, args arguments, t task) response {
	answer := func() response {
		if t.Check {
			return foresee(ctx, f, args)
		}
		o, err := f.Migrate(ctx, args.request())
		if err != nil {
			return failed(args, err)
		}
		return done(o)
	}()
	if !t.Diff {
		answer.Diff = nil
	}
	return answer
}

// foresee calls nothing that creates anything on a host.
func foresee(ctx context.Context, f fleet, args arguments) response {
	p, err := f.Plan(ctx, args.request())
	if err == nil {
		err = p.Err()
	}
	if err != nil {
		return failed(args, err)
	}
	at, err := f.Locate(ctx, migration.GuestRef{UUID: p.UUID})
	if err != nil {
		return failed(args, err)
	}
	return planned(at, p)
}

// logger writes the engine's log to standard error from -vvv on; Ansible shows it when a task fails.
func logger(t task, to io.Writer) hclog.Logger {
	if t.Verbosity < 3 || t.NoLog {
		return hclog.NewNullLogger()
	}
	level := hclog.Info
	if t.Verbosity > 3 {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Name: "virtmigrate", Level: level, Output: to})
}
