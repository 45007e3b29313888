package policy

import (
	"bytes"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// A Consent that opens every level opens nothing about substance use or HIV to a
// request for the minimum necessary, not in a part of a plan either.
func TestNothingOfAnExcludedSensitivityIsInTheMinimum(t *testing.T) {
	open := consentOf(`"type":"permit","actor":[{"role":{"coding":[{"system":"`+tho+`v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/pd"}}],"securityLabel":[{"system":"`+tho+`v3-Confidentiality","code":"V"}]`, "")
	req := officer(newWorld(1))
	req.Person, req.Consents = []string{"Patient/p"}, []*consent.Consent{open}
	engine := New(Options{})
	for raw, secret := range map[string]string{
		`{"resourceType":"CarePlan","id":"x","status":"active","intent":"plan","category":[{"text":"Crisis plan"}],"subject":{"reference":"Patient/p"},"description":"Offer water. Heroin use in the past.","note":[{"text":"One voice."}]}`: "Heroin",
		`{"resourceType":"CareTeam","id":"x","status":"active","subject":{"reference":"Patient/p"},"name":"Outreach","participant":[{"member":{"display":"Jo"}},{"member":{"display":"HIV clinic"}}]}`:                                       "HIV",
	} {
		sub := subjectOf(t, raw, resource.Origin{Custodian: "Organization/clinic"})
		for _, minimum := range []bool{false, true} {
			req.MinimumNecessary = minimum
			d := engine.Begin(req).Decide(sub)
			if d.Effect != Permit && d.Effect != Redact {
				t.Fatalf("minimum %v: %+v", minimum, d)
			}
			e := sub.Resource.Edit()
			for _, n := range d.Remove {
				e.Remove(n)
			}
			if got := bytes.Contains(e.Bytes(), []byte(secret)); got == minimum {
				t.Errorf("minimum %v: %s", minimum, e.Bytes())
			}
		}
	}
}
