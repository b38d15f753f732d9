package migration

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// FuzzLegacyEntry: an entry is that of its guest, or is none. Whoever can write there is this user, but a disk that was
// full leaves anything.
func FuzzLegacyEntry(f *testing.F) {
	const uuid = "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"
	f.Add([]byte(`{"uuid":"` + uuid + `","from":"alpha","to":"beta","at":"2999-01-02T03:04:05Z","autostart":true,"made":[{"host":"beta","path":"/i"}],"old":[]}`))
	f.Add([]byte(`{"uuid":"../` + uuid + `","at":"2999-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"uuid":"` + uuid + `"`))
	f.Add([]byte("null"))
	file := filepath.Join(f.TempDir(), uuid+".json")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, found := readLegacy(file, uuid); found && e.UUID != uuid {
			t.Errorf("took %+v for the entry of %s", e, uuid)
		}
	})
}

// FuzzNames: what was let through cannot be an option or a command of anything it is handed to.
func FuzzNames(f *testing.F) {
	f.Add("alpha", "web", "vda", "10.0.0.1", "qemu+tls://beta/system", "49152-49215")
	f.Add("al pha", "../web", "vda;id", "-oX", "qemu+ssh://-oX/system", "1-")
	f.Add("a\n", "w\x00b", "", "[::1]:22", "qemu+ssh://u:p@h/system?no_verify=1", "0-70000")
	f.Fuzz(func(t *testing.T, key, guest, disk, address, peer, ports string) {
		if checkHostKey(key) == nil && (key == "" || len(key) > mostName || strings.ContainsFunc(key, unicode.IsControl)) {
			t.Errorf("took %q for a host's name", key)
		}
		if checkGuestName(guest) == nil && (filepath.Base("x"+guest) != "x"+guest || strings.ContainsFunc(guest, unicode.IsControl)) {
			t.Errorf("took %q for a guest's name", guest)
		}
		if (Options{AssumeSharedDisks: []string{disk}}).Validate() == nil && strings.ContainsAny(disk, "-;/$ \n") {
			t.Errorf("took %q for a disk", disk)
		}
		hc := HostConfig{URI: "qemu:///system", MigrationAddress: address, PeerURI: peer, RelayPorts: ports}
		if hc.validate("alpha") != nil {
			return
		}
		if strings.HasPrefix(address, "-") || strings.ContainsAny(address, ";$ /\n@") {
			t.Errorf("took %q for an address", address)
		}
		if u, err := url.Parse(peer); peer != "" && (err != nil || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-")) {
			t.Errorf("took %q for a peer (%v)", peer, err)
		}
		if first, last, err := parsePorts(hc.relayPorts()); err != nil || first < 1 || last > 65535 || first > last {
			t.Errorf("took %q for ports", ports)
		}
	})
}
