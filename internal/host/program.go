package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

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
			err = ctx.Err()
		}
		return fail(err)
	}
	inner := process.end
	process.end = func() error { return errors.Join(inner(), end()) }
	return process, nil
}

// started is a shell that runs one of the texts below.
type started struct {
	in  io.WriteCloser
	out io.Reader
	// complaint is what it wrote to standard error; wait waits for its end.
	complaint fmt.Stringer
	wait      func() error
	kill      func()
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

// The host's shell gets one of three fixed texts, filled with nothing but the names and hashes checked
// above. They are one line without ' or !, so that any login shell passes them on as they are.
//
// The file is hashed through the descriptor that is then executed: what runs is what was hashed.
const (
	runText = `cd || exit; d=.cache/virtmigrate; f=$d/NAME-HASH; set -- $(ls -ldn $d 2>/dev/null); ` +
		`case "$1" in drwx------|drwx------.) ;; *) echo need; exit;; esac; ` +
		`[ "$3" = "$(id -u)" ] && [ -r $f ] || { echo need; exit; }; ` +
		`exec 3<$f; s=$(sha256sum <&3) || exit; [ "${s%% *}" = HASH ] || { echo need; exit; }; ` +
		`echo have; exec /proc/self/fd/3 ARGUMENT`
	bringText = `cd && umask 077 && d=.cache/virtmigrate && mkdir -p $d && chmod 700 $d && cat >$d/new.$$ && ` +
		`chmod 755 $d/new.$$ && mv -f $d/new.$$ $d/NAME-HASH && echo have`
	installedText = `echo have; exec INSTALLED ARGUMENT`
)

func (p Program) fill(text string) string {
	text = strings.NewReplacer("NAME", p.Name, "HASH", p.SHA256, "ARGUMENT", p.Argument, "INSTALLED", p.Installed).Replace(text)
	return "sh -c '" + text + "'"
}

// run starts the program, bringing it once.
func (p Program) run(ctx context.Context, start func(command string) (*started, error)) (*Process, error) {
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
		out := bufio.NewReader(s.out)
		word, err := out.ReadSlice('\n')
		stop()
		switch said := string(bytes.TrimSpace(word)); {
		case err == nil && said == "have":
			return s.process(out, p), nil
		case err == nil && said == "need" && !brought:
			s.kill()
			if err := p.bring(ctx, start); err != nil {
				return nil, fmt.Errorf("bring it to ~/.cache/virtmigrate: %w", err)
			}
		case err == nil && said == "need":
			s.kill()
			return nil, fmt.Errorf("%w: ~/.cache/virtmigrate does not stay private to the login, or what was written there is not what is read", ErrCannotRun)
		default:
			_ = s.wait()
			s.kill()
			said := terminal.Line(string(word) + s.complaint.String())
			return nil, fmt.Errorf("%w: the host's shell said %q", ErrCannotRun, said)
		}
	}
	return nil, ErrCannotRun // not reached
}

// bring writes the image into the login's folder.
func (p Program) bring(ctx context.Context, start func(command string) (*started, error)) error {
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
func (s *started) process(out io.Reader, p Program) *Process {
	return &Process{Reader: complaining{out, s, p}, Writer: s.in, end: func() error {
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
	ended := make(chan struct{})
	go func() { _ = c.s.wait(); close(ended) }()
	select {
	case <-ended: // so that the complaint has come, too
	case <-time.After(time.Second):
	}
	said := c.s.complaint.String()
	switch {
	case strings.Contains(said, "Permission denied") && strings.Contains(said, "/proc/self/fd/3"):
		return 0, fmt.Errorf("%w: the login's home does not let programs run (mounted noexec?); install %s on the host and name it, or let ~/.cache/virtmigrate lie elsewhere", ErrCannotRun, c.p.Name)
	case said != "":
		return 0, fmt.Errorf("it ended: %s", terminal.Line(said))
	}
	return 0, err
}

// start runs a command through the host's SSH server.
func (p *sshPath) start(command string) (*started, error) {
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
	complaint := &words{}
	session.Stderr = complaint
	if err := session.Start(command); err != nil {
		return nil, fmt.Errorf("%w: the SSH server starts no programs: %w", ErrCannotRun, err)
	}
	wait := sync.OnceValue(session.Wait)
	return &started{in: in, out: out, complaint: complaint, wait: wait, kill: func() { _ = session.Close() }}, nil
}

// startLocal runs a command on this machine, away from this process's terminal.
func startLocal(command string) (*started, error) {
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
	complaint := &words{}
	cmd.Stderr = complaint
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	wait := sync.OnceValue(cmd.Wait)
	return &started{in: in, out: out, complaint: complaint, wait: wait, kill: func() {
		_ = in.Close()
		go func() { _ = wait() }() // it ends by itself when its input does
	}}, nil
}
