package fakelibvirt

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// World is hosts that reach one another, and the disks of their guests, which all hosts share.
type World struct {
	// Gate holds what is about to happen until it returns, and says how it goes on; nil lets everything happen. It is
	// called from many goroutines, without any lock.
	Gate func(*Step) Verdict

	// mu guards all that every daemon has. Nobody waits while holding it.
	mu      sync.Mutex
	changed chan struct{} // closed when anything changes, and made anew
	daemons map[string]*Daemon
	disks   map[string]*disk // by the guest's UUID
	wrong   []string
	// byItself are violations that libvirt commits when it drives a migration: nobody who uses it can prevent them.
	byItself []string
	driving  bool
	// severed are the clients that are dead.
	severed map[string]bool
}

// disk is what all copies of one guest write to.
type disk struct{ version int }

// Step is something that is about to happen.
type Step struct {
	// Client names who asked, empty for what a daemon does by itself.
	Client string
	// Host is the daemon's name.
	Host string
	// Name is that of libvirt's procedure, or of the daemon's own act.
	Name string
	// Procedure is libvirt's number, 0 for a daemon's own act.
	Procedure uint32
	// Changes says that it changes something: all others are questions.
	Changes bool
	// Gone is closed when the connection of the request ends, and Cut ends it; nil of a daemon's own act.
	Gone <-chan struct{}
	Cut  func()
}

func (s *Step) String() string {
	if s.Client == "" {
		return fmt.Sprintf("%s: %s", s.Host, s.Name)
	}
	return fmt.Sprintf("%s asks %s: %s", s.Client, s.Host, s.Name)
}

// Verdict is how a step goes on.
type Verdict int

const (
	// Deliver lets it happen.
	Deliver Verdict = iota
	// Lose lets it never happen: the request is never answered. Of a daemon's own act: it fails.
	Lose
	// LoseReply lets it happen, and its answer never arrives.
	LoseReply
)

// NewWorld makes hosts of the given names.
func NewWorld(names ...string) *World {
	w := &World{
		changed: make(chan struct{}), daemons: map[string]*Daemon{}, disks: map[string]*disk{}, severed: map[string]bool{},
	}
	for i, name := range names {
		w.daemons[name] = &Daemon{
			world: w, name: name, uuid: fmt.Sprintf("10ab0000-0000-4000-8000-%012d", i+1),
			domains: map[string]*domain{}, pools: map[string]*pool{}, clients: map[*client]struct{}{}, broken: map[string]bool{},
		}
	}
	return w
}

// Host is the daemon of that name.
func (w *World) Host(name string) *Daemon { return w.daemons[name] }

// Violations are what must never happen and did, in words.
func (w *World) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// ByItself are violations that libvirt committed in a peer-to-peer migration, without any other's doing.
func (w *World) ByItself() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.byItself)
}

// violation needs w.mu.
func (w *World) violation(format string, args ...any) {
	if w.driving {
		w.byItself = append(w.byItself, fmt.Sprintf(format, args...))
		return
	}
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// change needs w.mu. It wakes all that wait for something to change.
func (w *World) change() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until the condition holds, for at most limit, and says whether it does. It needs w.mu, and gives it away
// while it waits.
func (w *World) await(limit time.Duration, gone <-chan struct{}, holds func() bool) bool {
	late := time.After(limit)
	for !holds() {
		changed := w.changed
		w.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-gone:
			over = true
		case <-late:
			over = true
		}
		w.mu.Lock()
		if over {
			return holds()
		}
	}
	return true
}

// gate passes a step, without w.mu. Time passes for everything that runs.
func (w *World) gate(s *Step) Verdict {
	v := Deliver
	if w.Gate != nil {
		v = w.Gate(s)
	}
	w.mu.Lock()
	w.tick()
	w.mu.Unlock()
	return v
}

// own passes a daemon's own act. It is called with w.mu, and gives it away meanwhile.
func (w *World) own(d *Daemon, name string, takes time.Duration) Verdict {
	w.mu.Unlock()
	if w.Gate == nil {
		time.Sleep(takes)
	}
	v := w.gate(&Step{Host: d.name, Name: name, Changes: true})
	w.mu.Lock()
	return v
}

// ownUnless is own for what something may break off, which shows at once where nobody holds the steps.
func (w *World) ownUnless(d *Daemon, name string, takes time.Duration, broken func() bool) {
	if w.Gate != nil {
		w.own(d, name, takes)
		return
	}
	w.await(takes, nil, broken)
	w.tick()
}

// tick lets every guest that runs write to its disk. It needs w.mu.
func (w *World) tick() {
	for _, d := range w.daemons {
		for _, dom := range d.domains {
			if dom.live != nil && dom.live.runs() {
				w.disks[dom.uuid].version++
				dom.live.memory = w.disks[dom.uuid].version
			}
		}
	}
}

// Sever cuts all of a client's connections, and lets it make no others: its process is dead.
func (w *World) Sever(name string) {
	w.mu.Lock()
	w.severed[name] = true
	w.mu.Unlock()
	for _, d := range w.daemons {
		d.Cut(name)
	}
}

// Cut ends all of a client's connections to this host. It may make others.
func (d *Daemon) Cut(name string) {
	d.world.mu.Lock()
	var list []*client
	for c := range d.clients {
		if c.name == name {
			list = append(list, c)
		}
	}
	d.world.mu.Unlock()
	for _, c := range list {
		_ = c.conn.Close()
	}
}
