package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// Remote is a relay process as its controller sees it. It is safe for concurrent use.
type Remote struct {
	name    string
	process io.ReadWriteCloser
	note    func(text string)

	writing sync.Mutex
	hello   chan event
	ready   chan event
	joined  chan event
	figures chan Figures
	ended   chan struct{} // closed when the process says nothing more
	paused  chan struct{} // holds a token when the guest has stopped
	stop    chan struct{}
	once    sync.Once
	owned   sync.WaitGroup

	mu       sync.Mutex
	failures []string
	remarks  []string
	end      error
}

// Attach takes over the control channel of a relay that was started on the host of that name. note, when not
// nil, hears what is worth a line in a log.
func Attach(name string, process io.ReadWriteCloser, note func(text string)) *Remote {
	if note == nil {
		note = func(string) {}
	}
	r := &Remote{
		name: name, process: process, note: note, ended: make(chan struct{}), stop: make(chan struct{}),
		hello: make(chan event, 1), ready: make(chan event, 1), joined: make(chan event, 1),
		figures: make(chan Figures, 8), paused: make(chan struct{}, 1),
	}
	r.owned.Go(r.listen)
	r.owned.Go(r.keepAlive)
	return r
}

func (r *Remote) listen() {
	defer close(r.ended)
	lines := bufio.NewScanner(r.process)
	lines.Buffer(make([]byte, 0, 4<<10), 64<<10)
	for lines.Scan() {
		ev, err := parseEvent(lines.Bytes())
		if err != nil {
			r.setEnd(err)
			return
		}
		r.take(ev)
	}
	err := lines.Err()
	if err == nil {
		err = errors.New("it ended")
	}
	r.setEnd(err)
}

func parseEvent(line []byte) (event, error) {
	var ev event
	if err := json.Unmarshal(line, &ev); err != nil {
		return event{}, fmt.Errorf("it said something else than a relay does: %q", line[:min(len(line), 200)])
	}
	return ev, nil
}

// mostSaid is how many failures, and how many remarks, of a relay are kept: whoever has taken it over may say more, but
// not fill this machine's memory.
const mostSaid = 64

func keep(said []string, text string) []string {
	if len(said) == mostSaid {
		return said
	}
	return append(said, text)
}

// take hears what a relay says. Whoever has taken it over may say anything, and its words end on somebody's terminal.
func (r *Remote) take(ev event) {
	for _, words := range []*string{&ev.Text, &ev.Pin, &ev.Directory, &ev.Protocol, &ev.Cipher} {
		*words = terminal.Line(*words)
	}
	put := func(c chan event) {
		select {
		case c <- ev:
		default: // said twice
		}
	}
	switch ev.Event {
	case eventHello:
		put(r.hello)
	case eventReady:
		put(r.ready)
	case eventConnected:
		put(r.joined)
	case eventNote:
		r.note(ev.Text)
	case eventFailed:
		r.note(ev.Text)
		r.mu.Lock()
		r.failures = keep(r.failures, ev.Text)
		r.mu.Unlock()
	case eventRemark:
		r.note(ev.Text)
		r.mu.Lock()
		r.remarks = keep(r.remarks, ev.Text)
		r.mu.Unlock()
	case eventFigures:
		if ev.Figures == nil {
			return // it has not said any
		}
		select {
		case r.figures <- *ev.Figures:
		default:
		}
	}
}

func (r *Remote) setEnd(err error) {
	r.mu.Lock()
	r.end = err
	r.mu.Unlock()
}

// keepAlive shows the relay that its controller lives, and passes on what cannot wait for an answer.
func (r *Remote) keepAlive() {
	tick := time.NewTicker(AliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.paused:
			_ = r.say(command{Command: commandPaused}) // the next sign of life finds what is wrong
		case <-tick.C:
			if r.say(command{Command: commandAlive}) != nil {
				return
			}
		case <-r.stop:
			return
		case <-r.ended:
			return
		}
	}
}

func (r *Remote) say(c command) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return json.NewEncoder(r.process).Encode(c)
}

// why is the best reason there is for the relay's silence.
func (r *Remote) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) > 0 {
		return fmt.Errorf("relay on %s: %s", r.name, strings.Join(r.failures, "; "))
	}
	return fmt.Errorf("relay on %s: %w", r.name, r.end)
}

