package relay

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// said is a relay that says its lines and ends.
type said struct{ io.Reader }

func (said) Write(p []byte) (int, error) { return len(p), nil }
func (said) Close() error                { return nil }

// FuzzEventLines: whatever a relay says, the controller comes to an end with it, and keeps little of it.
func FuzzEventLines(f *testing.F) {
	f.Add([]byte("{\"event\":\"hello\",\"pin\":\"x\"}\n{\"event\":\"ready\",\"port\":1}\n{\"event\":\"ready\"}\n"))
	f.Add([]byte("{\"event\":\"figures\"}\nnonsense\n"))
	f.Add([]byte(strings.Repeat("{\"event\":\"failed\",\"text\":\"again\"}\n", 500)))
	f.Add(bytes.Repeat([]byte("x"), 65<<10))
	f.Fuzz(func(t *testing.T, lines []byte) {
		r := Attach("alpha", said{bytes.NewReader(lines)}, nil)
		<-r.ended
		defer r.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.failures) > mostSaid || len(r.remarks) > mostSaid {
			t.Errorf("kept %d failures and %d remarks", len(r.failures), len(r.remarks))
		}
	})
}

// FuzzCommandLines: whatever comes by the control channel, the relay comes to its end.
func FuzzCommandLines(f *testing.F) {
	f.Add([]byte("{\"command\":\"settings\",\"settings\":{\"role\":\"source\"}}\n{\"command\":\"finish\"}\n"))
	f.Add([]byte("{\"command\":\"settings\"}\n"))
	f.Add(bytes.Repeat([]byte("{"), 65<<10))
	f.Fuzz(func(t *testing.T, lines []byte) {
		for c := range readCommands(bytes.NewReader(lines)) {
			if (c.Command == commandSettings) != (c.Settings != nil) {
				t.Errorf("took %+v", c)
			}
		}
	})
}
