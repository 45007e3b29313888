package packs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// validator compiles the schema with a validator that knows nothing of ours.
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("pack.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("pack.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, raw []byte) any {
	t.Helper()
	text, err := yaml.YAMLToJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBuiltinPacksAreValidByTheSchema(t *testing.T) {
	s := validator(t)
	ids, err := BuiltinIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		raw, err := SourceOf(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, raw)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// What the schema can say, it says as the reader does.
func TestTheSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	s := validator(t)
	if err := s.Validate(asJSON(t, []byte(small))); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"    effect: deny", "    efect: deny"}, {"    citation: Z.Z. 1\n", ""}, {"police: true", "police: 7"}, {"label: [MH]", "label: MH"},
		{"label: [MH]", "label: []"}, {"title: A test", `title: " "`}, {`"2026.11"`, `"1.0"`}, {"effect: deny", "effect: forbid"},
		{"police: true", "sheriff: true"}, {"police: true", "police: true, treating: true"}, {", police: true", ""}, {"on: 2026-11-27", "on: today"},
	} {
		text := strings.Replace(small, c[0], c[1], 1)
		if s.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("%q is valid", c[1])
		}
		if _, err := Read("zz.yaml", []byte(text)); err == nil {
			t.Errorf("%q is read", c[1])
		}
	}
}
