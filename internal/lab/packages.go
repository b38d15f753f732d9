package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// needs are the programs a lab runs, with the Debian packages that bring them.
var needs = []struct{ program, pkg string }{
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
func missing() []string {
	var packages []string
	for _, need := range needs {
		var err error
		if strings.HasPrefix(need.program, "/") {
			_, err = os.Stat(need.program)
		} else {
			_, err = exec.LookPath(need.program)
		}
		if err != nil {
			packages = append(packages, need.pkg)
		}
	}
	return packages
}

// Install brings from Debian's archive what a lab needs and the machine does not have.
func Install(ctx context.Context, log Logger) error { return install(ctx, log, false) }

func install(ctx context.Context, log Logger, offline bool) error {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return err
	}
	packages := missing()
	if len(packages) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || offline {
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
