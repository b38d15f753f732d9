package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Need is a file, or a program on PATH, and the Debian package that brings it.
type Need struct{ Program, Package string }

// Ansible and Browser are what the demo and some tests need besides the lab.
var (
	Ansible = Need{"ansible-playbook", "ansible-core"}
	Browser = Need{"chromium", "chromium"}
)

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
	{"qemu-aarch64-static", "qemu-user-static"}, // runs the other architecture's relay
	{"swtpm", "swtpm"},
	{"swtpm_setup", "swtpm-tools"},
	{"gcc", "gcc"}, // which the race detector needs, and libc's headers
	{"/usr/include/stdio.h", "libc6-dev"},
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
	log.Info("installing Debian packages (their daemons are not started on this machine)", "packages", strings.Join(packages, " "))
	return aptInstall(ctx, packages)
}

func aptInstall(ctx context.Context, packages []string) error {
	allow, err := forbidDaemons()
	if err != nil {
		return err
	}
	defer allow()
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		_, err := output(cmd)
		return err
	}
	// Old lists name packages that are gone from the mirrors, so fresh ones come first; where
	// they cannot be had, the old ones may still do.
	updated := apt("-q", "update")
	err = apt(append([]string{"-q", "-y", "--no-install-recommends", "install"}, packages...)...)
	switch {
	case err == nil:
		return nil
	case updated != nil:
		return fmt.Errorf("install packages: %w (and apt-get update did not work either: %w)", err, updated)
	}
	return fmt.Errorf("install packages: %w", err)
}

// policyFile is what Debian's packages ask whether they may start their daemons.
const policyFile = "/usr/sbin/policy-rc.d"

const policyText = "#!/bin/sh\n# written by virtmigrate's lab while it installs packages, and removed afterwards\nexit 101\n"

// forbidDaemons keeps packages from starting libvirtd and sshd on the machine itself while they
// are installed: the lab runs its own, in its hosts. A policy of somebody else's stays as it is;
// one that a killed run of ours left is taken over.
func forbidDaemons() (allow func(), err error) {
	text, err := os.ReadFile(policyFile)
	switch {
	case err == nil && string(text) != policyText:
		return func() {}, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if err := os.WriteFile(policyFile, []byte(policyText), 0o755); err != nil {
		return nil, err
	}
	return func() { os.Remove(policyFile) }, nil
}
