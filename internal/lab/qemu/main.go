//go:build linux

// Command qemu is the emulator of the lab's guests: Debian's QEMU, called with 8 KiB more memory
// than libvirt asks for.
//
// An emulated guest (TCG, without KVM) that is migrated by QEMU 7.2 can lose writes. When QEMU
// looks which pages were written since it last looked, it takes a shortcut for memory whose size
// is a multiple of 256 KiB, and on that way forgets to tell the emulated processor, which then goes
// on to write to some of the pages without marking them. The guest arrives with old pages and
// dies, all the sooner the busier the machine is and the less the guest changes between
// processes. Memory of an odd size is looked through page by page and keeps everything. A guest
// under KVM never had the defect, so what the lab works around is a weakness of the lab's and
// not of migration's.
//
// libvirt itself rounds memory to whole MiB, hence this program between the two.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const emulator = "/usr/bin/qemu-system-x86_64"

func main() {
	err := unix.Exec(emulator, append([]string{emulator}, odd(os.Args[1:])...), os.Environ())
	fmt.Fprintf(os.Stderr, "start %s: %v\n", emulator, err)
	os.Exit(1)
}
