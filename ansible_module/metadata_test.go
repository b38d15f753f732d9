package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
)

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := collection.Files.ReadFile(name)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// galaxyTags are those of which Galaxy's importer wants at least one.
var galaxyTags = []string{"application", "cloud", "database", "eda", "infrastructure", "linux", "monitoring", "networking", "security", "storage", "tools", "windows"}

// TestGalaxyMetadataIsWhole: everything that Galaxy shows and its importer asks for is there and well formed.
func TestGalaxyMetadataIsWhole(t *testing.T) {
	var galaxy struct {
		Authors, License, Tags                              []string
		Repository, Homepage, Documentation, Issues, Readme string
		BuildIgnore                                         []string `yaml:"build_ignore"`
	}
	readYAML(t, "galaxy.yml", &galaxy)
	for field, link := range map[string]string{"repository": galaxy.Repository, "homepage": galaxy.Homepage, "documentation": galaxy.Documentation, "issues": galaxy.Issues} {
		if !strings.HasPrefix(link, "https://github.com/virtmigrate/terraform-provider-virtmigrate") {
			t.Errorf("%s is %q", field, link)
		}
	}
	if len(galaxy.License) == 0 || len(galaxy.BuildIgnore) == 0 || galaxy.Readme == "" {
		t.Errorf("license %q, build_ignore %q, readme %q", galaxy.License, galaxy.BuildIgnore, galaxy.Readme)
	}
	if !slices.ContainsFunc(galaxy.Tags, func(tag string) bool { return slices.Contains(galaxyTags, tag) }) || len(galaxy.Tags) > 20 {
		t.Errorf("tags %q", galaxy.Tags)
	}
	named := regexp.MustCompile(`^[^()]+ \(@[A-Za-z0-9-]+\)$`)
	for _, author := range galaxy.Authors {
		if !named.MatchString(author) {
			t.Errorf("author %q has no name on GitHub", author)
		}
	}
	for module := range documented {
		var s struct {
			Documentation struct{ Author []string } `yaml:"DOCUMENTATION"`
		}
		readYAML(t, "plugins/modules/"+module+".yml", &s)
		if len(s.Documentation.Author) == 0 || slices.ContainsFunc(s.Documentation.Author, func(a string) bool { return !named.MatchString(a) }) {
			t.Errorf("authors of %s are %q", module, s.Documentation.Author)
		}
	}
}

// TestChangelogHasThisVersion, in the form of antsibull-changelog: sections that it knows, and each module where it is new.
func TestChangelogHasThisVersion(t *testing.T) {
	type module struct{ Name, Description, Namespace string }
	var changelog struct {
		Ancestor any
		Releases map[string]struct {
			ReleaseDate string         `yaml:"release_date"`
			Changes     map[string]any `yaml:"changes"`
			Modules     []module
		}
	}
	readYAML(t, "changelogs/changelog.yaml", &changelog)
	version, err := collection.Version()
	if err != nil {
		t.Fatal(err)
	}
	if _, there := changelog.Releases[version]; !there || changelog.Ancestor != nil {
		t.Errorf("there is no %s after %v", version, changelog.Ancestor)
	}
	sections := []string{"major_changes", "minor_changes", "breaking_changes", "deprecated_features", "removed_features", "security_fixes", "bugfixes", "known_issues", "trivial"}
	var listed, want []module
	for name, release := range changelog.Releases {
		if _, err := time.Parse(time.DateOnly, release.ReleaseDate); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for section, entries := range release.Changes {
			list, isList := entries.([]any)
			if _, isText := entries.(string); isText && section == "release_summary" {
				continue
			}
			if !isList || len(list) == 0 || !slices.Contains(sections, section) {
				t.Errorf("%s has a section %s of %T", name, section, entries)
			}
		}
		listed = append(listed, release.Modules...)
	}
	names, err := collection.Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var s struct {
			Documentation struct {
				Short string `yaml:"short_description"`
			} `yaml:"DOCUMENTATION"`
		}
		readYAML(t, "plugins/modules/"+name+".yml", &s)
		want = append(want, module{Name: name, Description: s.Documentation.Short})
	}
	slices.SortFunc(listed, func(a, b module) int { return strings.Compare(a.Name, b.Name) })
	if !slices.Equal(listed, want) {
		t.Errorf("the changelog has the modules\n%v, want\n%v", listed, want)
	}
}

// TestRuntimeSaysWhatIsTested: beside what is supported.
func TestRuntimeSaysWhatIsTested(t *testing.T) {
	var runtime struct {
		Requires string `yaml:"requires_ansible"`
	}
	readYAML(t, "meta/runtime.yml", &runtime)
	text, err := collection.Files.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	least, ok := strings.CutPrefix(runtime.Requires, ">=")
	if !ok || !strings.Contains(string(text), fmt.Sprintf("Tested are ansible-core %s and ", strings.TrimSuffix(least, ".0"))) {
		t.Errorf("requires_ansible is %q, and README.md does not say that this is tested", runtime.Requires)
	}
}
