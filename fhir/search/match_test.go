package search

import (
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

const patient = `{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2024-03-01T10:00:00.000Z","profile":["http://p/x|1.0"],"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},
"active":true,"gender":"male","birthDate":"1980-01-02","deceasedBoolean":false,
"identifier":[{"system":"urn:mrn","value":"A|1,2","type":{"text":"Medical record"}},{"value":"bare"},{"system":"urn:empty"}],
"name":[{"family":"O'Neill-Muñoz","given":["José","Łukasz"],"prefix":["Dr."]},{"text":"Jack the Lad"}],
"telecom":[{"system":"phone","value":"+1 (555) 010-2000"},{"system":"email","value":"Jose@Example.org"}],
"address":[{"line":["12 Main St."],"city":"Riverton","postalCode":"82501","use":"home"}],
"generalPractitioner":[{"reference":"Practitioner/9"},{"identifier":{"system":"urn:npi","value":"77"}}],
"managingOrganization":{"reference":"https://gw.example/fhir/Organization/o1/_history/3"}}`

const encounter = `{"resourceType":"Encounter","id":"e1","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"EMER","display":"emergency"},
"type":[{"coding":[{"system":"http://snomed.info/sct","code":"50849002"}],"text":"Crisis contact"}],
"subject":{"reference":"Patient/p1"},"period":{"start":"2024-02-01T22:30:00-07:00","end":"2024-02-02T01:00:00-07:00"},
"length":{"value":2.5,"unit":"hours","system":"http://unitsofmeasure.org","code":"h"}}`

const open = `{"resourceType":"Encounter","id":"e2","status":"in-progress","class":{"code":"FLD"},"subject":{"type":"Patient","identifier":{"system":"urn:mrn","value":"5"}},"period":{"start":"2024-02-10"}}`

const observation = `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}],"text":"Blood pressure"},
"subject":{"reference":"Group/p1"},"effectiveInstant":"2024-01-01T00:00:00.1234Z","valueQuantity":{"value":5.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"},
"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}}]}`

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		resource, query string
		want            bool
	}{
		// tokens
		{patient, "gender=male", true}, {patient, "gender=Male", false}, {patient, "gender=female,male", true},
		{patient, "gender=http://hl7.org/fhir/administrative-gender|male", true},
		{patient, "gender=http://other|male", false}, {patient, "gender=|male", true},
		{patient, "gender:not=male", false}, {patient, "gender:not=female", true}, {patient, "gender:not=female,male", false},
		{patient, "gender=male&gender=female", false},
		{patient, "active=true", true}, {patient, "active=false", false},
		{patient, `identifier=urn:mrn|A\|1\,2`, true}, {patient, `identifier=A\|1\,2`, true}, {patient, "identifier=urn:mrn|", true},
		{patient, "identifier=|bare", true}, {patient, `identifier=|A\|1\,2`, false}, {patient, "identifier=urn:other|bare", false},
		{patient, "identifier=urn:empty|", true}, {patient, "identifier:text=medical", true}, {patient, "identifier:text=x", false},
		{patient, "telecom=5550102000", true}, {patient, "phone=555-010-2000", true}, {patient, "phone=15550102000", true},
		{patient, "phone=jose@example.org", false}, {patient, "email=JOSE@example.org", true}, {patient, "telecom=0102000", false},
		{patient, "address-use=home", true}, {patient, "deceased=false", true}, {patient, "deceased=true", false}, {patient, "deceased:not=true", true},
		{patient, "_security=R", true}, {patient, "_security=N", false}, {patient, "_tag:missing=true", true},
		{patient, "_id=p1", true}, {patient, "_id=p2,p1", true}, {patient, "_id=p2", false},
		{encounter, "class=EMER", true}, {encounter, "class=http://terminology.hl7.org/CodeSystem/v3-ActCode|EMER", true},
		{encounter, "class=http://terminology.hl7.org/CodeSystem/v3-ActCode|", true}, {encounter, "class=|EMER", false},
		{encounter, "class:text=Emerg", true}, {encounter, "type:text=crisis", true}, {encounter, "type=50849002", true},
		{open, "class=|FLD", true}, {open, "type:missing=true", true}, {open, "type:missing=false", false}, {open, "type:not=x", true},
		{observation, "code=8480-6", false}, {observation, "combo-code=8480-6", true},
		// strings
		{patient, "family=o'neill", true}, {patient, "family=oneill", true}, {patient, "family=O%E2%80%99NEILL", true},
		{patient, "family=oneill%20munoz", true}, {patient, "family=munoz", false}, {patient, "family:contains=munoz", true},
		{patient, "family:exact=O'Neill-Mu%C3%B1oz", true}, {patient, "family:exact=O'Neill-Mun%CC%83oz", false}, {patient, "family:exact=o'neill-mu%C3%B1oz", false},
		{patient, "given=jose", true}, {patient, "given=luk", true}, {patient, "name=jack", true}, {patient, "name=dr", true}, {patient, "name=riverton", false},
		{patient, "address=12%20main%20st", true}, {patient, "address-city=river", true}, {patient, "address-postalcode=825", true}, {patient, "address-state:missing=true", true},
		// dates
		{patient, "birthdate=1980-01-02", true}, {patient, "birthdate=1980", true}, {patient, "birthdate=1980-01-02T10:00", false}, {patient, "birthdate=ne1980", false},
		{patient, "birthdate=lt1980-01-02", false}, {patient, "birthdate=le1980-01-02", true}, {patient, "birthdate=ge1980-01-02", true}, {patient, "birthdate=gt1980-01-02", false},
		{patient, "birthdate=sa1979", true}, {patient, "birthdate=eb1981", true}, {patient, "birthdate=eb1980", false},
		{patient, "_lastUpdated=2024-03-01", true}, {patient, "_lastUpdated=gt2024-03-01T10:00:00.000Z", false}, {patient, "_lastUpdated=ge2024-03-01T10:00:00.000Z", true},
		{patient, "death-date:missing=true", true},
		{encounter, "date=2024-02-02", true}, {encounter, "date=2024-02-01", false}, {encounter, "date=2024-02", true},
		{encounter, "date=ge2024-02-02&date=lt2024-02-03", true}, {encounter, "date=gt2024-02-02T06:00:00Z", true}, {encounter, "date=gt2024-02-02T08:00:00Z", false},
		{encounter, "date=sa2024-02-01", true}, {encounter, "date=eb2024-02-03", true}, {encounter, "date=eb2024-02-02T07:00:00Z", false},
		{encounter, "date=gt2024-02-01T23:00:00-07:00", true},
		{open, "date=2024-02-10", false}, {open, "date=ge2030", true}, {open, "date=gt2030", true}, {open, "date=lt2024-02-11", true}, {open, "date=eb2030", false}, {open, "date=sa2024-02-09", true}, {open, "date=ne2024", true},
		{observation, "date=2024-01-01T00:00:00.123Z", true}, {observation, "date=2024-01-01T00:00:00.1234Z", true}, {observation, "date=2024-01-01T00:00:00.12345Z", false},
		// references
		{encounter, "patient=p1", true}, {encounter, "patient=Patient/p1", true}, {encounter, "subject=p1", true}, {encounter, "subject:Patient=p1", true},
		{encounter, "subject:Group=p1", false}, {encounter, "patient=https://gw.example/fhir/Patient/p1", true}, {encounter, "patient=https://other/fhir/Patient/p1", false},
		{observation, "patient=p1", false}, {observation, "subject=p1", true}, {observation, "subject=Group/p1", true}, {observation, "subject=Patient/p1", false},
		{patient, "organization=o1", true}, {patient, "organization=Organization/o1", true}, {patient, "general-practitioner=Practitioner/9", true},
		{patient, "general-practitioner:identifier=urn:npi|77", true}, {patient, "general-practitioner:identifier=77", true}, {patient, "general-practitioner:identifier=urn:x|77", false},
		{open, "patient:identifier=urn:mrn|5", true}, {open, "patient=5", false}, {open, "patient:missing=false", true},
		// uri, quantity
		{patient, "_profile=http://p/x", true}, {patient, "_profile=http://p/x|1.0", true}, {patient, "_profile=http://p/x|2.0", false}, {patient, "_profile=http://p", false},
		{observation, "value-quantity=5.4", true}, {observation, "value-quantity=5", true}, {observation, "value-quantity=5.3", false}, {observation, "value-quantity=5.40|http://unitsofmeasure.org|mg", true},
		{observation, "value-quantity=5.4||mg", true}, {observation, "value-quantity=5.4||g", false}, {observation, "value-quantity=gt5.4", false}, {observation, "value-quantity=ge5.4", true},
		{observation, "value-quantity=lt5.41", true}, {observation, "value-quantity=ap5", true}, {observation, "value-quantity=ne5.4", false}, {encounter, "length=gt2||hours", true},
	} {
		r := read(t, c.resource)
		q := parse(t, r.Type(), c.query)
		if got := q.Match(r); got != c.want {
			t.Errorf("%s?%s: got %v", r.Type(), c.query, got)
		}
		if c.want && !found(q.Plan().Where, r, Index(r)) {
			t.Errorf("%s?%s: matches, but the plan %+v does not find it", r.Type(), c.query, q.Plan().Where)
		}
	}
	if parse(t, "Patient", "").Match(read(t, encounter)) {
		t.Error("a query matched another type")
	}
}

