package host

import (
	"errors"
	"fmt"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// ErrUntrusted marks a far side that answered and could not prove who it is: an unknown or changed host
// key, a certificate of another name or authority. Trying again does not help.
var ErrUntrusted = errors.New("host is not trusted")

// ErrDenied marks a host that answered, is who it should be, and does not let us in.
var ErrDenied = errors.New("access denied")

// ErrNoLogin marks a connection that gives no login to the host: the daemon can be asked, the host's files
// cannot be looked at.
var ErrNoLogin = errors.New("the connection gives no login to the host")

// ErrNoVolume marks the answer of a daemon that it knows no such storage volume.
var ErrNoVolume = errors.New("no such storage volume")

// ErrVolumeExists marks a volume that was not created because something of its name is there.
var ErrVolumeExists = errors.New("a volume of that name is there")

// ErrClosed marks a call on a Host or Session that its owner has closed.
var ErrClosed = errors.New("connection is closed")

// The codes of libvirt's errors that decisions are made on.
const (
	CodeInternal           uint32 = 1
	CodeNotSupported       uint32 = 3
	CodeInvalidArgument    uint32 = 8
	CodeOperationFailed    uint32 = 9
	CodeXML                uint32 = 27
	CodeSystem             uint32 = 38
	CodeNoDomain           uint32 = 42
	CodeAuthFailed         uint32 = 45
	CodeNoPool             uint32 = 49
	CodeNoVolume           uint32 = 50
	CodeOperationInvalid   uint32 = 55
	CodeNoInterface        uint32 = 57
	CodeTimeout            uint32 = 68
	CodeArgUnsupported     uint32 = 74
	CodeAborted            uint32 = 78
	CodeAuthCancelled      uint32 = 79
	CodeAuthUnavailable    uint32 = 94
	CodeNoDomainMetadata   uint32 = 80
	CodeMigrateUnsafe      uint32 = 81
	CodeUnsupported        uint32 = 84
	CodeAccessDenied       uint32 = 88
	CodeMigrateFinishOK    uint32 = 93
	CodeCPUIncompatible    uint32 = 91
	CodeResourceBusy       uint32 = 87
	CodeVolumeExists       uint32 = 90
	CodeAgentUnresponsive  uint32 = 86
	CodeConfigUnsupported  uint32 = 67
	CodeNoDomainCheckpoint uint32 = 103
)

// Error is a call that a host did not carry out.
type Error struct {
	// Host is the user's name of the host.
	Host string
	// Call says in words what was asked.
	Call string
	// Code and Message are libvirt's; Code is 0 when the error is not the daemon's answer.
	Code    uint32
	Message string
	// Err is the cause: ErrUnreachable, ErrNoDomain, a context's error and the like.
	Err error
	// errno comes with CodeSystem.
	errno int
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Host)
	if e.Call != "" {
		b.WriteString(": ")
		b.WriteString(e.Call)
	}
	switch {
	case e.Message != "" && e.Code != 0:
		fmt.Fprintf(&b, ": %s (libvirt error %d)", e.Message, e.Code)
	case e.Message != "":
		b.WriteString(": ")
		b.WriteString(e.Message)
	case e.Err != nil:
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Code is the number of libvirt's error within err, 0 when there is none.
func Code(err error) uint32 {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var l libvirt.Error
	if errors.As(err, &l) {
		return l.Code
	}
	return 0
}

// explain turns what a call gave into an *Error that keeps libvirt's code.
func explain(host, call string, err error) error {
	if err == nil {
		return nil
	}
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	var l libvirt.Error
	switch {
	case errors.As(err, &l):
		words := terminal.Line(l.Message)
		return &Error{Host: host, Call: call, Code: l.Code, Message: words, Err: meaning(l.Code, words)}
	case errors.Is(err, libvirt.ErrUnsupported):
		return &Error{Host: host, Call: call, Code: CodeNotSupported,
			Message: "the daemon is too old for this call"}
	}
	return &Error{Host: host, Call: call, Err: err}
}

// unanswered is an error of a call whose outcome is unknown. cause may be nil.
func unanswered(host, call, why string, cause error) error {
	err := ErrUnreachable
	if cause != nil {
		err = fmt.Errorf("%w: %w", ErrUnreachable, cause)
	}
	return &Error{Host: host, Call: call, Message: why, Err: err}
}
