package sshconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Bounds on what one evaluation reads. OpenSSH has the same depth; nobody's configuration comes near the others.
const (
	mostDepth  = 16
	mostOpened = 1000
	mostBytes  = 4 << 20
)

// source is a file of the user's or of the machine's configuration.
type source struct {
	path string
	user bool
	// never: it is included where nothing counts. It may still ask for a second pass.
	never bool
	depth int
}

// read applies one file. A file that does not exist says nothing.
func (e *evaluation) read(from source) error {
	if from.depth > mostDepth {
		return fmt.Errorf("%s is included more than %d deep, or in a circle", from.path, mostDepth)
	}
	text, err := e.load(from.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := block{evaluation: e, source: from, active: !from.never}
	for line := range strings.Lines(text) {
		b.line++
		if err := b.apply(line); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) load(path string) (string, error) {
	if e.opened++; e.opened > mostOpened {
		return "", fmt.Errorf("%s: the configuration includes more than %d files", path, mostOpened)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(mostBytes-e.bytes)+1))
	if err != nil {
		return "", err
	}
	if e.bytes += len(text); e.bytes > mostBytes {
		return "", fmt.Errorf("%s: the configuration has more than %d bytes", path, mostBytes)
	}
	return string(text), nil
}

// block is where in a file the evaluation is.
type block struct {
	*evaluation
	source
	line int
	// active: the Host or Match line above lets this one count.
	active bool
}

func (b *block) wrong(format string, args ...any) error {
	return fmt.Errorf("%s line %d: %w", b.path, b.line, fmt.Errorf(format, args...))
}

// apply evaluates one line.
func (b *block) apply(line string) error {
	keyword, rest := cutKeyword(line)
	switch keyword {
	case "", "#":
		return nil
	case "host", "match":
		args, err := split(rest)
		switch {
		case err != nil:
		case len(args) == 0:
			err = errors.New("it has no patterns")
		case keyword == "host":
			b.active = hostMatches(args, b.host)
		default:
			b.active, err = b.matches(args)
		}
		b.active = b.active && !b.never
		if err != nil {
			return b.wrong("%s: %w", keyword, err)
		}
		return nil
	case "include":
		return b.include(rest)
	}
	if !b.active {
		return nil
	}
	if err := b.assign(keyword, rest); err != nil {
		return b.wrong("%s: %w", keyword, err)
	}
	return nil
}

// include applies the files that the patterns name, in the order of their names. A block that begins in them ends
// with them.
func (b *block) include(rest string) error {
	patterns, err := split(rest)
	if err == nil && len(patterns) == 0 {
		err = errors.New("it names no file")
	}
	if err != nil {
		return b.wrong("include: %w", err)
	}
	for _, pattern := range patterns {
		switch home, isHome := strings.CutPrefix(pattern, "~/"); {
		case isHome && !b.user:
			return b.wrong("include: %s: the machine's configuration has no home folder", pattern)
		case isHome:
			pattern = filepath.Join(b.files.Home, home)
		case !filepath.IsAbs(pattern) && b.user:
			pattern = filepath.Join(b.files.Home, ".ssh", pattern)
		case !filepath.IsAbs(pattern):
			pattern = filepath.Join(b.files.SystemDir, pattern)
		}
		paths, err := filepath.Glob(pattern) // sorted
		if err != nil {
			return b.wrong("include: %s: %w", pattern, err)
		}
		for _, path := range paths {
			if err := b.read(source{path: path, user: b.user, never: !b.active, depth: b.depth + 1}); err != nil {
				return err
			}
		}
	}
	return nil
}
