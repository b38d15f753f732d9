package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Need is a file, or a program on PATH, and the Debian package that brings it.
type Need struct{ Program, Package string }

// Ansible is what the demo and some tests need besides the lab.
var Ansible = Need{"ansible-playbook", "ansible-core"}

// needs is what a lab runs.
var needs = []Need{
	{"/usr/sbin/libvirtd", "libvirt-daemon-system"},
	{"/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so", "libvirt-daemon-driver-qemu"},
	{"virsh", "libvirt-clients"},
	{"qemu-system-x86_64", "qemu-system-x86"},
	{"qemu-img", "qemu-utils"},
	{"nbdkit", "nbdkit"},
	{"/usr/sbin/sshd", "openssh-server"},
	{"ip", "iproute2"},
	{"iptables", "iptables"},
	{"mkfs.ext4", "e2fsprogs"},
	{"nsenter", "util-linux"},
	{faketimeLibrary, "libfaketime"},
}

// missing names the packages whose programs are not there.
func missing(needs []Need) []string {
	var packages []string
	for _, need := range needs {
		var err error
		if strings.HasPrefix(need.Program, "/") {
			_, err = os.Stat(need.Program)
		} else {
			_, err = exec.LookPath(need.Program)
		}
		if err != nil {
			packages = append(packages, need.Package)
		}
	}
	return packages
}

// Install brings from Debian's archive what a lab needs, and what else is asked for, as far as
// the machine does not have it. Where it cannot, the error names what is missing.
func Install(ctx context.Context, log Logger, more ...Need) error {
	return install(ctx, log, false, more...)
}

func install(ctx context.Context, log Logger, offline bool, more ...Need) error {
	packages := missing(append(slices.Clone(needs), more...))
	if len(packages) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || offline || os.Geteuid() != 0 {
		return fmt.Errorf("the lab needs what these Debian packages bring, please install it: %s", strings.Join(packages, " "))
	}
	log.Info("installing Debian packages for the lab", "packages", strings.Join(packages, " "))
	return aptInstall(ctx, packages)
}

func aptInstall(ctx context.Context, packages []string) error {
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		_, err := output(cmd)
		return err
	}
	// Old lists name packages that are gone from the mirrors, so fresh ones come first; where
	// they cannot be had, the old ones may still do.
	updated := apt("-q", "update")
	err := apt(append([]string{"-q", "-y", "--no-install-recommends", "install"}, packages...)...)
	switch {
	case err == nil:
		return nil
	case updated != nil:
		return fmt.Errorf("install packages: %w (and apt-get update did not work either: %w)", err, updated)
	}
	return fmt.Errorf("install packages: %w", err)
}
