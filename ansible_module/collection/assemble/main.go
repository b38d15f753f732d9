// Command assemble puts the Ansible collection together, binaries included, for use from a folder:
//
//	go run ./ansible_module/collection/assemble -o build/ansible
//	ANSIBLE_COLLECTIONS_PATH=build/ansible ansible-doc virtmigrate.libvirt.domain
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
	out := flag.String("o", "build/ansible", "the `folder` to name in ANSIBLE_COLLECTIONS_PATH")
	goos := flag.String("goos", "", "operating `system` of the machine that runs the modules (default: this one's)")
	goarch := flag.String("goarch", "", "`architecture` of the machine that runs the modules (default: this one's)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := collection.Assemble(ctx, *out, *goos, *goarch)
	if err != nil {
		fmt.Fprintln(os.Stderr, "assemble:", err)
		os.Exit(1)
	}
	fmt.Println(root)
}
