package mappings_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings"
)

const primitiveMapping = `
mapping: test/primitive
version: 1.0.0
kinds: [ADT_A08, ADT_A31]
update: {merge: [ADT_A08]}
segments: {MSH: 25, PID: 40}
key: text("PID-3")
record-version: text("MSH-7")
resources:
  - id: patient
    type: Patient
    system: '"urn:example:mrn"'
    key: text("PID-3")
    rows:
      - {to: birthDate, expr: 'text("PID-7") matches "^[0-9]{8}" ? text("PID-7")[0:4] + "-" + text("PID-7")[4:6] + "-" + text("PID-7")[6:8] : ""', as: date, absent: 'text("PID-7") == "?" ? "error" : ""'}
      - to: birthDate.extension
        delete: 'text("PID-7") matches "^[0-9]{8}$"'
        rows:
          - {to: url, value: http://hl7.org/fhir/StructureDefinition/patient-birthTime}
          - {to: valueDateTime, expr: 'len(text("PID-7")) > 8 ? text("PID-7")[0:4] + "-" + text("PID-7")[4:6] + "-" + text("PID-7")[6:8] + "T09:00:00Z" : ""', as: dateTime, required: true}
      - {to: gender, value: unknown}
      - to: name
        over: PID-5
        rows:
          - {to: family, from: .1.1}
          - to: family.extension
            rows:
              - {to: url, value: http://hl7.org/fhir/StructureDefinition/humanname-own-prefix}
              - {to: valueString, from: .1.2, required: true}
`

// primitive applies the mapping to a message with these fields.
func primitive(t *testing.T, kind, time, name, born string) mappings.Resource {
	t.Helper()
	m, err := mappings.Load(fstest.MapFS{"m.yaml": {Data: []byte(primitiveMapping)}}, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := message(t, "MSH|^~\\&|A|B|||"+time+"||"+strings.Replace(kind, "_", "^", 1)+"|1|P|2.5.1\nPID|||77||"+name+"||"+born)
	res := apply(t, m, rec, mappings.Options{Trace: true})
	if len(res.Resources) != 1 {
		t.Fatalf("%+v", res)
	}
	return res.Resources[0]
}

func TestExtensionsOfPrimitives(t *testing.T) {
	const (
		born   = `"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1980-02-03T09:00:00Z"}]}`
		absent = `"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"error"}]}`
	)
	for _, kind := range []string{"ADT_A08", "ADT_A31"} { // merged and whole
		for _, c := range []struct{ name, born, want string }{
			{"Berg", "198002030900", `"name":[{"family":"Berg"}],"gender":"unknown","birthDate":"1980-02-03",` + born + `}`},
			{"Berg", "19800203", `"name":[{"family":"Berg"}],"gender":"unknown","birthDate":"1980-02-03"}`},
			{"Berg", "?", `"name":[{"family":"Berg"}],"gender":"unknown",` + absent + `}`},
			{"Berg&van den^", "", `"name":[{"family":"Berg","_family":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/humanname-own-prefix","valueString":"van den"}]}}],"gender":"unknown"}`},
			{"&van den^", "", `"name":[{"_family":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/humanname-own-prefix","valueString":"van den"}]}}],"gender":"unknown"}`},
		} {
			got := primitive(t, kind, "20260101", c.name, c.born)
			if !bytes.HasSuffix(got.Raw, []byte(c.want)) {
				t.Errorf("%s of %s, %s:\ngot  %s\nwant %s", kind, c.name, c.born, got.Raw, c.want)
			}
		}
	}
}

// What is said of the value and of its extensions can come from two messages.
func TestExtensionsOfPrimitivesAreSlots(t *testing.T) {
	first := primitive(t, "ADT_A08", "20260101", "Berg", "198002030900")
	for _, c := range []struct{ born, want, lacks string }{
		{"", "birthTime", "data-absent"},
		{"19800203", `"birthDate":"1980-02-03"`, "birthTime"},
		{"?", "birthTime", "data-absent"},
		{`""`, "gender", "birth"},
	} {
		later := primitive(t, "ADT_A08", "20260102", "Berg", c.born)
		for _, order := range [][]mappings.Slots{{first.Slots, later.Slots}, {later.Slots, first.Slots}} {
			raw, err := order[0].Merge(order[1]).Assemble("Patient", first.ID)
			if err != nil || !bytes.Contains(raw, []byte(c.want)) || bytes.Contains(raw, []byte(c.lacks)) {
				t.Errorf("%v: after PID-7 = %s: %s", err, c.born, raw)
			}
		}
	}
}

// An absent reason that a mapping states beside another extension keeps both.
func TestAnAbsentReasonStandsBesideOtherExtensions(t *testing.T) {
	const text = `
mapping: test/both
version: 1.0.0
kinds: [ADT_A08, ADT_A31]
update: {merge: [ADT_A08]}
segments: {MSH: 25, PID: 40}
key: text("PID-3")
record-version: text("MSH-7")
resources:
  - id: patient
    type: Patient
    system: '"urn:example:mrn"'
    key: text("PID-3")
    rows:
      - {to: birthDate, from: PID-8, as: date, absent: '"unknown"'}
      - to: birthDate.extension
        rows:
          - {to: url, value: urn:example:note}
          - {to: valueString, from: PID-7, required: true}
      - {to: gender, value: unknown}
`
	m, err := mappings.Load(fstest.MapFS{"m.yaml": {Data: []byte(text)}}, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"A08", "A31"} {
		res := apply(t, m, message(t, "MSH|^~\\&|A|B|||20260101||ADT^"+kind+"|1|P|2.5.1\nPID|||77||||in spring"), mappings.Options{})
		const want = `"gender":"unknown","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"},{"url":"urn:example:note","valueString":"in spring"}]}}`
		if raw := res.Resources[0].Raw; !bytes.HasSuffix(raw, []byte(want)) {
			t.Errorf("%s: %s", kind, raw)
		}
	}
}

func TestExtensionsOfPrimitivesAreNamedByTheirElement(t *testing.T) {
	for row, want := range map[string]string{
		"{to: _birthDate.extension, rows: [{to: url, value: 'urn:x'}]}":                `Patient has no element "_birthDate"`,
		"{to: birthDate.value, value: '2020'}":                                         `"birthDate" repeats or has no elements`,
		"{to: birthDate.extension.url, value: 'urn:x'}":                                `"birthDate" repeats or has no elements`,
		"{to: name, rows: [{to: given.extension, rows: [{to: url, value: 'urn:x'}]}]}": `"given" repeats or has no elements`,
	} {
		text := primitiveMapping + "      - " + row + "\n"
		_, err := mappings.Load(fstest.MapFS{"m.yaml": {Data: []byte(text)}}, "m.yaml", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", row, err)
		}
	}
}
