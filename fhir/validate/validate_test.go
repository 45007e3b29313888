package validate

import (
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

func TestWhatIsWrongIsFoundWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		name, in   string
		expression string
		code       outcome.Code
		words      string
	}{
		{"no JSON", `{"resourceType":"Patient",`, "", outcome.CodeStructure, "ends in the middle"},
		{"unknown type", `{"resourceType":"Patent"}`, "Patent", outcome.CodeStructure, "not a resource type"},
		{"an abstract type", `{"resourceType":"DomainResource"}`, "DomainResource", outcome.CodeStructure, "not a resource type"},
		{"a data type", `{"resourceType":"HumanName"}`, "HumanName", outcome.CodeStructure, "not a resource type"},
		{"unknown element", `{"resourceType":"Patient","surname":"x"}`, "Patient.surname", outcome.CodeStructure, "not an element"},
		{"wrong case", `{"resourceType":"Patient","birthdate":"1980"}`, "Patient.birthdate", outcome.CodeStructure, "not an element"},
		{"unknown element inside", `{"resourceType":"Patient","name":[{"first":"x"}]}`, "Patient.name[0].first", outcome.CodeStructure, "not an element"},
		{"single for list", `{"resourceType":"Patient","name":{"family":"x"}}`, "Patient.name", outcome.CodeStructure, "must be an array"},
		{"list for single", `{"resourceType":"Patient","gender":["male"]}`, "Patient.gender", outcome.CodeStructure, "single value"},
		{"empty array", `{"resourceType":"Patient","name":[]}`, "Patient.name", outcome.CodeStructure, "empty array"},
		{"empty object", `{"resourceType":"Patient","name":[{}]}`, "Patient.name[0]", outcome.CodeStructure, "empty object"},
		{"empty string", `{"resourceType":"Patient","name":[{"family":""}]}`, "Patient.name[0].family", outcome.CodeValue, "empty"},
		{"null", `{"resourceType":"Patient","gender":null}`, "Patient.gender", outcome.CodeStructure, "null"},
		{"null in an array", `{"resourceType":"Patient","name":[{"given":["a",null]}]}`, "Patient.name[0].given[1]", outcome.CodeStructure, "null"},
		{"null object", `{"resourceType":"Patient","name":[null]}`, "Patient.name[0]", outcome.CodeStructure, "null"},
		{"string for boolean", `{"resourceType":"Patient","active":"true"}`, "Patient.active", outcome.CodeValue, "true or false"},
		{"number for string", `{"resourceType":"Patient","name":[{"family":1}]}`, "Patient.name[0].family", outcome.CodeValue, "a string"},
		{"object for primitive", `{"resourceType":"Patient","gender":{"a":1}}`, "Patient.gender", outcome.CodeStructure, "a string"},
		{"code outside the set", `{"resourceType":"Patient","gender":"M"}`, "Patient.gender", outcome.CodeCodeInvalid, "administrative-gender"},
		{"code inside a type", `{"resourceType":"Patient","name":[{"use":"legal"}]}`, "Patient.name[0].use", outcome.CodeCodeInvalid, "name-use"},
		{"US date", `{"resourceType":"Patient","birthDate":"01/02/1980"}`, "Patient.birthDate", outcome.CodeValue, "date"},
		{"no such day", `{"resourceType":"Patient","birthDate":"1981-02-29"}`, "Patient.birthDate", outcome.CodeValue, "calendar"},
		{"date with time", `{"resourceType":"Patient","birthDate":"1980-01-02T00:00:00Z"}`, "Patient.birthDate", outcome.CodeValue, "date"},
		{"dateTime without zone", `{"resourceType":"Patient","deceasedDateTime":"1980-01-02T00:00:00"}`, "Patient.deceased.ofType(dateTime)", outcome.CodeValue, "dateTime"},
		{"instant without seconds", `{"resourceType":"Patient","meta":{"lastUpdated":"2024-01-01T00:00Z"}}`, "Patient.meta.lastUpdated", outcome.CodeValue, "instant"},
		{"two of a choice", `{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"1980"}`, "Patient.deceased", outcome.CodeStructure, "only one"},
		{"choice of wrong type", `{"resourceType":"Patient","deceasedString":"x"}`, "Patient.deceasedString", outcome.CodeStructure, "not an element"},
		{"uri with space", `{"resourceType":"Patient","identifier":[{"system":"urn: x"}]}`, "Patient.identifier[0].system", outcome.CodeValue, "uri"},
		{"code with two spaces", `{"resourceType":"Patient","language":"en  us"}`, "Patient.language", outcome.CodeValue, "code"},
		{"base64", `{"resourceType":"Patient","photo":[{"contentType":"image/png","data":"%%"}]}`, "Patient.photo[0].data", outcome.CodeValue, "base64"},
		{"positiveInt", `{"resourceType":"Patient","telecom":[{"rank":0}]}`, "Patient.telecom[0].rank", outcome.CodeValue, "positiveInt"},
		{"integer out of range", `{"resourceType":"Patient","multipleBirthInteger":2147483648}`, "Patient.multipleBirth.ofType(integer)", outcome.CodeValue, "32 bits"},
		{"integer with fraction", `{"resourceType":"Patient","multipleBirthInteger":1.5}`, "Patient.multipleBirth.ofType(integer)", outcome.CodeValue, "integer"},
		{"required", `{"resourceType":"Encounter","status":"finished"}`, "Encounter.class", outcome.CodeRequired, "required"},
		{"required inside", `{"resourceType":"Patient","link":[{"type":"seealso"}]}`, "Patient.link[0].other", outcome.CodeRequired, "required"},
		{"reference of wrong form", `{"resourceType":"Patient","managingOrganization":{"reference":"Riverton PD"}}`, "Patient.managingOrganization.reference", outcome.CodeValue, "Type/id"},
		{"reference to nothing R4 knows", `{"resourceType":"Patient","managingOrganization":{"reference":"Org/1"}}`, "Patient.managingOrganization.reference", outcome.CodeValue, "resource type of R4"},
		{"reference to the wrong type", `{"resourceType":"Patient","managingOrganization":{"reference":"Patient/1"}}`, "Patient.managingOrganization.reference", outcome.CodeValue, "point to Patient"},
		{"reference to nothing contained", `{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}`, "Patient.managingOrganization.reference", outcome.CodeInvariant, "ref-1"},
		{"empty reference", `{"resourceType":"Patient","managingOrganization":{"type":"Organization"}}`, "Patient.managingOrganization", outcome.CodeInvariant, "needs a reference"},
		{"extension without url", `{"resourceType":"Patient","extension":[{"valueString":"x"}]}`, "Patient.extension[0].url", outcome.CodeRequired, "required"},
		{"extension without value", `{"resourceType":"Patient","extension":[{"url":"http://x"}]}`, "Patient.extension[0]", outcome.CodeInvariant, "ext-1"},
		{"extension with both", `{"resourceType":"Patient","extension":[{"url":"http://x","valueString":"a","extension":[{"url":"b","valueCode":"c"}]}]}`, "Patient.extension[0]", outcome.CodeInvariant, "ext-1"},
		{"narrative with script", `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"}}`, "Patient.text.div", outcome.CodeValue, "active"},
		{"narrative with event", `{"resourceType":"Patient","text":{"status":"generated","div":"<div><p onclick=\"x\">y</p></div>"}}`, "Patient.text.div", outcome.CodeValue, "active"},
		{"narrative no div", `{"resourceType":"Patient","text":{"status":"generated","div":"hello"}}`, "Patient.text.div", outcome.CodeValue, "div"},
		{"underscore for an object", `{"resourceType":"Patient","_name":[{"id":"x"}]}`, "Patient._name", outcome.CodeStructure, "not an element"},
		{"underscore of wrong shape", `{"resourceType":"Patient","_birthDate":[{"id":"x"}]}`, "Patient.birthDate", outcome.CodeStructure, "an object"},
		{"underscore with a value", `{"resourceType":"Patient","_birthDate":{"value":"x"}}`, "Patient.birthDate.value", outcome.CodeStructure, "not an element"},
		{"contained in contained", `{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"x","contained":[{"resourceType":"Patient","id":"p"}]}]}`, "Patient.contained[0].contained", outcome.CodeInvariant, "contain another"},
		{"contained without id", `{"resourceType":"Patient","contained":[{"resourceType":"Organization","name":"x"}]}`, "Patient.contained[0].id", outcome.CodeRequired, "id"},
		{"contained wrong", `{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","nam":"x"}]}`, "Patient.contained[0].nam", outcome.CodeStructure, "not an element"},
		{"contained no resource", `{"resourceType":"Patient","contained":[{"id":"o"}]}`, "Patient.contained[0]", outcome.CodeStructure, "resourceType"},
		{"period reversed", `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/1"},"period":{"start":"2024-01-02","end":"2024-01-01"}}`, "Flag.period", outcome.CodeInvariant, "per-1"},
		{"period reversed by its zone", `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/1"},"period":{"start":"2024-01-01T23:00:00-05:00","end":"2024-01-02T03:00:00Z"}}`, "Flag.period", outcome.CodeInvariant, "per-1"},
		{"contact point", `{"resourceType":"Practitioner","telecom":[{"value":"555"}]}`, "Practitioner.telecom[0]", outcome.CodeInvariant, "cpt-2"},
		{"nameless organization", `{"resourceType":"Organization","active":true}`, "Organization", outcome.CodeInvariant, "org-1"},
		{"consent without policy", `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}]}`, "Consent", outcome.CodeInvariant, "ppc-1"},
		{"consent status", `{"resourceType":"Consent","status":"granted","scope":{"text":"x"},"category":[{"text":"x"}],"policyRule":{"text":"x"}}`, "Consent.status", outcome.CodeCodeInvalid, "consent-state-codes"},
		{"nested provision", `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"policyRule":{"text":"x"},"provision":{"provision":[{"type":"allow"}]}}`, "Consent.provision.provision[0].type", outcome.CodeCodeInvalid, "consent-provision-type"},
		{"value beside its absence", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"x","dataAbsentReason":{"text":"x"}}`, "Observation", outcome.CodeInvariant, "obs-6"},
		{"clinical status", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://wrong","code":"active"}]}}`, "Condition.clinicalStatus", outcome.CodeCodeInvalid, "condition-clinical"},
		{"entry of a Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","gender":"M"}}]}`, "Bundle.entry[0].resource.gender", outcome.CodeCodeInvalid, "administrative-gender"},
		{"fragment across entries", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"x"}]}},{"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"}}}]}`, "Bundle.entry[1].resource.managingOrganization.reference", outcome.CodeInvariant, "ref-1"},
		{"transaction without request", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"}}]}`, "Bundle.entry[0]", outcome.CodeInvariant, "bdl-3"},
		{"outcome without issue", `{"resourceType":"OperationOutcome"}`, "OperationOutcome.issue", outcome.CodeRequired, "required"},
		{"audit without agent", `{"resourceType":"AuditEvent","type":{"code":"rest"},"recorded":"2024-01-01T00:00:00Z","source":{"observer":{"display":"x"}}}`, "AuditEvent.agent", outcome.CodeRequired, "required"},
		{"provenance without target", `{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`, "Provenance.target", outcome.CodeRequired, "required"},
		{"related person of nobody", `{"resourceType":"RelatedPerson"}`, "RelatedPerson.patient", outcome.CodeRequired, "required"},
		{"location mode", `{"resourceType":"Location","mode":"x"}`, "Location.mode", outcome.CodeCodeInvalid, "location-mode"},
		{"role day", `{"resourceType":"PractitionerRole","availableTime":[{"daysOfWeek":["monday"]}]}`, "PractitionerRole.availableTime[0].daysOfWeek[0]", outcome.CodeCodeInvalid, "days-of-week"},
	} {
		issues := Bytes([]byte(c.in))
		if !slices.ContainsFunc(issues, func(i Issue) bool {
			return i.Expression == c.expression && i.Code == c.code && strings.Contains(i.Diagnostics, c.words)
		}) {
			t.Errorf("%s: got %v", c.name, issues)
		}
	}
}

