package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

var writeDocs = flag.Bool("write-docs", false, "write docs/ instead of comparing with it")

// TestDocsAreFresh: docs/ is what the schema, templates/ and examples/ make of it; make generate writes it.
// The generator would build and install the provider by itself if it lay in the tree's first folder, so it is
// given the schema as terraform prints it.
func TestDocsAreFresh(t *testing.T) {
	w := newWorkspace(t)
	var schema map[string]any
	if err := json.Unmarshal([]byte(w.must("providers", "schema", "-json")), &schema); err != nil {
		t.Fatal(err)
	}
	providers, _ := schema["provider_schemas"].(map[string]any)
	if len(providers) != 1 {
		t.Fatalf("terraform prints the schemas of %d providers", len(providers))
	}
	for _, one := range providers { // whatever registry terraform or tofu believes it to be of
		schema["provider_schemas"] = map[string]any{"virtmigrate": one}
	}
	w.write("schema.json", asJSON(schema))

	tree, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(w.dir, "docs")
	if *writeDocs {
		into = filepath.Join(tree, "docs")
	}
	relative, err := filepath.Rel(tree, into)
	if err != nil {
		t.Fatal(err)
	}
	generate := exec.CommandContext(t.Context(), "go", "tool", "-modfile="+filepath.Join(tree, "internal", "tools", "go.mod"), "tfplugindocs", "generate",
		"--provider-dir", tree, "--provider-name", "virtmigrate", "--providers-schema", filepath.Join(w.dir, "schema.json"),
		"--rendered-website-dir", relative, "--website-temp-dir", t.TempDir())
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, got := pages(t, into), pages(t, filepath.Join(tree, "docs"))
	for name := range got {
		if strings.HasPrefix(name, "decisions/") { // they are written by hand, and the generator leaves them alone
			delete(got, name)
			delete(want, name)
		}
	}
	if names, there := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(names, there) {
		t.Errorf("docs/ has %v, but is to have %v: run make generate", there, names)
	}
	for name := range want {
		if !bytes.Equal(want[name], got[name]) {
			t.Errorf("docs/%s is not up to date: run make generate", name)
		}
	}
}

// pages are the files of a folder by their names in it.
func pages(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		out[name], err = os.ReadFile(filepath.Join(folder, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestGuideHasTheTableOfChecks: the guide on the preflight shows the engine's own table, which -write-docs
// writes into its template.
func TestGuideHasTheTableOfChecks(t *testing.T) {
	const mark = "<!-- checks -->\n"
	name := filepath.Join("..", "templates", "guides", "preflight.md.tmpl")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), mark)
	_, after, ends := strings.Cut(rest, "\n\nFor a guest")
	if !found || !ends {
		t.Fatalf("%s has no place for the table", name)
	}
	table := "| `id` | what is looked at | why | what to do |\n|---|---|---|---|"
	for _, c := range migration.Checks() {
		table += "\n| `" + c.ID + "` | " + c.LooksAt + " | " + c.Why + " | " + c.ToDo + " |"
	}
	want := before + mark + table + "\n\nFor a guest" + after
	if *writeDocs {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("the table of checks in %s is not the engine's: run make generate", name)
	}
}
