package main

import (
	"encoding/json"
	"errors"
	"fmt"
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

func readSidecar(t *testing.T, module string) sidecar {
	t.Helper()
	raw, err := collection.Sidecar(module)
	if err != nil {
		t.Fatal(err)
	}
	var s sidecar
	fragment, err := collection.Fragment()
	if err != nil {
		t.Fatal(err)
	}
	var common struct{ Options map[string]option }
	if err := errors.Join(yaml.Unmarshal(raw, &s), yaml.Unmarshal(fragment, &common)); err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.Documentation.Options, common.Options)
	return s
}

// documented are the modules with the Go types of their options and of what they return.
var documented = map[string]struct{ options, returned reflect.Type }{
	"domain":      {reflect.TypeFor[arguments](), reflect.TypeFor[response]()},
	"host_info":   {reflect.TypeFor[hostArguments](), reflect.TypeFor[hostAnswer]()},
	"domain_info": {reflect.TypeFor[domainArguments](), reflect.TypeFor[domainAnswer]()},
	"preflight":   {reflect.TypeFor[preflightArguments](), reflect.TypeFor[preflightAnswer]()},
	"benchmark":   {reflect.TypeFor[benchmarkArguments](), reflect.TypeFor[benchmarkAnswer]()},
}

func TestEveryModuleIsDocumented(t *testing.T) {
	names, err := collection.Modules()
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(maps.Keys(modules)); !slices.Equal(names, want) || !slices.Equal(slices.Sorted(maps.Keys(documented)), want) {
		t.Errorf("documented are %v, the program is %v", names, want)
	}
}

func TestSidecarDocumentsExactlyTheOptionsTheModuleTakes(t *testing.T) {
	for module, code := range documented {
		s := readSidecar(t, module)
		if s.Documentation.Module != module {
			t.Errorf("the sidecar of %s is for %q", module, s.Documentation.Module)
		}
		same(t, "", s.Documentation.Options, code.options, func(o option) map[string]option { return o.Suboptions })
	}
}

func TestSidecarDocumentsExactlyWhatTheModuleReturns(t *testing.T) {
	for module, code := range documented {
		shown := maps.Clone(readSidecar(t, module).Return)
		// what Ansible itself knows of every module needs no words here
		for _, own := range []string{"changed", "failed", "msg", "warnings", "diff", "invocation"} {
			if _, said := shown[own]; said {
				t.Errorf("%s is Ansible's own", own)
			}
			if slices.Contains(fieldNames(code.returned), own) {
				shown[own] = option{Description: "Ansible's own"}
			}
		}
		same(t, "", shown, code.returned, func(o option) map[string]option { return o.Contains })
	}
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
	for _, name := range names {
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
		field := fieldType(code, name)
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if want := ansibleType(field); doc.Type != want {
			t.Errorf("%s is documented as %s, but is a %s (%s)", join(path, name), doc.Type, field, want)
		}
		if field.Kind() == reflect.Map || field.Kind() == reflect.Slice {
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct && field != reflect.TypeFor[time.Time]() {
			same(t, join(path, name), nested(doc), field, nested)
		}
	}
}

// fieldType finds a field by its JSON name, also one that another struct lent.
func fieldType(code reflect.Type, name string) reflect.Type {
	for _, f := range reflect.VisibleFields(code) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type
		}
	}
	return nil
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
	case reflect.Slice:
		return "list"
	}
	if t == reflect.TypeFor[time.Time]() {
		return "str"
	}
	return "dict"
}

