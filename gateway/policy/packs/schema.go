package packs

import (
	"bytes"
	_ "embed" // schema.json
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed schema.json
var schemaJSON []byte

// Schema is the JSON Schema (draft 2020-12) of a pack. It is made of the tags
// of [Pack] and what it is made of; a test keeps it so.
func Schema() []byte { return slices.Clone(schemaJSON) }

// A field is one key of a struct.
type field struct {
	index    int
	required bool
	tag      reflect.StructTag
	typ      reflect.Type
}

var fieldsOf sync.Map // reflect.Type → map[string]field

// fields lists the keys of a struct by its tags. The map may be changed.
func fields(t reflect.Type) map[string]field {
	if known, ok := fieldsOf.Load(t); ok {
		return maps.Clone(known.(map[string]field))
	}
	out := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key != "" {
			out[key] = field{i, options != "omitempty", f.Tag, f.Type}
		}
	}
	fieldsOf.Store(t, out)
	return maps.Clone(out)
}

var patterns sync.Map // text → *regexp.Regexp

// pattern compiles a tag's pattern once.
func pattern(text string) *regexp.Regexp {
	if known, ok := patterns.Load(text); ok {
		return known.(*regexp.Regexp)
	}
	p := regexp.MustCompile(text)
	patterns.Store(text, p)
	return p
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// MakeSchema makes the schema from the tags.
func MakeSchema() ([]byte, error) {
	defs := map[string]any{}
	s := schemaOf(reflect.TypeFor[Pack](), "", defs)
	root := defs["Pack"].(map[string]any)
	delete(defs, "Pack")
	delete(s, "$ref")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://handoff-health.github.io/schemas/pack.json"
	root["title"] = "Handoff rule pack"
	root["$defs"] = defs
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return b.Bytes(), err
}

// schemaOf describes a type; structs go into defs.
func schemaOf(t reflect.Type, tag reflect.StructTag, defs map[string]any) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), tag, defs)
	case reflect.Slice:
		return map[string]any{"type": "array", "minItems": 1, "items": schemaOf(t.Elem(), tag, defs)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), tag, defs)}
	case reflect.Struct:
		if _, ok := defs[t.Name()]; !ok {
			defs[t.Name()] = true // a struct that holds itself ends here
			defs[t.Name()] = object(t, defs)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	}
	out := map[string]any{"type": "string", "pattern": `\S`}
	if e := tag.Get("enum"); e != "" {
		out = map[string]any{"enum": strings.Split(e, ",")}
	}
	if p := tag.Get("pattern"); p != "" {
		out["pattern"] = p
	}
	return out
}

func object(t reflect.Type, defs map[string]any) map[string]any {
	properties, required := map[string]any{}, []string{}
	var kinds []any
	all := fields(t)
	for _, key := range sortedKeys(all) {
		f := all[key]
		s := schemaOf(f.typ, f.tag, defs)
		s["description"] = f.tag.Get("doc")
		properties[key] = s
		if f.required {
			required = append(required, key)
		}
		if isKind(t, key) {
			kinds = append(kinds, map[string]any{"required": []string{key}})
		}
	}
	out := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if len(kinds) > 0 {
		out["oneOf"] = kinds
	}
	return out
}

// isKind says whether the key of a condition or an attribute is one of those
// of which it has exactly one.
func isKind(t reflect.Type, key string) bool {
	switch t {
	case reflect.TypeFor[Condition]():
		return key != "id" && key != "not"
	case reflect.TypeFor[Attribute]():
		return key != "name"
	}
	return false
}
