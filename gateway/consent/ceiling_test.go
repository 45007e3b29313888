package consent

import (
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
)

func TestACeilingBoundsPermitsAndNotDenies(t *testing.T) {
	permit, deny := head+`,"provision":{"type":"permit"}}`, head+`,"provision":{"type":"deny"}}`
	method := func(code string) string {
		return head + `,"extension":[{"url":"` + consentMethod + `","valueCode":"` + code + `"}],"provision":{"type":"permit"}}`
	}
	for _, c := range []struct {
		name           string
		raw            string
		ceiling        Ceiling
		policeToHealth bool
		want           Effect
	}{
		{"none", permit, Ceiling{}, false, Permit},
		{"verbal, a health record", permit, Ceiling{Verbal: true}, false, Residual},
		{"verbal, police to health", permit, Ceiling{Verbal: true}, true, Permit},
		{"verbal, a deny", deny, Ceiling{Verbal: true}, false, Deny},
		{"says that it is verbal, a health record", method("verbal"), Ceiling{}, false, Residual},
		{"says that it is recorded, a health record", method("verbal-recorded"), Ceiling{}, false, Residual},
		{"says that it is verbal, police to health", method("verbal"), Ceiling{}, true, Permit},
		{"says that it is written", method("written"), Ceiling{}, false, Permit},
		{"not over yet", permit, Ceiling{Until: noon}, false, Permit},
		{"over", permit, Ceiling{Until: noon.Add(-time.Second)}, true, None},
		{"over, a deny", deny, Ceiling{Until: noon.Add(-time.Second)}, false, Deny},
	} {
		set := Compile([]*Consent{Parse(parse(t, c.raw), Source{Entitled: true, Ceiling: c.ceiling})}, question())
		d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "", nil)
		d.PoliceToHealth = c.policeToHealth
		got := None
		for i := range set.Len() {
			got = set.Judge(i, &d, 0).Effect
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A business identifier is no secret: one that another organisation reuses ends
// no deny, however new and entitled its Consent is.
func TestAnotherRecorderDoesNotEndADeny(t *testing.T) {
	number := `,"identifier":[{"system":"http://x.example","value":"1"}]`
	old := strings.Replace(head, "2026-01-01", "2025-01-01", 1) + number + `,"provision":{"type":"deny"}}`
	for _, newer := range []string{head + number + `,"provision":{"type":"permit"}}`, strings.Replace(head, "active", "inactive", 1) + number + `}`} {
		for recorder, want := range map[string]bool{"Organization/a": false, "Organization/b": true, "": true} {
			set := Compile([]*Consent{
				Parse(parse(t, old), Source{Entitled: true, Recorder: "Organization/a"}),
				Parse(parse(t, newer), Source{Entitled: true, Recorder: recorder}),
			}, question())
			d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "", nil)
			denied := false
			for i := range set.Len() {
				denied = denied || set.Judge(i, &d, 0).Effect == Deny
			}
			if denied != want {
				t.Errorf("recorded by %q: denied %v", recorder, denied)
			}
		}
	}
}
