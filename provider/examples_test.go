package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/mistakes"
)

// TestExamplesAreValid: terraform accepts what the documentation shows, and shows it as it is written.
func TestExamplesAreValid(t *testing.T) {
	w := newWorkspace(t)
	for _, name := range []string{"provider/provider.tf", "resources/virtmigrate_domain/resource.tf"} {
		text, err := os.ReadFile(filepath.Join("..", "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		w.write(filepath.Base(name), string(text))
	}
	if err := os.Remove(filepath.Join(w.dir, "versions.tf")); err != nil { // the example has its own
		t.Fatal(err)
	}
	w.must("validate", "-no-color")
	folder, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	w.must("fmt", "-check", "-diff", "-recursive", "-no-color", folder)
}

// TestPreflightExampleStartsNothingByItself: as it stands, it neither makes a dry run nor fails a plan because a host
// does not answer. Only who asks for the dry run gets it.
func TestPreflightExampleStartsNothingByItself(t *testing.T) {
	text, err := os.ReadFile("../examples/data-sources/virtmigrate_preflight/data-source.tf")
	if err != nil {
		t.Fatal(err)
	}
	d := mistakes.NewDoor(t)
	in := mistakes.Good(d)
	w := newWorkspace(t)
	w.write("hosts.tf.json", asJSON(map[string]any{"provider": map[string]any{"virtmigrate": map[string]any{"hosts": in["hosts"]}}}))
	w.write("main.tf", string(text))
	out := w.must("plan", "-no-color")
	w.contains(out, "Host Did Not Answer")
	if d.Came() == 0 {
		t.Errorf("nothing was asked:\n%s", out)
	}
	if out, code := w.run("plan", "-no-color", "-var", "dry_run=true"); code == 0 {
		t.Errorf("no dry run was made:\n%s", out)
	}
}

func TestManifestNamesTheProtocol(t *testing.T) {
	text, err := os.ReadFile("../terraform-registry-manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Version  int
		Metadata struct {
			ProtocolVersions []string `json:"protocol_versions"`
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Version != 1 || !slices.Equal(manifest.Metadata.ProtocolVersions, []string{"6.0"}) {
		t.Errorf("manifest %+v", manifest)
	}
}

func TestImportIDs(t *testing.T) {
	const uuid = "6f1c3c52-8d2a-4a55-9f43-2f1f6ab2c1d0"
	for id, want := range map[string]struct {
		host  string
		guest migration.GuestRef
	}{
		"web":                                  {guest: migration.GuestRef{Name: "web"}},
		uuid:                                   {guest: migration.GuestRef{UUID: uuid}},
		"6F1C3C52-8D2A-4A55-9F43-2F1F6AB2C1D0": {guest: migration.GuestRef{UUID: uuid}},
		"alpha/web":                            {host: "alpha", guest: migration.GuestRef{Name: "web"}},
		"alpha/" + uuid:                        {host: "alpha", guest: migration.GuestRef{UUID: uuid}},
		"":                                     {},
		"/web":                                 {},
		"alpha/":                               {},
		"a/b/c":                                {},
	} {
		if host, guest := parseImportID(id); host != want.host || guest != want.guest {
			t.Errorf("%q became host %q and guest %+v", id, host, guest)
		}
	}
}
