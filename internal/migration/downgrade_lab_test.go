package migration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// unharmed returns a function that asserts that the hosts are as they were and that the guest runs on alpha.
func unharmed(t *testing.T, l *lab.Lab, g *lab.Guest) (compare func()) {
	t.Helper()
	before, err := l.Snapshot(labtest.Context(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		after, err := l.Snapshot(labtest.Context(t, 30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lab.DiffAll(before, after) {
			t.Errorf("changed: %s", line)
		}
		labtest.MustRun(t, g, "alpha")
	}
}

// TestTLSIsNotTakenFromAnybodyElse: what QEMU on the destination shows is not what it should. It is refused, whether it
// was seen beforehand (over SSH) or by the handshake alone, and the guest is not touched.
func TestTLSIsNotTakenFromAnybodyElse(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 16})
	beta := l.Host("beta")
	authority, err := l.Authority()
	if err != nil {
		t.Fatal(err)
	}
	other, err := lab.NewAuthority("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	show := func(t *testing.T, trusted, by *lab.Authority, until time.Duration, names ...string) {
		t.Helper()
		c, err := by.Sign(time.Now().Add(until), names...)
		if err == nil {
			err = beta.SetQEMUCertificate(trusted, c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { show(t, authority, authority, 1000*time.Hour, beta.Name, beta.Address.String()) })
	for name, c := range map[string]struct {
		change          func(t *testing.T)
		seen, handshake string
	}{
		"none at all": {func(t *testing.T) {
			if _, err := beta.Exec(labtest.Context(t, time.Minute), "mv", "/etc/pki/qemu", "/etc/pki/gone"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := beta.Exec(context.Background(), "mv", "/etc/pki/gone", "/etc/pki/qemu"); err != nil {
					t.Error(err)
				}
			})
		}, "has no ca-cert.pem", "Unable to access credentials /etc/pki/qemu/ca-cert.pem"},
		"another authority's":                  {func(t *testing.T) { show(t, other, other, time.Hour, beta.Name, beta.Address.String()) }, "does not trust", "The certificate hasn't got a known issuer"},
		"another authority's, who trusts ours": {func(t *testing.T) { show(t, authority, other, time.Hour, beta.Name, beta.Address.String()) }, "does not trust", "failed validation against /etc/pki/qemu/ca-cert.pem"},
		"an expired one":                       {func(t *testing.T) { show(t, authority, authority, -time.Minute, beta.Name, beta.Address.String()) }, "expired on", "server-cert.pem has expired"},
		"another host's":                       {func(t *testing.T) { show(t, authority, authority, time.Hour, "elsewhere") }, `is for "elsewhere", and not for "beta"`, "Certificate does not match the hostname beta"},
	} {
		t.Run(name, func(t *testing.T) {
			c.change(t)
			compare := unharmed(t, l, g)
			for kind, says := range map[lab.Kind]string{lab.SSH: c.seen, lab.TLS: c.handshake} {
				f := labFleet(t, l, func(hosts map[string]HostConfig) {
					for key, h := range hosts {
						h.URI = l.Host(key).URI(kind)
						hosts[key] = h
					}
				})
				o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Transport: TransportTLS}})
				var e *Error
				if !errors.As(err, &e) || o.Moved || !strings.Contains(err.Error(), says) || e.Host != "alpha" || !strings.Contains(e.GuestAt, "alpha") || kind == lab.TLS && e.Hint == "" {
					t.Errorf("over %s: moved %v, error %v", kind, o.Moved, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
			// and whoever leaves the choice to us does not get to a way that is not encrypted
			f := labFleet(t, l, func(hosts map[string]HostConfig) {
				for key, h := range hosts {
					h.PeerURI, h.AllowPlainControl = l.Host(key).PeerURI(lab.TCP), true
					hosts[key] = h
				}
			})
			o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			if err == nil || o.Moved || !strings.Contains(err.Error(), c.handshake) {
				t.Errorf("auto: moved %v, error %v", o.Moved, err)
			}
			_ = f.Close()
			compare()
		})
	}
}

// TestNobodyElseIsTakenForTheDestination: somebody is in the destination's place. The move is refused, with what is wrong
// with him, before anything is said to him, and the guest is not touched.
func TestNobodyElseIsTakenForTheDestination(t *testing.T) {
	l := labtest.Lab(t)
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha"})
	authority, err := l.Authority()
	if err != nil {
		t.Fatal(err)
	}
	other, err := lab.NewAuthority("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(l.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by    *lab.Authority // nil: over SSH
		until time.Duration
		named string
		says  string
	}{
		"with another authority's certificate": {other, time.Hour, "127.0.0.1", "does not stand up to our certificate authority"},
		"with a certificate that has expired":  {authority, -time.Minute, "127.0.0.1", "expired"},
		"with another host's certificate":      {authority, time.Hour, "alpha", `its certificate is for "alpha" and not for "127.0.0.1"`},
		"with another host key":                {nil, 0, "", "HAS CHANGED"},
	} {
		t.Run(name, func(t *testing.T) {
			var i *impostor
			uri := ""
			if c.by == nil {
				i = sshImpostor(t)
				_, port, _ := strings.Cut(i.address, ":")
				pinned := filepath.Join(t.TempDir(), "known_hosts")
				_, betas, _ := strings.Cut(string(known), "beta ")
				if err := os.WriteFile(pinned, []byte("[127.0.0.1]:"+port+" "+betas), 0o600); err != nil {
					t.Fatal(err)
				}
				uri = "qemu+ssh://root@" + i.address + "/system?keyfile=" + l.SSHKey() + "&known_hosts=" + pinned
			} else {
				certificate, err := c.by.Sign(time.Now().Add(c.until), c.named)
				if err != nil {
					t.Fatal(err)
				}
				i = tlsImpostor(t, certificate)
				uri = "qemu+tls://" + i.address + "/system?pkipath=" + l.PKIDir()
			}
			f := labFleet(t, l, func(hosts map[string]HostConfig) {
				h := hosts["beta"]
				h.URI = uri
				hosts["beta"] = h
			})
			compare := unharmed(t, l, g)
			o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta"})
			if err == nil || o.Moved || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "beta") {
				t.Errorf("moved %v, error %v", o.Moved, err)
			}
			_ = f.Close()
			if met, heard := i.met.Load(), i.heard.Load(); met == 0 || heard > 0 {
				t.Errorf("he was met %d times, and heard %d bytes or logins", met, heard)
			}
			compare()
		})
	}
	t.Run("nothing is wrong with him", func(t *testing.T) { // then he does hear something
		certificate, err := authority.Sign(time.Now().Add(time.Hour), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		i := tlsImpostor(t, certificate)
		_, _ = labFleet(t, l, func(hosts map[string]HostConfig) {
			hosts["beta"] = HostConfig{URI: "qemu+tls://" + i.address + "/system?pkipath=" + l.PKIDir()}
		}).Locate(labtest.Context(t, 3*time.Second), GuestRef{Name: g.Name}) // he never answers
		if i.heard.Load() == 0 {
			t.Error("he heard nothing")
		}
	})
}
