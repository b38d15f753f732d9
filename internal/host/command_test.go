package host

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestTheMarkerIsNotInItsCommand(t *testing.T) {
	command, marker := marked("true")
	if strings.Contains(command, marker) {
		t.Errorf("%s is in %s: a shell that repeats the command would be taken for one that runs it", marker, command)
	}
	if _, other := marked("true"); other == marker {
		t.Errorf("two markers are %s", marker)
	}
}

func TestWhatIsPrintedBeforeTheMarkerIsPassedOver(t *testing.T) {
	const marker = "M-M"
	for name, c := range map[string]struct {
		out, rest string
		err       error
	}{
		"nothing":                        {"M-M\nhave\n", "have\n", nil},
		"lines":                          {"hello\nworld\nM-M\nhave\n", "have\n", nil},
		"a line without an end":          {"hello, world: M-M\nhave\n", "have\n", nil},
		"the marker within a line":       {"echo M-M now\nM-M\nhave\n", "have\n", nil},
		"a line longer than the buffer":  {strings.Repeat("x", 5000) + "\nM-M\nhave\n", "have\n", nil},
		"a marker across buffers":        {strings.Repeat("x", 4094) + "M-M\nhave\n", "have\n", nil},
		"as much as there may be":        {strings.Repeat("x", mostNoise-8) + "\nM-M\nhave\n", "have\n", nil},
		"more than that":                 {strings.Repeat("x", mostNoise) + "\nM-M\nhave\n", "", errNoise},
		"more than that, without an end": {strings.Repeat("x", 10*mostNoise), "", errNoise},
		"no marker":                      {"not available\n", "", io.EOF},
		"half a marker":                  {"M-", "", io.EOF},
		"a marker without an end":        {"M-M", "", io.EOF},
		"bytes":                          {"\x00\xff\r\nM-M\n\x00\x01", "\x00\x01", nil},
	} {
		for how, in := range map[string]io.Reader{
			"at once": strings.NewReader(c.out), "by the byte": iotest.OneByteReader(strings.NewReader(c.out)),
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				out := bufio.NewReader(in)
				said, err := skipTo(out, marker)
				if !errors.Is(err, c.err) || len(said) > 200 {
					t.Fatalf("%v, said %d bytes", err, len(said))
				}
				if rest, _ := io.ReadAll(out); err == nil && string(rest) != c.rest {
					t.Errorf("%q follows, not %q", rest, c.rest)
				}
			})
		}
	}
}

// FuzzSkipTo: a shell that does not print the marker is never taken for one that runs our text.
func FuzzSkipTo(f *testing.F) {
	f.Add([]byte("motd\nM-M\n"), uint8(1))
	f.Add([]byte("M-M"), uint8(7))
	f.Fuzz(func(t *testing.T, out []byte, step uint8) {
		_, err := skipTo(bufio.NewReaderSize(bytes.NewReader(out), 16+int(step)), "M-M")
		if err == nil && !bytes.Contains(out, []byte("M-M")) {
			t.Errorf("taken for begun: %q", out)
		}
	})
}

func TestComplaintsBeforeTheMarkerAreForgotten(t *testing.T) {
	for _, step := range []int{1, 2, 7, 5000} {
		w := &words{after: "M-M\n"}
		text := strings.Repeat("start file: no such command\n", 100) + "M-M\nsh: it is not there\n"
		for len(text) > 0 {
			n := min(step, len(text))
			if written, err := w.Write([]byte(text[:n])); written != n || err != nil {
				t.Fatal(written, err)
			}
			text = text[n:]
		}
		if got := w.String(); got != "sh: it is not there" {
			t.Errorf("in steps of %d: %q", step, got)
		}
	}
	w := &words{after: "M-M\n"}
	fmt.Fprint(w, "no such shell\n")
	if got := w.String(); got != "no such shell" {
		t.Errorf("without a marker: %q", got)
	}
}

// echo is a program that answers one line.
var echo = []byte("#!/bin/sh\nread line\necho $1 $line\n")

func echoProgram(image []byte) Program {
	return Program{Name: "echo", Argument: "serve", SHA256: fmt.Sprintf("%x", sha256.Sum256(image)),
		Image: func() ([]byte, error) { return image, nil }}
}

func TestAProgramIsBroughtOnceAndRuns(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	p := echoProgram(echo)
	asked := 0
	p.Image = func() ([]byte, error) { asked++; return echo, nil }
	for range 2 {
		process, err := p.run(t.Context(), startLocal)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(process, "hello")
		if out, err := io.ReadAll(process); string(out) != "serve hello\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
		if err := process.Close(); err != nil {
			t.Error(err)
		}
	}
	if asked != 1 {
		t.Errorf("brought %d times", asked)
	}
}

// TestAnotherSystemIsNamed puts another answer to uname before the machine's.
func TestAnotherSystemIsNamed(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "uname"), []byte("#!/bin/sh\necho Darwin\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	p := echoProgram(echo)
	p.Image = func() ([]byte, error) { t.Error("brought to another system"); return echo, nil }
	_, err := p.run(context.Background(), startLocal)
	if !errors.Is(err, ErrCannotRun) || !strings.Contains(err.Error(), "the host runs Darwin") {
		t.Error(err)
	}
}
