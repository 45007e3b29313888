package match

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// person makes a Person: fields of "given|middle|family|suffix", birth date,
// sex, then any of "addr:", "tel:", "ssn4:", "id:system|value", "twin".
func person(system, name, born, sex string, more ...string) Person {
	p := Person{Ref: system + "/" + name, System: system, Sex: sex, Born: born}
	parts := split(name)
	p.AddName(parts[0]+" "+parts[1], parts[2], parts[3])
	p.SetBirthDate(born)
	for _, m := range more {
		switch {
		case m == "twin":
			p.Multiple = true
		case m[:4] == "tel:":
			p.AddPhone(m[4:])
		case m[:3] == "id:":
			f := split(m[3:])
			p.AddIdentifier(f[0], f[1])
		case m[:5] == "addr:":
			p.AddAddress(m[5:], "", "00501")
		case m[:5] == "ssn4:":
			p.AddIdentifier(SSN4System+"1", m[5:])
		}
	}
	return p
}

func split(s string) [4]string {
	var out [4]string
	for i := 0; i < 4; i++ {
		n := 0
		for n < len(s) && s[n] != '|' {
			n++
		}
		out[i] = s[:n]
		if n == len(s) {
			break
		}
		s = s[n+1:]
	}
	return out
}

func TestJudge(t *testing.T) {
	const home, tel, mrn = "addr:12 Alder Street Apt 3", "tel:(555) 202-0143", "id:urn:mrn:ccbh|CC123"
	ann := func(more ...string) Person { return person("a", "Ann||Lee", "1984-06-12", "female", more...) }
	other := func(name, born, sex string, more ...string) Person { return person("b", name, born, sex, more...) }
	tests := []struct {
		name   string
		a, b   Person
		level  Level
		method string
	}{
		{"name, birth date and sex alone", ann(), other("Ann||Lee", "1984-06-12", "female"), Possible, "demographics"},
		{"one more: address in another spelling", ann(home), other("ANN||LEE", "1984-06-12", "female", "addr:12 alder st. apartment 3"), Certain, "demographics"},
		{"one more: telephone without area code", ann(tel), other("Ann||Lee", "1984-06-12", "female", "tel:202-0143"), Certain, "demographics"},
		{"one more: last four", ann("ssn4:tok1"), other("Ann||Lee", "1984-06-12", "female", "ssn4:tok1"), Certain, "demographics"},
		{"last four differ", ann("ssn4:tok1", tel), other("Ann||Lee", "1984-06-12", "female", "ssn4:tok2", tel), Possible, "demographics"},
		{"another sex", ann(tel), other("Ann||Lee", "1984-06-12", "male", tel), Possible, "demographics"},
		{"sex not known", ann(tel), other("Ann||Lee", "1984-06-12", "", tel), Possible, "demographics"},
		{"first of January", person("a", "Ann||Lee", "1984-01-01", "female", tel), other("Ann||Lee", "1984-01-01", "female", tel), Possible, "demographics"},
		{"year and month only", person("a", "Ann||Lee", "1984-06", "female", tel), other("Ann||Lee", "1984-06", "female", tel), Possible, "demographics"},
		{"sentinel date", person("a", "Ann||Lee", "1911-11-11", "female", tel), other("Ann||Lee", "1911-11-11", "female", tel), Possible, "demographics"},
		{"another birth date", ann(), other("Ann||Lee", "1990-03-03", "female"), None, ""},
		{"birth date with day and month swapped", person("a", "Ann||Lee", "1984-06-12", "female"), other("Ann||Lee", "1984-12-06", "female"), Possible, "demographics"},
		{"accents, apostrophes and hyphens", person("a", "Seán||O’Neil", "1972-02-29", "male", tel), other("SEAN||ONEIL", "1972-02-29", "male", tel), Certain, "demographics"},
		{"double surname", person("a", "María Guadalupe||Fernández-Ruiz", "1963-12-12", "female", tel), other("Maria||Fernandez Ruiz", "1963-12-12", "female", tel), Certain, "demographics"},
		{"Zoë Björk", person("a", "Zoë||Björk", "1958-07-07", "female", tel), other("Zoe||Bjork", "1958-07-07", "female", tel), Certain, "demographics"},
		{"a misspelt name", person("a", "Latoya||Washington", "1990-10-02", "female", tel), other("Latoya||Washingtoi", "1990-10-02", "female", tel), Possible, "demographics"},
		{"given and family swapped", ann(tel), other("Lee||Ann", "1984-06-12", "female", tel), Possible, "demographics"},
		{"middle initial fits", person("a", "Ann|Marie|Lee", "1984-06-12", "female", tel), other("Ann|M|Lee", "1984-06-12", "female", tel), Certain, "demographics"},
		{"middle names differ", person("a", "Ann|Marie|Lee", "1984-06-12", "female", tel), other("Ann|Kay|Lee", "1984-06-12", "female", tel), Possible, "demographics"},
		{"Jr and Sr", person("a", "Tom||Hall|Jr", "1984-06-12", "male", tel), other("Tom||Hall|Sr", "1984-06-12", "male", tel, home), Possible, "demographics"},
		{"Jr on one side, shared telephone", person("a", "Tom||Hall|Jr", "1984-06-12", "male", tel), other("Tom||Hall", "1984-06-12", "male", tel), Possible, "demographics"},
		{"Jr on one side, same last four", person("a", "Tom||Hall|Jr", "1984-06-12", "male", "ssn4:tok"), other("Tom||Hall", "1984-06-12", "male", "ssn4:tok"), Certain, "demographics"},
		{"Jr in the surname", person("a", "Tom||Hall Jr", "1984-06-12", "male", tel), other("Tom||Hall|JR.", "1984-06-12", "male", tel), Certain, "demographics"},
		{"twins of two names", person("a", "Ann||Lee", "1984-06-12", "female", home, tel), other("Amy||Lee", "1984-06-12", "female", home, tel), Possible, "demographics"},
		{"a twin of one name", ann(home, tel, "twin"), other("Ann||Lee", "1984-06-12", "female", home, tel), Possible, "demographics"},
		{"shelter address", ann("addr:100 Main St Homeless Shelter"), other("Ann||Lee", "1984-06-12", "female", "addr:100 Main St Homeless Shelter"), Possible, "demographics"},
		{"jail address", ann("addr:200 County Jail Rd"), other("Ann||Lee", "1984-06-12", "female", "addr:200 County Jail Rd"), Possible, "demographics"},
		{"block of a street", ann("addr:100 BLK Oak St"), other("Ann||Lee", "1984-06-12", "female", "addr:100 BLK Oak St"), Possible, "demographics"},
		{"placeholder telephone", ann("tel:555-555-5555"), other("Ann||Lee", "1984-06-12", "female", "tel:555-555-5555"), Possible, "demographics"},
		{"Jane Doe", person("a", "Jane||Doe", "1984-06-12", "female", tel, home), other("Jane||Doe", "1984-06-12", "female", tel, home), Possible, "demographics"},
		{"identifier of one authority", ann(mrn), other("Anna||Leigh", "1984-06-12", "", mrn), Certain, "identifier"},
		{"identifier of two authorities", ann(mrn), other("Bob||Kay", "1990-01-02", "male", "id:urn:mrn:else|CC123"), None, ""},
		{"identifier without an authority", ann("id:|CC123"), other("Bob||Kay", "1990-01-02", "male", "id:|CC123"), None, ""},
		{"placeholder identifier", ann("id:urn:x|000000"), other("Bob||Kay", "1990-01-02", "male", "id:urn:x|000000"), None, ""},
		{"identifier against all else", ann(mrn), other("Bob||Kay", "1990-01-02", "male", mrn), Possible, "identifier"},
		{"placeholder SSN", ann("id:" + SSNSystem + "|999-99-9999"), other("Bob||Kay", "1990-01-02", "male", "id:"+SSNSystem+"|999999999"), None, ""},
		{"SSN in two spellings", ann("id:" + SSNSystem + "|123-45-6780"), other("Ann||Lee", "", "", "id:"+SSNSystem+"|123456780"), Certain, "identifier"},
		{"SSNs differ", ann("id:"+SSNSystem+"|123-45-6780", tel), other("Ann||Lee", "1984-06-12", "female", tel, "id:"+SSNSystem+"|223456780"), Possible, "demographics"},
		{"nothing known", Person{}, Person{}, None, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, back := Judge(tt.a, tt.b), Judge(tt.b, tt.a)
			if got.Level != tt.level || got.Method != tt.method {
				t.Errorf("got level %d by %q, want %d by %q (%+v)", got.Level, got.Method, tt.level, tt.method, got)
			}
			if got.Level != back.Level || got.Score != back.Score {
				t.Errorf("the other way round: %+v", back)
			}
			if got.Score < 0 || got.Score > 1 {
				t.Errorf("score %v", got.Score)
			}
		})
	}
}

