package host_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// The lab of this package's tests; nil where there can be none.
var (
	testLab *lab.Lab
	noLab   string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		switch {
		case runtime.GOOS != "linux" || os.Geteuid() != 0:
			noLab = "needs real libvirt daemons in namespaces, and so root on Linux"
		case os.Getenv("VIRTMIGRATE_NO_LAB") != "":
			noLab = "VIRTMIGRATE_NO_LAB is set"
		default:
			l, err := lab.Start(context.Background(), lab.Config{Name: cmp.Or(os.Getenv("VIRTMIGRATE_LAB"), "hosttest")})
			if err != nil {
				fmt.Fprintln(os.Stderr, "cannot start the lab:", err)
				return 1
			}
			testLab = l
			defer l.Close()
		}
		return m.Run()
	}())
}

// alpha is the lab's first host, or the end of the test.
func alpha(t *testing.T) *lab.Host {
	t.Helper()
	if testLab == nil {
		t.Skip(noLab)
	}
	return testLab.Hosts[0]
}

// within is a context for a test's own waiting, far beyond what is expected.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// dial reaches a host as the given URI says.
func dial(t *testing.T, uri string) *host.Host {
	t.Helper()
	h, err := host.Dial(within(t, time.Minute), config(uri))
	if err != nil {
		t.Fatalf("dial %s: %v", uri, err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func config(uri string) host.Config {
	return host.Config{Name: "alpha", URI: uri, AllowPlainControl: true}
}

func TestEveryConnectionReachesTheSameDaemon(t *testing.T) {
	a := alpha(t)
	uris := map[string]string{"operator over ssh": a.SSHURI(lab.Operator)}
	for _, kind := range lab.Kinds {
		uris[string(kind)] = a.URI(kind)
	}
	var uuid string
	var hosts []*host.Host
	for name, uri := range uris {
		h := dial(t, uri)
		if _, err := h.Session(within(t, time.Minute)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		hosts = append(hosts, h)
		f, err := h.Facts(within(t, time.Minute))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.Driver != "QEMU" || f.Hostname != a.Name || f.Arch == "" || f.CPUs < 1 || f.MemoryBytes == 0 ||
			f.FreeMemoryBytes == 0 || f.LibvirtVersion < 6000000 || f.HypervisorVersion == 0 || f.RoundTrip <= 0 {
			t.Errorf("%s: facts miss something: %+v", name, f)
		}
		if f.ControlEncrypted != (name != "tcp") {
			t.Errorf("%s: encrypted = %v", name, f.ControlEncrypted)
		}
		if uuid == "" {
			uuid = f.UUID
		}
		if f.UUID != uuid || uuid == "" {
			t.Errorf("%s: host %q, others say %q", name, f.UUID, uuid)
		}
	}
	if testing.Verbose() {
		t.Log(len(hosts), "hosts, ", runtime.NumGoroutine(), "goroutines")
	}
	for _, h := range hosts {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "closed hosts leave goroutines behind", func() bool {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		for _, ours := range []string{"go-libvirt.", "crypto/ssh.", "internal/host.(*", "internal/host.call["} {
			if strings.Contains(stacks, ours) {
				return false
			}
		}
		return true
	})
}

// refuses asserts that a host cannot be reached, for the right reason and with the right words.
func refuses(t *testing.T, uri string, sentinel error, words ...string) {
	t.Helper()
	h, err := host.Dial(within(t, time.Minute), config(uri))
	if err == nil {
		_ = h.Close()
		t.Fatalf("%s: reached", uri)
	}
	if !errors.Is(err, sentinel) {
		t.Errorf("%s: %v is not %q", uri, err, sentinel)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", uri, err, w)
		}
	}
	if !strings.HasPrefix(err.Error(), "alpha: ") {
		t.Errorf("%q does not begin with the host's name", err)
	}
}
