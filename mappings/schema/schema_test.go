package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestShapesComeFromTheModels(t *testing.T) {
	enc := Lookup("Encounter")
	for _, c := range []struct {
		name              string
		kind              Kind
		repeats, required bool
	}{
		{"status", Code, false, true}, {"class", Complex, false, true}, {"type", Complex, true, false},
		{"contained", Resource, true, false}, {"period", Complex, false, false},
	} {
		e := enc.Element(c.name)
		if e == nil || e.Kind != c.kind || e.Repeats != c.repeats || e.Required != c.required {
			t.Errorf("Encounter.%s: got %+v", c.name, e)
		}
	}
	if !enc.Element("status").Allows("in-progress") || enc.Element("status").Allows("<unknown>") {
		t.Error("Encounter.status must allow its binding's codes only")
	}
}

func TestObjectsHoldOnlyWhatFits(t *testing.T) {
	p := New(Lookup("Patient"))
	el := p.Type.Element
	for name, text := range map[string]string{
		"gender": "Female", "active": "yes", "multipleBirthInteger": "1.5", "birthDate": "  ", "name": "x",
	} {
		if err := p.SetText(el(name), text); err == nil {
			t.Errorf("%s accepted %q", name, text)
		}
	}
	if !p.Empty() {
		t.Error("a refused value was kept")
	}
}

func TestOutputIsInOrderWithAbsentReasons(t *testing.T) {
	p := New(Lookup("Patient"))
	el := p.Type.Element
	p.SetAbsent(el("birthDate"), "error")
	name := New(el("name").Type())
	must(t, name.SetText(name.Type.Element("given"), "A"))
	name.SetAbsent(name.Type.Element("given"), "unknown")
	p.SetObject(el("name"), name)
	must(t, p.SetText(el("gender"), "male"))
	must(t, p.SetText(el("id"), "p1"))
	got := string(p.Append(nil))
	want := `{"resourceType":"Patient","id":"p1","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}]}],` +
		`"gender":"male","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"error"}]}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

func TestMissingNamesTheElement(t *testing.T) {
	e := New(Lookup("Encounter"))
	if m := e.Missing(); m != "status" {
		t.Errorf("got %q", m)
	}
	must(t, e.SetText(e.Type.Element("status"), "planned"))
	must(t, e.Child(e.Type.Element("class")).SetText(e.Type.Element("class").Type().Element("code"), "AMB"))
	if m := e.Missing(); m != "" {
		t.Errorf("got %q", m)
	}
	e.Child(e.Type.Element("period"))
	if m := e.Missing(); !strings.Contains(m, "period") {
		t.Errorf("an empty object must be missing: %q", m)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
