package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/virtmigrate/terraform-provider-virtmigrate/ansible_module/collection"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

type sidecar struct {
	Documentation struct {
		Module  string
		Options map[string]option
	} `yaml:"DOCUMENTATION"`
	Examples string            `yaml:"EXAMPLES"`
	Return   map[string]option `yaml:"RETURN"`
}

// option is a documented option or return value; the nested ones are under either name.
type option struct {
	Description any
	Type        string
	Required    bool
	Default     any
	Choices     []string
	Suboptions  map[string]option
	Contains    map[string]option
	Returned    string
}

func readSidecar(t *testing.T) sidecar {
	t.Helper()
	raw, err := collection.Sidecar("domain")
	if err != nil {
		t.Fatal(err)
	}
	var s sidecar
	if err := yaml.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSidecarDocumentsExactlyTheOptionsTheModuleTakes(t *testing.T) {
	s := readSidecar(t)
	if s.Documentation.Module != "domain" {
		t.Errorf("the sidecar is for %q", s.Documentation.Module)
	}
	same(t, "", s.Documentation.Options, reflect.TypeFor[arguments](), func(o option) map[string]option { return o.Suboptions })
}

func TestSidecarDocumentsExactlyWhatTheModuleReturns(t *testing.T) {
	shown := maps.Clone(readSidecar(t).Return)
	// what Ansible itself knows of every module needs no words here
	for _, own := range []string{"changed", "failed", "msg", "warnings", "diff", "invocation"} {
		if _, said := shown[own]; said {
			t.Errorf("%s is Ansible's own", own)
		}
		shown[own] = option{Description: "Ansible's own"}
	}
	same(t, "", shown, reflect.TypeFor[response](), func(o option) map[string]option { return o.Contains })
}

// same compares documented names and types with a struct's JSON tags and Go types, at every depth.
func same(t *testing.T, path string, documented map[string]option, code reflect.Type, nested func(option) map[string]option) {
	t.Helper()
	names := fieldNames(code)
	for name := range documented {
		if !slices.Contains(names, name) {
			t.Errorf("%s is documented, but %s has no such field", join(path, name), code)
		}
	}
	for i, name := range names {
		doc, there := documented[name]
		if !there {
			t.Errorf("%s of %s is not documented", join(path, name), code)
			continue
		}
		if doc.Description == "Ansible's own" {
			continue
		}
		if doc.Description == nil {
			t.Errorf("%s has no description", join(path, name))
		}
		field := code.Field(i).Type
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if want := ansibleType(field); doc.Type != want {
			t.Errorf("%s is documented as %s, but is a %s (%s)", join(path, name), doc.Type, field, want)
		}
		if field.Kind() == reflect.Map {
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct && field != reflect.TypeFor[time.Time]() {
			same(t, join(path, name), nested(doc), field, nested)
		}
	}
}

func ansibleType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "int"
	case reflect.Float64:
		return "float"
	case reflect.String:
		return "str"
	}
	if t == reflect.TypeFor[time.Time]() {
		return "str"
	}
	return "dict"
}

func TestSidecarTellsTheEnginesDefaultsLimitsAndChoices(t *testing.T) {
	options := readSidecar(t).Documentation.Options
	of := options["migration"].Suboptions
	for name, c := range map[string]struct{ documented, engine any }{
		"transport's choices":     {of["transport"].Choices, words(migration.Transports)},
		"transport's default":     {of["transport"].Default, "auto"},
		"control's choices":       {of["control"].Choices, words(migration.Controls)},
		"control's default":       {of["control"].Default, "auto"},
		"max_downtime_ms":         {of["max_downtime_ms"].Default, migration.DefaultMaxDowntimeMS},
		"max_migrations_per_host": {options["max_migrations_per_host"].Default, migration.DefaultMigrationsPerHost},
		"allow_plain":             {of["allow_plain"].Default, false},
		"allow_plain_control":     {options["hosts"].Suboptions["allow_plain_control"].Default, false},
		"bandwidth":               {of["bandwidth_mib_per_second"].Default, 0},
	} {
		if !reflect.DeepEqual(c.documented, c.engine) {
			t.Errorf("%s: documented %v, the engine has %v", name, c.documented, c.engine)
		}
	}
	for option, limit := range map[string]string{"parallel_connections": "1 to 255", "max_downtime_ms": "1 to 2000000"} {
		if text := reflect.ValueOf(of[option].Description).Index(0).Interface().(string); !strings.Contains(text, limit) || notZero["migration."+option] != limit {
			t.Errorf("%s: documented %q, the engine has %s", option, text, notZero["migration."+option])
		}
	}
}

func words[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// TestExamplesAreTasksTheModuleTakes reads the tasks of the documentation as the module would.
func TestExamplesAreTasksTheModuleTakes(t *testing.T) {
	var tasks []map[string]any
	if err := yaml.Unmarshal([]byte(readSidecar(t).Examples), &tasks); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, task := range tasks {
		options, ours := task["virtmigrate.libvirt.domain"].(map[string]any)
		if !ours {
			continue
		}
		seen++
		if template, is := options["hosts"].(string); is && strings.HasPrefix(template, "{{") {
			options["hosts"] = map[string]any{"alpha": map[string]any{"uri": "qemu:///system"}}
		}
		args, _, err := readArguments(asJSON(t, options))
		if err != nil {
			t.Errorf("%s: %v", task["name"], err)
		}
		if err := args.Migration.Validate(); err != nil {
			t.Errorf("%s: %v", task["name"], err)
		}
	}
	if seen < 3 {
		t.Errorf("found %d examples", seen)
	}
}
