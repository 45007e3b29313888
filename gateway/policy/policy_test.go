package policy

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"

	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

func subjectOf(t *testing.T, raw string, o resource.Origin) *Subject {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	s := &Subject{Resource: r, Labels: new(label.Labels), Patient: "Patient/p", Origin: o}
	label.New(label.Options{}).Label(r, o, s.Labels)
	return s
}

const carePlan = `{"resourceType":"CarePlan","id":"x","status":"active","intent":"plan","subject":{"reference":"Patient/p"}}`

func TestTheZeroValueOfEverythingDenies(t *testing.T) {
	engine := New(Options{})
	sub := subjectOf(t, carePlan, resource.Origin{})
	for name, s := range map[string]*Session{"no request": engine.Begin(nil), "an empty request": engine.Begin(&Request{})} {
		if d := s.Decide(sub); d.Effect != Deny || s.Possible(resource.Origin{}) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	s := engine.Begin(officer(newWorld(1)))
	for name, sub := range map[string]*Subject{
		"no subject": nil, "no resource": {Labels: new(label.Labels)},
		"no labels": {Resource: sub.Resource}, "an unread resource": {Resource: new(resource.Resource), Labels: new(label.Labels)},
	} {
		if d := s.Decide(sub); d.Effect != Indeterminate {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if (Decision{}).Effect != Deny || len((&Law{}).list(0)) != 0 {
		t.Error("a zero value permits")
	}
	if d := New(Options{Law: &Law{}}).Begin(&Request{Requester: Requester{TreatingProvider: true}, Scopes: smart.ParseGranted("user/*.rs")}).Decide(sub); d.Effect != Deny {
		t.Errorf("a law without rules: %+v", d)
	}
}

func TestASystemIsNotAskedForNothing(t *testing.T) {
	engine := New(Options{})
	clinic, program := resource.Origin{Custodian: "Organization/clinic"}, resource.Origin{Custodian: "Organization/program", Part2: true}
	ask := func(o resource.Origin, change func(*Request)) bool {
		req := officer(newWorld(1))
		req.Person = []string{"Patient/p"}
		change(req)
		return engine.Begin(req).Possible(o)
	}
	permit := consentOf(`"type":"permit","actor":[{"role":{"coding":[{"system":"`+tho+`v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/pd"}}]`, "")
	with := func(cs ...*consent.Consent) func(*Request) { return func(r *Request) { r.Consents = cs } }
	for _, c := range []struct {
		says   string
		origin resource.Origin
		change func(*Request)
		want   bool
	}{
		{"police without a Consent", clinic, with(), false},
		{"police with a permit", clinic, with(permit), true},
		{"a permit for another custodian", clinic, with(consentOf(`"type":"permit","actor":[{"role":{"coding":[{"system":"`+tho+`v3-ParticipationType","code":"CST"}]},"reference":{"reference":"Organization/other"}}]`, "")), false},
		{"a permit for another purpose", clinic, with(consentOf(`"type":"permit","purpose":[{"system":"`+tho+`v3-ActReason","code":"TREAT"}]`, "")), false},
		{"a permit of another person", clinic, func(r *Request) { r.Consents, r.Person = []*consent.Consent{permit}, []string{"Patient/q"} }, false},
		{"a Part 2 program without a Part 2 consent", program, with(permit), false},
		{"an order that names resources", clinic, func(r *Request) {
			r.LegalBases = []*LegalBasis{{Type: "warrant", Covers: []string{"CarePlan/x"}}}
		}, true},
		{"a warrant for a Part 2 program", program, func(r *Request) {
			r.LegalBases = []*LegalBasis{{Type: "warrant", Covers: []string{"CarePlan/x"}}}
		}, false},
		{"no scope", clinic, func(r *Request) { r.Consents, r.Scopes = []*consent.Consent{permit}, nil }, false},
		{"a treating provider", clinic, func(r *Request) {
			r.Requester = Requester{TreatingProvider: true}
			r.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "TREAT"}}
		}, true},
		{"a treating provider and a Part 2 program", program, func(r *Request) {
			r.Requester = Requester{TreatingProvider: true}
			r.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "TREAT"}}
		}, false},
	} {
		if got := ask(c.origin, c.change); got != c.want {
			t.Errorf("%s: %v", c.says, got)
		}
	}
}

