package migration

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// advices turn what the daemons and QEMU say into what a person can do. The texts are QEMU's and libvirt's own, in
// every version this program supports. QEMU speaks English alone; where libvirt speaks another language, a hint may be
// missing.
var advices = []struct {
	in   string
	hint string
}{
	{"Certificate does not match the hostname", "set tls_destination of the destination host to a name in its QEMU certificate, or migration_address to one"},
	{"Unable to access credentials", "QEMU's certificates are missing or unreadable: /etc/pki/qemu needs ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and client-key.pem on both hosts"},
	{"Unable to import", "QEMU could not read its certificates in /etc/pki/qemu: check their format and that libvirt-qemu may read the keys"},
	{"certificate", "check QEMU's certificates in /etc/pki/qemu on both hosts: present, not expired, signed by one CA, and readable for libvirt-qemu"},
	{"Unable to read from socket", "the destination's QEMU broke the connection: its log is /var/log/libvirt/qemu on the destination"},
	{"unable to connect", notConnected},
	{"Failed to connect", notConnected},
	{"Connection refused", "check migration_address, and that the firewall lets ports 49152 to 49215 through"},
	{"No route to host", "check migration_address and the network between the hosts"},
	{"Postcopy is not supported", "permit it with sysctl vm.unprivileged_userfaultfd=1 on both hosts, or choose another convergence.on_timeout"},
	{"Attempt to migrate guest to the same host", "set a distinct host_uuid in libvirtd.conf of one of the hosts"},
}

const notConnected = "the source could not reach the destination: check migration_address, and that the firewall " +
	"lets ports 49152 to 49215 through"

// stuckDaemon is about a lock that the call of a migration holds for good.
const stuckDaemon = "the daemon on the guest's host has a job on it that does not end, as libvirt 9.0 may have when it drove a migration (peer_to_peer) that broke in its switchover: run the same again, which ends it where QEMU is what it waits for; restart libvirtd there only if the guest certainly runs nowhere else, since it may resume the guest by itself when it comes back"

// advice says what to do about a failed attempt, "" when there is nothing better than to read it.
func advice(err error) string {
	switch host.Code(err) {
	case host.CodeMigrateUnsafe:
		return "libvirt takes the migration for unsafe because of a disk's cache mode: use cache='none' or 'directsync' on disks that both hosts reach"
	case host.CodeTimeout:
		if strings.Contains(err.Error(), "DomainMigratePerform") { // the name of a call, in every language
			return stuckDaemon
		}
		return "another job held the guest; virsh domjobinfo shows it"
	}
	switch {
	case errors.Is(err, errServerLost):
		return "mend the way from the destination to that server, then run the same again"
	case errors.Is(err, host.ErrEarlierJob):
		return "libvirt has not ended an earlier migration of this guest yet: run the same again in a minute"
	}
	if errors.Is(err, host.ErrOtherDaemon) {
		return "" // it says itself what to do, and its certificate is none of QEMU's
	}
	text := err.Error()
	for _, a := range advices {
		if strings.Contains(text, a.in) {
			return a.hint
		}
	}
	if host.NotConnected(err) {
		return notConnected
	}
	return ""
}

// again is what to do about a failure that came before anything was changed. To try again helps where a host did not
// answer, and only there.
func again(err error) string {
	if key, silent := silentHost(err); silent && key != "" {
		return fmt.Sprintf("nothing was changed; both hosts of a move must answer: look at %q, then run the same again", key)
	} else if silent {
		return "nothing was changed; run the same again when both hosts answer"
	}
	return "nothing was changed"
}

// silentHost says whether an error is about a host that did not answer, and about which if that is known.
func silentHost(err error) (key string, silent bool) {
	var e *host.Error
	if errors.As(err, &e) {
		key = e.Host
	}
	return key, errors.Is(err, host.ErrUnreachable)
}

// handshakes are the texts of failures that QEMU and libvirt only have before the first byte of a guest
// is sent: credentials that cannot be loaded, a connection that was never made, a server that could not
// be verified. A connection that broke later, or a server that refused us after we had begun, has other
// words, and is not among them. All but "unable to connect to server" are QEMU's, and that one comes with a number.
var handshakes = []string{
	"Unable to access credentials", "Unable to import", "Certificate does not match the hostname",
	"The certificate is not trusted", "The certificate hasn't got a known issuer", "The certificate has been revoked",
	"certificate has expired", "certificate is not yet active", "certificate is expired", "No certificate was found",
	"TLS handshake failed", "Failed to bind socket to", "unable to connect to server", "Failed to connect to", "Cannot load CA certificate", "Cannot load certificate",
}

// beforeMemory says whether a failure is one that only comes before a byte of the guest was sent.
func beforeMemory(err error) bool {
	text := err.Error()
	says := func(words string) bool { return strings.Contains(text, words) }
	return host.NotConnected(err) || slices.ContainsFunc(handshakes, says)
}
