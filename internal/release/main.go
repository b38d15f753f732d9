// Command release makes what a user installs:
//
//	go run ./internal/release install    provider and collection, where terraform, tofu and ansible find them
//	go run ./internal/release dist       archives for every platform, with checksums, in dist/
//
// The version of the provider stands here, that of the collection in its galaxy.yml.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// version is the provider's.
const version = "0.1.0"

func main() {
	out := flag.String("o", "dist", "the `folder` that dist writes to; an older one is replaced")
	key := flag.String("sign", "", "the `key` by which gpg signs the provider's checksums; without, they are not signed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *out, *key); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, what, out, key string) error {
	switch what {
	case "install":
		home, err := os.UserHomeDir()
		if err != nil {
			return err
		}
		return install(ctx, home, os.Getenv("ANSIBLE_COLLECTIONS_PATH"), os.Stdout)
	case "dist":
		return dist(ctx, out, key, platforms, os.Stdout)
	}
	return fmt.Errorf("say what to make: install or dist, not %q", what)
}
