package consent

import (
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
)

// A reading is one reading of R4's Consent with what follows from it.
type reading struct {
	name      string
	provision string // of one Consent about Patient/p that somebody entitled recorded
	more      string // further members of the Consent, each with a comma after it
	ask       func(*Question)
	about     string // the resource; "": a CarePlan of 2026-03-01
	labels    label.Labels
	custodian string
	want      Effect
}

const (
	prcp      = `"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"PRCP"}]}`
	cst       = `"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]}`
	aut       = `"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"AUT"}]}`
	clinic    = `"reference":{"reference":"Organization/clinic"}`
	stranger  = `"reference":{"reference":"Organization/other"}`
	aCarePlan = `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]`
	aTask     = `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"Task"}]`
	observed  = `{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/p"},`
)

func rule(typ string, elements ...string) string {
	return `{"type":"` + typ + `"` + strings.Join(append([]string{""}, elements...), ",") + `}`
}

func nested(rules ...string) string { return `"provision":[` + strings.Join(rules, ",") + `]` }

func action(system, code string) string {
	return `"action":[{"coding":[{"system":"` + system + `","code":"` + code + `"}]}]`
}

func TestReadingsOfTheContext(t *testing.T) {
	asRole := func(q *Question) {
		q.Actor.Roles = []label.Code{{System: "http://example.org/pmhc/CodeSystem/actor-role", Code: "case-manager"}}
	}
	manager := `"role":{"coding":[{"system":"http://example.org/pmhc/CodeSystem/actor-role","code":"case-manager"}]}`
	const consentAction = "http://terminology.hl7.org/CodeSystem/consentaction"
	contained := `"contained":[{"resourceType":"Organization","id":"a","identifier":[{"system":"http://i.example","value":"7"}]}],`
	identified := func(q *Question) { q.Actor.Identifiers = []Identifier{{"http://i.example", "7"}} }
	check(t, []reading{
		{name: "row 1: no type, no children: nothing counts", provision: `{}`, want: None},
		{name: "row 1: all below permit: the base denies", provision: `{` + nested(rule("permit", aTask)) + `}`, want: Deny},
		{name: "row 1: mixed below: a permit does not count", provision: `{` + nested(rule("permit", aCarePlan), rule("deny", aTask)) + `}`, want: None},
		{name: "row 2: nothing limits", provision: rule("permit"), want: Permit},
		{name: "row 7: context of the root not met", provision: rule("permit", `"actor":[{`+ircp+`,`+stranger+`}]`), want: None},
		{name: "row 8: data of the root not met", provision: rule("permit", aTask), want: Residual},
		{name: "row 8: a deny leaves none", provision: rule("deny", aTask), want: None},
		{name: "row 9: unknown purpose, permit", provision: rule("permit", `"purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]`), ask: func(q *Question) { q.Purpose = label.Code{} }, want: None},
		{name: "row 9: unknown purpose, deny", provision: rule("deny", `"purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]`), ask: func(q *Question) { q.Purpose = label.Code{} }, want: Deny},
		{name: "row 13: the last day in the instant's offset", provision: rule("permit", `"period":{"end":"2026-08-05"}`), ask: func(q *Question) { q.At = time.Date(2026, 8, 5, 23, 59, 59, 0, q.At.Location()) }, want: Permit},
		{name: "row 13: the day after it", provision: rule("permit", `"period":{"end":"2026-08-05"}`), ask: func(q *Question) { q.At = time.Date(2026, 8, 6, 0, 0, 0, 0, q.At.Location()) }, want: None},
		{name: "row 13: a bound without offset grants nothing", provision: rule("permit", `"period":{"start":"2026-01-01T10:00:00"}`), want: None},
		{name: "row 13: and denies", provision: rule("deny", `"period":{"start":"2026-01-01T10:00:00"}`), want: Deny},
		{name: "row 13: a year as the end", provision: rule("permit", `"period":{"end":"2026"}`), want: Permit},
		{name: "row 16: display and role, held", provision: rule("permit", `"actor":[{`+manager+`,"reference":{"display":"any"}}]`), ask: asRole, want: Permit},
		{name: "row 16: display and role, unknown", provision: rule("permit", `"actor":[{`+manager+`,"reference":{"display":"any"}}]`), want: None},
		{name: "row 16: an author is no recipient", provision: rule("permit", `"actor":[{`+aut+`,`+clinic+`}]`), want: None},
		{name: "primary recipient", provision: rule("permit", `"actor":[{`+prcp+`,`+clinic+`}]`), want: Permit},
		{name: "row 17: custodian alone", provision: rule("permit", `"actor":[{`+cst+`,`+clinic+`}]`), custodian: "Organization/clinic", want: Permit},
		{name: "row 17: another custodian", provision: rule("permit", `"actor":[{`+cst+`,`+clinic+`}]`), custodian: "Organization/other", want: None},
		{name: "row 17: both, the recipient another", provision: rule("permit", `"actor":[{`+cst+`,`+clinic+`},{`+ircp+`,`+stranger+`}]`), custodian: "Organization/clinic", want: None},
		{name: "a logical reference, known", provision: rule("permit", `"actor":[{`+ircp+`,"reference":{"identifier":{"system":"http://i.example","value":"7"}}}]`), ask: identified, want: Permit},
		{name: "a logical reference, another system", provision: rule("deny", `"actor":[{`+ircp+`,"reference":{"identifier":{"system":"http://j.example","value":"7"}}}]`), ask: identified, want: None},
		{name: "a contained recipient with the requester's identifier", more: contained, provision: rule("permit", `"actor":[{`+ircp+`,"reference":{"reference":"#a"}}]`), ask: identified, want: Permit},
		{name: "a contained recipient of whom nothing is known, permit", more: contained, provision: rule("permit", `"actor":[{`+ircp+`,"reference":{"reference":"#a"}}]`), want: None},
		{name: "a contained recipient of whom nothing is known, deny", more: contained, provision: rule("deny", `"actor":[{`+ircp+`,"reference":{"reference":"#a"}}]`), want: Deny},
		{name: "a recipient by URN, deny", provision: rule("deny", `"actor":[{`+ircp+`,"reference":{"reference":"urn:uuid:0d5c5e2c-6b34-4b0e-9d1e-2b8f3d1c7a11"}}]`), want: Deny},
		{name: "a contained custodian, permit", more: contained, provision: rule("permit", `"actor":[{`+cst+`,"reference":{"reference":"#a"}}]`), custodian: "Organization/clinic", want: None},
		{name: "a contained custodian, deny", more: contained, provision: rule("deny", `"actor":[{`+cst+`,"reference":{"reference":"#a"}}]`), custodian: "Organization/clinic", want: Deny},
		{name: "an empty actor, permit", provision: rule("permit", `"actor":[{`+ircp+`,"reference":{}}]`), want: None},
		{name: "an empty actor, deny", provision: rule("deny", `"actor":[{`+ircp+`,"reference":{}}]`), want: Deny},
		{name: "an actor with a modifier beside a good one", provision: rule("permit", `"actor":[{`+ircp+`,`+clinic+`},{"modifierExtension":[{"url":"http://m.example"}],`+ircp+`,`+stranger+`}]`), want: None},
		{name: "a modifier extension in the verification", more: `"verification":[{"verified":true,"modifierExtension":[{"url":"http://m.example"}]}],`, provision: rule("permit"), want: None},
		{name: "row 20: one of two verifications is false", more: `"verification":[{"verified":true},{"verified":false}],`, provision: rule("permit", aTask), want: None},
		{name: "row 20: a deny stays", more: `"verification":[{"verified":false}],`, provision: rule("deny"), want: Deny},
		{name: "a verification without its element", more: `"verification":[{"verificationDate":"2026-01-01"}],`, provision: rule("permit"), want: None},
		{name: "another action, deny", provision: rule("deny", action(consentAction, "collect")), want: None},
		{name: "an action that R4 does not have, deny", provision: rule("deny", action(consentAction, "read")), want: Deny},
		{name: "an action of another system, deny", provision: rule("deny", action("http://a.example", "see")), want: Deny},
		{name: "an action of another system, permit", provision: rule("permit", action("http://a.example", "see")), want: None},
		{name: "a deny of disclosure where disclosure is asked", provision: rule("deny", action(consentAction, "disclose")), ask: func(q *Question) { q.DenyActions = []string{"use", "disclose"} }, want: Deny},
		{name: "a permit of disclosure is no permit of access", provision: rule("permit", action(consentAction, "disclose")), ask: func(q *Question) { q.DenyActions = []string{"use", "disclose"} }, want: None},
		{name: "unknown elements grant nothing", more: `"decision":"permit",`, provision: rule("permit"), want: None},
		{name: "an unknown type denies", provision: rule("allow"), want: Deny},
		{name: "a primitive's extension of a type", provision: `{"type":"permit","_type":{"extension":[{"url":"http://x.example"}]}}`, want: None},
		{name: "a provision that is a list may be a deny", provision: `[` + rule("permit") + `]`, want: Deny},
		{name: "a nested rule that cannot be read may be a deny", provision: rule("permit", nested("7")), want: Deny},
		{name: "a nested rule where its parent does not match", provision: rule("permit", aTask, nested("7")), want: None},
		{name: "nested too deep to follow", provision: strings.Repeat(`{"type":"permit","provision":[`, maxNesting+1) + rule("deny") + strings.Repeat(`]}`, maxNesting+1), want: Deny},
		{name: "the patient is a fragment", more: `"contained":[{"resourceType":"Patient","id":"p"}],`, provision: `{"type":"permit"},"patient":{"reference":"#p"}`, want: None},
		{name: "the patient is a fragment, deny", more: `"contained":[{"resourceType":"Patient","id":"p"}],`, provision: `{"type":"deny"},"patient":{"reference":"#p"}`, want: Deny},
		{name: "the patient by identifier, deny", provision: `{"type":"deny"},"patient":{"identifier":{"system":"http://i.example","value":"1"}}`, want: Deny},
		{name: "the patient by identifier, permit", provision: `{"type":"permit"},"patient":{"identifier":{"system":"http://i.example","value":"1"}}`, want: None},
	})
}