func level(t *testing.T, people []Person, a, b string) Level {
	t.Helper()
	for _, p := range Pairs(people) {
		if (p.A.Ref == a && p.B.Ref == b) || (p.A.Ref == b && p.B.Ref == a) {
			return p.Level
		}
	}
	return None
}

func TestASecondCandidateMakesAPairPossible(t *testing.T) {
	mk := func(ref, system string, more ...string) Person {
		p := person(system, "Ann||Lee", "1984-06-12", "female", more...)
		p.Ref = ref
		return p
	}
	a, b := mk("a1", "a", "tel:2020143"), mk("b1", "b", "tel:2020143")
	if got := level(t, []Person{a, b}, "a1", "b1"); got != Certain {
		t.Fatalf("alone: %d", got)
	}
	for name, rival := range map[string]Person{
		"on the other side":              mk("b2", "b", "tel:2020143"),
		"on the other side, only likely": mk("b2", "b"),
		"on this side":                   mk("a2", "a"),
	} {
		if got := level(t, []Person{a, b, rival}, "a1", "b1"); got != Possible {
			t.Errorf("with a rival %s: %d", name, got)
		}
	}
	merged := mk("a2", "a", "tel:2020143")
	merged.ReplacedBy = []string{"a1"}
	for _, ref := range []string{"a1", "a2"} { // its system says that they are one
		if got := level(t, []Person{a, b, merged}, ref, "b1"); got != Certain {
			t.Errorf("%s, merged: %d", ref, got)
		}
	}
	if got := level(t, []Person{a, b, merged, mk("a3", "a", "tel:2020143")}, "a2", "b1"); got != Possible {
		t.Errorf("merged, with a third: %d", got)
	}
	merged.System = "d"
	if got := level(t, []Person{a, b, merged, mk("d1", "d", "tel:2020143")}, "d1", "b1"); got != Possible {
		t.Errorf("a merge of another system counts: %d", got)
	}
	c := mk("c1", "c", "tel:2020143")
	if got := level(t, []Person{a, b, c}, "a1", "b1"); got != Certain {
		t.Errorf("one in a third system is no rival: %d", got)
	}
	if got := level(t, []Person{a, mk("a2", "a", "tel:2020143")}, "a1", "a2"); got != None {
		t.Errorf("records of one system are not paired: %d", got)
	}
}

