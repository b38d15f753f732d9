package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// modules are what this program can be called as: the collection has one file for each, all of them this
// program.
var modules = map[string]func(ctx context.Context, raw []byte, log io.Writer) answer{
	"domain":      func(ctx context.Context, raw []byte, log io.Writer) answer { return domain(ctx, raw, log) },
	"host_info":   hostInfo,
	"domain_info": domainInfo,
	"benchmark":   benchmark,
	"preflight":   preflight,
}

// answer is the one JSON document that a module prints.
type answer interface{ hasFailed() bool }

func main() {
	// SIGHUP is what remains of a login that broke; the guest then stays where it is, as with Ctrl-C.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	answer := call(ctx, os.Args, os.Stderr)
	stop()
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "print the result:", err)
		os.Exit(1)
	}
	if answer.hasFailed() {
		os.Exit(1)
	}
}

// call picks the module by the name Ansible gave the program, and runs it on the file of options.
func call(ctx context.Context, argv []string, log io.Writer) answer {
	name := strings.TrimPrefix(filepath.Base(argv[0]), "AnsiballZ_")
	module, known := modules[name]
	if !known {
		return refused(fmt.Errorf("this program was called as %q, but it is the Ansible module %s: its file must have that name",
			name, strings.Join(slices.Sorted(maps.Keys(modules)), " or ")))
	}
	if len(argv) != 2 {
		return refused(fmt.Errorf("usage: %s FILE, where FILE holds the options as JSON; Ansible calls it so", name))
	}
	raw, err := os.ReadFile(argv[1])
	if err != nil {
		return refused(fmt.Errorf("read the options: %w", err))
	}
	return module(ctx, raw, log)
}
