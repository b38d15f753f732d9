// Package mistakes is one table of wrong inputs, which the tests of both faces go through as a user would meet them:
// the real terraform on a configuration, and the module's program on a file of options. So a mistake that only one
// face refuses, or that one explains and the other does not, is found. Nothing but tests imports this package.
package mistakes

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Mistake is a good input with something wrong in it.
type Mistake struct {
	What string
	// Given is laid over [Good]: values by their path, "hosts/beta/uri". A nil takes away what is there.
	Given map[string]any
	// Words must be in what either face says.
	Words
	// Terraform, when not nil, are its words instead: those of its own checks of types and ranges, which come before
	// ours, or of another name that it has for the option.
	Terraform *Words
	// Secret must not be in what either face says.
	Secret string
}

// Words are what a good error has: the option that is wrong, the value that it has (if it may be told), and what would
// be right.
type Words struct{ Option, Value, Hint string }

// Missing lists the words that a text has not.
func (w Words) Missing(text string) []string {
	var missing []string
	text = strings.ToLower(text) // Terraform begins its sentences with capitals
	for _, word := range []string{w.Option, w.Value, w.Hint} {
		if !strings.Contains(text, strings.ToLower(word)) {
			missing = append(missing, word)
		}
	}
	return missing
}

// InTerraform are the words to look for in what Terraform says.
func (m Mistake) InTerraform() Words {
	if m.Terraform != nil {
		return *m.Terraform
	}
	return m.Words
}

// Input is what a user writes: the options of the Ansible module, under their names.
type Input map[string]any

// All is the table.
func All() []Mistake {
	var all []Mistake
	for _, part := range [][]Mistake{guests, options, together, disks, uris, hosts} {
		all = append(all, part...)
	}
	return all
}

// Good is an input with which nothing is wrong but that nobody answers at the door.
func Good(d *Door) Input {
	host := func() map[string]any {
		return map[string]any{"uri": "qemu+tcp://" + d.address + "/system", "migration_address": "127.0.0.1"}
	}
	return Input{"hosts": map[string]any{"alpha": host(), "beta": host()}, "name": "web", "host": "beta"}
}

// Input is the good one with the mistake in it.
func (m Mistake) Input(d *Door) Input {
	in := Good(d)
	for path, value := range m.Given {
		at, names := map[string]any(in), strings.Split(path, "/")
		for _, name := range names[:len(names)-1] {
			inner, there := at[name].(map[string]any)
			if !there {
				inner = map[string]any{}
				at[name] = inner
			}
			at = inner
		}
		if last := names[len(names)-1]; value == nil {
			delete(at, last)
		} else {
			at[last] = d.here(value)
		}
	}
	return in
}

// Door is a port at which hosts are said to be, and which counts who comes.
type Door struct {
	address string
	came    atomic.Int64
}

// NewDoor opens a door until the test ends. It shuts it in the face of everybody.
func NewDoor(t testing.TB) *Door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := &Door{address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.came.Add(1)
			_ = c.Close()
		}
	}()
	return d
}

// Came says how many connections there were.
func (d *Door) Came() int64 { return d.came.Load() }

// door stands in the table for the address of a [Door].
const door = "DOOR"

func (d *Door) here(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, door, d.address)
	case map[string]any:
		v = maps.Clone(v)
		for key := range v {
			v[key] = d.here(v[key])
		}
		return v
	}
	return value
}

// outOfRange is a number that an option cannot have.
func outOfRange(path string, value any, least, most int64) Mistake {
	option := path[strings.LastIndex(path, "/")+1:]
	return Mistake{What: fmt.Sprintf("%s of %v", option, value), Given: map[string]any{path: value}, Words: Words{option, fmt.Sprint(value), fmt.Sprintf("%d to %d", least, most)}}
}

// noneOf is a word that is none of an option's.
func noneOf(option, value, one string) Mistake {
	return Mistake{What: option + " of an unknown kind", Given: map[string]any{"migration/" + option: value}, Words: Words{option, fmt.Sprintf("%q", value), fmt.Sprintf("%q", one)}}
}
