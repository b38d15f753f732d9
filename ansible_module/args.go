package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// arguments are the options of the module domain. Their names are the JSON tags, here and in the types of
// package migration; ansible-doc's sidecar has the same, held by a test.
type arguments struct {
	Hosts     map[string]migration.HostConfig `json:"hosts"`
	Name      string                          `json:"name"`
	UUID      string                          `json:"uuid"`
	Host      string                          `json:"host"`
	Migration migration.Options               `json:"migration"`
	// TimeoutSeconds bounds the whole operation; 0 leaves it to the engine.
	TimeoutSeconds int64 `json:"timeout_seconds"`
	// MaxMigrationsPerHost is 0 for the engine's default.
	MaxMigrationsPerHost int `json:"max_migrations_per_host"`
}

const maxTimeoutSeconds = int64(migration.MaxTimeout / time.Second)

// notZero are the options that may be left out but not be 0: the engine takes 0 for "left out", and what
// somebody wrote must not be passed over.
var notZero = map[string]string{
	"timeout_seconds":                               fmt.Sprintf("1 to %d", maxTimeoutSeconds),
	"max_migrations_per_host":                       fmt.Sprintf("1 to %d", migration.MaxMigrationsPerHost),
	"migration.parallel_connections":                fmt.Sprintf("1 to %d", migration.MaxParallelConnections),
	"migration.reconnect_seconds":                   fmt.Sprintf("1 to %d", migration.MaxReconnectSeconds),
	"migration.chunk_kib":                           fmt.Sprintf("%d to %d", migration.MinChunkKiB, migration.MaxChunkKiB),
	"migration.max_downtime_ms":                     fmt.Sprintf("1 to %d", migration.MaxMaxDowntimeMS),
	"migration.blackout_timeout_ms":                 fmt.Sprintf("%d to %d", migration.MinBlackoutTimeoutMS, migration.MaxBlackoutTimeoutMS),
	"migration.convergence.timeout_seconds_per_gib": fmt.Sprintf("1 to %d", migration.MaxTimeoutSecondsPerGiB),
	"migration.convergence.stall_seconds":           fmt.Sprintf("1 to %d", migration.MaxStallSeconds),
	// of the module benchmark
	"rounds":    fmt.Sprintf("1 to %d", maxRounds),
	"chunk_kib": fmt.Sprintf("%d to %d", migration.MinChunkKiB, migration.MaxChunkKiB),
}

// accepted are the numbers that an option may have.
func accepted(option string) string {
	if span, known := notZero[option]; known {
		return span
	}
	if option == "migration.bandwidth_mib_per_second" {
		return fmt.Sprintf("at most %d", uint64(migration.MaxBandwidthMiBPerSecond))
	}
	return "a number of 64 bits"
}

// task is what Ansible adds of its own to the options.
type task struct {
	Check     bool  `json:"_ansible_check_mode"`
	Diff      bool  `json:"_ansible_diff"`
	NoLog     bool  `json:"_ansible_no_log"`
	Verbosity int64 `json:"_ansible_verbosity"`
}

const ansiblePrefix = "_ansible_"

// readArguments reads a file of options of the module domain. The error names everything that is wrong
// with them.
func readArguments(raw []byte) (arguments, task, error) {
	var args arguments
	t, zero, err := readOptions(raw, &args)
	if err != nil {
		return arguments{}, t, err
	}
	return args, t, args.check(zero)
}

// readOptions fills the struct that into points to, and says which numbers were given as 0.
func readOptions(raw []byte, into any) (t task, zero []string, err error) {
	options, err := object(raw)
	if err != nil {
		return task{}, nil, fmt.Errorf("the file of options is not a JSON object: %w", err)
	}
	own := map[string]any{}
	for name, value := range options {
		if strings.HasPrefix(name, ansiblePrefix) {
			own[name] = value
			delete(options, name)
		}
	}
	// Ansible may add keys of its own in any version, so unknown ones of that kind are passed over.
	d := decoder{}
	d.fields("", own, reflect.ValueOf(&t).Elem(), true)
	d.fields("", options, reflect.ValueOf(into).Elem(), false)
	return t, d.zero, errors.Join(d.wrong...)
}

// What every module wants.
var (
	errNoHosts = errors.New("hosts is missing: name the libvirt hosts, each with its uri")
	errNoGuest = errors.New("name and uuid are missing: give the guest's name or its uuid")
)

// check finds what the types alone do not tell. What the engine checks is left to it.
func (a arguments) check(zero []string) error {
	wrong := checkMove(a.Hosts, migration.GuestRef{Name: a.Name, UUID: a.UUID}, a.TimeoutSeconds, zero)
	if a.Host == "" {
		wrong = append(wrong, errors.New("host is missing: name the host, one of hosts, on which the guest shall run"))
	}
	return errors.Join(wrong...)
}

// checkMove finds what is wrong with the options of every module that moves a guest.
func checkMove(hosts map[string]migration.HostConfig, guest migration.GuestRef, timeoutSeconds int64, zero []string) (wrong []error) {
	if len(hosts) == 0 {
		wrong = append(wrong, errNoHosts)
	}
	if guest.Name == "" && guest.UUID == "" {
		wrong = append(wrong, errNoGuest)
	}
	for _, option := range zero {
		if accepted, refuse := notZero[option]; refuse {
			wrong = append(wrong, fmt.Errorf("%s is 0, but must be %s", option, accepted))
		}
	}
	if timeoutSeconds < 0 || timeoutSeconds > maxTimeoutSeconds {
		wrong = append(wrong, fmt.Errorf("timeout_seconds is %d, but must be %s", timeoutSeconds, notZero["timeout_seconds"]))
	}
	return wrong
}

func (a arguments) request() migration.Request {
	return migration.Request{
		Guest: migration.GuestRef{Name: a.Name, UUID: a.UUID}, Host: a.Host, Options: a.Migration,
		Timeout: time.Duration(a.TimeoutSeconds) * time.Second,
	}
}

// object reads one JSON object and nothing after it. Numbers keep their digits.
func object(raw []byte) (map[string]any, error) {
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber()
	var o map[string]any
	if err := in.Decode(&o); err != nil {
		return nil, err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	if o == nil {
		return nil, errors.New("it is null")
	}
	return o, nil
}
