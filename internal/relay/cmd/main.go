// Command relay is the program that the engine brings to both hosts of a migration: see package relay. It
// takes no options; all it is told comes over its standard input, and nothing of it is secret.
package main

import (
	"fmt"
	"os"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/relay"
)

func main() {
	err := fmt.Errorf("usage: %s serve | sweep (virtmigrate starts this program; it is of no use by hand)", os.Args[0])
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "serve":
			err = relay.Serve(os.Stdin, os.Stdout)
		case relay.Child:
			err = relay.ServeChild(os.Stdin, os.Stdout)
		case "sweep":
			relay.Sweep()
			err = nil
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