func TestSortKeys(t *testing.T) {
	r := read(t, patient)
	for _, c := range []struct {
		query, want string
		missing     bool
	}{
		{"", "2024-03-01T10:00:00.000Z", false},
		{"_sort=_id", "p1", false},
		{"_sort=given", "jose", false},
		{"_sort=-given", "lukasz", false},
		{"_sort=birthdate", "1980-01-02T00:00:00.000Z", false},
		{"_sort=-death-date", "", true},
		{"_sort=-general-practitioner", "9/Practitioner", false},
	} {
		got := parse(t, "Patient", c.query).SortKey(r)
		if got.Value != c.want || got.Missing != c.missing || got.ID != "p1" {
			t.Errorf("%q: %+v", c.query, got)
		}
	}
	up, down := parse(t, "Patient", "_sort=birthdate"), parse(t, "Patient", "_sort=-birthdate")
	a, b, none := SortValue{Value: "1", ID: "a"}, SortValue{Value: "2", ID: "b"}, SortValue{Missing: true, ID: "c"}
	if up.Compare(a, b) >= 0 || down.Compare(a, b) <= 0 || up.Compare(none, b) <= 0 || down.Compare(none, b) <= 0 {
		t.Error("order is wrong")
	}
	if up.Compare(SortValue{Missing: true, ID: "a"}, none) >= 0 || up.Compare(a, SortValue{Value: "1", ID: "z"}) >= 0 {
		t.Error("ties go by id")
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "O'Brien": "obrien", "Saint-Jean ": "saint jean", "  a   b": "a b", "Ångström": "angstrom", "STRASSE": "strasse", "Straße": "strasse",
		"Łódź": "lodz", "St. Mary's": "st marys", "ﬁ": "fi", "李雷": "李雷", "Ærø": "aero", "\x00a": "a", "D’Angelo": "dangelo", "!!!": "",
	} {
		if got := fold(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// A date without a zone is a day of the site, in queries and in records.
func TestDatesWithoutAZoneAreLocal(t *testing.T) {
	chicago, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Skip("no time zone database: local dates were not tried")
	}
	evening := `{"resourceType":"Encounter","id":"e","period":{"start":"2026-01-09T22:41:00-06:00","end":"2026-01-09T23:10:00-06:00"}}`
	daily := `{"resourceType":"Observation","id":"o","effectiveDateTime":"2026-01-09"}`
	born := `{"resourceType":"Patient","id":"p","birthDate":"1990-07-01"}`
	for _, c := range []struct {
		raw, query string
		want       bool
	}{
		{evening, "date=2026-01-09", true}, {evening, "date=2026-01-10", false}, {evening, "date=lt2026-01-10", true},
		{evening, "date=sa2026-01-09T22:00", true}, {evening, "date=sa2026-01-09T23:00", false}, {evening, "date=2026-01-10T00:00:00Z", false},
		{evening, "date=ge2026-01-10T04:41:00Z", true},
		{daily, "date=2026-01-09", true}, {daily, "date=ge2026-01-09&date=lt2026-01-10", true}, {daily, "date=2026-01-10", false},
		{daily, "date=ge2026-01-10T06:00:00Z", false}, {daily, "date=lt2026-01-09T06:00:00Z", false}, {daily, "date=lt2026-01-09T07:00:00Z", true},
		{born, "birthdate=1990-07-01", true}, {born, "birthdate=1990-07", true}, {born, "birthdate=lt1990-07-01", false}, {born, "birthdate=gt1990-07-01", false},
	} {
		r := read(t, c.raw)
		params, err := ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(r.Type(), params, Options{Location: chicago})
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(r); got != c.want {
			t.Errorf("%s on %s: %v", c.query, c.raw, got)
		}
		if c.want && !found(q.Plan().Where, r, Index(r)) {
			t.Errorf("%s: the plan does not find %s", c.query, c.raw)
		}
	}
}

// R4: ap is about a tenth of the gap between now and the date.
func TestApproximateDates(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		born, value string
		want        bool
	}{
		{"1986-05-01", "ap1985", true}, {"1989-06-01", "ap1985", true}, {"1990-06-01", "ap1985", false},
		{"1981-02-01", "ap1985", true}, {"1980-06-01", "ap1985", false}, {"1985", "ap1985-06-15", true},
		{"2026-01-01", "ap2026-01-01", true}, {"2026-01-02", "ap2026-01-01", false}, {"2036-01-01", "ap2035-06-01", true}, {"2037-01-01", "ap2035-06-01", false},
		{"1700", "ap1680", true}, {"9500", "ap9999", true}, {"8000", "ap9999", false}, {"0001", "ap0005", true},
	} {
		r := read(t, `{"resourceType":"Patient","id":"p","birthDate":"`+c.born+`"}`)
		q, err := Parse("Patient", []Param{{"birthdate", c.value}}, Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(r); got != c.want {
			t.Errorf("born %s, asked %s: %v", c.born, c.value, got)
		}
		if c.want && !found(q.Plan().Where, r, Index(r)) {
			t.Errorf("the plan of %s does not find %s", c.value, c.born)
		}
		if q.Self() != "birthdate="+c.value {
			t.Errorf("self %s", q.Self())
		}
	}
}

func TestLaterSortKeysSettleTies(t *testing.T) {
	q := parse(t, "Encounter", "_sort=-date,status")
	if q.Self() != "_sort=-date,status" || len(q.Plan().Sort) != 2 || !q.Plan().Sort[0].Descending || q.Plan().Sort[1].Descending {
		t.Errorf("%s, %v", q.Self(), q.Plan().Sort)
	}
	var rs []*resource.Resource
	for id, body := range map[string]string{
		"a": `"period":{"start":"2024-01-01"},"status":"planned"`, "b": `"period":{"start":"2024-01-01"},"status":"finished"`,
		"c": `"period":{"start":"2024-01-02"},"status":"planned"`, "d": `"status":"finished"`, "e": `"period":{"start":"2024-01-01"},"status":"finished"`, "f": `"period":{"start":"2024-01-01"}`,
	} {
		rs = append(rs, read(t, `{"resourceType":"Encounter","id":"`+id+`",`+body+`}`))
	}
	q.Sort(rs)
	var got string
	for _, r := range rs {
		got += r.ID()
	}
	if got != "cbeafd" {
		t.Errorf("got %s", got)
	}
}
