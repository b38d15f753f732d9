//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// settings are the words of the kernel command line that start with "lab.".
type settings map[string]string

func readConfig(path string) settings {
	config := settings{}
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		if key, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(key, "lab.") {
			config[strings.TrimPrefix(key, "lab.")] = value
		}
	}
	return config
}

func (c settings) number(key string) int {
	n, _ := strconv.Atoi(c[key])
	return n
}

// text is for values that may hold blanks: they travel in URL-safe base64.
func (c settings) text(key string) string {
	plain, _ := base64.RawURLEncoding.DecodeString(c[key])
	return string(plain)
}

func mountBasics() {
	for _, m := range []struct{ kind, path string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"},
	} {
		_ = os.MkdirAll(m.path, 0o755)
		if err := unix.Mount(m.kind, m.path, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			fmt.Fprintf(os.Stderr, "guest: mount %s: %v\n", m.path, err)
		}
	}
}

// loadModules loads what the image's list names, in its order: dependencies come first there.
func loadModules(s *self) {
	list, err := os.ReadFile("/modules/order")
	if err != nil {
		s.complain("modules: %v", err)
		return
	}
	for name := range strings.FieldsSeq(string(list)) {
		file, err := os.Open("/modules/" + name)
		if err != nil {
			s.complain("module %s: %v", name, err)
			continue
		}
		if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil && err != unix.EEXIST {
			s.complain("module %s: %v", name, err)
		}
		file.Close()
	}
}

// openPort opens a serial port with nothing between us and the wire.
func openPort(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	port := os.NewFile(uintptr(fd), path)
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return port, nil
}
