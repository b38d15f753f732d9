package host

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestURIsAreReadAsLibvirtReadsThem(t *testing.T) {
	for uri, want := range map[string]target{
		"qemu:///system":                               {driver: "qemu", conn: overUNIX, path: "/system"},
		"qemu+unix:///session":                         {driver: "qemu", conn: overUNIX, path: "/session"},
		"qemu+unix:///system?socket=/run/x":            {driver: "qemu", conn: overUNIX, path: "/system", socket: "/run/x"},
		"qemu://host/system":                           {driver: "qemu", conn: overTLS, host: "host", path: "/system"},
		"QEMU+TLS://host:1/system?pkipath=/pki":        {driver: "qemu", conn: overTLS, host: "host", port: 1, path: "/system", pkipath: "/pki"},
		"qemu+tcp://127.0.0.1/system":                  {driver: "qemu", conn: overTCP, host: "127.0.0.1", path: "/system"},
		"qemu+ssh://root@host/system":                  {driver: "qemu", conn: overSSH, user: "root", host: "host", path: "/system"},
		"qemu+libssh2://[fe80::1%25eth0]:2222/session": {driver: "qemu", conn: overSSH, host: "fe80::1%eth0", port: 2222, path: "/session"},
		"qemu+ssh://a%40b@host/system?keyfile=/k%20ey&known_hosts=/kh&socket=/s": {driver: "qemu", conn: overSSH, user: "a@b",
			host: "host", path: "/system", keyfile: "/k ey", knownHosts: "/kh", socket: "/s"},
		"test+tcp://host/etc/node.xml": {driver: "test", conn: overTCP, host: "host", path: "/etc/node.xml"},
	} {
		if got, err := parseURI(uri); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
}

func TestURIsThatCannotBeMeantAreRefusedByName(t *testing.T) {
	for uri, words := range map[string]string{
		"":                                    "empty",
		"host":                                "write for example",
		"qemu+ssh://host":                     "/system or /session",
		"qemu+ssh://host/System":              "/system or /session",
		"qemu+ssh:///system":                  "names no host",
		"qemu+unix://host/system":             "unix reaches this machine only",
		"qemu+ext://host/system":              "external program",
		"qemu+quic://host/system":             `"quic"`,
		"xen+ssh://host/system":               `"xen"`,
		"qemu+ssh://root:hunter2@host/system": "password",
		"qemu+ssh://host:0/system":            "port",
		"qemu+ssh://host:70000/system":        "port",
		"qemu+ssh://host:/system":             "colon",
		"qemu+tls://host/session":             "listens on no network",
		"qemu+tls://root@host/system":         "knows none",
		"qemu+tls://host/system?no_verify=1":  `"no_verify" is not supported: the far side is always verified`,
		"qemu+ssh://host/system?known_hosts_verify=ignore":        `"known_hosts_verify"`,
		"qemu+ssh://host/system?no_tty=1":                         `"no_tty"`,
		"qemu+ssh://host/system?command=/bin/evil":                `"command"`,
		"qemu+ssh://host/system?netcat=nc":                        `"netcat"`,
		"qemu+ssh://host/system?proxy=netcat":                     `"proxy"`,
		"qemu+ssh://host/system?mode=direct":                      `"mode"`,
		"qemu+ssh://host/system?keyflie=/k":                       `unknown parameter "keyflie" (did you mean "keyfile"?)`,
		"qemu+tls://host/system?keyfile=/k":                       `"keyfile" means nothing`,
		"qemu+tcp://host/system?socket=/k":                        `"socket" means nothing`,
		"qemu+ssh://host/system?keyfile=":                         "not be empty",
		"qemu+ssh://host/system?keyfile=/a&keyfile=/b":            "given once",
		"qemu+ssh://host/system?socket=run/x":                     "absolute",
		"qemu+ssh://host/system?socket=/a%0Ab":                    "control character",
		"qemu+ssh://host/system?a;b":                              "malformed parameters",
		"qemu+ssh://-oProxyCommand=x/system":                      "cannot be one",
		"qemu+ssh://$(reboot)/system":                             "cannot be one",
		"qemu+ssh://host/system#x":                                "#",
		"test+tcp://host":                                         "needs a path",
		"qemu+unix:///system?socket=/" + strings.Repeat("x", 120): "107",
	} {
		_, err := parseURI(uri)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", uri, err, words)
		}
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	for _, uri := range []string{
		"qemu+ssh://root:hunter2@host/system", "qemu+ssh://root:hunter2@ho st/system", "qemu+ssh://root:hunter2@host:x/system",
		"qemu+ssh://root:hunter2%zz@host/system", "://root:hunter2@host", "qemu+ssh://root:1/hunter2@host/system", "qemu+ssh://root:1?hunter2@host/system", "qemu+ssh://root:1#hunter2@host/system", "qemu+ssh://ro\x00ot:hunter2@host/system",
	} {
		err := Config{Name: "alpha", URI: uri}.Validate()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestPlainTCPIsForThisMachineUnlessAllowed(t *testing.T) {
	for uri, ok := range map[string]bool{
		"qemu+tcp://127.0.0.1/system": true, "qemu+tcp://localhost/system": true, "qemu+tcp://[::1]:16509/system": true,
		"qemu+tcp://192.0.2.1/system": false, "qemu+tcp://localhost.example.org/system": false, "qemu+tcp://0.0.0.0/system": false,
	} {
		err := Config{Name: "alpha", URI: uri}.Validate()
		if (err == nil) != ok {
			t.Errorf("%s: %v", uri, err)
		}
		if err != nil && !strings.Contains(err.Error(), "allow_plain_control") {
			t.Errorf("%s: %v does not say how to allow it", uri, err)
		}
		if err := (Config{Name: "alpha", URI: uri, AllowPlainControl: true}).Validate(); err != nil {
			t.Errorf("%s, allowed: %v", uri, err)
		}
	}
}

func TestFilesOfTheURIAreCheckedWithoutTheNetwork(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lockedKey, _ := privateKey(t, "secret")
	known := write("known", "host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5uOTWqzB1rxBBYwYSuzOjVxm/GGC0pgXSvvZbZlNzU\n")
	write("cacert.pem", "no certificate")
	for uri, words := range map[string]string{
		"qemu+ssh://host/system?keyfile=" + dir + "/none":                  "no such file",
		"qemu+ssh://host/system?keyfile=" + known:                          "no usable private key",
		"qemu+ssh://host/system?known_hosts=" + dir + "/none":              "no such file",
		"qemu+ssh://host/system?known_hosts=" + write("bad", "host ssh-x"): "known host keys cannot be read",
		"qemu+tls://host/system?pkipath=" + dir + "/none":                  "no such file",
		"qemu+tls://host/system?pkipath=" + dir:                            "holds no certificate",
		"qemu+ssh://host/system?keyfile=" + write("locked", lockedKey):     "ssh-add",
	} {
		err := Config{Name: "alpha", URI: uri}.Validate()
		if err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "alpha: ") {
			t.Errorf("%s: %v, want %q", uri, err, words)
		}
	}
	if err := (Config{URI: "qemu+ssh://host/system?known_hosts=" + known}).Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"qemu:///system", "qemu+ssh://u@[::1]:22/system?keyfile=/a&known_hosts=b", "test+tcp://h/default",
		"qemu+tls://host:16514/system?pkipath=%2Fx", "qemu+ssh://a:b@c/system?no_verify=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseURI(s)
		if err != nil {
			return
		}
		if got.driver == "qemu" && got.path != "/system" && got.path != "/session" {
			t.Errorf("path %q", got.path)
		}
		if c := got.remoteCommand(); c != "" && c != "virt-ssh-helper qemu:///system" && c != "virt-ssh-helper qemu:///session" {
			t.Errorf("%q would reach a shell", c)
		}
		if again, err := parseURI(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%q reads as %q, and that as %q, %v", s, got.String(), again.String(), err)
		}
	})
}
