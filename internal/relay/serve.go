package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// How long a relay waits for what a living controller does at once.
const (
	settingsLimit = 60 * time.Second
	// controlSilence is how long a controller may say nothing; it says something every AliveInterval.
	controlSilence = 30 * time.Second
	// AliveInterval is how often the controller shows that it lives.
	AliveInterval = 5 * time.Second
	// orphanIdle is how long a detached relay without a controller keeps waiting for QEMU's first
	// connection, and orphanLinger for another one after the last has ended: the daemons' own is open all the
	// time.
	orphanIdle   = 60 * time.Second
	orphanLinger = 200 * time.Millisecond
	memoryLimit  = 100 << 20
)

// Serve is the life of a relay process: in and out are its control channel. It returns when the migration
// is over, or the controller is gone and nothing is left to be carried.
func Serve(in io.Reader, out io.Writer) error {
	// A controller that is gone must not end what is detached from it.
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP)
	unix.CloseOnExec(3) // the file this was started from, see host.Program
	if err := harden(); err != nil {
		return err
	}
	debug.SetMemoryLimit(memoryLimit)
	standBack()
	commands := readCommands(in)
	tell, flush := teller(out)
	defer flush()
	uid, gid := os.Getuid(), os.Getgid()
	tell(event{Event: eventHello, Version: protocolVersion, UID: &uid, GID: &gid})
	settings, err := firstSettings(commands)
	switch {
	case err != nil:
	case settings.Make && uid != 0:
		err = errors.New("only root can make the directory")
	case settings.Make:
		err = supervise(settings, commands, tell)
	default:
		runtime.GOMAXPROCS(settings.processors(runtime.NumCPU()))
		err = serve(settings, above{}, commands, tell)
	}
	if err != nil {
		tell(event{Event: eventFailed, Text: err.Error()})
	}
	return err
}

// readCommands reads lines until the control channel ends, which closes what it returns.
func readCommands(in io.Reader) <-chan command {
	commands := make(chan command)
	go func() {
		defer close(commands)
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 4<<10), 64<<10)
		for lines.Scan() {
			c, err := parseCommand(lines.Bytes())
			if err != nil {
				return
			}
			commands <- c
		}
	}()
	return commands
}

func parseCommand(line []byte) (command, error) {
	var c command
	if err := json.Unmarshal(line, &c); err != nil {
		return command{}, err
	}
	if (c.Command == commandSettings) != (c.Settings != nil) {
		return command{}, errors.New("settings come with the command of that name")
	}
	return c, nil
}

// teller writes events in a goroutine of its own: a controller that does not read holds nothing up.
func teller(out io.Writer) (tell func(event), flush func()) {
	events := make(chan event, 256)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e := json.NewEncoder(out)
		for ev := range events {
			_ = e.Encode(ev) // nobody may be there any more
		}
	}()
	tell = func(ev event) {
		select {
		case events <- ev:
		default:
		}
	}
	return tell, func() {
		close(events)
		select {
		case <-done:
		case <-time.After(2 * time.Second):
		}
	}
}

func firstSettings(commands <-chan command) (Settings, error) {
	for {
		select {
		case c, ok := <-commands:
			switch {
			case !ok:
				return Settings{}, errors.New("the controller went away")
			case c.Command == commandAlive:
				continue
			case c.Settings == nil:
				return Settings{}, fmt.Errorf("command %q before the settings", c.Command)
			}
			if err := c.Settings.check(); err != nil {
				return Settings{}, fmt.Errorf("the settings are wrong: %w", err)
			}
			return *c.Settings, nil
		case <-time.After(settingsLimit):
			return Settings{}, errors.New("no settings came")
		}
	}
}

// role is what the two kinds of relay do differently.
type role interface {
	connect(ctx context.Context, c command) error
	finish()
}

type sourceRole struct{ *source }

func (s sourceRole) connect(ctx context.Context, c command) error {
	return s.source.connect(ctx, c.Address, c.Pin)
}

type destinationRole struct{ *destination }

func (d destinationRole) connect(ctx context.Context, c command) error {
	d.destination.connect(ctx, c.Pin)
	return nil
}

// above is what a relay has from a supervisor; nil for none.
type above struct {
	supervisor *net.UnixConn // for giveRoom
	daemon     *net.UnixConn // libvirtd, which takes root at its word
}

// serve is the relay proper, whoever started it.
func serve(settings Settings, has above, commands <-chan command, tell func(event)) error {
	if err := letIn(settings.Directory, os.Getuid(), settings.QEMUUID, settings.Role); err != nil {
		return err
	}
	r, err := newRelay(settings, tell)
	if err != nil {
		return err
	}
	r.supervisor = has.supervisor
	ctx, cancel := context.WithCancelCause(context.Background())
	var end role
	ready := event{Event: eventReady, Pin: r.identity.pin, Directory: settings.Directory}
	if settings.Role == Source {
		end = sourceRole{&source{relay: r}}
	} else {
		d := &destination{relay: r, daemon: has.daemon}
		if ready.Port, err = d.listen(ctx); err != nil {
			cancel(err)
			return err
		}
		end = destinationRole{d}
	}
	defer func() {
		cancel(errFinished)
		end.finish()
		r.running.Wait()
		for _, path := range socketFiles(settings) {
			_ = os.Remove(path) // what QEMU did not remove
		}
	}()
	tell(ready)
	return r.obey(ctx, end, commands)
}

// obey does what the controller says, until it says finish or there is no reason to go on.
func (r *relay) obey(ctx context.Context, end role, commands <-chan command) error {
	orphan := time.NewTicker(100 * time.Millisecond)
	defer orphan.Stop()
	heard, busy := time.Now(), time.Now()
	orphaned, connected := false, false
	for {
		select {
		case c, ok := <-commands:
			heard = time.Now()
			switch {
			case !ok, c.Command == commandOrphaned:
				if !r.settings.Detached {
					return nil
				}
				if orphaned = true; !ok {
					commands = nil
				}
			case c.Command == commandConnect && !connected:
				connected = true
				if err := end.connect(ctx, c); err != nil {
					return err
				}
			case c.Command == commandPaused:
				r.patience.pause(time.Now())
			case c.Command == commandFigures:
				r.tell(event{Event: eventFigures, Figures: r.read()})
			case c.Command == commandFinish:
				r.tell(event{Event: eventFigures, Figures: r.read()})
				return nil
			}
		case now := <-orphan.C:
			if r.open.Load() > 0 {
				busy = now
			}
			idle := orphanIdle
			if r.everOpen.Load() {
				idle = orphanLinger
			}
			switch {
			case orphaned && now.Sub(busy) > idle:
				return nil
			case !orphaned && now.Sub(heard) > controlSilence:
				if !r.settings.Detached {
					return errors.New("the controller fell silent")
				}
				orphaned = true
			}
		}
	}
}
