package mappings_test

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

const caseFile = `mapping: m.map.yaml
base: {A: "1", B: "2"}
tests:
  - name: one
    record: {B: "", C: x}
    expect: {Patient.name.given: [Ana, Bo], Patient.active: true}
    absent: [Condition]
`

func TestACaseTakesTheBaseAndWhatItSaysItself(t *testing.T) {
	f, err := mappings.ParseCases("x.test.yaml", []byte(caseFile))
	if err != nil {
		t.Fatal(err)
	}
	c := f.Cases[0]
	want := []mappings.Cell{{Column: "A", Value: "1"}, {Column: "B"}, {Column: "C", Value: "x"}}
	if len(c.Record) != 3 || c.Record[0] != want[0] || c.Record[1] != want[1] || c.Record[2] != want[2] {
		t.Errorf("record: %v", c.Record)
	}
	if len(c.Expect) != 2 || len(c.Expect[0].Want) != 2 || c.Expect[1].Want[0] != "true" || c.Expect[1].At != "x.test.yaml:6" {
		t.Errorf("expect: %+v", c.Expect)
	}
}

func FuzzParseCases(f *testing.F) {
	f.Add([]byte(caseFile))
	f.Add([]byte("profile: p\ntests: [{name: a, input: b, count: {Patient: 1}}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := mappings.ParseCases("f.test.yaml", raw)
		if err == nil && (c == nil || len(c.Cases) == 0) {
			t.Error("no error and no cases")
		}
		if err != nil && !strings.Contains(err.Error(), "f.test.yaml:") {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