func TestReadingsOfNestedRules(t *testing.T) {
	later, past := `"period":{"start":"2026-09-01"}`, `"period":{"end":"2026-02-01"}`
	check(t, []reading{
		{name: "row 3: three deep", provision: rule("permit", nested(rule("deny", aCarePlan, nested(rule("permit", `"actor":[{`+ircp+`,`+clinic+`}]`))))), want: Permit},
		{name: "row 3: three deep, for another", provision: rule("permit", nested(rule("deny", aCarePlan, nested(rule("permit", `"actor":[{`+ircp+`,`+stranger+`}]`))))), want: Deny},
		{name: "row 3: an exception does not inherit the recipient", provision: rule("permit", `"actor":[{`+ircp+`,`+clinic+`}]`, nested(rule("deny", aCarePlan))), want: Deny},
		{name: "row 3: and applies only where its parent does", provision: rule("permit", `"actor":[{`+ircp+`,`+stranger+`}]`, nested(rule("deny", aCarePlan))), want: None},
		{name: "row 3: the period of an exception", provision: rule("permit", nested(rule("deny", later))), want: Permit},
		{name: "row 3: the exception of an exception is over", provision: rule("permit", nested(rule("deny", nested(rule("permit", past))))), want: Deny},
		{name: "row 4: an addition inherits the class", provision: rule("permit", aTask, nested(rule("permit", `"actor":[{`+ircp+`,`+clinic+`}]`))), want: Residual},
		{name: "row 4: an addition replaces the class", provision: rule("permit", aTask, nested(rule("permit", aCarePlan))), want: Permit},
		{name: "row 4: an addition replaces the recipient, three deep", provision: rule("permit", `"actor":[{`+ircp+`,`+stranger+`}]`, nested(rule("permit", aCarePlan, nested(rule("permit", `"actor":[{`+ircp+`,`+clinic+`}]`))))), want: Permit},
		{name: "row 4: an addition replaces the period of a rule and not of the Consent", provision: rule("permit", past, nested(rule("permit", `"period":{"end":"2027"}`))), want: None},
		{name: "row 4: another recipient keeps the custodian", provision: rule("permit", `"actor":[{`+cst+`,`+clinic+`},{`+ircp+`,`+stranger+`}]`, nested(rule("permit", `"actor":[{`+ircp+`,`+clinic+`}]`))), custodian: "Organization/other", want: None},
		{name: "row 4: a deny adds to a deny", provision: rule("deny", aTask, nested(rule("deny", aCarePlan))), want: Deny},
		{name: "row 5: of siblings the deny", provision: rule("permit", nested(rule("deny", aCarePlan), rule("deny", aTask, nested(rule("permit"))))), want: Deny},
		{name: "row 5: an exception in one branch does not reach the other", provision: rule("deny", nested(rule("permit", aCarePlan, nested(rule("deny", `"dataPeriod":{"start":"2026-02-01"}`))))), want: Deny},
	})
}

