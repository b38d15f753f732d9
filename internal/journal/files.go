package journal

import (
	"encoding/xml"
	"fmt"
	"path"
	"strings"
	"time"
)

// FileKind says when a file of a move is to be deleted.
type FileKind string

// The kinds of files.
const (
	// Probe: an empty file that shows whether a folder is shared. It is of no use to anybody, ever.
	Probe FileKind = "probe"
	// Made: an image for the copy of a disk. It is of no use once it is proved that the guest never ran on it.
	Made FileKind = "made"
	// Old: the source's image of a disk that was copied. It goes once the guest runs on the copy.
	Old FileKind = "old"
)

// File is one file on the host that keeps the record.
type File struct {
	Path string
	Kind FileKind
}

// Files is the record of what one attempt made or gives up on one host. It lives in a definition of its own, since the
// guest's own definition there may go, or be overwritten, before the files have.
type Files struct {
	Attempt string
	// Guest is the UUID of the guest that moves.
	Guest      string
	From, To   Daemon
	Controller string
	Since      time.Time
	List       []File
}

// FilesPrefix begins the names of the definitions that hold [Files].
const FilesPrefix = "virtmigrate-files-"

// Bounds of a record of files.
const (
	maxFiles     = 512
	maxPath      = 4096
	maxFilesText = 512 << 10
)

type filesXML struct {
	XMLName    xml.Name  `xml:"files"`
	Attempt    string    `xml:"attempt,attr"`
	Guest      string    `xml:"guest,attr"`
	FromUUID   string    `xml:"from-uuid,attr"`
	FromName   string    `xml:"from-hostname,attr"`
	ToUUID     string    `xml:"to-uuid,attr"`
	ToName     string    `xml:"to-hostname,attr"`
	Controller string    `xml:"controller,attr"`
	Since      string    `xml:"since,attr"`
	List       []fileXML `xml:"file"`
}

type fileXML struct {
	Kind FileKind `xml:"kind,attr"`
	Path string   `xml:"path,attr"`
}

// Encode writes the record as the element that libvirt is given.
func (f Files) Encode() (string, error) {
	if err := f.check(); err != nil {
		return "", err
	}
	x := filesXML{
		Attempt: f.Attempt, Guest: f.Guest, FromUUID: f.From.UUID, FromName: f.From.Hostname, ToUUID: f.To.UUID, ToName: f.To.Hostname,
		Controller: f.Controller, Since: f.Since.UTC().Format(time.RFC3339),
	}
	for _, file := range f.List {
		x.List = append(x.List, fileXML{file.Kind, file.Path})
	}
	return encode(x)
}

// ParseFiles reads a record as libvirt's metadata call gives it. Anything else is an error.
func ParseFiles(text string) (Files, error) {
	if len(text) > maxFilesText {
		return Files{}, fmt.Errorf("%w: %d bytes", errRecord, len(text))
	}
	var x filesXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return Files{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	since, err := time.Parse(time.RFC3339, x.Since)
	if err != nil {
		return Files{}, fmt.Errorf("%w: since: %w", errRecord, err)
	}
	f := Files{
		Attempt: x.Attempt, Guest: x.Guest, From: Daemon{x.FromUUID, x.FromName}, To: Daemon{x.ToUUID, x.ToName},
		Controller: x.Controller, Since: since,
	}
	for _, file := range x.List {
		f.List = append(f.List, File{file.Path, file.Kind})
	}
	return f, f.check()
}

func (f Files) check() error {
	if !isUUID(f.Attempt) || !isUUID(f.Guest) || !isUUID(f.From.UUID) || !isUUID(f.To.UUID) {
		return fmt.Errorf("%w: an identity is not a UUID", errRecord)
	}
	if len(f.List) > maxFiles {
		return fmt.Errorf("%w: %d files", errRecord, len(f.List))
	}
	for _, text := range []string{f.From.Hostname, f.To.Hostname, f.Controller} {
		if err := plain(text, maxText); err != nil {
			return err
		}
	}
	for _, file := range f.List {
		if err := file.check(); err != nil {
			return err
		}
	}
	return nil
}

// check takes clean absolute paths alone, so that a path means one file.
func (f File) check() error {
	switch f.Kind {
	case Probe, Made, Old:
	default:
		return fmt.Errorf("%w: kind of file %q", errRecord, f.Kind)
	}
	if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || strings.HasSuffix(f.Path, "/") {
		return fmt.Errorf("%w: %q is not a clean absolute path", errRecord, f.Path)
	}
	return plain(f.Path, maxPath)
}
