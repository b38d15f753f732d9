// Package labtest gives a test package one lab for all its tests. Starting a lab takes a second
// or two, so a lab is started when the first test asks for it; guests are what tests have of
// their own.
package labtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

var shared struct {
	sync.Once
	name string
	lab  *lab.Lab
	err  error
}

// number tells guests of tests with the same beginning of a name apart.
var number atomic.Int32

// Main runs a package's tests and takes their lab down afterwards. The name must be that
// package's own, for packages' tests may run at the same time: 1 to 11 lower-case letters and
// digits.
//
//	func TestMain(m *testing.M) { labtest.Main(m, "engine") }
func Main(m *testing.M, name string) { os.Exit(Run(m, name)) }

// Run is Main for packages with more to tidy up: it returns the exit code. VIRTMIGRATE_LAB names another lab, so that
// one package can be tested twice at a time.
func Run(m *testing.M, name string) int {
	shared.name = cmp.Or(os.Getenv("VIRTMIGRATE_LAB"), name)
	code := m.Run()
	if shared.lab != nil {
		if err := shared.lab.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "take the lab down:", err)
			code = 1
		}
	}
	return code
}

// RunApart is Run for packages that start controllers: all of them, the killed ones too, share a state of their own.
func RunApart(m *testing.M, name string) int {
	state, err := os.MkdirTemp("", "virtmigrate-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(state) }()
	for _, variable := range []string{"XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		if err := os.Setenv(variable, state); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return Run(m, name)
}

// Lab returns the package's lab. Where there can be none (not root on Linux) the test is skipped.
func Lab(t testing.TB) *lab.Lab {
	t.Helper()
	if os.Getenv("VIRTMIGRATE_NO_LAB") != "" {
		t.Skip("VIRTMIGRATE_NO_LAB is set")
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root: it makes namespaces, mounts and network interfaces")
	}
	if shared.name == "" {
		t.Fatal("call labtest.Main from TestMain first")
	}
	shared.Do(func() {
		// The first lab of a machine may have to install packages and to fetch a kernel.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		shared.lab, shared.err = lab.Start(ctx, lab.Config{Name: shared.name, Log: printer{}})
	})
	if shared.err != nil {
		t.Fatalf("start the lab: %v", shared.err)
	}
	return shared.lab
}

// Guest starts a guest that is removed when the test ends. Without a name it gets the test's.
func Guest(t testing.TB, config lab.GuestConfig) *lab.Guest {
	t.Helper()
	l := Lab(t)
	if config.Name == "" {
		config.Name = strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
		config.Name = fmt.Sprintf("%s-%d", config.Name[:min(len(config.Name), 30)], number.Add(1))
	}
	g, err := l.StartGuest(Context(t, 2*time.Minute), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			for _, h := range l.Hosts {
				state, _ := h.Virsh(ctx, "domstate", "--reason", g.Name)
				t.Logf("at the end, guest %s on %s: %s", g.Name, h.Name, strings.TrimSpace(state))
				if log, err := os.ReadFile(h.Path("/var/log/libvirt/qemu/" + g.Name + ".log")); err == nil {
					t.Logf("its QEMU there said: %s", log[max(0, len(log)-800):])
				}
			}
		}
		if err := g.Remove(ctx); err != nil {
			t.Errorf("remove guest %q: %v", g.Name, err)
		}
	})
	return g
}

// Runs says whether the guest runs on exactly the named host, never restarted and unharmed, as virsh and
// the guest's own heartbeat tell.
func Runs(ctx context.Context, l *lab.Lab, g *lab.Guest, on string) error {
	return runs(ctx, l, g, on, "")
}

// RunsBeside is Runs while other hosts may keep a definition of the guest, as after a controller that was killed.
func RunsBeside(ctx context.Context, l *lab.Lab, g *lab.Guest, on string) error {
	return runs(ctx, l, g, on, "shut off")
}

func runs(ctx context.Context, l *lab.Lab, g *lab.Guest, on, allowed string) error {
	for _, h := range l.Hosts {
		want := ""
		if h.Name == on {
			want = "running"
		}
		if state, err := h.DomainState(ctx, g.Name); err != nil || state != want && (h.Name == on || state != allowed) {
			return fmt.Errorf("virsh says that guest %s is %q on %s (%v), want %q", g.Name, state, h.Name, err, want)
		}
	}
	if err := g.Check(ctx); err != nil {
		return fmt.Errorf("the guest is not unharmed: %w", err)
	}
	if health, err := g.Health(ctx, time.Time{}); err != nil || health.Host != on {
		return fmt.Errorf("the guest beats on %q (%v), want %s", health.Host, err, on)
	}
	return nil
}

// MustRun asserts that the guest runs on exactly the named host, unharmed.
func MustRun(t testing.TB, g *lab.Guest, on string) {
	t.Helper()
	if err := Runs(Context(t, 30*time.Second), Lab(t), g, on); err != nil {
		t.Error(err)
	}
}

// SkipIfQEMUAborted ends a test that broke a migration off when QEMU itself died of that: QEMU 7.2 can abort
// on an assertion (yank_unregister_instance) when the other end of a migration over TLS on parallel
// connections goes away. The guest is lost then, whoever drives, and the test has nothing left to judge.
func SkipIfQEMUAborted(t testing.TB, g *lab.Guest) {
	t.Helper()
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if said := QEMUAborted(Lab(t), g); strings.Contains(said, "yank_unregister_instance") {
			t.Skip("QEMU aborted, and took the guest with it: " + said)
		}
	}
}

// QEMUAborted is the assertion on which one of the guest's QEMUs died, in the words of its log; "" for none.
func QEMUAborted(l *lab.Lab, g *lab.Guest) string {
	for _, h := range l.Hosts {
		log, err := os.ReadFile(h.Path("/var/log/libvirt/qemu/" + g.Name + ".log"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, ": Assertion `") {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// Context bounds what a test does on the lab.
func Context(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

type printer struct{}

func (printer) Info(msg string, args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"lab:", msg}, args...)...)
}
func (printer) Warn(msg string, args ...any) { printer{}.Info("warning: "+msg, args...) }