func TestSidecarTellsTheEnginesLimitsAndChoices(t *testing.T) {
	options := readSidecar(t, "domain").Documentation.Options
	of := options["migration"].Suboptions
	for name, c := range map[string]struct{ documented, engine any }{
		"transport's choices":     {of["transport"].Choices, words(migration.Transports)},
		"control's choices":       {of["control"].Choices, words(migration.Controls)},
		"max_migrations_per_host": {options["max_migrations_per_host"].Default, migration.DefaultMigrationsPerHost},
		"relay_ports":             {options["hosts"].Suboptions["relay_ports"].Default, migration.DefaultRelayPorts},
		"allow_plain_control":     {options["hosts"].Suboptions["allow_plain_control"].Default, false},
		"storage's choices":       {of["storage"].Choices, words(migration.Storages)},
		"source_images":           {of["source_images"].Choices, words(migration.SourceImagesValues)},
		"existing_images":         {of["existing_images"].Choices, words(migration.ExistingImagesValues)},
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

// proseDefaults are the defaults that stand in prose, because they depend on something or must not be written out: the
// sentences, with the engine's figures, by module and option.
func proseDefaults() map[string]string {
	copied := "By default every one that is a file or device of the host, can be written and is not shareable. An empty list copies none."
	prose := map[string]string{
		"domain.timeout_seconds": fmt.Sprintf("By default %.0f seconds and I(migration.convergence.timeout_seconds_per_gib), %d by default, for each GiB of guest memory and copied disks.",
			migration.DefaultTimeout.Seconds(), migration.DefaultTimeoutSecondsPerGiB),
		"benchmark.cases":  "By default all that the two hosts can do, without C(plain) unless I(allow_plain). A case that is named and cannot be done is an error before the guest is touched.",
		"benchmark.rounds": fmt.Sprintf("How often each case is measured, 1 to %d, besides the round to warm up. %d by default.", maxRounds, defaultRounds),
	}
	for _, module := range []string{"domain", "preflight"} {
		for option, sentence := range map[string]string{
			"parallel_connections": fmt.Sprintf("By default %d for C(tls) and 1 otherwise.", migration.DefaultParallelConnections),
			"blackout_timeout_ms":  fmt.Sprintf("By default %d and twice the greatest downtime that is allowed.", migration.BlackoutBase.Milliseconds()),
			"acknowledge":          fmt.Sprintf("By default C(%s).", migration.Defaults().Acknowledge),
			"reconnect_seconds":    fmt.Sprintf("By default %d.", migration.Defaults().ReconnectSeconds),
			"migrate_disks":        copied,
		} {
			prose[module+".migration."+option] = sentence
		}
	}
	return prose
}

// TestDefaultsAreTheEnginesAlsoInProse: every default that a sidecar tells, in a field or in a sentence, is the engine's,
// and every default that the engine has is told.
func TestDefaultsAreTheEnginesAlsoInProse(t *testing.T) {
	prose := proseDefaults()
	told := map[string]option{}
	var visit func(path string, options map[string]option)
	visit = func(path string, options map[string]option) {
		for name, o := range options {
			at := join(path, name)
			told[at] = o
			for _, sentence := range sentences(o.Description) {
				if strings.Contains(strings.ToLower(sentence), "by default") && sentence != prose[at] && !strings.Contains(at, ".hosts.") {
					t.Errorf("%s says %q, the engine has %q", at, sentence, prose[at])
				}
			}
			if sentence := prose[at]; sentence != "" && !slices.Contains(sentences(o.Description), sentence) {
				t.Errorf("%s does not say %q", at, sentence)
			}
			visit(at, o.Suboptions)
		}
	}
	for module := range documented {
		visit(module, readSidecar(t, module).Documentation.Options)
	}
	var engine map[string]any
	if err := json.Unmarshal(asJSON(t, migration.Defaults()), &engine); err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"domain.migration", "preflight.migration"} {
		compareDefaults(t, module, engine, told, prose)
	}
}

// compareDefaults goes through the engine's defaults, by their JSON names.
func compareDefaults(t *testing.T, path string, engine map[string]any, told map[string]option, prose map[string]string) {
	t.Helper()
	for name, value := range engine {
		at := join(path, name)
		if inner, nested := value.(map[string]any); nested {
			compareDefaults(t, at, inner, told, prose)
			continue
		}
		documented := fmt.Sprint(told[at].Default)
		if none := told[at].Default == nil; none && (prose[at] != "" || value == nil || value == "" || value == 0.0) {
			continue
		}
		if documented != fmt.Sprint(value) {
			t.Errorf("the default of %s is told as %s, the engine has %v", at, documented, value)
		}
	}
}

// sentences are the entries of a description.
func sentences(description any) []string {
	if one, is := description.(string); is {
		return []string{one}
	}
	var all []string
	list, _ := description.([]any)
	for _, entry := range list {
		all = append(all, fmt.Sprint(entry))
	}
	return all
}

func words[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// TestPreflightTakesTheSameOptionsOfAMove: both sidecars describe one Go type, and must not drift apart.
func TestPreflightTakesTheSameOptionsOfAMove(t *testing.T) {
	domain, preflight := readSidecar(t, "domain").Documentation.Options, readSidecar(t, "preflight").Documentation.Options
	if !reflect.DeepEqual(domain["migration"].Suboptions, preflight["migration"].Suboptions) {
		t.Error("the option migration of preflight is not documented as that of domain is")
	}
	if preflight["fail_on_blocker"].Default != true || preflight["deep"].Default != false {
		t.Errorf("defaults %v and %v", preflight["fail_on_blocker"].Default, preflight["deep"].Default)
	}
}

// TestExamplesAreTasksTheModuleTakes reads the tasks of the documentation as the module would.
func TestExamplesAreTasksTheModuleTakes(t *testing.T) {
	var tasks []map[string]any
	if err := yaml.Unmarshal([]byte(readSidecar(t, "domain").Examples), &tasks); err != nil {
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
