package host

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// A login's shell may be any, and may print before it runs what it is given: a start file that greets, a message of the
// day. So every command is a text for sh, which first prints a line that nobody else can: all before it is passed over.

// mostNoise bounds what is passed over.
const mostNoise = 64 << 10

// errNoise: so much was printed, and nothing of ours.
var errNoise = errors.New("too much output before the command")

// started is a shell that runs one text of ours.
type started struct {
	in  io.WriteCloser
	out *bufio.Reader
	// complaint is what it wrote to standard error; wait waits for its end.
	complaint *words
	wait      func() error
	kill      func()
	marker    string
}

// marked makes a command of a text that has neither ' nor !, so that any login shell passes it on as it is. sh puts
// the marker together: what merely repeats the command does not print it.
func marked(text string) (command, marker string) {
	random := rand.Text()
	first, second := random[:len(random)/2], random[len(random)/2:]
	announce := "echo $m-" + second
	return "sh -c 'm=" + first + "; " + announce + "; " + announce + " >&2; " + text + "'", first + "-" + second
}

// begin returns when sh has begun. Else the error says what ran in its place.
func (s *started) begin() error {
	said, err := skipTo(s.out, s.marker)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoise):
		s.kill()
		return fmt.Errorf("%w: the login printed more than %d KiB before our command, beginning with %q; "+
			"let its shell's start files print nothing without a terminal",
			ErrCannotRun, mostNoise>>10, terminal.Line(string(said)))
	}
	status, ended := s.status()
	text := terminal.Line(string(said))
	if text == "" {
		text = s.complaint.String()
	}
	if !ended {
		return fmt.Errorf("%w: the login did not start our command, and said %q", ErrCannotRun, text)
	}
	return fmt.Errorf("%w: the login runs something else in place of our command: it said %q and ended with status %d. "+
		"The login's shell may be nologin or false, or authorized_keys or sshd_config may force a command; "+
		"use a login that has a shell", ErrCannotRun, text, status)
}

// skipTo reads up to a line that ends in marker. On the way there may be one without an end of its own before it.
func skipTo(in *bufio.Reader, marker string) (said []byte, err error) {
	const mostSaid = 200
	var line []byte
	for read := 0; read < mostNoise; {
		piece, err := in.ReadSlice('\n')
		read += len(piece)
		line = append(line, piece...)
		if err == nil {
			if bytes.HasSuffix(bytes.TrimRight(line, "\r\n"), []byte(marker)) {
				return nil, nil
			}
			line = line[:0]
		}
		said = append(said, piece[:min(len(piece), mostSaid-len(said))]...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return said, err
		}
	}
	return said, errNoise
}

// firstWord is the first line that a text of ours prints.
func (s *started) firstWord() (string, error) {
	if err := s.begin(); err != nil {
		return "", err
	}
	line, err := s.out.ReadSlice('\n')
	return string(bytes.TrimSpace(line)), err
}

// status waits a little for the end; what was complained of has then come, too.
func (s *started) status() (code int, ended bool) {
	end := make(chan error, 1)
	go func() { end <- s.wait() }()
	select {
	case err := <-end:
		var far *ssh.ExitError
		var here *exec.ExitError
		switch {
		case err == nil:
			return 0, true
		case errors.As(err, &far) && far.Signal() == "":
			return far.ExitStatus(), true
		case errors.As(err, &here):
			return here.ExitCode(), true
		}
	case <-time.After(time.Second):
	}
	return 0, false
}

// start runs a text of ours through the host's SSH server.
func (p *sshPath) start(text string) (*started, error) {
	session, err := p.last.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command, marker := marked(text)
	complaint := &words{after: marker + "\n"}
	session.Stderr = complaint
	if err := session.Start(command); err != nil {
		return nil, fmt.Errorf("%w: the SSH server starts no programs: %w", ErrCannotRun, err)
	}
	return &started{in: in, out: bufio.NewReader(out), complaint: complaint, marker: marker,
		wait: sync.OnceValue(session.Wait), kill: func() { _ = session.Close() }}, nil
}

// startLocal runs a text of ours on this machine, away from this process's terminal.
func startLocal(text string) (*started, error) {
	command, marker := marked(text)
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	complaint := &words{after: marker + "\n"}
	cmd.Stderr = complaint
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	wait := sync.OnceValue(cmd.Wait)
	return &started{in: in, out: bufio.NewReader(out), complaint: complaint, marker: marker, wait: wait, kill: func() {
		_ = in.Close()
		go func() { _ = wait() }() // it ends by itself when its input does
	}}, nil
}

// words keeps the first part of a text.
type words struct {
	// after: once this has been written, what stands before it is forgotten
	after string

	mu   sync.Mutex
	tail []byte // of what was written, where after could have begun
	text []byte
}

func (w *words) Write(p []byte) (int, error) {
	const most = 2000
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	if w.after != "" {
		w.tail = append(w.tail, p...)
		if _, behind, found := bytes.Cut(w.tail, []byte(w.after)); found {
			p, w.text, w.tail, w.after = behind, nil, nil, ""
		} else if beyond := len(w.tail) - len(w.after); beyond > 0 {
			w.tail = append([]byte(nil), w.tail[beyond:]...)
		}
	}
	w.text = append(w.text, p[:min(len(p), most-len(w.text))]...)
	return n, nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return terminal.Line(string(w.text))
}