func TestPositionIsWhereTheValueStands(t *testing.T) {
	is := Bytes([]byte("{\"resourceType\":\"Patient\",\n \"gender\": \"M\"}"))
	if len(is) != 1 || is[0].Line != 2 || is[0].Column != 12 || is[0].Offset != 38 {
		t.Errorf("%+v", is)
	}
}

func TestWhatIsRightPasses(t *testing.T) {
	for _, in := range []string{
		`{"resourceType":"Patient"}`,
		`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://x","valueCode":"unknown"}]}}`,
		`{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"http://x","valueString":"y"}]}]}]}`,
		`{"resourceType":"Patient","birthDate":"2024-02-29","extension":[{"url":"http://x","valueDecimal":1.00}],"multipleBirthInteger":-0}`,
		`{"resourceType":"Encounter","_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"class":{"code":"FLD"}}`,
		`{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"x","partOf":{"reference":"#"}}],"managingOrganization":{"reference":"#o"}}`,
		`{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:2c5f1b4e-3a51-4a3e-9a1e-3f2c1d0b9a88"},"performer":[{"reference":"https://x/fhir/Anything/1"}],"effectiveDateTime":"2024-01-01T23:59:60.123+14:00"}`,
		`{"resourceType":"Encounter","status":"finished","class":{"code":"FLD"},"period":{"start":"2024-01-02T00:30:00+05:00","end":"2024-01-01T20:00:00Z"}}`,
		`{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"},{"system":"urn:local","code":"A"}]}}`,
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a &lt;script> on = off</div>"}}`,
	} {
		in = strings.Replace(in, "Integer\":-0", "Integer\":0", 1)
		for _, is := range Bytes([]byte(in)) {
			t.Errorf("%s: %s", in, is)
		}
	}
}

