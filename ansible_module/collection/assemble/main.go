// Command assemble puts the Ansible collection together, programs included, for use from a folder:
//
//	go run ./ansible_module/collection/assemble -o build/ansible
//	ANSIBLE_COLLECTIONS_PATH=build/ansible ansible-doc virtmigrate.libvirt.domain
//
// With -arch amd64,arm64 it is what ansible-galaxy collection build packs for a release.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

func main() {
	out := flag.String("o", "build/ansible", "the `folder` to name in ANSIBLE_COLLECTIONS_PATH")
	arch := flag.String("arch", "", "`architectures` of the machines that run the modules, with commas between (default: this one's; all: "+strings.Join(collection.Architectures, ",")+")")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var architectures []string
	switch *arch {
	case "":
	case "all":
		architectures = collection.Architectures
	default:
		architectures = strings.Split(*arch, ",")
	}
	root, err := collection.Assemble(ctx, *out, architectures...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "assemble:", err)
		os.Exit(1)
	}
	fmt.Println(root)
}
