// Command build makes the files of package programs, from the root of the source tree or below it:
//
//	go run ./internal/relay/programs/build [FOLDER]
//
// With a FOLDER they are made there, for comparison.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build() error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the source tree: %w", err)
	}
	module := strings.TrimSpace(string(root))
	to := filepath.Join(module, "internal", "relay", "programs")
	if len(os.Args) > 1 {
		to = os.Args[1]
	}
	sums := "# built by " + runtime.Version() + "\n"
	for _, arch := range []string{"amd64", "arm64"} {
		name := "relay-linux-" + arch
		program := filepath.Join(to, name)
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", program, "./internal/relay/cmd")
		cmd.Dir, cmd.Stderr = module, os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		image, err := os.ReadFile(program)
		if err == nil {
			err = os.Remove(program)
		}
		if err != nil {
			return err
		}
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(image), name)
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
		if err != nil {
			return err
		}
		if err := os.WriteFile(program+".zst", e.EncodeAll(image, nil), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(to, "SHA256SUMS"), []byte(sums), 0o644)
}
