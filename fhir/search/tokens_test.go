package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/resource/resourcetest"
)

// forms are the datatypes that a token is read from, with the code c of system s.
var forms = []string{
	`"c"`, `true`, `{"system":"s","code":"c"}`, `{"coding":[{"code":"x"},{"system":"s","code":"c"}]}`, `{"system":"s","value":"c"}`,
}

var tokenValues = []string{"c", "s|c", "|c", "s|", "true", "x,c", "t|c,s|x", `c\,`, `s|c,`, "d"}

// withValue writes a resource that has the value at a position.
func withValue(typ string, at *path, value string) string {
	body := value
	for i := len(at.steps) - 1; i >= 0; i-- {
		st := at.steps[i]
		name := st.name
		if at.choice && i == len(at.steps)-1 {
			name += "CodeableConcept"
		}
		if st.key != "" && strings.HasPrefix(body, "{") {
			body = fmt.Sprintf(`{%q:%q,%s`, st.key, st.value, strings.TrimPrefix(body, "{"))
		}
		body = fmt.Sprintf(`{%q:%s}`, name, body)
	}
	return fmt.Sprintf(`{"resourceType":%q,%s`, typ, strings.TrimPrefix(body, "{"))
}

// A scope's criterion finds what a search by it finds: for every token parameter
// of every type, at each of its positions, in each form.
func TestATokenIsFoundWhereASearchFindsIt(t *testing.T) {
	parameters, found := 0, 0
	for typ, all := range table() {
		if !KnownType(typ) {
			continue
		}
		for name, p := range all {
			if p.Kind != Token {
				continue
			}
			parameters++
			for i := range p.paths {
				for _, form := range forms {
					r, err := resource.Parse([]byte(withValue(typ, &p.paths[i], form)))
					if err != nil || p.paths[i].deceased || name == "_id" {
						continue
					}
					for _, v := range tokenValues {
						q, err := Parse(typ, []Param{{name, v}}, Options{})
						if (err == nil) != (CheckToken(typ, name, v) == nil) {
							t.Fatalf("%s.%s=%s: a search says %v, a scope %v", typ, name, v, err, CheckToken(typ, name, v))
						}
						want := err == nil && q.Match(r)
						if err == nil && HasToken(r.Root(), typ, name, v) != want {
							t.Fatalf("%s.%s=%s on %s: %v, a search finds %v", typ, name, v, r.Raw(), !want, want)
						}
						if want {
							found++
						}
					}
				}
			}
		}
	}
	if parameters < 600 || found < 5000 {
		t.Errorf("%d parameters and %d finds: too few to show anything", parameters, found)
	}
}

func TestCheckToken(t *testing.T) {
	for _, c := range []struct {
		typ, param, value string
		ok                bool
	}{
		{"Observation", "category", "http://x|laboratory", true},
		{"Binary", "_tag", "x", true},
		{"*", "category", "x", true},
		{"*", "deceased", "true", true},
		{"*", "deceased", "x", false},
		{"*", "patient", "x", false},
		{"Patient", "category", "x", false},
		{"Observation", "date", "2024", false},
		{"Observation", "category:not", "x", false},
		{"Observation", "_count", "1", false},
		{"Observation", "category", "", false},
		{"Observation", "category", "a,,b", false},
		{"Observation", "category", "|", false},
		{"Observation", "category", "a|b|c", false},
		{"Observation", "category", `a\x`, false},
		{"Nothing", "category", "x", false},
	} {
		if err := CheckToken(c.typ, c.param, c.value); (err == nil) != c.ok {
			t.Errorf("%s?%s=%s: %v", c.typ, c.param, c.value, err)
		}
	}
}

// What is said to lie within another value does so on every resource.
func TestTokensWithinIsTrue(t *testing.T) {
	values := []string{"c", "d", "s|c", "t|c", "|c", "s|", "s|c,d", "c,d", "s|,t|c", `s|c\,x`, `c\,x`, "x|y|z", ""}
	var resources []*resource.Resource
	for _, codings := range []string{`{"code":"c"}`, `{"system":"s","code":"c"}`, `{"system":"t","code":"c"}`, `{"system":"s"}`, `{"system":"s","code":"d"}`, `{"system":"s","code":"c,x"}`, `{"code":"d"},{"system":"t","code":"c"}`} {
		r, err := resource.Parse([]byte(`{"resourceType":"Observation","code":{"coding":[` + codings + `]}}`))
		if err != nil {
			t.Fatal(err)
		}
		resources = append(resources, r)
	}
	within := 0
	for _, a := range values {
		for _, b := range values {
			if !TokensWithin(a, b) {
				continue
			}
			within++
			for _, r := range resources {
				if HasToken(r.Root(), "Observation", "code", a) && !HasToken(r.Root(), "Observation", "code", b) {
					t.Errorf("%q is said to lie within %q, and does not on %s", a, b, r.Raw())
				}
			}
		}
	}
	if within < 2*len(values) {
		t.Errorf("only %d pairs lie within each other", within)
	}
}

func FuzzTokens(f *testing.F) {
	for _, v := range tokenValues {
		f.Add(v, "s|c", "s", "c")
	}
	f.Fuzz(func(t *testing.T, value, other, system, code string) {
		raw := fmt.Sprintf(`{"resourceType":"Observation","code":{"coding":[{"system":%s,"code":%s}]}}`, resource.Quote(system), resource.Quote(code))
		r, err := resource.Parse([]byte(raw))
		if err != nil {
			return
		}
		has := HasToken(r.Root(), "Observation", "code", value)
		if q, err := Parse("Observation", []Param{{"code", value}}, Options{}); err == nil && CheckToken("Observation", "code", value) == nil && q.Match(r) != has {
			t.Fatalf("code=%q on %s: %v, a search says otherwise", value, raw, has)
		}
		if has && TokensWithin(value, other) && !HasToken(r.Root(), "Observation", "code", other) {
			t.Fatalf("%q is said to lie within %q, and does not on %s", value, other, raw)
		}
	})
}

// What a resource is found by does not depend on how its letters are written.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"p1","identifier":[{"system":"http://one","value":"M1","type":{"coding":[{"system":"s","code":"MR"}]}}],"name":[{"family":"Ionesco","given":["Eve"]}],"birthDate":"1981-11-01","telecom":[{"system":"phone","value":"1"}],"generalPractitioner":[{"reference":"Practitioner/one"}],"active":true}`))
	f.Add([]byte(`{"resourceType":"Observation","id":"o1","meta":{"profile":["http://one/p|1"],"tag":[{"system":"e","code":"o"}]},"code":{"coding":[{"system":"http://loinc.org","code":"1-8"}],"text":"one"},"subject":{"reference":"http://one.example/fhir/Patient/1","identifier":{"value":"1"}},"effectiveDateTime":"2021-01-11T10:10:11Z","valueQuantity":{"value":1.5e1,"unit":"oz","code":"[oz_av]","system":"http://unitsofmeasure.org"},"component":[{"valueQuantity":{"value":11}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		spelled, err := resource.Parse(resourcetest.SpellOut(raw))
		if err != nil {
			t.Fatalf("%s: %v", resourcetest.SpellOut(raw), err)
		}
		if want, got := Index(r), Index(spelled); !slices.Equal(got, want) {
			t.Fatalf("%q, and %q where letters are written as escapes: %s", want, got, raw)
		}
	})
}
