package validate

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

const goodPatient = `{"resourceType":"Patient","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|5.0.1"]},` +
	`"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2106-3"}},{"url":"text","valueString":"White"}]}],` +
	`"identifier":[{"system":"urn:a","value":"1"}],"name":[{"family":"Ruiz"}],"telecom":[{"system":"phone","value":"555-0101"}],"gender":"female"}`

const goodEncounter = `{"resourceType":"Encounter","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter"]},` +
	`"identifier":[{"system":"urn:a","value":"1"}],"status":"finished","class":{"code":"FLD"},"type":[{"text":"x"}],"subject":{"reference":"Patient/1"}}`

func TestClaimsOfUSCoreMustHold(t *testing.T) {
	for _, c := range []struct{ name, in, old, new, want string }{
		{"a patient", goodPatient, "", "", ""},
		{"an encounter", goodEncounter, "", "", ""},
		{"no claim, no check", goodPatient, `"meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|5.0.1"]},`, "", ""},
		{"no identifier", goodPatient, `"identifier":[{"system":"urn:a","value":"1"}],`, "", "Patient.identifier"},
		{"identifier without system", goodPatient, `"system":"urn:a",`, "", "Patient.identifier[0].system"},
		{"identifier with an absent value", goodPatient, `"value":"1"`, `"_value":{"extension":[{"url":"x","valueCode":"masked"}]}`, ""},
		{"no name", goodPatient, `"name":[{"family":"Ruiz"}],`, "", "Patient.name"},
		{"empty name", goodPatient, `{"family":"Ruiz"}`, `{"use":"official"}`, "us-core-6"},
		{"no gender", goodPatient, `,"gender":"female"`, "", "Patient.gender"},
		{"telecom without value", goodPatient, `,"value":"555-0101"`, "", "Patient.telecom[0].value"},
		{"race without text", goodPatient, `,{"url":"text","valueString":"White"}`, "", "exactly one text"},
		{"race outside the set", goodPatient, "2106-3", "2135-2", "value set"},
		{"race of another system", goodPatient, "6.238", "6.239", "value set"},
		{"two ethnicities", goodPatient, `us-core-race","extension":[`, `us-core-ethnicity","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2135-2"}},`, "at most 1"},
		{"a patient's profile on an encounter", goodEncounter, "us-core-encounter", "us-core-patient", "claims a profile of Patient"},
		{"encounter without type", goodEncounter, `"type":[{"text":"x"}],`, "", "Encounter.type"},
		{"encounter without subject", goodEncounter, `,"subject":{"reference":"Patient/1"}`, "", "Encounter.subject"},
		{"encounter without identifier", goodEncounter, `"identifier":[{"system":"urn:a","value":"1"}],`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := resource.Parse([]byte(strings.Replace(c.in, c.old, c.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, is := range Claims(r) {
				got = append(got, is.String())
			}
			all := strings.Join(got, "\n")
			if c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("got %q, want %q", all, c.want)
			}
		})
	}
}
