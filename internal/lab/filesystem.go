package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownDirs are the directories that every host has for itself, with their modes. /etc is its own
// too, laid over the machine's; the rest it shares with the machine.
var ownDirs = map[string]os.FileMode{
	"/run": 0o755, "/tmp": 0o777 | os.ModeSticky, "/var/tmp": 0o777 | os.ModeSticky, "/root": 0o700, "/home": 0o755,
	"/var/lib/libvirt": 0o755, "/var/log/libvirt": 0o755, "/var/cache/libvirt": 0o755,
}

// opaqueDirs are those of /etc in which nothing of the machine may show.
var opaqueDirs = []string{"/etc/libvirt", "/etc/ssh", "/etc/pki"}

const (
	libvirtdConf = `# one host of a virtmigrate lab
listen_tls = 1
listen_tcp = 1
auth_tcp = "none"
auth_tls = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0770"
host_uuid = %q
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
`
	qemuConf = `# one host of a virtmigrate lab
user = %q
group = %q
dynamic_ownership = 1
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
default_tls_x509_cert_dir = "/etc/pki/qemu"
default_tls_x509_verify = 1
`
	sshdConf = `# one host of a virtmigrate lab
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
`
)

// writeFiles makes the host's own tree.
func (h *Host) writeFiles(keys keys) error {
	if err := os.MkdirAll(filepath.Join(h.dir, "etc-work"), 0o755); err != nil {
		return err
	}
	for dir, mode := range ownDirs {
		path := h.Path(dir)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode)); err != nil {
			return err
		}
	}
	for _, dir := range opaqueDirs {
		if err := os.MkdirAll(h.Path(dir), 0o755); err != nil {
			return err
		}
		if err := unix.Setxattr(h.Path(dir), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("hide the machine's %s: %w", dir, err)
		}
	}
	qemuUser, qemuGroup, err := qemuAccount()
	if err != nil {
		return err
	}
	files := map[string]string{
		"/etc/libvirt/libvirtd.conf":      fmt.Sprintf(libvirtdConf, h.UUID),
		"/etc/libvirt/qemu.conf":          fmt.Sprintf(qemuConf, qemuUser.Username, qemuGroup.Name),
		"/etc/libvirt/libvirt.conf":       "",
		"/etc/ssh/sshd_config":            sshdConf,
		"/etc/ssh/authorized_keys":        keys.authorized,
		"/etc/ssh/ssh_host_ed25519_key":   keys.hosts[h.Name],
		"/etc/hosts":                      h.lab.hostsFile(),
		"/etc/hostname":                   h.Name + "\n",
		"/run/sshd/.keep":                 "",
		"/run/lab/.keep":                  "",
		"/var/log/libvirt/qemu/.keep":     "",
		"/home/" + Operator + "/.profile": "",
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(h.Path(path)), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(path, "_key") {
			mode = 0o600
		}
		if err := os.WriteFile(h.Path(path), []byte(text), mode); err != nil {
			return err
		}
	}
	if err := h.writeAccounts(); err != nil {
		return err
	}
	if err := h.writeCertificates(keys); err != nil {
		return err
	}
	if err := h.seedCapabilities(); err != nil {
		return err
	}
	// What guests boot is copied: libvirt changes the owner of the files that a guest uses.
	boot := h.Path(bootDir)
	if err := os.MkdirAll(boot, 0o755); err != nil {
		return err
	}
	return errors.Join(copyFile(h.lab.boot.kernel, filepath.Join(boot, "vmlinuz")), copyFile(h.lab.boot.image, filepath.Join(boot, "guest.img")))
}

// bootDir holds kernel and image of the guests, on every host.
const bootDir = "/var/lib/libvirt/boot"

// writeAccounts copies the machine's accounts and adds Operator, who may use libvirt.
func (h *Host) writeAccounts() error {
	const id = 4711
	libvirt, err := user.LookupGroup("libvirt")
	if err != nil {
		return err
	}
	added := map[string]string{
		"/etc/passwd": fmt.Sprintf("%s:x:%d:%d:lab operator:/home/%s:/bin/bash\n", Operator, id, id, Operator),
		"/etc/shadow": fmt.Sprintf("%s:*:19000:0:99999:7:::\n", Operator),
		"/etc/group":  fmt.Sprintf("%s:x:%d:\n", Operator, id),
	}
	for path, line := range added {
		machine, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(machine), "\n") + "\n" + line
		if path == "/etc/group" {
			text = addMember(text, libvirt.Name, Operator)
		}
		mode := os.FileMode(0o644)
		if path == "/etc/shadow" {
			mode = 0o640
		}
		if err := os.WriteFile(h.Path(path), []byte(text), mode); err != nil {
			return err
		}
	}
	home := h.Path("/home/" + Operator)
	return errors.Join(os.Chown(home, id, id), os.Chmod(home, 0o700))
}

// addMember adds a user to one group of the text of /etc/group.
func addMember(text, group, member string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, group+":") {
			if !strings.HasSuffix(line, ":") {
				line += ","
			}
			line += member
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// qemuAccount returns the account that Debian's libvirt runs QEMU as.
func qemuAccount() (*user.User, *user.Group, error) {
	account, err := user.Lookup("libvirt-qemu")
	if err != nil {
		return nil, nil, fmt.Errorf("account of QEMU: %w", err)
	}
	group, err := user.LookupGroup("libvirt-qemu")
	if err != nil {
		group, err = user.LookupGroup("kvm")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("group of QEMU: %w", err)
	}
	return account, group, nil
}

func (l *Lab) hostsFile() string {
	text := "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
	for _, host := range l.Hosts {
		text += fmt.Sprintf("%s %s\n", host.Address, host.Name)
	}
	return text + fmt.Sprintf("%s controller\n", l.Controller)
}

// capabilitiesDir is where libvirtd remembers what QEMU can do. Finding it out takes seconds, so
// the hosts of all labs share it; libvirtd itself sees whether a copy still fits the programs.
const capabilitiesDir = "/var/cache/libvirt/qemu/capabilities"

func (h *Host) seedCapabilities() error {
	return copyFiles(cacheDir+"/capabilities", h.Path(capabilitiesDir))
}

func (h *Host) keepCapabilities() error {
	return copyFiles(h.Path(capabilitiesDir), cacheDir+"/capabilities")
}

func copyFiles(from, to string) error {
	paths, err := filepath.Glob(filepath.Join(from, "*.xml"))
	if err != nil || len(paths) == 0 {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err == nil {
			err = writeWhole(filepath.Join(to, filepath.Base(path)), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func ownedBy(path string, owner *user.User) error {
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, -1)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