func TestAnOrganisationSeesItsOwnRecords(t *testing.T) {
	engine := New(Options{})
	req := officer(newWorld(1))
	own := subjectOf(t, `{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"FLD"},"subject":{"reference":"Patient/p"}}`,
		resource.Origin{Custodian: "Organization/pd", Police: true})
	if d := engine.Begin(req).Decide(own); d.Effect != Deny {
		t.Errorf("without the setting: %+v", d)
	}
	req.OwnRecords = true
	if d := engine.Begin(req).Decide(own); d.Effect != Permit || d.Reasons[0].Rule != "baseline/own-record" {
		t.Errorf("with it: %+v", d)
	}
	other := subjectOf(t, carePlan, resource.Origin{Custodian: "Organization/clinic"})
	if d := engine.Begin(req).Decide(other); d.Effect != Deny {
		t.Errorf("another's record: %+v", d)
	}
	const recipients = `"type":"deny","actor":[{"role":{"coding":[{"system":"` + tho + `v3-ParticipationType","code":"IRCP"}]},"reference":`
	note := `{"resourceType":"DocumentReference","id":"n","meta":{"security":[{"system":"` + tho + `v3-ActCode","code":"PSYTHPN"}]},"status":"current","subject":{"reference":"Patient/p"}}`
	consented := `{"resourceType":"Consent","id":"own","status":"active","patient":{"reference":"Patient/p"}}`
	origin := own.Origin
	for _, c := range []struct {
		says, deny, record string
		want               Effect
	}{
		{"an opt-out restricts disclosure only", `"type":"deny"`, "", Permit},
		{"a deny of another recipient", recipients + `{"reference":"Organization/else"}}]`, "", Permit},
		{"a deny of anybody", recipients + `{"display":"anybody"}}]`, "", Permit},
		{"a deny that names it", recipients + `{"reference":"Organization/pd"}}]`, "", Deny},
		{"a rule among others that names it", `"type":"deny","provision":[{` + recipients + `{"reference":"Organization/pd"}}]}]`, "", Deny},
		{"its own Consent under an opt-out", `"type":"deny"`, consented, Permit},
		{"its own Consent even if named", recipients + `{"reference":"Organization/pd"}}]`, consented, Permit},
		{"psychotherapy notes stay gated", `"type":"deny"`, note, Deny},
	} {
		sub := own
		if c.record != "" {
			sub = subjectOf(t, c.record, origin)
		}
		req.Consents = []*consent.Consent{consentOf(c.deny, "")}
		if d := engine.Begin(req).Decide(sub); d.Effect != c.want {
			t.Errorf("%s: %+v", c.says, d)
		}
		if d := engine.Begin(req).Decide(other); d.Effect != Deny {
			t.Errorf("%s: another's record: %+v", c.says, d)
		}
	}
}

func TestACriterionOfAScopeMustHoldOnWhatIsReturned(t *testing.T) {
	req := officer(newWorld(1))
	req.Consents = []*consent.Consent{consentOf(`"type":"permit","provision":[{"type":"deny","securityLabel":[{"system":"`+tho+`v3-ActCode","code":"SUD"}]}]`, "")}
	sub := subjectOf(t, `{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"reasonCode":[{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}]}`, resource.Origin{})
	if d := New(Options{}).Begin(req).Decide(sub); d.Effect != Redact || len(d.Remove) != 1 {
		t.Fatalf("got %+v", d)
	}
	req.Scopes = smart.ParseGranted("user/Encounter.rs?reason-code=http://hl7.org/fhir/sid/icd-10-cm|F11.20")
	if d := New(Options{}).Begin(req).Decide(sub); d.Effect != Deny || d.Reasons[len(d.Reasons)-1].Rule != "gate/scope" {
		t.Errorf("a scope finds out what was removed: %+v", d)
	}
}

func TestPatientScopesCoverThePatientInContextOnly(t *testing.T) {
	req := officer(newWorld(1))
	req.Consents = []*consent.Consent{consentOf(`"type":"permit"`, "")}
	req.Scopes = smart.ParseGranted("patient/*.rs")
	sub := subjectOf(t, carePlan, resource.Origin{})
	for lp, want := range map[string]Effect{"": Deny, "Patient/q": Deny, "Patient/p": Permit} {
		req.LaunchPatient = lp
		if d := New(Options{}).Begin(req).Decide(sub); d.Effect != want {
			t.Errorf("context %q: %+v", lp, d)
		}
	}
}

func TestEveryReasonOfAPermitNamesItsGround(t *testing.T) {
	req := officer(newWorld(1))
	req.Consents = []*consent.Consent{consentOf(`"type":"deny","provision":[{"type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]}]`, `"meta":{"versionId":"7"},`)}
	d := New(Options{}).Begin(req).Decide(subjectOf(t, carePlan, resource.Origin{}))
	want := Reason{Rule: "consent/permit", Effect: "permit", Consent: "Consent/c/_history/7", Path: "provision.provision[0]"}
	if d.Effect != Permit || len(d.Reasons) != 1 || d.Reasons[0] != want {
		t.Errorf("got %+v", d)
	}
}

