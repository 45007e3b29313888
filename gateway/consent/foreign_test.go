package consent

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
)

const ircp = `"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]}`

func TestALiteralReferenceOfAForeignConsentDeniesAndNeverGrants(t *testing.T) {
	actor := func(ref string) string { return `"actor":[{` + ircp + `,"reference":` + ref + `}]` }
	custodian := strings.Replace(actor(`{"reference":"Organization/us"}`), "IRCP", "CST", 1)
	for _, c := range []struct {
		says, limit          string
		permit, deny         Effect
		ownPermit, ownDenies Effect // the same Consent of the own id space
	}{
		{"another organisation", actor(`{"reference":"Organization/g-abc"}`), None, Deny, None, None},
		{"a name that happens to be the asker's", actor(`{"reference":"Organization/clinic"}`), None, Deny, Permit, Deny},
		{"a team", actor(`{"reference":"CareTeam/ct"}`), None, Deny, None, None},
		{"a custodian", custodian, None, Deny, None, None},
		{"the asker's identifier", actor(`{"identifier":{"system":"http://npi.example","value":"1"}}`), Permit, Deny, Permit, Deny},
		{"another's identifier", actor(`{"identifier":{"system":"http://npi.example","value":"2"}}`), None, None, None, None},
		{"a reference and the asker's identifier", actor(`{"reference":"Organization/g-abc","identifier":{"system":"http://npi.example","value":"1"}}`), Permit, Deny, Permit, Deny},
		{"a display, whose reference may have been dropped", actor(`{"display":"Lakeside"}`), None, Deny, Permit, Deny},
		{"nothing that names anybody", `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]`, Permit, Deny, Permit, Deny},
		{"another class", `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"Flag"}]`, Residual, None, Residual, None},
		{"an instance of its own ids", `"data":[{"meaning":"instance","reference":{"reference":"CarePlan/plan"}}]`, Permit, Deny, Permit, Deny},
		{"an instance of another type", `"data":[{"meaning":"instance","reference":{"reference":"Flag/plan"}}]`, Residual, None, Residual, None},
		{"an instance that may be this one elsewhere", `"data":[{"meaning":"instance","reference":{"reference":"CarePlan/other"}}]`, Residual, Deny, Residual, None},
	} {
		effect := func(stance string, foreign bool) Effect {
			q := question()
			q.Actor.Identifiers = []Identifier{{"http://npi.example", "1"}}
			raw := head + `,"provision":{"type":"` + stance + `",` + c.limit + `}}`
			set := Compile([]*Consent{Parse(parse(t, raw), Source{Entitled: true, Foreign: foreign})}, q)
			if set.Len() == 0 {
				return None
			}
			d := NewDatum(parse(t, plan), &label.Labels{Version: "t"}, "Patient/p", "Organization/lakeside", nil)
			return set.Judge(0, &d, 0).Effect
		}
		got := [4]Effect{effect("permit", true), effect("deny", true), effect("permit", false), effect("deny", false)}
		if want := [4]Effect{c.permit, c.deny, c.ownPermit, c.ownDenies}; got != want {
			t.Errorf("%s: got %v, want %v", c.says, got, want)
		}
	}
}

func TestAForeignConsentOfItsOwnDataComparesInstances(t *testing.T) {
	raw := head + `,"provision":{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"CarePlan/other"}}]}}`
	set := Compile([]*Consent{Parse(parse(t, raw), Source{Foreign: true})}, question())
	d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "Organization/lakeside", nil)
	if st := set.Judge(0, &d, 0); st.Effect != None {
		t.Errorf("got %v", st.Effect)
	}
}