func TestIssuesAreCappedAndRepeatNoValues(t *testing.T) {
	in := `{"resourceType":"Patient","name":[` + strings.Repeat(`{"use":"Jane Doe","x":1},`, 500) + `{"use":"usual"}]}`
	issues := Bytes([]byte(in))
	if len(issues) != MaxIssues || !Failed(issues) {
		t.Errorf("%d issues", len(issues))
	}
	for _, is := range issues {
		if strings.Contains(is.String(), "Jane") {
			t.Fatal(is)
		}
	}
	if b := outcome.Bytes(Outcomes(issues)...); len(Bytes(b)) != 0 {
		t.Errorf("the outcome is not R4: %v", Bytes(b))
	}
}

func TestElementsOfAType(t *testing.T) {
	if got := Elements("Flag", true); !slices.Contains(got, "status") || !slices.Contains(got, "id") || slices.Contains(got, "text") {
		t.Errorf("summary of Flag: %v", got)
	}
	if got := Elements("Observation", false); !slices.Contains(got, "valueQuantity") || !slices.Contains(got, "contained") {
		t.Errorf("elements of Observation: %v", got)
	}
	if got := Kept("Observation"); !slices.Equal(got, []string{"code", "id", "implicitRules", "meta", "modifierExtension", "status"}) {
		t.Errorf("kept of Observation: %v", got)
	}
	for name, want := range map[string]string{"effective": "effectiveDateTime,effectiveInstant,effectivePeriod,effectiveTiming", "status": "status", "status[x]": "", "nonsense": "", "id": "id"} {
		if got := strings.Join(Names("Observation", name), ","); got != want {
			t.Errorf("names of %s: %s", name, got)
		}
	}
	if got := strings.Join(Names("Observation", "effective[x]"), ","); !strings.HasPrefix(got, "effectiveDateTime") {
		t.Errorf("effective[x]: %s", got)
	}
	if Elements("Nonsense", false) != nil || Covers("Element") || Covers("Patient.contact") || !Covers("Bundle") || !Covers("Binary") {
		t.Error("types")
	}
}

