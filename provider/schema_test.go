package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func TestSchemasAreValid(t *testing.T) {
	server, err := providerserver.NewProtocol6WithError(newProvider("test"))()
	if err != nil {
		t.Fatal(err)
	}
	got, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got.Diagnostics {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	if got.ResourceSchemas["virtmigrate_domain"] == nil {
		t.Fatal("there is no virtmigrate_domain")
	}

	var p provider.SchemaResponse
	newProvider("test").Schema(t.Context(), provider.SchemaRequest{}, &p)
	report(t, p.Schema.ValidateImplementation(t.Context()))
	var r resource.SchemaResponse
	newDomainResource().Schema(t.Context(), resource.SchemaRequest{}, &r)
	report(t, r.Schema.ValidateImplementation(t.Context()))
}

func report(t *testing.T, diags diag.Diagnostics) {
	t.Helper()
	for _, d := range diags.Errors() {
		t.Errorf("%s: %s", d.Summary(), d.Detail())
	}
}

// TestEveryAttributeIsDescribed: the documentation is made from the schema.
func TestEveryAttributeIsDescribed(t *testing.T) {
	server, err := providerserver.NewProtocol6WithError(newProvider("test"))()
	if err != nil {
		t.Fatal(err)
	}
	got, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var visit func(path string, attributes []*tfprotov6.SchemaAttribute)
	visit = func(path string, attributes []*tfprotov6.SchemaAttribute) {
		for _, a := range attributes {
			if a.Description == "" {
				t.Errorf("%s%s has no description", path, a.Name)
			}
			if a.NestedType != nil {
				visit(path+a.Name+".", a.NestedType.Attributes)
			}
		}
	}
	var visitBlock func(path string, block *tfprotov6.SchemaBlock)
	visitBlock = func(path string, block *tfprotov6.SchemaBlock) {
		visit(path, block.Attributes)
		for _, inner := range block.BlockTypes {
			if inner.Block.Description == "" {
				t.Errorf("%s%s has no description", path, inner.TypeName)
			}
			visitBlock(path+inner.TypeName+".", inner.Block)
		}
	}
	visit("provider.", got.Provider.Block.Attributes)
	schemas := maps.Clone(got.ResourceSchemas)
	for name, schema := range got.DataSourceSchemas {
		schemas["data."+name] = schema
	}
	if len(got.DataSourceSchemas) != 3 {
		t.Errorf("%d data sources", len(got.DataSourceSchemas))
	}
	for name, schema := range schemas {
		visitBlock(name+".", schema.Block)
	}
}

// TestDescriptionsTellTheEnginesDefaults: whatever default a description tells is the engine's, and none is left out.
func TestDescriptionsTellTheEnginesDefaults(t *testing.T) {
	var engine map[string]any
	if err := json.Unmarshal([]byte(asJSON(migration.Defaults())), &engine); err != nil {
		t.Fatal(err)
	}
	convergence, _ := engine["convergence"].(map[string]any)
	for block, c := range map[string]struct {
		attributes map[string]schema.Attribute
		defaults   map[string]any
	}{"migration": {migrationAttributes(), engine}, "convergence": {convergenceBlock().Attributes, convergence}} {
		for name, attribute := range c.attributes {
			value, said := c.defaults[name], attribute.GetMarkdownDescription()
			word := regexp.MustCompile("`([a-z_]+)` \\(default\\)|Default: `?([a-z0-9]+)").FindStringSubmatch(said)
			switch {
			case word != nil && (value == nil || value == "" || value == 0.0): // it depends on the transport or the guest
			case word == nil && (value == nil || value == ""):
			case word == nil || word[1]+word[2] != fmt.Sprint(value):
				t.Errorf("of %s.%s %q is told, the engine has %v", block, name, said, value)
			}
		}
	}
	for told, attributes := range map[string]map[string]schema.Attribute{
		fmt.Sprintf("Default: %d for `tls`, 1 otherwise.", migration.DefaultParallelConnections): {"": migrationAttributes()["parallel_connections"]},
		fmt.Sprintf("Default: %d and twice", migration.BlackoutBase.Milliseconds()):              {"": migrationAttributes()["blackout_timeout_ms"]},
		fmt.Sprintf("Default: %.0f minutes beyond", migration.DefaultTimeout.Minutes()):          timeoutsBlock(t.Context()).(schema.SingleNestedBlock).Attributes,
	} {
		for name, attribute := range attributes {
			if said := attribute.GetMarkdownDescription() + attribute.GetDescription(); !strings.Contains(said, told) {
				t.Errorf("%s says %q, not %q", name, said, told)
			}
		}
	}
	if told := "`" + migration.DefaultRelayPorts + "` (default)"; !strings.Contains(hostsDescription, told) {
		t.Errorf("the description of hosts does not say %q", told)
	}
}

// TestObjectsHaveTheEnginesNames: what the engine reports, and takes, under a name, the schema has under
// the same name and with the same type; and nothing else.
func TestObjectsHaveTheEnginesNames(t *testing.T) {
	for name, c := range map[string]struct {
		engine reflect.Type
		schema map[string]attr.Type
	}{
		"planned_migration": {reflect.TypeFor[migration.Planned](), plannedType.AttrTypes},
		"last_migration":    {reflect.TypeFor[migration.Result](), resultType.AttrTypes},
		"migration":         {reflect.TypeFor[migration.Options](), migrationType().AttrTypes},
	} {
		same(t, name, c.engine, c.schema)
	}
	for name, c := range map[string]struct {
		engine reflect.Type
		schema attr.Type
	}{
		"virtmigrate_host":   {reflect.TypeFor[migration.HostInfo](), hostSchema().Type()},
		"virtmigrate_domain": {reflect.TypeFor[migration.DomainInfo](), domainSchema().Type()},
	} {
		same(t, name, c.engine, c.schema.(types.ObjectType).AttrTypes)
	}
	preflight := maps.Clone(preflightSchema().Type().(types.ObjectType).AttrTypes)
	same(t, "virtmigrate_preflight.migration", reflect.TypeFor[migration.Options](), preflight["migration"].(types.ObjectType).AttrTypes)
	for _, given := range []string{"migration", "deep"} { // what it is asked by, and the answer does not have
		delete(preflight, given)
	}
	same(t, "virtmigrate_preflight", reflect.TypeFor[migration.Preflight](), preflight)
}

func same(t *testing.T, path string, engine reflect.Type, schema map[string]attr.Type) {
	t.Helper()
	var names []string
	for _, field := range reflect.VisibleFields(engine) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		names = append(names, name)
		got, ok := schema[name]
		if !ok {
			t.Errorf("%s.%s of the engine is not in the schema", path, name)
			continue
		}
		if object, nested := got.(types.ObjectType); nested {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			same(t, path+"."+name, inner, object.AttrTypes)
		} else if want := attributeOf(field.Type); strings.Contains(path+".", "migration.") && want == types.Int64Type && got == types.NumberType {
			continue // what a user gives is checked by wholeNumber
		} else if want == nil || !got.Equal(want) {
			t.Errorf("%s.%s is a %v in the schema, the engine has a %v", path, name, got, field.Type)
		}
	}
	for name := range schema {
		if !slices.Contains(names, name) {
			t.Errorf("%s.%s of the schema is unknown to the engine", path, name)
		}
	}
}

