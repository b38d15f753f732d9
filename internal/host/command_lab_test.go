package host_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// echo is a program to bring: it answers one line.
func echo() host.Program {
	image := []byte("#!/bin/sh\nread line\necho $1 $line\n")
	return host.Program{Name: "echo", Argument: "serve", SHA256: fmt.Sprintf("%x", sha256.Sum256(image)),
		Image: func() ([]byte, error) { return image, nil }}
}

// shell gives the lab's operator a shell, and files below the home, until the test ends.
func shell(t *testing.T, h *lab.Host, path string, files map[string]string) {
	t.Helper()
	set := func(path string) {
		if _, err := h.Exec(within(t, time.Minute), "usermod", "-s", path, lab.Operator); err != nil {
			t.Fatal(err)
		}
	}
	set(path)
	t.Cleanup(func() { set("/bin/bash") })
	for name, text := range files {
		put(t, h, lab.Operator, "/home/"+lab.Operator+"/"+name, text)
	}
}

// put writes a file of a user on a host until the test ends. Folders that it makes are the user's, and stay.
func put(t *testing.T, h *lab.Host, user, path, text string) {
	t.Helper()
	install := []string{"runuser", "-u", user, "--", "install", "-D", "-m", "755", "/dev/null", path}
	if _, err := h.Exec(within(t, time.Minute), install...); err != nil {
		t.Fatal(err)
	}
	replace(t, h, path, []byte(text))
	t.Cleanup(func() {
		if _, err := h.Exec(within(t, time.Minute), "rm", path); err != nil {
			t.Error(err)
		}
	})
}

const noise = "echo 'Welcome to this host!'; echo 'Property of $HOME \"quoted\"' >&2; printf 'last login: never '\n"

func TestWhatALoginsShellPrintsIsPassedOver(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2293"
	// everything by the login's shell: the daemon's helper, and the program that reads files
	text, err := a.Exec(within(t, time.Minute), "sed", "/^Subsystem/d", "/etc/ssh/sshd_config")
	if err != nil {
		t.Fatal(err)
	}
	text += "\nAllowStreamLocalForwarding no\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
	put(t, a, "root", "/run/shells.conf", text)
	sshdOf(t, a, "/run/shells.conf", port)
	uri := fmt.Sprintf("qemu+ssh://%s@%s:%s/system?keyfile=%s&known_hosts=%s",
		lab.Operator, a.Address, port, testLab.SSHKey(), knownAt(t, a, port))
	put(t, a, "root", "/run/greeter", "#!/bin/sh\n"+noise+"exec /bin/sh \"$@\"\n")
	put(t, a, "root", "/run/talker", "#!/bin/sh\nhead -c 60000 /dev/zero | tr '\\0' 'x'\nexec /bin/sh \"$@\"\n")
	put(t, a, "root", "/run/repeater", "#!/bin/sh\necho \"$@\"\nset -v\nexec /bin/sh -x \"$@\"\n")
	for name, c := range map[string]struct {
		shell string
		files map[string]string
	}{
		"quiet":                         {"/bin/bash", nil},
		"bash":                          {"/bin/bash", map[string]string{".bashrc": noise}},
		"bash that shows what it reads": {"/bin/bash", map[string]string{".bashrc": "set -vx\n"}},
		"csh":                           {"/bin/csh", map[string]string{".cshrc": "echo Welcome; echo more\n"}},
		"fish":                          {"/usr/bin/fish", map[string]string{".config/fish/config.fish": "echo Welcome\n"}},
		"a script":                      {"/run/greeter", nil},
		"a script that says a lot":      {"/run/talker", nil},
		"a script that repeats":         {"/run/repeater", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(c.shell); errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(c.shell, "/run/") {
				t.Skipf("there is no %s here", c.shell)
			}
			shell(t, a, c.shell, c.files)
			h := dial(t, uri)
			if f, err := h.Facts(within(t, time.Minute)); err != nil || f.Hostname != a.Name {
				t.Errorf("the daemon: %+v, %v", f, err)
			}
			for range 2 { // it is brought once
				process, err := h.Run(within(t, time.Minute), echo())
				if err != nil {
					t.Fatalf("the program: %v", err)
				}
				fmt.Fprintln(process, "hello")
				if out, err := io.ReadAll(process); string(out) != "serve hello\n" {
					t.Errorf("the program: %q, %v", out, err)
				}
				_ = process.Close()
			}
			files, err := h.Files(within(t, time.Minute))
			if err != nil {
				t.Fatalf("its files: %v", err)
			}
			defer files.Close()
			if text, err := files.Read("/etc/hostname", 100); string(bytes.TrimSpace(text)) != a.Name {
				t.Errorf("its files: %q, %v", text, err)
			}
		})
	}
}

// cannotRun asserts that a program does not run, and that the error has these words.
func cannotRun(t *testing.T, h *host.Host, words ...string) {
	t.Helper()
	process, err := h.Run(within(t, time.Minute), echo())
	if err == nil {
		_ = process.Close()
		t.Fatal("it runs")
	}
	if !errors.Is(err, host.ErrCannotRun) {
		t.Errorf("%v is not %q", err, host.ErrCannotRun)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	t.Log(err)
}

func TestALoginWithoutAShellIsSaidAsSuch(t *testing.T) {
	a := alpha(t)
	noHome(t)
	put(t, a, "root", "/run/endless", "#!/bin/sh\nexec yes\n")
	for shellPath, words := range map[string][]string{
		"/usr/sbin/nologin": {"something else", "not available", "status 1", "nologin"},
		"/bin/false":        {"something else", `said ""`, "status 1", "nologin"},
		"/run/endless":      {"more than 64 KiB", `"y `},
	} {
		t.Run(shellPath, func(t *testing.T) {
			shell(t, a, shellPath, nil)
			// the daemon is reached all the same: for that, sshd needs no shell
			cannotRun(t, dial(t, a.SSHURI(lab.Operator)), words...)
		})
	}
}

func TestAForcedCommandIsSaidAsSuch(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2292"
	sshd(t, a, port, "AuthorizedKeysFile=/run/forced_keys")
	_, public := labKey(t)
	for name, c := range map[string]struct {
		command string
		words   []string
	}{
		"one of its own":           {"echo backups; exit 3", []string{"something else", "backups", "status 3", "force"}},
		"one that repeats its own": {"echo $SSH_ORIGINAL_COMMAND", []string{"something else", "status 0", "force"}},
		// whether the limit or the connection's end comes first is chance: each has words of its own
		"one that waits": {"echo menu; cat", []string{"our command", "menu"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(a.Path("/run/forced_keys"), []byte("command=\""+c.command+"\" "+public), 0o600); err != nil {
				t.Fatal(err)
			}
			h := dial(t, fmt.Sprintf("qemu+ssh://root@%s:%s/system?keyfile=%s&known_hosts=%s",
				a.Address, port, testLab.SSHKey(), knownAt(t, a, port)))
			cannotRun(t, h, c.words...)
		})
	}
}
