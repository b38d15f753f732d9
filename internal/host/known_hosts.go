package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skeema/knownhosts"
)

// knownKeys are the host keys of known_hosts files.
type knownKeys struct {
	*knownhosts.HostKeyDB
	// skipped are the lines that could not be read, as people look for them.
	skipped []string
	// good counts the lines that could, where others could not.
	good int
	// files gives the true names of files that were read from copies.
	files map[string]string
}

// readKnownHosts takes a line that cannot be read as one that is not there, as OpenSSH does: it may be damaged, or of a
// kind of key that this program does not know yet, and it says nothing about the other hosts. Files of which no line
// can be read are taken for something else, and are an error.
func readKnownHosts(files []string) (knownKeys, error) {
	db, err := knownhosts.NewDB(files...)
	if err == nil {
		return knownKeys{HostKeyDB: db}, nil
	}
	// The library reads files alone, and gives up at the first such line. It gets copies without them.
	dir, failure := os.MkdirTemp("", "virtmigrate-known-hosts-")
	if failure != nil {
		return knownKeys{}, failure
	}
	defer os.RemoveAll(dir)
	k := knownKeys{files: map[string]string{}}
	var copies []string
	for i, file := range files {
		readable, err := k.readable(file, filepath.Join(dir, "line"))
		if err != nil {
			return knownKeys{}, err
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, readable, 0o600); err != nil {
			return knownKeys{}, err
		}
		k.files[path] = file
		copies = append(copies, path)
	}
	if k.good == 0 {
		return knownKeys{}, err
	}
	k.HostKeyDB, err = knownhosts.NewDB(copies...)
	return k, err
}

// readable is what a file has, with empty lines in the place of those that cannot be read. The library judges each by
// itself, in the file scratch.
func (k *knownKeys) readable(file, scratch string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if len(line) == 0 || line[0] == '#' && len(line) < longestLine {
			continue
		}
		if err := os.WriteFile(scratch, line, 0o600); err != nil {
			return nil, err
		}
		if _, err := knownhosts.NewDB(scratch); err != nil {
			k.skipped = append(k.skipped, fmt.Sprintf("%s line %d", file, i+1))
			lines[i] = nil
			continue
		}
		k.good++
	}
	return bytes.Join(lines, []byte("\n")), nil
}

// longestLine is beyond what the library reads, in comments, too.
const longestLine = 64 << 10

// file is the name of the file that has a line.
func (k *knownKeys) file(read string) string {
	if name, ok := k.files[read]; ok {
		return name
	}
	return read
}
