package mappings_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// person maps a PID with these fields after the name.
func person(t *testing.T, m *mappings.Map, fields map[int]string, more ...string) (string, *mappings.Result) {
	t.Helper()
	pid := make([]string, 41)
	pid[0], pid[3], pid[5] = "PID", "77^^^CLINIC^MR", "Berg^Ann"
	for i, f := range fields {
		pid[i] = f
	}
	res := apply(t, m, message(t, "MSH|^~\\&|A|CLINIC|||20260101080000+0100||ADT^A31|1|P|2.5.1\n"+strings.Join(append([]string{strings.Join(pid, "|")}, more...), "\n")), mappings.Options{})
	return string(of(res, "Patient")[0].Raw), res
}

func codes(res *mappings.Result, field string) string {
	var out []string
	for _, is := range res.Issues {
		if is.Field == field {
			out = append(out, is.Code)
		}
	}
	return strings.Join(out, " ")
}

func TestTimesOfBirthAndDeath(t *testing.T) {
	m := load(t, adt)
	for _, c := range []struct{ born, died, dead, want, found string }{
		{"198002030415+0200", "", "", "1980-02-03 1980-02-03T04:15:00+02:00 <nil> <nil>", ""},
		{"19800203041559-0530", "", "N", "1980-02-03 1980-02-03T04:15:59-05:30 <nil> false", ""},
		{"198002030415", "", "", "1980-02-03  <nil> <nil>", "time-zone-missing"},
		{"1980020304+0200", "", "", "1980-02-03  <nil> <nil>", ""},
		{"198002032515+0200", "", "", "1980-02-03  <nil> <nil>", "time-impossible"},
		{"19800203", "2025", "Y", "1980-02-03  2025 <nil>", ""},
		{"198002", "20251224183000+0100", "", "1980-02  2025-12-24T18:30:00+01:00 <nil>", "birth-date-partial"},
		{"", "yesterday", "Y", "  <nil> true", ""},
	} {
		raw, res := person(t, m, map[int]string{7: c.born, 29: c.died, 30: c.dead})
		var p struct {
			BirthDate string
			Twin      struct {
				Extension []struct{ ValueDateTime string }
			} `json:"_birthDate"`
			DeadAt any `json:"deceasedDateTime"`
			Dead   any `json:"deceasedBoolean"`
		}
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			t.Fatal(err)
		}
		at := ""
		if len(p.Twin.Extension) > 0 {
			at = p.Twin.Extension[0].ValueDateTime
		}
		if got := fmt.Sprint(p.BirthDate, " ", at, " ", p.DeadAt, " ", p.Dead); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		if got := codes(res, "PID-7"); got != c.found {
			t.Errorf("%+v: found %s", c, got)
		}
		if got := codes(res, "PID-29"); (got != "") != (c.died == "yesterday") {
			t.Errorf("%+v: found %s", c, got)
		}
	}
}

func TestMultipleBirths(t *testing.T) {
	m := load(t, adt)
	for fields, want := range map[[2]string]string{
		{"Y", "2"}: `"multipleBirthInteger":2`, {"", "3"}: `"multipleBirthInteger":3`, {"Y", ""}: `"multipleBirthBoolean":true`,
		{"N", ""}: `"multipleBirthBoolean":false`, {"Y", "second"}: `"multipleBirthBoolean":true`,
	} {
		raw, res := person(t, m, map[int]string{24: fields[0], 25: fields[1]})
		if !strings.Contains(raw, want) || strings.Count(raw, "multipleBirth") != 1 {
			t.Errorf("%v: %s", fields, raw)
		}
		if (codes(res, "PID-25") != "") != (fields[1] == "second") {
			t.Errorf("%v: found %s", fields, codes(res, "PID-25"))
		}
	}
}

// What a message empties it takes away, a time of birth with its date.
func TestBirthAndDeathAreTakenBack(t *testing.T) {
	_, res := person(t, load(t, adt), map[int]string{7: `""`, 29: `""`})
	gone := map[string]bool{}
	for _, s := range of(res, "Patient")[0].Slots {
		if s.Deleted() {
			gone[s.Name] = true
		}
	}
	for _, name := range []string{"birthDate", "deceased[x]", "_birthDate.extension:http://hl7.org/fhir/StructureDefinition/patient-birthTime"} {
		if !gone[name] {
			t.Errorf("%s stays: %v", name, gone)
		}
	}
}

// Employers, agencies and insurers are no persons; one of them is still told of
// where a relative asks for protection, which takes the contacts away.
func TestRelativesAndOrganizations(t *testing.T) {
	m := load(t, adt)
	const (
		father   = "NK1|1|Berg^Tom|FTH"
		employer = "NK1|2|Mill Works|EMR"
		hidden   = "NK1|3|Berg^Ida|SIS||||||||||||||||||||Y"
	)
	for _, c := range []struct {
		segments            []string
		contacts, relatives int
	}{
		{[]string{father, employer}, 2, 1},
		{[]string{employer}, 1, 0},
		{[]string{father, employer, hidden}, 0, 3},
		{[]string{strings.Replace(hidden, "|Y", "|N", 1)}, 1, 1},
		{[]string{father + strings.Repeat("|", 33) + "Y"}, 1, 1}, // NK1-36: a handicap, not a protection
	} {
		raw, res := person(t, m, nil, c.segments...)
		var p struct{ Contact []json.RawMessage }
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			t.Fatal(err)
		}
		relatives := of(res, "RelatedPerson")
		if len(p.Contact) != c.contacts || len(relatives) != c.relatives {
			t.Errorf("%v: %d contacts, %d relatives", c.segments, len(p.Contact), len(relatives))
		}
		for _, r := range relatives {
			restricted, ida := strings.Contains(string(r.Raw), `"code":"R"`), strings.Contains(string(r.Raw), "Ida") && c.relatives == 3
			if restricted != ida {
				t.Errorf("%v: restricted %t: %s", c.segments, restricted, r.Raw)
			}
		}
	}
}

func TestRaceAndEthnicitySayWhatWasSent(t *testing.T) {
	m := load(t, adt)
	for sent, want := range map[string][2]string{ // code, text; of PID-22
		"N":                             {"2186-5", "N"},
		"H^Hispanic or Latino^HL70189":  {"2135-2", "Hispanic or Latino"},
		"N^Black British - African":     {"", "Black British - African"},
		"N^Not of Hispanic origin":      {"2186-5", "Not of Hispanic origin"},
		"^Declined":                     {"", "Declined"},
		"2":                             {"", "2"},
		"2135-2^Hispanic^CDCREC~2186-5": {"2135-2", "Hispanic"},
	} {
		raw, _ := person(t, m, map[int]string{22: sent})
		if !strings.Contains(raw, `"us-core-ethnicity"`) && !strings.Contains(raw, `StructureDefinition/us-core-ethnicity"`) {
			t.Errorf("%s: no ethnicity in %s", sent, raw)
			continue
		}
		code := ""
		for _, c := range []string{"2135-2", "2186-5"} {
			if strings.Contains(raw, `"code":"`+c+`"`) {
				code += c
			}
		}
		if code != want[0] || !strings.Contains(raw, `{"url":"text","valueString":"`+want[1]+`"}`) {
			t.Errorf("%s: code %q in %s", sent, code, raw)
		}
	}
	raw, _ := person(t, m, map[int]string{10: "^Two races"})
	if !strings.Contains(raw, `{"extension":[{"url":"text","valueString":"Two races"}],"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"}`) &&
		!strings.Contains(raw, `{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"text","valueString":"Two races"}]}`) {
		t.Errorf("race in words: %s", raw)
	}
}