func TestAnAddressThatManyShareSaysNothing(t *testing.T) {
	people := []Person{
		person("a", "Ann||Lee", "1984-06-12", "female", "addr:5 Hope Rd", "tel:2020143"),
		person("b", "Ann||Lee", "1984-06-12", "female", "addr:5 Hope Rd"),
	}
	refs := []string{people[0].Ref, people[1].Ref}
	if got := level(t, people, refs[0], refs[1]); got != Certain {
		t.Fatalf("two: %d", got)
	}
	for _, n := range []string{"Bo", "Cy", "Di", "Ed"} {
		people = append(people, person("b", n+"||Kay", "1990-02-03", "male", "addr:5 Hope Rd"))
	}
	if got := level(t, people, refs[0], refs[1]); got != Possible {
		t.Errorf("with four others there: %d", got)
	}
}

func TestFromPatientReadsWhatCanBeCompared(t *testing.T) {
	r, err := resource.Parse([]byte(`{"resourceType":"Patient","id":"p1",
		"identifier":[{"system":"urn:mrn","value":" A77 "},{"use":"old","system":"urn:mrn","value":"B88"},{"system":"` + SSN4System + `2","value":"tok"}],
		"name":[{"family":"Núñez","given":["José","A"],"suffix":["Jr."]},{"use":"temp","family":"X","given":["Y"]},{"family":"UNKNOWN","given":["Z"]}],
		"gender":"male","birthDate":"2004-03-07","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"2004-03-07T01:00:00Z"}]},
		"telecom":[{"system":"phone","value":"+1 (555) 202-0168"},{"system":"email","value":"a@b"},{"system":"phone","use":"work","value":"555-203-0001"}],
		"address":[{"line":["9078 North Pine Street","#12"],"city":"Cedar Falls","postalCode":"00502-1234"}],"multipleBirthInteger":2}`))
	if err != nil {
		t.Fatal(err)
	}
	p := FromPatient(r, "ccbh")
	if len(p.Names) != 1 || p.Names[0] != (Name{"jose", "a", "nunez", "jr"}) {
		t.Errorf("names %+v", p.Names)
	}
	if p.BirthDate != "2004-03-07" || p.Sex != "male" || !p.Multiple || p.Ref != "Patient/p1" || p.System != "ccbh" {
		t.Errorf("%+v", p)
	}
	if len(p.Identifiers) != 1 || p.Identifiers[0] != (Identifier{"urn:mrn", "A77"}) || len(p.SSN4) != 1 {
		t.Errorf("identifiers %+v %v", p.Identifiers, p.SSN4)
	}
	if len(p.Phones) != 1 || p.Phones[0] != "5552020168" {
		t.Errorf("phones %v", p.Phones)
	}
	if len(p.Addresses) != 1 || p.Addresses[0] != "9078 n pine st 12,00502" {
		t.Errorf("addresses %q", p.Addresses)
	}
	old, err := resource.Parse([]byte(`{"resourceType":"Patient","id":"p2","active":false,"identifier":[{"use":"old","system":"urn:mrn","value":"B88"}],"link":[{"type":"replaced-by","other":{"reference":"Patient/p1"}},{"type":"seealso","other":{"reference":"Patient/p3"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if p := FromPatient(old, ""); len(p.Identifiers) != 1 || len(p.ReplacedBy) != 1 || p.ReplacedBy[0] != "Patient/p1" {
		t.Errorf("merged: %+v", p)
	}
	estimated, err := resource.Parse([]byte(`{"resourceType":"Patient","id":"p","birthDate":"2004-03-07","_birthDate":{"extension":[{"url":"http://example.org/estimated","valueBoolean":true}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if p := FromPatient(estimated, ""); p.BirthDate != "" {
		t.Errorf("an estimated birth date was kept: %s", p.BirthDate)
	}
}

func FuzzFromPatient(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","name":[{"family":"ß ﬃ","given":["İ"]}],"birthDate":"2004-13-40","telecom":[{"system":"phone","value":"1"}],"address":[{"line":["1 a"],"postalCode":"1"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		p := FromPatient(r, "a")
		if v := Judge(p, p); v.Score < 0 || v.Score > 1 {
			t.Fatal(v)
		}
		q := p
		q.System, q.Ref = "b", "x"
		Pairs([]Person{p, q})
	})
}
