//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// openPort opens the virtio port of that name. It appears when its driver has found it.
func openPort(name string) (*os.File, error) {
	for range 500 {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, path := range names {
			if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == name {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(path)), os.O_RDWR, 0)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("there is no virtio port %q", name)
}