func TestDataThatNamesOnePatientNamesThePerson(t *testing.T) {
	for _, meaning := range []string{"instance", "related", "dependents"} {
		for _, stance := range []string{"permit", "deny"} {
			raw := head + `,"provision":{"type":"` + stance + `","data":[{"meaning":"` + meaning + `","reference":{"reference":"Patient/p"}}]}}`
			effect := func(resource string, person ...string) Effect {
				q := question()
				q.Person = person
				set := Compile([]*Consent{Parse(parse(t, raw), Source{Entitled: true})}, q)
				d := NewDatum(parse(t, resource), &label.Labels{}, "Patient/q", "", NewResources())
				return set.Judge(0, &d, 0).Effect
			}
			want := map[string]Effect{"permit": Permit, "deny": Deny}[stance]
			patient, dependent := `{"resourceType":"Patient","id":"q"}`, strings.Replace(plan, "Patient/p", "Patient/q", 1)
			if got := effect(patient, "Patient/p", "Patient/q"); got != want {
				t.Errorf("%s %s: the linked Patient: %v", stance, meaning, got)
			}
			if got := effect(dependent, "Patient/p", "Patient/q"); meaning == "dependents" && got != want {
				t.Errorf("%s %s: what refers to the linked Patient: %v", stance, meaning, got)
			}
			if got := effect(patient, "Patient/q"); got != None {
				t.Errorf("%s %s: somebody else: %v", stance, meaning, got)
			}
		}
	}
}

func TestADenyIsHeardForTheActionsThatStandForADisclosure(t *testing.T) {
	for _, c := range []struct {
		stance, action string
		more           []string
		want           Effect
	}{
		{"deny", "disclose", nil, None},
		{"deny", "disclose", []string{"disclose", "use"}, Deny},
		{"deny", "use", []string{"disclose", "use"}, Deny},
		{"deny", "access", []string{"disclose"}, Deny},
		{"deny", "correct", []string{"disclose", "use"}, None},
		{"permit", "disclose", []string{"disclose"}, None},
		{"permit", "access", []string{"disclose"}, Permit},
	} {
		q := question()
		q.DenyActions = c.more
		raw := head + `,"provision":{"type":"` + c.stance + `","action":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentaction","code":"` + c.action + `"}]}]}}`
		if got := judge(t, q, raw); got != c.want {
			t.Errorf("%s %s with %v: got %v", c.stance, c.action, c.more, got)
		}
	}
}

func TestAnAbsoluteReferenceOnTheOwnBaseIsTheRelativeOne(t *testing.T) {
	const base = "https://gw.example/fhir"
	raw := strings.Replace(head, `"Patient/p"`, `"`+base+`/Patient/p"`, 1) +
		`,"provision":{"type":"permit","actor":[{` + ircp + `,"reference":{"reference":"` + base + `/Organization/clinic"}}],"data":[{"meaning":"instance","reference":{"reference":"` + base + `/CarePlan/plan/_history/2"}}]}}`
	for own, want := range map[string]Effect{base: Permit, base + "/": Permit, "": None, "https://gw.example": None} {
		c := Parse(parse(t, raw), Source{Entitled: true, Base: own})
		if (c.Patient() == "Patient/p") != (want == Permit) {
			t.Errorf("base %q: the patient is %q", own, c.Patient())
		}
		set := Compile([]*Consent{c}, question())
		d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "", nil)
		got := None
		if set.Len() > 0 {
			got = set.Judge(0, &d, 0).Effect
		}
		if got != want {
			t.Errorf("base %q: got %v, want %v", own, got, want)
		}
	}
}

func TestAnEndIncludesWhatItsPrecisionLeavesOpen(t *testing.T) {
	for end, want := range map[string]string{
		"2026-08-05T12:00:00-05:00":         "2026-08-05T17:00:00.999999999Z",
		"2026-08-05T12:00:00.5-05:00":       "2026-08-05T17:00:00.599999999Z",
		"2026-08-05T12:00:00.000Z":          "2026-08-05T12:00:00.000999999Z",
		"2026-08-05T12:00:00.123456789012Z": "2026-08-05T12:00:00.123456789Z",
		"2026-08-05":                        "2026-08-05T23:59:59.999999999Z",
	} {
		m, ok := parseMoment(end)
		if got := m.last(noon.UTC().Location()).UTC().Format("2006-01-02T15:04:05.999999999Z"); !ok || got != want {
			t.Errorf("%s ends at %s, want %s", end, got, want)
		}
	}
}
