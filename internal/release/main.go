// Command release makes what a user installs:
//
//	go run ./internal/release install    provider and collection, where terraform, tofu and ansible find them
//	go run ./internal/release dist       archives for every platform, with checksums, in dist/
//
// The version of both is the one in the collection's galaxy.yml.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

func main() {
	out := flag.String("o", "dist", "the `folder` that dist writes to; an older one is replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, what, out string) error {
	version, err := collection.Version()
	if err != nil {
		return err
	}
	switch what {
	case "install":
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		return install(ctx, version, home, os.Getenv("ANSIBLE_COLLECTIONS_PATH"), os.Stdout)
	case "dist":
		return dist(ctx, version, out, platforms, os.Stdout)
	}
	return fmt.Errorf("say what to make: install or dist, not %q", what)
}
