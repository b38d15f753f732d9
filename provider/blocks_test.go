package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// refusals validates the text of a configuration and returns what terraform says of each line that it refuses, by the
// line.
func refusals(t *testing.T, text string) map[string]string {
	t.Helper()
	w := newWorkspace(t)
	w.write("main.tf", "provider \"virtmigrate\" {\n  hosts = { alpha = { uri = \"qemu:///system\" } }\n}\n"+text)
	out, _ := w.run("validate", "-json")
	var said struct {
		Diagnostics []struct {
			Severity, Summary, Detail string
			Snippet                   struct{ Code string }
		}
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused := map[string]string{}
	for _, d := range said.Diagnostics {
		if d.Severity != "error" {
			continue
		}
		line := strings.TrimSpace(d.Snippet.Code)
		if before, twice := refused[line]; twice {
			t.Errorf("%q is refused twice: %s and %s", line, before, d.Detail)
		}
		refused[line] = d.Summary + ": " + d.Detail
	}
	return refused
}

// TestMisspeltOptionsAreRefused: Terraform itself knows the names in the blocks, at every depth.
func TestMisspeltOptionsAreRefused(t *testing.T) {
	got := refusals(t, `
resource "virtmigrate_domain" "web" {
  name = "web"
  host = "alpha"
  migration {
    bandwith_mib_per_second = 50
    storge                  = "copy"
    convergence {
      stall = 5
    }
    convergance {}
  }
  timeouts {
    updat = "5m"
  }
}
data "virtmigrate_preflight" "web" {
  name = "web"
  host = "alpha"
  migration {
    transprt = "tls"
    convergence {
      on_timeot = "abort"
    }
  }
}
`)
	want := []string{`bandwith_mib_per_second = 50`, `convergance {}`, `on_timeot = "abort"`, `stall = 5`, `storge                  = "copy"`,
		`transprt = "tls"`, `updat = "5m"`}
	if lines := slices.Sorted(maps.Keys(got)); !slices.Equal(lines, want) {
		t.Errorf("refused are %q, want %q", lines, want)
	}
}

// TestEveryMistakeIsToldWhereItIs: all at once, and what an attribute refuses by itself is not told again.
func TestEveryMistakeIsToldWhereItIs(t *testing.T) {
	const options = `
  migration {
    transport            = "tls"
    parallel_connections = 1
    max_downtime_ms      = -5
    acknowledge          = "each"
    compression          = "zip"
    migrate_disks        = ["vda", "vda"]
    convergence {
      stall_seconds = 0
      on_timeout    = "post_copy"
    }
  }
`
	want := map[string]string{
		`parallel_connections = 1`:              "at least 2",
		`max_downtime_ms      = -5`:             "1 to 2000000",
		`acknowledge          = "each"`:         "only the relay",
		`compression          = "zip"`:          `"zstd"`,
		`migrate_disks        = ["vda", "vda"]`: "stands there twice",
		`stall_seconds = 0`:                     "1 to 86400",
		`on_timeout    = "post_copy"`:           "choose transport relay",
	}
	for _, head := range []string{`resource "virtmigrate_domain" "web" {`, `data "virtmigrate_preflight" "web" {`} {
		text, expected := head+"\n  name = \"web\"\n  host = \"alpha\"\n"+options, maps.Clone(want)
		if strings.HasPrefix(head, "resource") {
			text += "  timeouts {\n    create = \"0s\"\n    update = \"soon\"\n  }\n"
			expected[`create = "0s"`], expected[`update = "soon"`] = "longer than nothing", "such as 30m"
		}
		got := refusals(t, text+"}\n")
		for line, words := range expected {
			if !strings.Contains(got[line], words) {
				t.Errorf("%s: of %q terraform says %q, want %q", head, line, got[line], words)
			}
			delete(got, line)
		}
		for line, words := range got {
			t.Errorf("%s: of %q terraform says %q", head, line, words)
		}
	}
}