func TestReadingsOfTheData(t *testing.T) {
	act := func(code string) string {
		return `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + code + `"}]`
	}
	data := func(meaning, ref string) string {
		return `"data":[{"meaning":"` + meaning + `","reference":{"reference":"` + ref + `"}}]`
	}
	march := `"dataPeriod":{"start":"2026-03-01","end":"2026-03-31"}`
	psy, sud := label.Labels{Level: label.R, Sensitivity: []string{"PSY"}}, label.Labels{Level: label.R, Sensitivity: []string{"SUD"}}
	both := label.Labels{Level: label.R, Sensitivity: []string{"PSY", "SUD"}}
	const performed = observed + `"performer":[{"reference":"Practitioner/a"}],"effectiveDateTime":"2026-03-31T23:30:00-05:00","code":{"text":"x"}}`
	check(t, []reading{
		{name: "row 11: a deny on MH reaches PSY", provision: rule("deny", act("MH")), labels: psy, want: Deny},
		{name: "row 11: and not SUD", provision: rule("deny", act("MH")), labels: sud, want: None},
		{name: "row 11: a permit on ETH covers SUD", provision: rule("permit", act("ETH")), labels: sud, want: Permit},
		{name: "row 12: a permit needs all", provision: rule("permit", act("PSY")), labels: both, want: Residual},
		{name: "row 12: a deny needs one", provision: rule("deny", act("PSY")), labels: both, want: Deny},
		{name: "2.9: a sensitivity permit does not cover what has none", provision: rule("permit", act("PSY")), want: Residual},
		{name: "row 14: the day in the datum's own offset", provision: rule("permit", march), about: performed, want: Permit},
		{name: "row 14: a month of the datum", provision: rule("permit", march), about: observed + `"effectiveDateTime":"2026-03"}`, want: Permit},
		{name: "row 14: a year is not wholly inside", provision: rule("permit", march), about: observed + `"effectiveDateTime":"2026"}`, want: Residual},
		{name: "row 14: and overlaps", provision: rule("deny", march), about: observed + `"effectiveDateTime":"2026"}`, want: Deny},
		{name: "row 14: a time without offset is no date, permit", provision: rule("permit", march), about: observed + `"effectiveDateTime":"2026-03-05T10:00:00"}`, want: Residual},
		{name: "row 14: a time without offset is no date, deny", provision: rule("deny", march), about: observed + `"effectiveDateTime":"2020-03-05T10:00:00"}`, want: Deny},
		{name: "row 14: a Patient has no date, deny", provision: rule("deny", march), about: `{"resourceType":"Patient","id":"p"}`, want: Deny},
		{name: "row 14: an offset that the world does not have", provision: rule("deny", march), about: observed + `"effectiveDateTime":"2020-03-05T10:00:00+19:00"}`, want: Deny},
		{name: "row 15: related, forwards alone for a permit", provision: rule("permit", data("related", "Encounter/e")), about: observed + `"encounter":{"reference":"Encounter/e"}}`, want: Residual},
		{name: "row 15: related, both ways for a deny", provision: rule("deny", data("related", "Encounter/e")), about: observed + `"encounter":{"reference":"Encounter/e"}}`, want: Deny},
		{name: "row 15: related, both ways for the PCF profile", more: `"meta":{"profile":["https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentIntermediate"]},`, provision: rule("permit", data("related", "Encounter/e")), about: observed + `"encounter":{"reference":"Encounter/e"}}`, want: Permit},
		{name: "dependents: a reference in a contained resource counts", provision: rule("permit", data("dependents", "Encounter/e")), about: observed + `"contained":[{"resourceType":"Basic","id":"b","subject":{"reference":"Encounter/e"}}]}`, want: Permit},
		{name: "dependents of the instance itself", provision: rule("permit", data("dependents", "Observation/o")), about: performed, want: Permit},
		{name: "authored by a version of the author", provision: rule("permit", data("authoredby", "Practitioner/a/_history/3")), about: performed, want: Permit},
		{name: "authored by a contained author, deny", provision: rule("deny", data("authoredby", "Practitioner/z")), about: observed + `"contained":[{"resourceType":"Practitioner","id":"z"}],"performer":[{"reference":"#z"}]}`, want: Deny},
		{name: "authored by a contained author, permit", provision: rule("permit", data("authoredby", "Practitioner/z")), about: observed + `"performer":[{"reference":"#z"}]}`, want: Residual},
		{name: "an unknown meaning denies", provision: rule("deny", data("kin", "Observation/x")), about: performed, want: Deny},
		{name: "a fragment as data denies", provision: rule("deny", data("instance", "#x")), about: performed, want: Deny},
		{name: "an instance by identifier", provision: rule("permit", `"data":[{"meaning":"instance","reference":{"identifier":{"system":"http://i.example","value":"9"}}}]`), about: observed + `"identifier":[{"system":"http://i.example","value":"9"}]}`, want: Permit},
		{name: "a profile, whatever its version", provision: rule("permit", `"class":[{"system":"urn:ietf:rfc:3986","code":"http://p.example/v"}]`), about: `{"resourceType":"Observation","id":"o","meta":{"profile":["http://p.example/v|2"]}}`, want: Permit},
		{name: "a profile of another version", provision: rule("permit", `"class":[{"system":"urn:ietf:rfc:3986","code":"http://p.example/v|1"}]`), about: `{"resourceType":"Observation","id":"o","meta":{"profile":["http://p.example/v|2"]}}`, want: Residual},
		{name: "a document that is not coded may be of the class, deny", provision: rule("deny", `"class":[{"system":"http://loinc.org","code":"11488-4"}]`), about: `{"resourceType":"DocumentReference","id":"d","type":{"text":"letter"}}`, want: Deny},
		{name: "a class of a system that is not known, deny", provision: rule("deny", `"class":[{"system":"http://k.example","code":"x"}]`), want: Deny},
		{name: "a code in a secondary element", provision: rule("deny", `"code":[{"coding":[{"system":"http://x.example","code":"k"}]}]`), about: `{"resourceType":"Encounter","id":"e","reasonCode":[{"coding":[{"system":"http://x.example","code":"k"}]}]}`, want: Deny},
		{name: "a code without a system, deny", provision: rule("deny", `"code":[{"coding":[{"system":"http://x.example","code":"k"}]}]`), about: observed + `"code":{"coding":[{"code":"k"}]}}`, want: Deny},
		{name: "a code that is escaped", provision: rule("deny", `"code":[{"coding":[{"system":"http://x.example","code":"k"}]}]`), about: observed + `"code":{"coding":[{"system":"http:\/\/x.example","code":"\u006b"}]}}`, want: Deny},
		{name: "a code among the labels of a contained resource is not a code of the data", provision: rule("permit", `"code":[{"coding":[{"system":"http://x.example","code":"k"}]}]`), about: observed + `"contained":[{"resourceType":"Basic","id":"b","meta":{"tag":[{"system":"http://x.example","code":"k"}]}}]}`, want: Residual},
		{name: "a unit is not a code", provision: rule("permit", `"code":[{"coding":[{"system":"http://u.example","code":"k"}]}]`), about: observed + `"valueQuantity":{"value":1,"system":"http://u.example","code":"k"}}`, want: Residual},
		{name: "a text alone names no code, deny", provision: rule("deny", `"code":[{"text":"asthma"}]`), want: Deny},
		{name: "an empty list of classes, deny", provision: rule("deny", `"class":[]`), want: Deny},
		{name: "an empty list of classes, permit", provision: rule("permit", `"class":[]`), want: Residual},
	})
}

// check asks each reading twice, by the walk and by the index.
func check(t *testing.T, readings []reading) {
	t.Helper()
	for _, r := range readings {
		q := question()
		if r.ask != nil {
			r.ask(&q)
		}
		raw := head + "," + r.more + `"provision":` + r.provision + `}`
		if strings.Contains(r.provision, `"patient"`) {
			raw = strings.Replace(raw, `"patient":{"reference":"Patient/p"},`, "", 1)
		}
		c := Parse(parse(t, raw), Source{Entitled: true})
		about := r.about
		if about == "" {
			about = plan
		}
		r.labels.Version = "t"
		for _, s := range []*Set{Compile([]*Consent{c}, q), indexed([]*Consent{c}, q)} {
			d := NewDatum(parse(t, about), &r.labels, "Patient/p", r.custodian, nil)
			if got := s.Strictest(&d); got.Effect != r.want {
				t.Errorf("%s: got %d, want %d (indexed: %v)\n%s", r.name, got.Effect, r.want, s.index != nil, raw)
			}
		}
	}
}
