package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

// orderVariable makes the test binary a controller: a process that makes one move and can be killed.
const orderVariable = "VIRTMIGRATE_FAULTS_CONTROLLER"

// order is what a controller is to do.
type order struct {
	Hosts          map[string]migration.HostConfig
	Guest          string
	To             string
	Options        migration.Options
	TimeoutSeconds int
}

// report is one line that a controller writes: a step, figures, or its end.
type report struct {
	Step      migration.Step
	Processed uint64
	End       *ending `json:",omitempty"`
}

// ending is what became of a move, as the controller tells it.
type ending struct {
	Moved    bool
	Host     string // where it says that the guest is
	Error    string
	Person   bool
	Warnings []string
}

// words are the outcome for a person.
func (e ending) words() string {
	switch {
	case e.Error != "":
		return e.Error
	case e.Moved:
		return strings.Join(append([]string{"moved to " + e.Host}, e.Warnings...), "; ")
	}
	return "was there: " + e.Host
}

// controllerMain makes the move. It ends as the faces do: SIGINT cancels, and a line "time-out" on standard input is
// the deadline of the caller.
func controllerMain() {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(orderVariable)), &o); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, timeOut := context.WithCancelCause(ctx)
	go func() {
		if in := bufio.NewScanner(os.Stdin); in.Scan() {
			timeOut(context.DeadlineExceeded)
		}
	}()
	out := json.NewEncoder(os.Stdout)
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	fleet, err := migration.NewFleet(migration.Config{Hosts: o.Hosts, Log: log})
	if err != nil {
		panic(err)
	}
	value := func(n *uint64) uint64 {
		if n == nil {
			return 0
		}
		return *n
	}
	var mu sync.Mutex
	tell := func(r report) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(r) // nobody listens any more
	}
	got, err := fleet.Migrate(ctx, migration.Request{
		Guest: migration.GuestRef{Name: o.Guest}, Host: o.To, Options: o.Options, Timeout: time.Duration(o.TimeoutSeconds) * time.Second,
		Watch: func(p migration.Progress) {
			tell(report{Step: p.Step, Processed: value(p.MemoryProcessedBytes)})
		},
	})
	_ = fleet.Close()
	end := end(got, err)
	tell(report{End: &end})
	os.Exit(0)
}

func end(o migration.Outcome, err error) ending {
	e := ending{Moved: o.Moved, Host: o.Host, Warnings: o.Warnings}
	if err != nil {
		e.Error, e.Person = err.Error(), errors.Is(err, migration.ErrNeedsPerson)
		var known *migration.Error
		if errors.As(err, &known) {
			e.Host = known.Host
		}
	}
	return e
}

// controller is a running one.
type controller struct {
	cmd     *exec.Cmd
	stdin   interface{ Write([]byte) (int, error) }
	reports chan report
}

func startController(t *testing.T, o order) *controller {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{cmd: exec.Command(os.Args[0]), reports: make(chan report, 4096)}
	c.cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	c.cmd.Stderr = t.Output()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C on the tests is not one on it
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.reports)
		for in := bufio.NewScanner(out); in.Scan(); {
			var r report
			if json.Unmarshal(in.Bytes(), &r) == nil {
				c.reports <- r
			}
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// until returns at the first report that fits; false when the controller ended before, with its end.
func (c *controller) until(fits func(report) bool) (bool, *ending) {
	for r := range c.reports {
		if r.End != nil {
			return false, r.End
		}
		if fits(r) {
			return true, nil
		}
	}
	return false, nil
}

// end waits for the controller's end, which is nil if it was killed.
func (c *controller) end() *ending {
	_, e := c.until(func(report) bool { return false })
	for range c.reports {
	}
	_ = c.cmd.Wait()
	return e
}

func (c *controller) kill() {
	_ = c.cmd.Process.Kill()
	for range c.reports {
	}
	_ = c.cmd.Wait()
}

func (c *controller) signal(s os.Signal) error { return c.cmd.Process.Signal(s) }
