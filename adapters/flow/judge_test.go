package flow

import (
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// A newer Patient without a birth date says nothing of why the known one is
// restricted; with one it does.
func TestWhoIsAMinorStaysOneUntilABirthDateSaysOtherwise(t *testing.T) {
	known := Shared{Version: "2025-01-01T00:00:00Z", Digest: "a", Restrictions: Restricted, By: "one"}
	for _, c := range []struct {
		typ, raw string
		want     bool
	}{
		{"Patient", `{"resourceType":"Patient","id":"p"}`, false},
		{"Patient", `{"resourceType":"Patient","id":"p","_birthDate":{"extension":[]}}`, false},
		{"Patient", `{"resourceType":"Patient","id":"p","birthDate":"1980-03-14"}`, true},
		{"Practitioner", `{"resourceType":"Practitioner","id":"p"}`, true},
	} {
		x := mappings.Resource{Type: c.typ, ID: "p", SourceVersion: "2025-02-01T00:00:00Z", Digest: "b", Raw: []byte(c.raw)}
		for _, by := range []string{"one", "two"} {
			if got, _ := Replaces(&x, by, known); got != c.want {
				t.Errorf("%s by %s: replaced %v, want %v", c.raw, by, got, c.want)
			}
		}
	}
}

// The same in the other order: the fuller record comes late.
func TestAMinorIsOneHoweverLateTheBirthDateComes(t *testing.T) {
	undated := mappings.Resource{Type: "Patient", Raw: []byte(`{"resourceType":"Patient","id":"p"}`)}
	adult := mappings.Resource{Type: "Patient", Raw: []byte(`{"resourceType":"Patient","id":"p","birthDate":"1980-03-14"}`)}
	late := mappings.Resource{Type: "Patient", ID: "p", SourceVersion: "2025-01-01T00:00:00Z", Digest: "a",
		Raw: []byte(`{"resourceType":"Patient","id":"p","meta":{"security":[{"system":"` + confidentiality + `","code":"R"}]},"birthDate":"2012-03-14"}`)}
	for _, c := range []struct {
		known *mappings.Resource
		want  bool
	}{{&undated, true}, {&adult, false}} {
		known := Shared{Version: "2025-02-01T00:00:00Z", Digest: "b", Restrictions: Told(c.known), By: "one"}
		if got, _ := Replaces(&late, "two", known); got != c.want {
			t.Errorf("over %s: replaced %v, want %v", c.known.Raw, got, c.want)
		}
	}
}