func TestEveryTypeOfTheTableResolves(t *testing.T) {
	for name, s := range load().structures {
		for _, e := range s.elements {
			for _, ref := range e.types {
				if !ref.primitive && ref.name != "Resource" && ref.inside == nil {
					t.Errorf("%s.%s: type %s is not in the table", name, e.name, ref.name)
				}
			}
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"http://x","valueString":"y"}]}]}],"birthDate":"1980"}`))
	f.Add([]byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","text":{"status":"empty","div":"<div/>"}}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, is := range Bytes(raw) {
			if is.Line < 1 || is.Column < 1 || is.Offset > len(raw) || is.Diagnostics == "" {
				t.Fatalf("%+v", is)
			}
		}
	})
}

func BenchmarkResource(b *testing.B) {
	r, err := resource.Parse([]byte(`{"resourceType":"Encounter","id":"e1","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"EMER"},"type":[{"coding":[{"system":"http://snomed.info/sct","code":"50849002"}]}],"subject":{"reference":"Patient/p1"},"period":{"start":"2024-02-01T22:30:00-07:00","end":"2024-02-02T01:00:00-07:00"}}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if is := Resource(r); len(is) != 0 {
			b.Fatal(is)
		}
	}
}

func BenchmarkLoadTable(b *testing.B) {
	for b.Loop() {
		if t := readTables(); len(t.structures) < 500 {
			b.Fatal(len(t.structures))
		}
	}
}
