// Command lab makes, shows and removes a lab of two libvirt hosts on this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

func main() {
	// The two that the lab itself starts, as processes of their own.
	if len(os.Args) == 4 && os.Args[1] == "host-init" {
		fail(lab.HostInit(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 4 && os.Args[1] == "observe" {
		fail(lab.Observe(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(command(ctx, os.Args[1:]))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
