package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/spelling"
)

// decoder fills structs from what JSON and templates made of a task's options: strict in names, lenient
// in scalars, where Ansible hands over "yes" and "8" for true and 8. null and the empty string mean that
// an option was not given, as templates with a default of nothing write it.
type decoder struct {
	wrong []error
	// zero names the numbers that were given as 0.
	zero []string
}

func (d *decoder) refuse(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Errorf(format, args...))
}

// fields fills the fields of into, whose names are their JSON tags.
func (d *decoder) fields(path string, from map[string]any, into reflect.Value, passUnknown bool) {
	names := fieldNames(into.Type())
	for _, key := range slices.Sorted(maps.Keys(from)) {
		i := slices.Index(names, key)
		if i < 0 {
			if !passUnknown {
				d.unknown(path, key, names)
			}
			continue
		}
		d.value(join(path, key), from[key], into.Field(i))
	}
}

func (d *decoder) unknown(path, key string, names []string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	d.refuse("unknown option %q%s%s; there are %s", key, where, spelling.Guess(key, names), strings.Join(names, ", "))
}

func (d *decoder) value(path string, from any, into reflect.Value) {
	if from == nil || from == "" {
		return
	}
	switch into.Kind() {
	case reflect.Struct, reflect.Map:
		d.object(path, from, into)
	case reflect.Slice:
		d.list(path, from, into)
	case reflect.String:
		if s, ok := text(from); ok {
			into.SetString(s)
		} else {
			d.refuse("%s must be text, not %s", path, kind(from))
		}
	case reflect.Bool:
		if b, ok := boolean(from); ok {
			into.SetBool(b)
		} else {
			d.refuse("%s must be true or false, not %s", path, shown(from))
		}
	case reflect.Int, reflect.Int64:
		digits, ok := whole(from)
		n, err := strconv.ParseInt(digits, 10, into.Type().Bits())
		d.number(path, from, ok, err)
		into.SetInt(n)
		d.noteZero(path, ok && n == 0)
	case reflect.Uint64:
		digits, ok := whole(from)
		n, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 10, 64)
		d.number(path, from, ok, err)
		into.SetUint(n)
		d.noteZero(path, ok && n == 0)
	default:
		panic(fmt.Sprintf("option %s has a Go type nobody decodes: %s", path, into.Type()))
	}
}

// object fills a struct, or a map whose values are structs and whose keys the user chooses.
func (d *decoder) object(path string, from any, into reflect.Value) {
	o, ok := from.(map[string]any)
	if s, isText := from.(string); isText { // ad hoc commands can only give text
		var err error
		o, err = object([]byte(s))
		ok = err == nil
	}
	if !ok {
		d.refuse("%s must be a dictionary, not %s", path, kind(from))
		return
	}
	if into.Kind() == reflect.Struct {
		d.fields(path, o, into, false)
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, key := range slices.Sorted(maps.Keys(o)) {
		element := reflect.New(into.Type().Elem()).Elem()
		if o[key] == nil || o[key] == "" {
			d.refuse("%s must be a dictionary, not nothing", join(path, key))
		}
		d.value(join(path, key), o[key], element)
		into.SetMapIndex(reflect.ValueOf(key), element)
	}
}

// list fills a list of texts, for which Ansible also takes one text with commas.
func (d *decoder) list(path string, from any, into reflect.Value) {
	elements, ok := from.([]any)
	if s, isText := text(from); isText {
		ok = true
		for part := range strings.SplitSeq(s, ",") {
			elements = append(elements, strings.TrimSpace(part))
		}
	}
	if !ok {
		d.refuse("%s must be a list, not %s", path, kind(from))
		return
	}
	list := reflect.MakeSlice(into.Type(), len(elements), len(elements)) // an empty one differs from none
	for i, element := range elements {
		if s, ok := text(element); ok {
			list.Index(i).SetString(s)
		} else {
			d.refuse("%s must be a list of texts, and one is %s", path, kind(element))
		}
	}
	into.Set(list)
}

func (d *decoder) number(path string, from any, ok bool, err error) {
	switch {
	case !ok:
		d.refuse("%s must be a whole number, not %s", path, shown(from))
	case err != nil:
		d.refuse("%s is %s, but must be %s", path, shown(from), accepted(path))
	}
}

func (d *decoder) noteZero(path string, zero bool) {
	if zero {
		d.zero = append(d.zero, path)
	}
}

// text takes numbers too: a guest may be named 42. It takes no booleans, because name: no would come
// here as false, and nobody could tell what was written.
func text(from any) (string, bool) {
	switch v := from.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

func boolean(from any) (value, ok bool) {
	if b, is := from.(bool); is {
		return b, true
	}
	s, _ := text(from)
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return true, true
	case "n", "no", "off", "0", "false", "f", "0.0":
		return false, true
	}
	return false, false
}

// wholeForm has a fraction of zeros, because a template that divides makes 8.0 of 16 and 2.
var wholeForm = regexp.MustCompile(`^([+-]?[0-9]+)(?:\.0*)?$`)

func whole(from any) (digits string, ok bool) {
	s, _ := text(from)
	m := wholeForm.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return "", false
	}
	return m[1], true
}

// shown is a wrong value as an error repeats it, cut short.
func shown(v any) string {
	s, ok := text(v)
	if !ok {
		return kind(v)
	}
	if r := []rune(s); len(r) > 30 {
		s = string(r[:30]) + "…"
	}
	return strconv.Quote(s)
}

func kind(v any) string {
	switch v.(type) {
	case bool:
		return "true or false (quote it if it is meant as text)"
	case json.Number:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	case map[string]any:
		return "a dictionary"
	}
	return "nothing"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldNames are the JSON tags of a struct's fields, in order; those of a struct without a tag of its own
// stand for it.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			names = append(names, fieldNames(inner)...)
		default:
			names = append(names, name)
		}
	}
	return names
}
