package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// Program is a program of ours that a host runs for us. It is brought once: into a folder of the login's own,
// under a name that holds its hash.
type Program struct {
	// Name is made of lower-case letters, Argument too.
	Name, Argument string
	// SHA256 is the image's hash in hexadecimal; Image is asked for it only when the host has it not.
	SHA256 string
	Image  func() ([]byte, error)
	// Installed is the absolute path of one that the host has already, which is then taken as it is.
	Installed string
}

// Process is a running program: reading and writing are its standard output and input. It does not end with
// the caller's terminal. Closing it closes its standard input and its connection.
type Process struct {
	io.Reader
	io.Writer
	end  func() error
	once sync.Once
}

// Close may be called again.
func (p *Process) Close() error {
	var err error
	p.once.Do(func() { err = p.end() })
	return err
}

// ErrCannotRun marks a login that does not let a program of ours run.
var ErrCannotRun = errors.New("cannot run a program there")

// CanRun says why no program can be run on this host; nil when nothing is known to speak against it. It
// reaches nothing but the daemon.
func (h *Host) CanRun(ctx context.Context) error {
	const what = "run a program"
	switch {
	case h.target.path == "/session":
		return &Error{Host: h.cfg.Name, Call: what, Err: fmt.Errorf("%w: the URI leads to a user's own daemon (session)", ErrCannotRun)}
	case h.target.conn == overSSH:
		return nil
	case h.target.conn == overUNIX:
		return h.isThisMachine(ctx)
	}
	return &Error{Host: h.cfg.Name, Call: what, Err: fmt.Errorf("%w: %s reaches only the daemon; a qemu+ssh URI would do", ErrNoLogin, h.target.conn)}
}

// DaemonSockets are where this host's daemon listens, the most likely first.
func (h *Host) DaemonSockets() []string { return h.target.sockets(systemSocketDir, "") }

// Run starts a program on the host, by the connection's own login, and brings it there first if need be.
// The caller closes it.
func (h *Host) Run(ctx context.Context, p Program) (*Process, error) {
	fail := func(err error) (*Process, error) {
		return nil, &Error{Host: h.cfg.Name, Call: "run " + p.Name, Err: err}
	}
	if err := h.CanRun(ctx); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	start := startLocal
	end := func() error { return nil }
	if h.target.conn == overSSH {
		way, err := h.target.logIn(ctx)
		if err != nil {
			return nil, dialError(ctx, h.cfg.Name, h.target, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = way.Close() })
		defer stop()
		go way.keepAlive()
		start, end = way.start, way.Close
	}
	process, err := p.run(ctx, start)
	if err != nil {
		_ = end()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return fail(err)
	}
	inner := process.end
	process.end = func() error { return errors.Join(inner(), end()) }
	return process, nil
}

func (p Program) check() error {
	lower := func(s string) bool { return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }
	hexadecimal := len(p.SHA256) == 64 && strings.Trim(p.SHA256, "0123456789abcdef") == ""
	if !lower(p.Name) || !lower(p.Argument) || p.Installed == "" && !hexadecimal {
		return fmt.Errorf("%w: %q, %q and %q cannot name a program", ErrCannotRun, p.Name, p.Argument, p.SHA256)
	}
	return CheckInstalled(p.Installed)
}

// CheckInstalled refuses a path that could mean more to a shell than a path.
func CheckInstalled(program string) error {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-"
	if program != "" && (!path.IsAbs(program) || strings.Trim(program, harmless) != "") {
		return fmt.Errorf("%q is not an absolute path of letters, digits and the signs . _ + -", program)
	}
	return nil
}

// sh gets one of three fixed texts, filled with nothing but the names and hashes checked above. They are one line
// without ' or !, as marked wants them.
//
// The file is hashed through the descriptor that is then executed: what runs is what was hashed.
const (
	runText = `s=$(uname -s); [ "$s" = Linux ] || { echo system $s; exit; }; ` +
		`cd || exit; d=.cache/virtmigrate; f=$d/NAME-HASH; set -- $(ls -ldn $d 2>/dev/null); ` +
		`case "$1" in drwx------|drwx------.) ;; *) echo need; exit;; esac; ` +
		`[ "$3" = "$(id -u)" ] && [ -r $f ] || { echo need; exit; }; ` +
		`exec 3<$f; s=$(sha256sum <&3) || exit; [ "${s%% *}" = HASH ] || { echo need; exit; }; ` +
		`echo have; exec /proc/self/fd/3 ARGUMENT`
	bringText = `cd && umask 077 && d=.cache/virtmigrate && mkdir -p $d && chmod 700 $d && cat >$d/new.$$ && ` +
		`chmod 755 $d/new.$$ && mv -f $d/new.$$ $d/NAME-HASH && echo have`
	installedText = `echo have; exec INSTALLED ARGUMENT`
)

