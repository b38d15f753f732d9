package migration

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childRequest) != "" {
		childMain()
	}
	os.Exit(labtest.RunApart(m, "engine"))
}

// wholeSuite says that all faults are to be run, and not only those that stand for the others.
func wholeSuite() bool { return os.Getenv("VIRTMIGRATE_FAULTS") == "all" }

// labHosts is the configuration of the lab's hosts as a user would write it.
func labHosts(l *lab.Lab, kind lab.Kind) map[string]HostConfig {
	hosts := map[string]HostConfig{}
	for _, h := range l.Hosts {
		hosts[h.Name] = HostConfig{
			URI: h.URI(kind), MigrationAddress: h.MigrationAddress(), TLSDestination: h.TLSName(),
			PeerURI: h.PeerURI(lab.TLS), AllowPlainControl: kind == lab.TCP,
		}
	}
	return hosts
}

func labFleet(t *testing.T, l *lab.Lab, change ...func(map[string]HostConfig)) *Fleet {
	t.Helper()
	hosts := labHosts(l, lab.TLS)
	for _, c := range change {
		c(hosts)
	}
	f, err := NewFleet(Config{Hosts: hosts, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// testLog shows the engine's log with a failed test only.
func testLog(t *testing.T) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: t.Output(), DisableTime: false})
}

// mustKeep asserts the definition and the autostart flag on one host, and nothing on the others.
func mustKeep(t *testing.T, l *lab.Lab, g *lab.Guest, on string, persistent, autostart bool) {
	t.Helper()
	ctx := labtest.Context(t, 30*time.Second)
	for _, h := range l.Hosts {
		for flag, want := range map[string]bool{"--persistent": persistent && h.Name == on, "--autostart": autostart && h.Name == on} {
			out, err := h.Virsh(ctx, "list", "--all", "--name", flag)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(strings.Fields(out), g.Name); got != want {
				t.Errorf("virsh list %s on %s: %v, want %v", flag, h.Name, got, want)
			}
		}
	}
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
