package journal

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Namespace is that of every record within a domain's metadata, and Prefix its usual prefix. libvirt keeps one element
// of a namespace in each domain: https://libvirt.org/formatdomain.html#general-metadata
const (
	Namespace = "https://github.com/virtmigrate/terraform-provider-virtmigrate/xmlns/journal/1"
	Prefix    = "virtmigrate"
)

// Role says what a record is about where it was found.
type Role string

// The roles of a [Move].
const (
	// Leaving: the attempt moves the guest that carries this away from the host named by From. On another host it came
	// with the guest.
	Leaving Role = "leaving"
	// Awaited: this definition waits for the attempt's finish, which overwrites it.
	Awaited Role = "awaited"
	// Arrived: finish has answered, and the guest has run here.
	Arrived Role = "arrived"
)

// Daemon tells one libvirt daemon from another across controllers, whose keys of hosts may differ.
type Daemon struct {
	// UUID is the host's in libvirt's capabilities, Hostname libvirt's name of it.
	UUID, Hostname string
}

// Move is the record of one attempt to move one guest.
type Move struct {
	// Attempt is a random UUID.
	Attempt  string
	Role     Role
	From, To Daemon
	// ToBoot marks the running system of the destination when the attempt began; empty where there was no way to tell.
	ToBoot string
	// Stub: the definition that carries this was made for it.
	Stub bool
	// Replaced: the destination had a definition of the guest before.
	Replaced bool
	// Autostart: the guest is to start with its host, which libvirt does not carry over.
	Autostart bool
	// Transient: the guest has no definition on the source, and is to have none on the destination.
	Transient bool
	// DefinitionOnly: the guest is shut off, and only its definition moves.
	DefinitionOnly bool
	// Controller names the machine and process that drives, Since when it began, by its own clock.
	Controller string
	Since      time.Time
}

// errRecord marks text that is no record of ours.
var errRecord = errors.New("not a record of a move")

// Bounds of a record, in bytes.
const (
	maxMove = 4 << 10
	maxText = 255
)

// moveXML is how a Move is written: attributes alone, so that libvirt's handling of namespaces has nothing to change.
type moveXML struct {
	XMLName    xml.Name `xml:"move"`
	Attempt    string   `xml:"attempt,attr"`
	Role       Role     `xml:"role,attr"`
	FromUUID   string   `xml:"from-uuid,attr"`
	FromName   string   `xml:"from-hostname,attr"`
	ToUUID     string   `xml:"to-uuid,attr"`
	ToName     string   `xml:"to-hostname,attr"`
	ToBoot     string   `xml:"to-boot,attr,omitempty"`
	Stub       string   `xml:"stub,attr,omitempty"`
	Replaced   string   `xml:"replaced,attr,omitempty"`
	Autostart  string   `xml:"autostart,attr,omitempty"`
	Transient  string   `xml:"transient,attr,omitempty"`
	Definition string   `xml:"definition-only,attr,omitempty"`
	Controller string   `xml:"controller,attr"`
	Since      string   `xml:"since,attr"`
}

// NewAttempt draws the name of an attempt.
func NewAttempt() string { return uuid.NewString() }

// Encode writes the record as the element that libvirt is given.
func (m Move) Encode() (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	return encode(moveXML{
		Attempt: m.Attempt, Role: m.Role, FromUUID: m.From.UUID, FromName: m.From.Hostname, ToUUID: m.To.UUID, ToName: m.To.Hostname,
		ToBoot: m.ToBoot, Stub: yes(m.Stub), Replaced: yes(m.Replaced), Autostart: yes(m.Autostart), Transient: yes(m.Transient),
		Definition: yes(m.DefinitionOnly), Controller: m.Controller, Since: m.Since.UTC().Format(time.RFC3339),
	})
}

func encode(v any) (string, error) {
	text, err := xml.Marshal(v)
	return string(text), err
}

// ParseMove reads a record as libvirt's metadata call gives it. Anything else is an error.
func ParseMove(text string) (Move, error) {
	if len(text) > maxMove {
		return Move{}, fmt.Errorf("%w: %d bytes", errRecord, len(text))
	}
	var x moveXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return Move{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return x.move()
}

func (x moveXML) move() (Move, error) {
	since, err := time.Parse(time.RFC3339, x.Since)
	if err != nil {
		return Move{}, fmt.Errorf("%w: since: %w", errRecord, err)
	}
	m := Move{
		Attempt: x.Attempt, Role: x.Role, From: Daemon{x.FromUUID, x.FromName}, To: Daemon{x.ToUUID, x.ToName}, ToBoot: x.ToBoot,
		Stub: x.Stub == "yes", Replaced: x.Replaced == "yes", Autostart: x.Autostart == "yes", Transient: x.Transient == "yes",
		DefinitionOnly: x.Definition == "yes", Controller: x.Controller, Since: since,
	}
	return m, m.check()
}

// check holds the bounds, in both directions.
func (m Move) check() error {
	if !isUUID(m.Attempt) || !isUUID(m.From.UUID) || !isUUID(m.To.UUID) {
		return fmt.Errorf("%w: an identity is not a UUID", errRecord)
	}
	switch m.Role {
	case Leaving, Awaited, Arrived:
	default:
		return fmt.Errorf("%w: role %q", errRecord, m.Role)
	}
	for _, text := range []string{m.From.Hostname, m.To.Hostname, m.ToBoot, m.Controller} {
		if err := plain(text, maxText); err != nil {
			return err
		}
	}
	return nil
}

// MoveIn finds the record within a domain's description; nil where there is none that is whole.
func MoveIn(description string) *Move {
	var x struct {
		Moves []moveXML `xml:"metadata>move"`
	}
	if err := xml.NewDecoder(strings.NewReader(description)).Decode(&x); err != nil {
		return nil
	}
	for _, found := range x.Moves {
		if found.XMLName.Space != Namespace {
			continue
		}
		if m, err := found.move(); err == nil {
			return &m
		}
	}
	return nil
}

// isUUID takes the canonical form alone.
func isUUID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == strings.ToLower(s)
}

// plain takes text of at most limit bytes that a terminal shows as it is.
func plain(text string, limit int) error {
	if len(text) > limit || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%w: a text of %d bytes is too long or not printable", errRecord, len(text))
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