func TestEveryRowOfTheLawIsCited(t *testing.T) {
	law := USFederal()
	if len(law.Bases) < 12 || len(law.grounds) < 9 || len(law.gates) != 3 || len(law.emergencies) != 2 {
		t.Fatalf("%d bases, %d grounds, %d gates, %d emergencies: the pack was not read", len(law.Bases), len(law.grounds), len(law.gates), len(law.emergencies))
	}
	seen := map[string]bool{}
	for _, b := range law.Bases {
		if b.Citation == "" || len(b.Any) == 0 || seen[b.Type] || !strings.Contains(b.Citation, "CFR") {
			t.Errorf("%s: no citation, no condition, or twice", b.Type)
		}
		seen[b.Type] = true
		if x := b.rule.extents[0]; !b.Extent.Covers && x.Elements == nil && (x.profile == nil || x.profile.Elements == nil) {
			t.Errorf("%s reaches everything", b.Type)
		}
	}
}

func TestAConditionOnABasisFailsOnAnotherKindOfValue(t *testing.T) {
	req := officer(newWorld(1))
	s := New(Options{}).Begin(req)
	for _, v := range []any{nil, "true", 1.0, []any{true}, map[string]any{"a": true}, false, ""} {
		for _, c := range []Condition{
			{Attribute: "x", Test: True, Values: nil}, {Attribute: "x", Test: OneOf, Values: []string{"a"}}, {Attribute: "x", Test: AnyOf, Values: []string{"a"}}, {Attribute: "x", Test: NotLater, Values: nil}, {Attribute: "x", Test: Reference, Values: nil}, {Attribute: "x", Test: HasRole, Values: []string{"judge"}}, {Attribute: "x", Test: 0, Values: nil},
		} {
			if s.holds(c, &LegalBasis{Attributes: map[string]any{"x": v}}) {
				t.Errorf("test %d holds for %#v", c.Test, v)
			}
		}
	}
	if d, why := s.declare(&LegalBasis{Type: "hipaa-512j-avert-threat", Covers: []string{"CarePlan/x"}, Attributes: map[string]any{"attestedBy": "Organization/pd", "attestedAt": "2026-08-05T11:00:00-05:00"}}); d != nil || why == "" {
		t.Error("the requester's organisation attests")
	}
}

func TestADirectoryIsOpenOnlyWhereSet(t *testing.T) {
	raw := `{"resourceType":"Practitioner","id":"x","name":[{"family":"Osei"}]}`
	labelled := `{"resourceType":"Practitioner","id":"x","meta":{"security":[{"system":"` + tho + `v3-ActCode","code":"SUD"}]}}`
	o := resource.Origin{Custodian: "Organization/clinic"}
	decide := func(e *Engine, raw string, o resource.Origin) Effect {
		s := subjectOf(t, raw, o)
		s.Patient = ""
		return e.Begin(officer(newWorld(1))).Decide(s).Effect
	}
	open := New(Options{Directory: []string{"Practitioner", "CarePlan"}})
	for _, c := range []struct {
		says   string
		engine *Engine
		raw    string
		origin resource.Origin
		want   Effect
	}{
		{"not set", New(Options{}), raw, o, Deny},
		{"set", open, raw, o, Permit},
		{"labelled", open, labelled, o, Deny},
		{"of a Part 2 program", open, raw, resource.Origin{Part2: true}, Deny},
		{"a type about persons", open, carePlan, o, Deny},
	} {
		if got := decide(c.engine, c.raw, c.origin); got != c.want {
			t.Errorf("%s: %v", c.says, got)
		}
	}
}

func TestARelationshipIsWithSomebodyKnown(t *testing.T) {
	req := officer(newWorld(1))
	req.Requester = Requester{TreatingProvider: true}
	req.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "TREAT"}}
	s := subjectOf(t, carePlan, resource.Origin{})
	if d := New(Options{}).Begin(req).Decide(s); d.Effect != Permit {
		t.Errorf("of the patient: %+v", d)
	}
	s.Patient = ""
	if d := New(Options{}).Begin(req).Decide(s); d.Effect != Deny || d.Reasons[0].Rule != "baseline/unknown-person" {
		t.Errorf("of nobody knows whom: %+v", d)
	}
}
