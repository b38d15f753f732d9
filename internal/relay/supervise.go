package relay

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A relay that root started does not stay root. This process makes the sockets' directory, starts the
// relay proper as a user that nobody else is, passes the control channel on, and removes the directory at
// the end. Of what comes from the network it reads only the headers of calls to libvirtd, as guard.go says.

// The users that relays become: above what systemd gives to containers and to services of its own, and
// below what it leaves to foreign systems (https://systemd.io/UIDS-GIDS/).
const (
	firstUser = 0x70000000
	users     = 1 << 24
)

// child is the argument that makes this program the relay below a supervisor.
const child = "below-supervisor"

// Where the child finds what it was started with.
const (
	roomFD   = 3
	daemonFD = 4 // its connection to libvirtd, if it has one
)

func supervise(settings Settings, commands <-chan command, tell func(event)) error {
	sweep(DirectoryParent)
	user, err := rand.Int(rand.Reader, big.NewInt(users))
	if err != nil {
		return err
	}
	id := firstUser + int(user.Int64())
	release, err := makeDirectory(settings.Directory, id)
	if err != nil {
		return err
	}
	defer release()
	settings.Make = false

	room, childs, err := roomPair()
	if err != nil {
		return err
	}
	defer room.Close()
	files := []*os.File{childs}
	if len(settings.DaemonSockets) > 0 {
		// libvirtd takes root at its word, and the child is nobody
		ctx, end := context.WithCancel(context.Background())
		var guards sync.WaitGroup
		defer guards.Wait()
		defer end()
		way, err := settings.guarded(ctx, &guards, tell)
		if err != nil {
			return err
		}
		files = append(files, way)
	}
	cmd, in, out, err := startChild(id, files)
	if err != nil {
		return fmt.Errorf("start the relay as user %d: %w", id, err)
	}
	go giveRoom(room, settings.roomBytes())
	go passCommands(in, settings, commands)
	passEvents(out, tell)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the relay ended: %w", err)
	}
	return nil
}

// startChild starts the relay proper as a user of its own. The files are its alone afterwards, so that they end with
// it.
func startChild(id int, files []*os.File) (cmd *exec.Cmd, in io.Writer, out io.Reader, err error) {
	defer func() {
		for _, file := range files {
			_ = file.Close()
		}
	}()
	cmd = exec.Command("/proc/self/exe", child)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	if in, err = cmd.StdinPipe(); err == nil {
		out, err = cmd.StdoutPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	return cmd, in, out, err
}

// passCommands tells the child what the controller says. Its end of the pipe closes only with this process:
// that the control channel ended is a command of its own.
func passCommands(in io.Writer, settings Settings, commands <-chan command) {
	e := json.NewEncoder(in)
	_ = e.Encode(command{Command: commandSettings, Settings: &settings})
	for c := range commands {
		if c.Settings == nil {
			_ = e.Encode(c)
		}
	}
	_ = e.Encode(command{Command: commandOrphaned})
}

// passEvents tells the controller what the child says, until it ends.
func passEvents(out io.Reader, tell func(event)) {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 4<<10), 64<<10)
	for lines.Scan() {
		var ev event
		if json.Unmarshal(lines.Bytes(), &ev) == nil && ev.Event != eventHello {
			tell(ev)
		}
	}
}

// ServeChild is the life of the relay below a supervisor. The end of in means that the supervisor is gone.
func ServeChild(in io.Reader, out io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	commands := readCommands(in)
	tell, flush := teller(out)
	defer flush()
	settings, err := firstSettings(commands)
	if err != nil {
		return err
	}
	supervisor, err := inherited(roomFD, "supervisor")
	if err != nil {
		return err
	}
	defer supervisor.Close()
	var daemon *net.UnixConn
	if len(settings.DaemonSockets) > 0 {
		if daemon, err = inherited(daemonFD, "libvirtd"); err != nil {
			return err
		}
	}
	alive := make(chan command)
	go func() {
		defer os.Exit(1) // without a supervisor nobody tidies up: let the sockets close at once
		for c := range commands {
			alive <- c
		}
	}()
	runtime.GOMAXPROCS(settings.processors(runtime.NumCPU()))
	if err := serve(settings, above{supervisor, daemon}, alive, tell); err != nil {
		tell(event{Event: eventFailed, Text: err.Error()})
	}
	return nil
}

// makeDirectory makes one that only its owner can enter, and whom that lets in. The lock in it shows
// that its maker lives.
func makeDirectory(dir string, owner int) (release func(), err error) {
	unlocked := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)) // where no sweep finds it
	if err := os.Mkdir(unlocked, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(unlocked)
	if err == nil {
		if err = os.Chown(unlocked, owner, owner); err == nil {
			err = os.Rename(unlocked, dir)
		}
	}
	if err != nil {
		_ = os.RemoveAll(unlocked)
		return nil, err
	}
	return func() {
		_ = os.RemoveAll(dir)
		_ = lock.Close()
	}, nil
}

// lockDirectory holds a lock on the directory itself for as long as the file is open.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the directories of supervisors that were killed.
func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		// one that libvirt made for a relay without root is not locked, and has another owner
		var st unix.Stat_t
		if !e.IsDir() || !isDirectory(e.Name()) || unix.Lstat(dir, &st) != nil || st.Uid < firstUser || st.Uid >= firstUser+users {
			continue
		}
		if lock, err := lockDirectory(dir); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

// Sweep removes what killed relays of root left on this host.
func Sweep() { sweep(DirectoryParent) }

// Child is the program's argument that makes it the relay below a supervisor.
const Child = child