func attributeOf(typ reflect.Type) attr.Type {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.String:
		return types.StringType
	case reflect.Bool:
		return types.BoolType
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return types.Int64Type
	case reflect.Float64:
		return types.Float64Type
	case reflect.Map:
		return types.MapType{ElemType: attributeOf(typ.Elem())}
	case reflect.Slice:
		return types.ListType{ElemType: attributeOf(typ.Elem())}
	case reflect.Struct:
		if typ == reflect.TypeFor[time.Time]() {
			return types.StringType
		}
		inner := map[string]attr.Type{}
		for _, field := range reflect.VisibleFields(typ) {
			inner[field.Tag.Get("json")] = attributeOf(field.Type)
		}
		return types.ObjectType{AttrTypes: inner}
	}
	return nil
}

// TestEveryFigureReachesState fills every field of a Result with a value of its own, and finds each again.
func TestEveryFigureReachesState(t *testing.T) {
	var full migration.Result
	next := 0
	fill(reflect.ValueOf(&full).Elem(), &next)
	for name, result := range map[string]migration.Result{"full": full, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			obj, err := object(t.Context(), result, resultType)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if got := plain(t.Context(), t, obj); !reflect.DeepEqual(got, want) {
				t.Errorf("state has %v\nwant      %v", got, want)
			}
		})
	}
}

// fill gives every leaf a value that no other leaf has.
func fill(v reflect.Value, next *int) {
	*next++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.String:
		v.SetString("text " + string(rune('a'+*next)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(1)<<40 + int64(*next))
	case reflect.Float64:
		v.SetFloat(float64(*next) + 0.1)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"vda", "vdb"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"copy_ms": "because"}))
	case reflect.Struct:
		if v.Type().Name() == "Time" {
			_ = v.Addr().Interface().(interface{ UnmarshalText([]byte) error }).UnmarshalText([]byte("2026-11-24T01:02:03.5Z"))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	default:
		panic("a Result has a " + v.Kind().String() + ", which this test cannot fill")
	}
}

// plain turns a framework value into what encoding/json would have made of it.
func plain(ctx context.Context, t *testing.T, v attr.Value) any {
	t.Helper()
	if v.IsNull() {
		return nil
	}
	switch v := v.(type) {
	case types.String:
		return v.ValueString()
	case types.Bool:
		return v.ValueBool()
	case types.Int64:
		return float64(v.ValueInt64())
	case types.Float64:
		return v.ValueFloat64()
	case types.List:
		out := []any{}
		for _, element := range v.Elements() {
			out = append(out, plain(ctx, t, element))
		}
		return out
	case types.Map:
		out := map[string]any{}
		for key, element := range v.Elements() {
			out[key] = plain(ctx, t, element)
		}
		return out
	case types.Object:
		out := map[string]any{}
		for key, attribute := range v.Attributes() {
			out[key] = plain(ctx, t, attribute)
		}
		return out
	}
	t.Fatalf("state has a %T", v)
	return nil
}