func (p Program) fill(text string) string {
	return strings.NewReplacer("NAME", p.Name, "HASH", p.SHA256, "ARGUMENT", p.Argument, "INSTALLED", p.Installed).Replace(text)
}

// run starts the program, bringing it once.
func (p Program) run(ctx context.Context, start func(text string) (*started, error)) (*Process, error) {
	text := p.fill(runText)
	if p.Installed != "" {
		text = p.fill(installedText)
	}
	for _, brought := range []bool{false, true} {
		s, err := start(text)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, s.kill)
		word, err := s.firstWord()
		stop()
		switch {
		case err == nil && word == "have":
			return s.process(p), nil
		case err == nil && word == "need" && !brought:
			s.kill()
			if err := p.bring(ctx, start); err != nil {
				return nil, fmt.Errorf("bring it to ~/.cache/virtmigrate: %w", err)
			}
		default:
			err = s.refusal(word, err)
			s.kill()
			return nil, err
		}
	}
	return nil, ErrCannotRun // not reached
}

// refusal says why a program does not run, by the first word of the text that was to start it.
func (s *started) refusal(word string, err error) error {
	system, other := strings.CutPrefix(word, "system ")
	switch {
	case errors.Is(err, ErrCannotRun):
		return err
	case err == nil && other:
		return fmt.Errorf("%w: the host runs %s, and the program is one for Linux", ErrCannotRun, terminal.Line(system))
	case err == nil && word == "need":
		return fmt.Errorf("%w: ~/.cache/virtmigrate does not stay private to the login, or what was written there is not what is read",
			ErrCannotRun)
	}
	_, _ = s.status() // the complaint has then come
	return fmt.Errorf("%w: the host's shell said %q", ErrCannotRun, terminal.Line(word+s.complaint.String()))
}

// bring writes the image into the login's folder.
func (p Program) bring(ctx context.Context, start func(text string) (*started, error)) error {
	image, err := p.Image()
	if err != nil {
		return err
	}
	s, err := start(p.fill(bringText))
	if err != nil {
		return err
	}
	defer s.kill()
	defer context.AfterFunc(ctx, s.kill)()
	if err := s.begin(); err != nil {
		return err
	}
	if _, err = s.in.Write(image); err == nil {
		err = s.in.Close()
	}
	word, _ := io.ReadAll(io.LimitReader(s.out, 100))
	if strings.TrimSpace(string(word)) == "have" {
		return nil
	}
	if said := s.complaint.String(); said != "" {
		return fmt.Errorf("%w: %s", ErrCannotRun, terminal.Line(said))
	}
	return errors.Join(ErrCannotRun, err)
}

// process is the shell that has become the program.
func (s *started) process(p Program) *Process {
	return &Process{Reader: complaining{s.out, s, p}, Writer: s.in, end: func() error {
		_ = s.in.Close()
		s.kill()
		return nil
	}}
}

// complaining says, where the program ended, what it complained of.
type complaining struct {
	io.Reader
	s *started
	p Program
}

func (c complaining) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == nil || n > 0 {
		return n, nil
	}
	_, _ = c.s.status() // the complaint has then come, too
	said := c.s.complaint.String()
	switch {
	case strings.Contains(said, "Permission denied") && strings.Contains(said, "/proc/self/fd/3"):
		return 0, fmt.Errorf("%w: the login's home does not let programs run (mounted noexec?); install %s on the host and name it, or let ~/.cache/virtmigrate lie elsewhere", ErrCannotRun, c.p.Name)
	case said != "":
		return 0, fmt.Errorf("it ended: %s", terminal.Line(said))
	}
	return 0, err
}