func (r *Remote) await(ctx context.Context, c <-chan event, what string) (event, error) {
	select {
	case ev := <-c:
		return ev, nil
	default:
	}
	select {
	case ev := <-c:
		return ev, nil
	case <-r.ended:
		return event{}, r.why()
	case <-ctx.Done():
		return event{}, fmt.Errorf("relay on %s: %s: %w", r.name, what, context.Cause(ctx))
	}
}

// Hello waits until the relay runs, and says as which user and group of its host.
func (r *Remote) Hello(ctx context.Context) (uid, gid int, err error) {
	ev, err := r.await(ctx, r.hello, "wait for its first word")
	if err != nil {
		return 0, 0, err
	}
	if ev.Version != protocolVersion || ev.UID == nil || ev.GID == nil {
		return 0, 0, fmt.Errorf("relay on %s: it speaks version %d, and this program version %d; use the relay that came with this program", r.name, ev.Version, protocolVersion)
	}
	return *ev.UID, *ev.GID, nil
}

// Ready is what a configured relay has.
type Ready struct {
	Pin  string
	Port int // destination
	// Directory is where its sockets are.
	Directory string
}

// Configure makes the relay ready for its peer.
func (r *Remote) Configure(ctx context.Context, s Settings) (Ready, error) {
	if err := s.check(); err != nil {
		return Ready{}, fmt.Errorf("relay on %s: %w", r.name, err)
	}
	if err := r.say(command{Command: commandSettings, Settings: &s}); err != nil {
		return Ready{}, r.gone(err)
	}
	ev, err := r.await(ctx, r.ready, "wait until it is ready")
	return Ready{ev.Pin, ev.Port, ev.Directory}, err
}

// Accept tells a destination's relay its peer.
func (r *Remote) Accept(pin string) error {
	if err := r.say(command{Command: commandConnect, Pin: pin}); err != nil {
		return r.gone(err)
	}
	return nil
}

// Connect makes a source's relay reach its peer and take QEMU's connections. It says what was negotiated.
func (r *Remote) Connect(ctx context.Context, address, pin string) (protocol, cipher string, err error) {
	if err := r.say(command{Command: commandConnect, Pin: pin, Address: address}); err != nil {
		return "", "", r.gone(err)
	}
	ev, err := r.await(ctx, r.joined, "wait for its connection to the other one")
	return ev.Protocol, ev.Cipher, err
}

// gone prefers the relay's own words to those of the connection.
func (r *Remote) gone(err error) error {
	select {
	case <-r.ended:
		return r.why()
	case <-time.After(time.Second):
		return fmt.Errorf("relay on %s: %w", r.name, err)
	}
}

// Paused says that the guest stands still. It does not wait.
func (r *Remote) Paused() {
	select {
	case r.paused <- struct{}{}:
	default:
	}
}

// Failures are what went wrong so far, in the relay's words.
func (r *Remote) Failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := append([]string{}, r.failures...)
	if r.end != nil && len(list) == 0 {
		list = append(list, r.end.Error())
	}
	return list
}

// Remarks are what explains a failure of the migration in which no relay failed.
func (r *Remote) Remarks() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.remarks...)
}

// Ended is closed when the relay has ended, or its control channel has.
func (r *Remote) Ended() <-chan struct{} { return r.ended }

// Finish ends the relay and gives what it counted. The relay has removed what it made when this returns
// without an error.
func (r *Remote) Finish(ctx context.Context) (Figures, error) {
	if err := r.say(command{Command: commandFinish}); err != nil {
		return Figures{}, r.gone(err)
	}
	var last Figures
	for {
		select {
		case last = <-r.figures:
			continue
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-r.ended:
		}
		break
	}
	select {
	case last = <-r.figures:
	default:
	}
	if last.PeakMemoryBytes == 0 {
		return last, r.why()
	}
	return last, nil
}

// Close ends the control channel, and with it a relay that is not detached.
func (r *Remote) Close() error {
	r.once.Do(func() { close(r.stop) })
	err := r.process.Close()
	r.owned.Wait()
	return err
}
