package migration

import (
	"fmt"
	"regexp"
	"slices"
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

// validateNames checks the names of disks and of the file on this machine.
func (o Options) validateNames() error {
	for _, list := range []struct {
		option  string
		targets []string
	}{{"migrate_disks", o.MigrateDisks}, {"assume_shared_disks", o.AssumeSharedDisks}} {
		for i, target := range list.targets {
			switch {
			case !diskTarget.MatchString(target):
				return fmt.Errorf("%s has %q, which is no disk of a guest; name each disk by its target, such as vda", list.option, target)
			case slices.Contains(list.targets[:i], target):
				return fmt.Errorf("%s has %q, which stands there twice; name each disk once", list.option, target)
			}
		}
	}
	for _, target := range o.AssumeSharedDisks {
		if slices.Contains(o.MigrateDisks, target) {
			return fmt.Errorf("assume_shared_disks has %q, and so has migrate_disks: a disk is either shared or copied", target)
		}
	}
	if strings.ContainsFunc(o.ProgressFile, unicode.IsControl) {
		return fmt.Errorf("progress_file is %q, which has a control character in it", o.ProgressFile)
	}
	return nil
}
