package migration

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// mostName is how long a name may be that becomes that of a file: libvirt and QEMU name sockets, logs and folders after
// a guest, and this machine its locks after hosts.
const mostName = 255

// checkGuestName refuses what no guest of libvirt's is named.
func checkGuestName(name string) error {
	switch {
	case len(name) > mostName:
		return fmt.Errorf("the guest's name has %d bytes, but libvirt's guests have at most %d", len(name), mostName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("the guest's name %q has a control character in it, such as a line break", name)
	case strings.Contains(name, "/"):
		return fmt.Errorf("the guest's name %q has a slash in it, and libvirt's guests have none", name)
	}
	return nil
}

// checkHostKey refuses a name of a host that errors and lists would garble.
func checkHostKey(key string) error {
	switch {
	case len(key) > mostName:
		return fmt.Errorf("host name %q…: it has %d bytes, but must have at most %d", key[:20], len(key), mostName)
	case key == "" || strings.ContainsAny(key, "/ \"") || strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("host name %q: a host's name must not be empty nor contain spaces, quotes, slashes or control characters", key)
	}
	return nil
}

// diskTarget is how libvirt names a disk towards a guest.
var diskTarget = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_:]*$`)
