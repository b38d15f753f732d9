package relay

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// said is a relay that says its lines and ends.
type said struct{ io.Reader }

func (said) Write(p []byte) (int, error) { return len(p), nil }
func (said) Close() error                { return nil }

// FuzzEventLines: whatever a relay says, the controller comes to an end with it, and keeps little of it, and none of
// its words commands a terminal.
func FuzzEventLines(f *testing.F) {
	f.Add([]byte("{\"event\":\"hello\",\"pin\":\"x\"}\n{\"event\":\"ready\",\"port\":1}\n{\"event\":\"ready\"}\n"))
	f.Add([]byte("{\"event\":\"figures\"}\nnonsense\n"))
	f.Add([]byte(strings.Repeat("{\"event\":\"figures\"}\n", 9) + "{\"event\":\"remark\",\"text\":\"\\u202e\"}\n"))
	f.Add([]byte("{\"event\":\"failed\",\"text\":\"\\u001b[2J\\u009bH\xff\"}\n"))
	f.Add([]byte("{\"event\":\"connected\",\"cipher\":\"\\u001b\"}\n"))
	f.Add([]byte(strings.Repeat("{\"event\":\"failed\",\"text\":\"again\"}\n", 500)))
	f.Add(bytes.Repeat([]byte("x"), 65<<10))
	f.Fuzz(func(t *testing.T, lines []byte) {
		var words []string
		r := Attach("alpha", said{bytes.NewReader(lines)}, func(text string) { words = append(words, text) })
		<-r.ended
		defer r.Close()
		if failures, remarks := r.Failures(), r.Remarks(); len(failures) > mostSaid || len(remarks) > mostSaid {
			t.Errorf("kept %d failures and %d remarks", len(failures), len(remarks))
		}
		words = slices.Concat(words, r.Failures(), r.Remarks())
		if _, _, err := r.Hello(t.Context()); err != nil {
			words = append(words, err.Error())
		}
		protocol, cipher, _ := r.Connect(t.Context(), "10.0.0.2:49215", "")
		words = append(words, protocol, cipher)
		if _, err := r.Finish(t.Context()); err != nil {
			words = append(words, err.Error())
		}
		for _, w := range words {
			if strings.ContainsFunc(w, func(c rune) bool { return unicode.Is(unicode.C, c) }) || !utf8.ValidString(w) {
				t.Errorf("%+q would reach a terminal", w)
			}
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
