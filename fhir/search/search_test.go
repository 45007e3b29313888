package search

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

const base = "https://gw.example/fhir"

func parse(t testing.TB, typ, query string) *Query {
	t.Helper()
	params, err := ParseQuery(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	q, err := Parse(typ, params, Options{Base: base})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return q
}

func read(t testing.TB, raw string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return r
}

func TestParseRefusesAndNamesTheParameter(t *testing.T) {
	for _, c := range []struct {
		typ, query string
		problem    Problem
		want       string
	}{
		{"Patient", "birthdat=1980", Unknown, "birthdat"},
		{"Patient", "BirthDate=1980", Unknown, "BirthDate"},
		{"Patient", "class=EMER", Unknown, "not a search parameter of Patient"},
		{"Nonsense", "name=x", Unknown, "Nonsense"},
		{"Patient", "=x", Unknown, "not a search"},
		{"Patient", "phonetic=x", Unsupported, "phonetic"},
		{"Location", "near=1|2", Unsupported, "near"},
		{"Observation", "code-value-quantity=a$1", Unsupported, "code-value-quantity"},
		{"Patient", "_text=x", Unsupported, "_text"},
		{"Patient", "_content=x", Unsupported, "_content"},
		{"Patient", "_has:Observation:patient:code=1", Unsupported, "_has"},
		{"Patient", "_include=Patient:organization", Unsupported, "_include"},
		{"Patient", "_revinclude:iterate=x", Unsupported, "_revinclude"},
		{"Observation", "patient.name=x", Unsupported, "chained"},
		{"Observation", "subject:Patient.name=x", Unsupported, "chained"},
		{"Patient", "name:fuzzy=x", Unknown, "fuzzy"},
		{"Patient", "name:=x", Malformed, "empty"},
		{"Patient", "name:not=x", Malformed, "does not apply"},
		{"Patient", "gender:exact=male", Malformed, "does not apply"},
		{"Patient", "birthdate:contains=1980", Malformed, "does not apply"},
		{"Condition", "code:in=http://vs", Unsupported, "not supported"},
		{"Condition", "code:below=x", Unsupported, "not supported"},
		{"Patient", "identifier:of-type=a|b|c", Unsupported, "not supported"},
		{"Observation", "subject:Nobody=1", Unknown, "no resource type"},
		{"Observation", "subject:Practitioner=1", Malformed, "does not refer"},
		{"Observation", "subject=Practitioner/1", Malformed, "does not refer"},
		{"Observation", "subject:Patient=Group/1", Malformed, "not to Patient"},
		{"Observation", "patient=a/b/c/d", Malformed, "not a reference"},
		{"Observation", "patient=with%20space", Malformed, "not a reference"},
		{"Patient", "birthdate=80", Malformed, "not a date"},
		{"Patient", "birthdate=1980-13", Malformed, "not a date"},
		{"Patient", "birthdate=1980-02-30", Malformed, "not a date"},
		{"Patient", "birthdate=01/02/1980", Malformed, "not a date"},
		{"Patient", "birthdate=xx1980", Malformed, "unknown prefix"},
		{"Patient", "birthdate=ge", Malformed, "not a date"},
		{"Encounter", "date=2024-01-01T10", Malformed, "not a date"},
		{"Encounter", "date=2024-01-01T25:00", Malformed, "not a date"},
		{"Encounter", "date=2024-01-01T10:00:00+05:00", Malformed, "%2B"},
		{"Encounter", "date=2024-01T10:00", Malformed, "not a date"},
		{"Patient", "gender=", Malformed, "empty"},
		{"Patient", "gender=male,", Malformed, "empty"},
		{"Patient", "gender=,", Malformed, "empty"},
		{"Patient", "identifier=|", Malformed, "empty"},
		{"Patient", "identifier=a|b|c", Malformed, `\|`},
		{"Patient", `identifier=a\b`, Malformed, "backslash"},
		{"Patient", `name=a\`, Malformed, "backslash"},
		{"Patient", "name=-", Malformed, "letter or digit"},
		{"Patient", "gender:missing=maybe", Malformed, "true or false"},
		{"Patient", "deceased=perhaps", Malformed, "true or false"},
		{"Patient", "_id=a/b", Malformed, "resource id"},
		{"Patient", "_id=x|1", Malformed, "resource id"},
		{"Observation", "value-quantity=5,4x", Malformed, "not a number"},
		{"Observation", "value-quantity=5|mg", Malformed, "number|system|code"},
		{"Observation", "value-quantity=1e999999999", Malformed, "not a number"},
		{"Observation", "value-quantity=zz5", Malformed, "unknown prefix"},
		{"Patient", "_count=-1", Malformed, "whole number"},
		{"Patient", "_count=ten", Malformed, "whole number"},
		{"Patient", "_count=", Malformed, "whole number"},
		{"Patient", "_count=1&_count=2", Malformed, "more than once"},
		{"Patient", "_count:exact=1", Malformed, "modifier"},
		{"Patient", "_sort=nonsense", Unknown, "nonsense"},
		{"Patient", "_sort=family,-birthdate,given,_id,gender", TooMany, "4 sort keys"},
		{"Patient", "_sort=family,-family", Malformed, "twice"},
		{"Patient", "_sort=family,", Malformed, "empty"},
		{"Patient", "_sort=-", Malformed, "empty"},
		{"Patient", "_sort=_security", Unsupported, "_security"},
		{"Patient", "_summary=all", Malformed, "expected"},
		{"Patient", "_total=some", Malformed, "expected"},
		{"Patient", "_format=xml", Unsupported, "JSON"},
		{"Patient", "_format=application/fhir%2Bjson%3BfhirVersion=5.0", Unsupported, "R4"},
		{"Patient", "_pretty=1", Malformed, "true or false"},
		{"Patient", "_elements=", Unknown, "element"},
		{"Patient", "_elements=name,surname", Unknown, "surname"},
		{"Patient", "_elements=name.family", Unknown, "name.family"},
		{"Patient", "name=" + strings.Repeat("x", MaxLength+1), TooMany, "longer"},
		{"Patient", "gender=" + strings.Repeat("a,", MaxValues) + "a", TooMany, "values"},
		{"Patient", strings.Repeat("gender=a&", MaxParams) + "gender=a", TooMany, "parameters"},
		{"Patient", "name=%ff", Malformed, "UTF-8"},
	} {
		params, err := ParseQuery(c.query)
		if err == nil {
			_, err = Parse(c.typ, params, Options{Base: base})
		}
		var e *Error
		if !errors.As(err, &e) || e.Problem != c.problem || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s?%s: got %v, want problem %d with %q", c.typ, clip(c.query), err, c.problem, c.want)
			continue
		}
		if status, body := outcome.Render(err); status != http.StatusBadRequest || !strings.Contains(string(body), "OperationOutcome") {
			t.Errorf("%s: rendered as %d %s", c.query, status, body)
		}
	}
}

func TestParseQueryRefusesBrokenEncoding(t *testing.T) {
	for _, s := range []string{"a=%", "a=%zz", "%=b", "a=b;c=d"} {
		if p, err := ParseQuery(s); err == nil {
			t.Errorf("%q gave %v", s, p)
		}
	}
}

func TestResultParameters(t *testing.T) {
	q := parse(t, "Patient", "_count=500&_sort=-birthdate&_summary=data&_elements=name,Patient.birthDate,name&_total=accurate&_format=application/fhir%2Bjson&_pretty=true")
	if q.Count() != 200 || q.CountOnly() || q.Summary() != SummaryData || q.Total() != TotalAccurate || !q.Pretty() || q.Format() != "application/fhir+json" {
		t.Errorf("%+v", q)
	}
	if got := q.Elements(); !slices.Equal(got, []string{"birthDate", "name"}) {
		t.Errorf("elements %v", got)
	}
	p := q.Plan()
	if p.Limit != 200 || len(p.Sort) != 1 || p.Sort[0].Param != "birthdate" || !p.Sort[0].Descending {
		t.Errorf("plan %+v", p)
	}
	for _, f := range []string{"json", "application/json", "application/fhir+json", "Application/FHIR%2BJSON;%20fhirVersion=4.0;charset=UTF-8"} {
		if q := parse(t, "Patient", "_format="+strings.ReplaceAll(f, ";", "%3B")); q.Format() == "" {
			t.Errorf("format %s", f)
		}
	}
	if q := parse(t, "Patient", "_count=0"); !q.CountOnly() || q.Plan().Limit != 1 {
		t.Errorf("_count=0: %+v", q)
	}
	if q := parse(t, "Patient", ""); q.Count() != 20 || !q.Empty() {
		t.Errorf("defaults: %+v", q)
	}
}

func TestSelfIsCanonicalAndMeansTheSame(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"Patient", "gender=male&family=O%27Neill", "family=O'Neill&gender=male"},
		{"Patient", "gender=male,female&gender=female,male", "gender=female,male"},
		{"Observation", "patient=1&date=ge2024-01-01&date=lt2024-02-01&_count=999&_sort=-date", "date=ge2024-01-01&date=lt2024-02-01&patient=Patient/1&_sort=-date&_count=200"},
		{"Observation", "subject=" + base + "/Patient/1", "subject=Patient/1"},
		{"Observation", "subject=https://other/fhir/Patient/1", "subject=https://other/fhir/Patient/1"},
		{"Patient", `identifier=urn:x\|y|a\,b`, `identifier=urn:x%5C|y|a%5C,b`},
		{"Patient", "name=M%C3%BC%26+x", "name=M%C3%BC%26%20x"},
		{"Encounter", "class=http://terminology.hl7.org/CodeSystem/v3-ActCode|EMER&status:not=cancelled&date:missing=true", "class=http://terminology.hl7.org/CodeSystem/v3-ActCode|EMER&date:missing=true&status:not=cancelled"},
		{"Encounter", "date=2024-01-01T00:00:00%2B05:00", "date=2024-01-01T00:00:00%2B05:00"},
		{"Observation", "value-quantity=gt5.40||mg", "value-quantity=gt5.40||mg"},
	} {
		q := parse(t, c.typ, c.in)
		if got := q.Self(); got != c.want {
			t.Errorf("%s: self %s, want %s", c.in, got, c.want)
		}
		if again := parse(t, c.typ, q.Self()).Self(); again != q.Self() {
			t.Errorf("%s: parsing the self link gives %s", q.Self(), again)
		}
	}
}

func TestConditionalCriteria(t *testing.T) {
	for _, c := range []struct{ query, claim, wrong string }{
		{"identifier=urn:a|1", "Patient|identifier|urn:a|1", ""},
		{"?identifier=urn:a|1", "Patient|identifier|urn:a|1", ""},
		{`identifier=urn:a|1\|2`, `Patient|identifier|urn:a|1\|2`, ""},
		{"identifier=1", "", ""},
		{"identifier=urn:a|1&active=true", "", ""},
		{"identifier=urn:a|1,urn:a|2", "", ""},
		{"identifier:not=urn:a|1", "", ""},
		{"", "", "at least one"},
		{"_count=1", "", "not allowed"},
		{"nonsense=1", "", "nonsense"},
	} {
		q, err := ParseConditional("Patient", c.query, Options{})
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v", c.query, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if claim, ok := q.Claim(); claim != c.claim || ok != (c.claim != "") {
			t.Errorf("%s: claim %q", c.query, claim)
		}
	}
}

func TestReferencesAndIDs(t *testing.T) {
	q := parse(t, "Observation", "patient=1,Patient/2&subject="+base+"/Patient/3,https://x/Patient/4&_id=a,b&code=x")
	if got := q.References("patient"); len(got) != 1 || !slices.Equal(got[0], []string{"Patient/1", "Patient/2"}) {
		t.Errorf("patient: %v", got)
	}
	if got := q.References("subject"); len(got) != 1 || !slices.Equal(got[0], []string{"Patient/3", "https://x/Patient/4"}) {
		t.Errorf("subject: %v", got)
	}
	if got := q.IDs(); len(got) != 1 || !slices.Equal(got[0], []string{"a", "b"}) {
		t.Errorf("ids: %v", got)
	}
	if got := q.Names(); !slices.Equal(got, []string{"_id", "code", "patient", "subject"}) {
		t.Errorf("names: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"name=x&birthdate=ge1980&_sort=-family", `identifier=a\|b|c,d&gender:not=male`, "value-quantity=gt5.4e3|http://u|mg",
		"subject:Patient=1&patient=" + base + "/Patient/2", "_lastUpdated=lt2024-01-01T00:00:00.123456789Z", "date=9999-12-31&date=0001",
	} {
		f.Add("Observation", s)
		f.Add("Patient", s)
	}
	r := read(f, `{"resourceType":"Patient","id":"1","name":[{"family":"x"}],"birthDate":"1980"}`)
	f.Fuzz(func(t *testing.T, typ, raw string) {
		params, err := ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := Parse(typ, params, Options{Base: base})
		var e *Error
		if err != nil {
			if !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := ParseQuery(q.Self())
		if err != nil {
			t.Fatalf("self link %q: %v", q.Self(), err)
		}
		q2, err := Parse(typ, again, Options{Base: base})
		if err != nil || q2.Self() != q.Self() {
			t.Fatalf("self link %q of %q: %v", q.Self(), raw, err)
		}
		if q.Match(r) != q2.Match(r) {
			t.Fatalf("self link %q of %q means something else", q.Self(), raw)
		}
		q.Plan()
	})
}
