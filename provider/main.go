// Command terraform-provider-virtmigrate is the Terraform face of virtmigrate: it carries what a
// configuration says into the engine (internal/migration), and what the engine found, plans and measured
// back into plan, state and diagnostics. It decides nothing about migrations itself.
//
// # What the resource promises
//
// virtmigrate_domain watches over where an existing guest runs, never over its existence:
//
//	create   adopts the guest where it is; moves it only as the plan has shown
//	read     asks every host; a guest that is nowhere is forgotten only when every host has answered
//	update   a changed host is a live migration in place, never a replacement
//	delete   forgets the guest, and asks no host anything
//
// The data sources virtmigrate_host and virtmigrate_domain only look.
//
// State is the truth: whatever fails, host says where the guest is, and a guest that did not move is
// never recorded as moved. A plan creates nothing on any host.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

// address is where Terraform knows the provider by.
const address = "registry.terraform.io/virtmigrate/virtmigrate"

// version is set by the linker in a release.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "wait for a debugger, and print how Terraform can attach to this process")
	showVersion := flag.Bool("version", false, "print the version and end")
	flag.Parse()
	if *showVersion {
		fmt.Println("terraform-provider-virtmigrate", version)
		return
	}
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "terraform-provider-virtmigrate takes no argument such as %q\n", flag.Arg(0))
		os.Exit(2)
	}
	serve := func() provider.Provider { return newProvider(version) }
	err := providerserver.Serve(context.Background(), serve, providerserver.ServeOpts{
		Address: address, Debug: *debug, ProtocolVersion: 6,
	})
	if err != nil {
		log.Fatal(err)
	}
}
