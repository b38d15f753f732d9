package host

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	libvirt "github.com/digitalocean/go-libvirt"
	"github.com/pkg/sftp"
)

// Identity is who a daemon is: what it says of itself, and what only a login to its host shows.
type Identity struct {
	// UUID is the host's in libvirt's capabilities, Hostname libvirt's own name of it. Two machines can have both in
	// common: cloned boards, fresh installations.
	UUID, Hostname string
	// BootID is the host kernel's name for its present boot; "" where the connection gives no login. Containers on one
	// machine share it.
	BootID string
	// Process is one process of that boot: the daemon. It is "" where the connection gives no login, or the login may
	// not see it.
	Process string
}

// login is what a login to the host shows of its daemon.
type login struct{ bootID, process string }

// Identity asks the daemon who it is and reads its host's files anew, which costs an SSH login. What cannot be read
// stays empty.
func (h *Host) Identity(ctx context.Context) (Identity, error) {
	r, err := h.connection(ctx)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{}
	if id.UUID, id.Hostname, err = whoAnswers(ctx, r); err != nil {
		return Identity{}, err
	}
	l, err := h.readLogin(ctx)
	if err != nil {
		return Identity{}, err
	}
	id.BootID, id.Process = l.bootID, l.process
	return id, nil
}

// knownLogin is what was read the last time, as long as the daemon was not dialled again since.
func (h *Host) knownLogin(ctx context.Context) (login, error) {
	h.mu.Lock()
	known := h.login
	h.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	return h.readLogin(ctx)
}

// readLogin fails only where the login leads to another machine: that the files cannot be read says nothing.
func (h *Host) readLogin(ctx context.Context) (login, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	var l login
	f, err := h.Files(ctx)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		l = login{f.bootID(), f.daemonProcess(h.target)}
		stop()
		_ = f.Close()
	}
	switch {
	case errors.Is(err, ErrOtherDaemon):
		return l, err
	case ctx.Err() != nil, err != nil && !errors.Is(err, ErrNoLogin):
		return l, nil // the next time there may be more
	}
	h.mu.Lock()
	h.login = &l
	h.mu.Unlock()
	return l, nil
}

func (f *Files) bootID() string {
	text, err := f.Read("/proc/sys/kernel/random/boot_id", 64)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// daemonProcess names the process of the daemon that t leads to, by its pid file: number, start and the namespace in
// which it has that number. Only what every login of the host may read is part of it, so that two logins agree.
func (f *Files) daemonProcess(t target) string {
	if t.driver != "qemu" || !t.usualSocket() {
		return ""
	}
	space, err := f.ReadLink("/proc/self/ns/pid")
	if err != nil || len(space) > 64 {
		return ""
	}
	var found []string
	for _, file := range f.pidFiles(t) {
		text, err := f.Read(file.path, 64)
		if err != nil {
			continue
		}
		pid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			continue
		}
		stat, err := f.Read(fmt.Sprintf("/proc/%d/stat", pid), 4096)
		if err != nil {
			continue
		}
		// a pid file may have been left behind, and its number gone to another program
		if name, start, ok := parseStat(string(stat)); ok && strings.Contains(name, file.daemon) {
			found = append(found, fmt.Sprintf("%s %d since tick %d in %s", file.daemon, pid, start, space))
		}
	}
	return strings.Join(found, ", ")
}

type pidFile struct{ daemon, path string }

// pidFiles are where libvirt's daemons may keep their numbers, the modular one first as with sockets.
func (f *Files) pidFiles(t target) []pidFile {
	dirs := []string{"/run"}
	if t.path == "/session" {
		dirs = f.sessionDirs()
	}
	var files []pidFile
	for _, dir := range dirs {
		for _, daemon := range []string{"virtqemud", "libvirtd"} {
			files = append(files, pidFile{daemon, path.Join(dir, daemon+".pid")})
		}
	}
	return files
}

// sessionDirs are where a user's own daemon may keep its files: in the runtime directory, or in the cache where the
// login has none.
func (f *Files) sessionDirs() []string {
	if _, here := f.from.(local); here {
		return []string{sessionSocketDir()}
	}
	home, err := f.ReadLink("/proc/self/cwd") // SFTP begins at home
	if err != nil {
		return nil
	}
	dirs := []string{path.Join(home, ".cache/libvirt")}
	// the owner of /proc/self would be root: OpenSSH's server of SFTP hides from debuggers
	if info, err := f.Stat(home); err == nil {
		if stat, ok := info.Sys().(*sftp.FileStat); ok {
			dirs = append(dirs, fmt.Sprintf("/run/user/%d/libvirt", stat.UID))
		}
	}
	return dirs
}

// usualSocket says whether the daemon is reached where libvirt's own daemons listen.
func (t target) usualSocket() bool {
	usual := t
	usual.socket = ""
	return t.socket == "" || slices.Contains(usual.sockets(systemSocketDir, sessionSocketDir()), path.Clean(t.socket))
}

// parseStat reads a process's name and its start, in ticks since the boot, from /proc/PID/stat: fields 2 and 22 of
// proc_pid_stat(5). The name may hold blanks and parentheses.
func parseStat(text string) (name string, start uint64, ok bool) {
	open, end := strings.Index(text, "("), strings.LastIndex(text, ")")
	if open < 0 || end < open {
		return "", 0, false
	}
	const afterName = 22 - 3
	fields := strings.Fields(text[end+1:])
	if len(fields) <= afterName {
		return "", 0, false
	}
	start, err := strconv.ParseUint(fields[afterName], 10, 64)
	return text[open+1 : end], start, err == nil
}

// NextCallbackID draws the next of the IDs that the daemon gives to those who ask for events, and gives it back. A
// daemon counts them over all of its connections and gives none twice, so IDs that rise when they are drawn over two
// connections in turn are one daemon's: between two that another daemon gave one after the other there is no room.
// Nothing is changed, and any connection can do it, except that libvirt's proxy daemon counts for each connection.
func (h *Host) NextCallbackID(ctx context.Context) (int, error) {
	h.numbering.Lock() // a connection can ask for an event only once
	defer h.numbering.Unlock()
	return ask(ctx, h, "ask for an event", callLimit, func(l *libvirt.Libvirt) (int, error) {
		// an event that hardly ever comes
		id, err := l.ConnectDomainEventCallbackRegisterAny(int32(libvirt.DomainEventIDDeviceRemovalFailed), nil)
		if err != nil {
			return 0, err
		}
		return int(id), l.ConnectDomainEventCallbackDeregisterAny(id)
	})
}
