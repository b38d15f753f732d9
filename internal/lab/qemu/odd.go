package main

import (
	"fmt"
	"regexp"
	"strconv"
)

// more is what is added to the guest's memory, in KiB: the least by which QEMU lets a size differ
// from a multiple of 256 KiB.
const more = 8

// mainMemory finds the size of the guest's main memory, in bytes, in the object that libvirt
// makes for it.
var mainMemory = regexp.MustCompile(`^(\{.*"id":"pc\.ram".*"size":)(\d+)(.*\})$`)

// odd returns libvirt's arguments with a little more memory. What is no guest (libvirt also asks
// QEMU what it can do) stays as it is.
func odd(args []string) []string {
	changed := append([]string(nil), args...)
	for i, arg := range args {
		if i > 0 && args[i-1] == "-m" {
			if mebibytes, err := strconv.ParseUint(arg, 10, 32); err == nil {
				changed[i] = fmt.Sprintf("size=%dk", mebibytes<<10+more)
			}
		}
		if parts := mainMemory.FindStringSubmatch(arg); parts != nil {
			if size, err := strconv.ParseUint(parts[2], 10, 63); err == nil {
				changed[i] = fmt.Sprintf("%s%d%s", parts[1], size+more<<10, parts[3])
			}
		}
	}
	return changed
}
