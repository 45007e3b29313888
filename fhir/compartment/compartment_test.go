package compartment

import (
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestWhoAResourceIsAbout(t *testing.T) {
	for _, c := range []struct {
		name, in   string
		patients   []string
		subject    string
		unresolved bool
	}{
		{"a patient", `{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`, []string{"Patient/1", "Patient/2"}, "Patient/1", false},
		{"a patient without id", `{"resourceType":"Patient"}`, nil, "", false},
		{"subject", `{"resourceType":"Encounter","subject":{"reference":"Patient/1/_history/4"}}`, []string{"Patient/1"}, "Patient/1", false},
		{"patient", `{"resourceType":"Consent","patient":{"reference":"Patient/1"},"performer":[{"reference":"Patient/9"}]}`, []string{"Patient/1"}, "Patient/1", false},
		{"elsewhere", `{"resourceType":"Encounter","subject":{"reference":"https://x/fhir/Patient/1"}}`, []string{"https://x/fhir/Patient/1"}, "https://x/fhir/Patient/1", false},
		{"two persons", `{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Patient/2"},{"reference":"Practitioner/3"}]}`, []string{"Patient/1", "Patient/2"}, "Patient/1", false},
		{"subject is no person", `{"resourceType":"Observation","subject":{"reference":"Location/1"},"performer":[{"reference":"Patient/2"}]}`, []string{"Patient/2"}, "", false},
		{"task", `{"resourceType":"Task","for":{"reference":"Patient/1"},"focus":{"reference":"Patient/2"}}`, []string{"Patient/1", "Patient/2"}, "Patient/1", false},
		{"provenance", `{"resourceType":"Provenance","target":[{"reference":"Patient/1"},{"reference":"Encounter/5"}]}`, []string{"Patient/1"}, "Patient/1", false},
		{"provenance of two", `{"resourceType":"Provenance","target":[{"reference":"Patient/1"},{"reference":"Patient/2"}]}`, []string{"Patient/1", "Patient/2"}, "", false},
		{"audit", `{"resourceType":"AuditEvent","agent":[{"who":{"reference":"Practitioner/1"}}],"entity":[{"what":{"reference":"Patient/1"}}]}`, []string{"Patient/1"}, "Patient/1", false},
		{"appointment", `{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/1"}},{"actor":{"reference":"Practitioner/2"}}]}`, []string{"Patient/1"}, "Patient/1", false},
		{"nobody", `{"resourceType":"Organization","id":"o","name":"x"}`, nil, "", false},
		{"type outside the compartment", `{"resourceType":"Device","patient":{"reference":"Patient/1"}}`, []string{"Patient/1"}, "Patient/1", false},
		{"by identifier", `{"resourceType":"Encounter","subject":{"identifier":{"value":"5"}}}`, nil, "", true},
		{"by type alone", `{"resourceType":"Encounter","subject":{"type":"Patient","display":"J"}}`, nil, "", true},
		{"group by identifier", `{"resourceType":"Encounter","subject":{"type":"Group","identifier":{"value":"5"}}}`, nil, "", false},
		{"contained patient", `{"resourceType":"Encounter","contained":[{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}`, nil, "", true},
		{"contained device", `{"resourceType":"Observation","contained":[{"resourceType":"Device","id":"d"}],"subject":{"reference":"#d"}}`, nil, "", false},
		{"contained about another", `{"resourceType":"Encounter","contained":[{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/2"}}],"subject":{"reference":"Patient/1"}}`, []string{"Patient/1", "Patient/2"}, "Patient/1", false},
		{"urn", `{"resourceType":"Encounter","subject":{"reference":"urn:uuid:1"}}`, nil, "", true},
		{"subject and patient differ", `{"resourceType":"Thing","subject":{"reference":"Patient/1"},"patient":{"reference":"Patient/2"}}`, []string{"Patient/1", "Patient/2"}, "", false},
		{"subject of wrong kind", `{"resourceType":"Encounter","subject":"Patient/1"}`, nil, "", false},
	} {
		r, err := resource.Parse([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := Patients(r); !slices.Equal(got, c.patients) {
			t.Errorf("%s: patients %v", c.name, got)
		}
		if got := Subject(r); got != c.subject {
			t.Errorf("%s: subject %q", c.name, got)
		}
		if got := Unresolved(r); got != c.unresolved {
			t.Errorf("%s: unresolved %v", c.name, got)
		}
		for _, p := range c.patients {
			if !In(r, p) {
				t.Errorf("%s: not in the compartment of %s", c.name, p)
			}
		}
		if In(r, "") || In(r, "Patient/none") {
			t.Errorf("%s: in a compartment it is not in", c.name)
		}
	}
}

func TestTypes(t *testing.T) {
	if !Includes("Patient") || !Includes("Encounter") || Includes("Organization") || Includes("Practitioner") {
		t.Error("the compartment has the wrong types")
	}
	if ts := Types(); len(ts) != 67 || !slices.IsSorted(ts) {
		t.Errorf("%d types", len(ts))
	}
}
