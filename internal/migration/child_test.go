package migration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// childRequest is the environment variable that makes the test binary a controller to be killed.
const childRequest = "VIRTMIGRATE_TEST_CHILD"

// childOrder is what a child is to do. It reports each step and call on standard output, and at the
// one named by Stop it stands still until it is killed or told to go on.
type childOrder struct {
	Hosts   map[string]HostConfig
	Guest   string
	Host    string
	Options Options
	// Stop is "before CALL", "after CALL" (begin, prepare, perform, finish, confirm) or a step.
	Stop string
}

func childMain() {
	var order childOrder
	if err := json.Unmarshal([]byte(os.Getenv(childRequest)), &order); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := NewFleet(Config{Hosts: order.Hosts})
	if err != nil {
		panic(err)
	}
	input := bufio.NewScanner(os.Stdin)
	report := func(point string) {
		fmt.Println(point)
		if point != order.Stop {
			return
		}
		if strings.HasPrefix(point, "before") || strings.HasPrefix(point, "after") {
			input.Scan() // the goroutine that drives the migration stands still
		}
	}
	for _, m := range f.members {
		dial := m.dial
		m.dial = func(ctx context.Context) (daemon, error) {
			d, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return tappedDaemon{d, report}, nil
		}
	}
	go func() {
		for input.Scan() {
			if input.Text() == "cancel" {
				cancel()
			}
		}
	}()
	if strings.HasPrefix(order.Stop, "before") || strings.HasPrefix(order.Stop, "after") {
		input = bufio.NewScanner(neverEnding{})
	}
	var last Step
	_, err = f.Migrate(ctx, Request{Guest: GuestRef{Name: order.Guest}, Host: order.Host, Options: order.Options, Watch: func(p Progress) {
		if p.Step != last {
			last = p.Step
			report("step " + string(p.Step))
		}
	}})
	fmt.Println("end", err)
	os.Exit(0)
}

type neverEnding struct{}

func (neverEnding) Read([]byte) (int, error) { select {} }

// tappedDaemon reports the calls of a migration as they begin and end.
type tappedDaemon struct {
	daemon
	report func(string)
}

func (d tappedDaemon) Session(ctx context.Context) (session, error) {
	s, err := d.daemon.Session(ctx)
	if err != nil {
		return nil, err
	}
	return tappedSession{s, d.report}, nil
}

func (d tappedDaemon) Define(ctx context.Context, xml string) error {
	d.report("before define")
	defer d.report("after define")
	return d.daemon.Define(ctx, xml)
}

func (d tappedDaemon) Undefine(ctx context.Context, uuid string) error {
	d.report("before undefine")
	defer d.report("after undefine")
	return d.daemon.Undefine(ctx, uuid)
}

type tappedSession struct {
	session
	report func(string)
}

func (s tappedSession) tap(call string) func() {
	s.report("before " + call)
	return func() { s.report("after " + call) }
}

func (s tappedSession) Begin(ctx context.Context, dom host.DomainID, p host.Params, f host.Flags) ([]byte, string, error) {
	defer s.tap("begin")()
	return s.session.Begin(ctx, dom, p, f)
}

func (s tappedSession) Prepare(ctx context.Context, p host.Params, c []byte, f host.Flags) ([]byte, string, error) {
	defer s.tap("prepare")()
	return s.session.Prepare(ctx, p, c, f)
}

func (s tappedSession) Perform(ctx context.Context, dom host.DomainID, p host.Params, c []byte, f host.Flags) ([]byte, error) {
	defer s.tap("perform")()
	return s.session.Perform(ctx, dom, p, c, f)
}

func (s tappedSession) PerformPeerToPeer(ctx context.Context, dom host.DomainID, peer string, p host.Params, f host.Flags) error {
	defer s.tap("perform")()
	return s.session.PerformPeerToPeer(ctx, dom, peer, p, f)
}

func (s tappedSession) Finish(ctx context.Context, p host.Params, c []byte, f host.Flags, cancelled bool) (host.DomainID, []byte, error) {
	defer s.tap("finish")()
	return s.session.Finish(ctx, p, c, f, cancelled)
}

func (s tappedSession) Confirm(ctx context.Context, dom host.DomainID, p host.Params, c []byte, f host.Flags, cancelled bool) error {
	defer s.tap("confirm")()
	return s.session.Confirm(ctx, dom, p, c, f, cancelled)
}

// child is a running controller process.
type child struct {
	cmd   *exec.Cmd
	lines chan string
}

func startChild(t *testing.T, order childOrder) *child {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0]), lines: make(chan string, 256)}
	// a user and a machine of its own, of which nothing is left for whoever comes next
	home := t.TempDir()
	c.cmd.Env = append(os.Environ(), childRequest+"="+string(text), "HOME="+home, "XDG_STATE_HOME="+home, "XDG_RUNTIME_DIR="+home)
	c.cmd.Stderr = t.Output()
	// keep standard input open: a child that stands still must not see its end
	if _, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			c.lines <- in.Text()
		}
	}()
	t.Cleanup(func() { c.kill() })
	return c
}

// await returns when the child reported the point, and fails when it ended without.
func (c *child) await(t *testing.T, point string) {
	t.Helper()
	deadline := time.After(time.Minute)
	var seen []string
	for {
		select {
		case line, open := <-c.lines:
			if !open {
				t.Fatalf("the controller ended without reaching %q: %q", point, seen)
			}
			if seen = append(seen, line); line == point {
				return
			}
		case <-deadline:
			t.Fatalf("the controller did not reach %q: %q", point, seen)
		}
	}
}

// end waits for the child and returns its last line.
func (c *child) end() string {
	last := ""
	for line := range c.lines {
		last = line
	}
	_ = c.cmd.Wait()
	return last
}

// kill kills the child with SIGKILL, and returns once it is dead.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	for range c.lines {
	}
	_ = c.cmd.Wait()
}
