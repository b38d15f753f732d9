package host

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// What libvirt says is for people, and in the language of its daemon. So what is decided on is its code, a number that
// comes with the words (errno), a name of ours among them, or another question; its words only where nothing else
// tells, and then in addition.

// ErrEarlierJob marks a migration that libvirt refuses because it has not ended the one before.
var ErrEarlierJob = errors.New("libvirt has not ended an earlier migration of the guest")

// errPoolBusy marks a call that a storage pool refuses while the daemon makes or copies a volume in it.
var errPoolBusy = errors.New("the daemon still makes or copies a volume in the storage pool")

// sayings are libvirt's words, in the language of its source, where one code stands for much.
var sayings = []struct {
	code uint32
	says string
	is   error
}{
	{CodeOperationInvalid, "another migration job is already running", ErrEarlierJob},
	{CodeInternal, "has asynchronous jobs running", errPoolBusy},
}

// meaning is the error that a daemon's code and words stand for; nil for none that matters.
func meaning(code uint32, message string) error {
	switch code {
	case CodeNoDomain:
		return ErrNoDomain
	case CodeNoVolume:
		return ErrNoVolume
	case CodeVolumeExists:
		return ErrVolumeExists
	case CodeAccessDenied, CodeAuthFailed, CodeAuthCancelled, CodeAuthUnavailable:
		return ErrDenied
	}
	for _, s := range sayings {
		if s.code == code && strings.Contains(message, s.says) {
			return s.is
		}
	}
	return nil
}

// poolIsBusy says whether a pool refuses a call for the time being. In another language than English it is an internal
// error in which the pool is named, of which libvirt has no other.
func poolIsBusy(err error, pool string) bool {
	var e *Error
	if errors.Is(err, errPoolBusy) {
		return true
	}
	return errors.As(err, &e) && e.Code == CodeInternal && pool != "" && strings.Contains(e.Message, pool)
}

// earlier marks the refusal of a migration that has not begun while the domain has another, which only an answer to
// that question can tell in another language than English.
func (s *Session) earlier(ctx context.Context, dom DomainID, err error) error {
	var e *Error
	if Code(err) != CodeOperationInvalid || errors.Is(err, ErrEarlierJob) || !errors.As(err, &e) {
		return err
	}
	if job, failure := s.host.Job(ctx, dom.UUID); failure != nil || job.Kind != JobMigrationOut {
		return err
	}
	marked := *e
	marked.Err = ErrEarlierJob
	return &marked
}

// Numbers of Linux, which libvirt's hosts run, whatever this machine does.
const (
	linuxENOENT       = 2
	linuxECONNREFUSED = 111
)

// NotConnected says whether a daemon, or what it started, was refused a connection. Other numbers may as well be those
// of a connection that broke later.
func NotConnected(err error) bool { return errnoOf(err) == linuxECONNREFUSED }

// notThere says whether a daemon did not find a file or directory.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) || errnoOf(err) == linuxENOENT }

// errnoOf is the number with which a call of the host's operating system failed; 0 where that was not it.
func errnoOf(err error) int {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeSystem {
		return e.errno
	}
	return 0
}

// systemError reads what go-libvirt does not of an error: the number in it (int1 of libvirt's remote_error).
func systemError(b []byte) (message string, errno int) {
	code, b, err := number(b)
	if err != nil || code != CodeSystem {
		return "", 0
	}
	said, err := layout("i").read(b)
	if err != nil {
		return "", 0
	}
	rest, err := layout("[s]").read(said)
	if err != nil || len(rest) == len(said)-4 { // no message
		return "", 0
	}
	length, text, _ := number(said[4:])
	rest, err = layout("i[sui][s][s][s]").read(rest)
	if err != nil {
		return "", 0
	}
	n, _, err := number(rest)
	if err != nil {
		return "", 0
	}
	return string(text[:length]), int(int32(n))
}
