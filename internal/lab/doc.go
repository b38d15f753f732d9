// Package lab makes two real libvirt hosts on one machine, with guests to move between them, and
// watches the guests from outside.
//
// A host is a set of Linux namespaces (network, mounts, host name, processes) with its own
// libvirtd, its own sshd, its own /etc/libvirt, /var/lib/libvirt, /run, /tmp, /root and /etc/pki,
// joined to the others by a virtual switch. The caller's own network namespace is the controller:
// it reaches the switch through one interface.
//
//	controller ── vm-NAME ─┐            ┌─ eth0 ─ br0 ── alpha: libvirtd, sshd, QEMU, guests' NICs
//	                       ├─ switch ───┤
//	nbdkit, observer ──────┘            └─ eth0 ─ br0 ── beta:  the same
//
// The switch has a network namespace of its own, so a firewall of the machine does not see what
// passes between the hosts.
//
// A guest is Debian's cloud kernel and one small program (folder guest) that beats every 10 ms.
// Package observer stamps the beats' arrival in a process of its own and knows which QEMU process
// on which host sent each: Guest.Check builds on it, and so do all claims that a guest was not
// restarted, not doubled and not harmed.
//
// What must hold:
//   - Everything a lab has on the machine is found from its name alone: the folder
//     /var/lib/virtmigrate-lab/NAME, network namespaces vml-NAME-*, interface vm-NAME, and
//     processes that carry the folder in their arguments or live in a host's namespaces. So Down
//     works after any crash.
//   - Labs of different names share nothing but the cache of kernel and programs.
//   - Nothing here is linked into a shipped program.
//
// Everything needs root on Linux. Hosts run QEMU without KVM: /dev/kvm is hidden in them, because
// on many virtual machines it opens and yet boots nothing. Emulated guests have a weakness of their
// own when they move; folder qemu says which, and what the lab does about it.
//
// Tests of other packages come in through package labtest.
package lab
