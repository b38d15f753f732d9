package labtest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TheRelay is the name of a relay among processes: its host runs it through the very descriptor whose hash it checked.
const TheRelay = "3"

// Bystander is another user's view of all processes of this machine and of the lab's hosts, many times a second.
type Bystander struct {
	stop func()
	mu   sync.Mutex
	seen map[string]bool // names of programs, as they were called
	told map[string]bool
}

// Watch looks at arguments and environments until Saw is called. What inherited is found in the environment of a process
// of this machine is the user's own doing: it was there before.
func (s Secrets) Watch(t testing.TB, inherited ...string) *Bystander {
	t.Helper()
	b := &Bystander{seen: map[string]bool{}, told: map[string]bool{}}
	here, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	needles, done := s.needles(), make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			processes, _ := filepath.Glob("/proc/[0-9]*")
			for _, p := range processes {
				arguments, _ := os.ReadFile(p + "/cmdline")
				environment, _ := os.ReadFile(p + "/environ")
				if len(arguments) == 0 {
					continue // it has gone, or is the kernel's
				}
				program, _, _ := strings.Cut(string(arguments), "\x00")
				space, _ := os.Readlink(p + "/ns/pid")
				b.note(filepath.Base(program), search(needles, arguments), search(needles, environment), space == here, inherited)
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	b.stop = sync.OnceFunc(func() { close(done); looking.Wait() })
	t.Cleanup(b.stop)
	return b
}

// Saw ends the watch and lists the secrets that showed. All programs named must have been seen; "sh with a password" is
// one that inherited that.
func (b *Bystander) Saw(t testing.TB, programs ...string) []string {
	t.Helper()
	b.stop()
	for _, program := range programs {
		if !b.seen[program] {
			t.Errorf("no process %q was seen among %q: the test proves nothing", program, slices.Sorted(maps.Keys(b.seen)))
		}
	}
	return slices.Sorted(maps.Keys(b.told))
}

func (b *Bystander) note(program string, arguments, environment []string, here bool, inherited []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[program] = true
	for _, name := range arguments {
		b.told[program+" has "+name+" among its arguments"] = true
	}
	for _, name := range environment {
		if here && slices.Contains(inherited, name) {
			b.seen[program+" with "+name] = true
			continue
		}
		b.told[program+" has "+name+" in its environment"] = true
	}
}

// Await waits until a program is seen, as Saw names it.
func (b *Bystander) Await(t testing.TB, program string) {
	t.Helper()
	for ctx := Context(t, 30*time.Second); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		there := b.seen[program]
		b.mu.Unlock()
		if there {
			return
		}
	}
	t.Fatalf("no process %q was seen", program)
}
