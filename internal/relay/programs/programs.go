// Package programs holds the relay as a program for each kind of host, so that the engine can bring it. The
// files are made by `make generate` from ../cmd, and a test builds them again and compares.
package programs

import (
	_ "embed" // the programs
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:embed relay-linux-amd64.zst
var amd64 []byte

//go:embed relay-linux-arm64.zst
var arm64 []byte

//go:embed SHA256SUMS
var sums string

// pressed are the programs by libvirt's names of architectures.
var pressed = map[string]struct {
	file string
	data []byte
}{
	"x86_64":  {"relay-linux-amd64", amd64},
	"aarch64": {"relay-linux-arm64", arm64},
}

// Architectures are libvirt's names of those that a program is here for, sorted.
func Architectures() []string { return slices.Sorted(maps.Keys(pressed)) }

// SHA256 is the hexadecimal hash of the program for one of Architectures, "" for any other.
func SHA256(arch string) string {
	for line := range strings.Lines(sums) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == pressed[arch].file {
			return fields[0]
		}
	}
	return ""
}

// Image is the program for one of Architectures.
func Image(arch string) ([]byte, error) {
	p, ok := pressed[arch]
	if !ok {
		return nil, fmt.Errorf("there is no relay for the architecture %q", arch)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(p.data, nil)
}
