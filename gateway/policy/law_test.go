package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// lawOf compiles the federal pack and packs of these texts.
func lawOf(t testing.TB, texts ...string) *Law {
	t.Helper()
	federal, err := packs.Builtin("us-federal")
	if err != nil {
		t.Fatal(err)
	}
	selected := []Selected{{Pack: federal}}
	for _, text := range texts {
		p, err := packs.Read("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		selected = append(selected, Selected{Pack: p})
	}
	law, err := Compile(selected...)
	if err != nil {
		t.Fatal(err)
	}
	return law
}

// stateRules is a state's pack of these rules.
func stateRules(rules string) string {
	return "id: us-zz\nversion: \"2026.11\"\ntitle: t\nkind: state\njurisdiction: US-ZZ\ncombining: deny-overrides\nsources: [{id: s, title: s}]\nrules:\n" + rules
}

const marked = ", citation: c, verified: {where: s, on: 2026-11-27}"

// TestNothingIsAllocated: what is ordinary is decided without an allocation.
func TestNothingIsAllocated(t *testing.T) {
	engine := New(Options{Law: lawOf(t, stateRules(`  - {id: deny/sud, effect: deny, when: [{id: a, police: true}, {id: b, label: [SUD]}]`+marked+`}`))})
	clinic := resource.Origin{Custodian: "Organization/clinic"}
	police := officer(newWorld(1))
	permitted := officer(newWorld(1))
	permitted.Consents = []*consent.Consent{consentOf(`"type":"permit"`, "")}
	denied := officer(newWorld(1))
	denied.Consents = []*consent.Consent{consentOf(`"type":"deny"`, "")}
	treating := officer(newWorld(1))
	treating.Requester = Requester{TreatingProvider: true}
	treating.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "TREAT"}}
	warrant := officer(newWorld(1))
	warrant.LegalBases = []*LegalBasis{{ID: "Task/1", Type: "warrant", Covers: []string{"Condition/x"}}}
	sud := `{"resourceType":"Condition","id":"x","subject":{"reference":"Patient/p"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}}`
	for _, c := range []struct {
		says   string
		req    *Request
		raw    string
		effect Effect
	}{
		{"no consent", police, carePlan, Deny}, {"a permit", permitted, carePlan, Permit}, {"a deny", denied, carePlan, Deny},
		{"the baseline", treating, carePlan, Permit}, {"the baseline, labelled", treating, sud, Permit}, {"no consent, labelled", police, sud, Deny},
		{"a basis, of a state without a jurisdiction", warrant, sud, Deny},
	} {
		s, sub := engine.Begin(c.req), subjectOf(t, c.raw, clinic)
		if d := s.Decide(sub); d.Effect != c.effect {
			t.Errorf("%s: %+v", c.says, d)
		}
		if n := testing.AllocsPerRun(200, func() { s.Decide(sub) }); n != 0 {
			t.Errorf("%s: %v allocations", c.says, n)
		}
	}
}

// TestRestrictionsRestrict: what deny, require, limit and oblige do to a ground.
func TestRestrictionsRestrict(t *testing.T) {
	clinic := resource.Origin{Custodian: "Organization/clinic"}
	threat := &LegalBasis{ID: "Task/t", Type: "hipaa-512j-avert-threat", Covers: []string{"Patient/p"}, Attributes: map[string]any{
		"attestedBy": "Practitioner/d", "attestedAt": "2026-08-05T11:00:00-05:00", "attester": "psychiatrist", "since": "2026-08-05T00:00:00-05:00",
	}}
	ask := func(rules, jurisdiction string) Decision {
		req := officer(newWorld(1))
		req.Jurisdiction, req.LegalBases = jurisdiction, []*LegalBasis{threat}
		var texts []string
		if rules != "" {
			texts = append(texts, stateRules(rules))
		}
		return New(Options{Law: lawOf(t, texts...)}).Begin(req).Decide(subjectOf(t, patient, clinic))
	}
	for _, c := range []struct {
		says, rules, jurisdiction string
		effect                    Effect
		removed                   int
		rule                      string // that took it away
	}{
		{"nothing", "", "US-ZZ", Redact, 2, ""},
		{"deny", `  - {id: r, effect: deny, when: [{id: a, basis: [hipaa-512j-avert-threat]}]`, "US-ZZ", Deny, 0, "r"},
		{"deny, elsewhere", `  - {id: r, effect: deny, when: [{id: a, basis: [hipaa-512j-avert-threat]}]`, "US-YY", Redact, 2, ""},
		{"deny, where is not known", `  - {id: r, effect: deny, when: [{id: a, basis: [hipaa-512j-avert-threat]}]`, "", Deny, 0, "r"},
		{"deny of another basis", `  - {id: r, effect: deny, when: [{id: a, basis: [warrant]}]`, "US-ZZ", Redact, 2, ""},
		{"a requirement that is met", `  - {id: r, effect: require, when: [{id: a, ground: [basis]}], require: [{id: b, attribute: {name: attester, oneOf: [psychiatrist]}}]`, "US-ZZ", Redact, 2, ""},
		{"one that is not", `  - {id: r, effect: require, when: [{id: a, ground: [basis]}], require: [{id: b, attribute: {name: attester, oneOf: [judge]}}]`, "US-ZZ", Deny, 0, "r"},
		{"one about what is absent", `  - {id: r, effect: require, when: [{id: a, ground: [basis]}], require: [{id: b, not: true, attribute: {name: absent, oneOf: [judge]}}]`, "US-ZZ", Deny, 0, "r"},
		{"an age that is met", `  - {id: r, effect: require, when: [{id: a, ground: [basis]}], require: [{id: b, attribute: {name: since, notOlder: 1d}}]`, "US-ZZ", Redact, 2, ""},
		{"an age that is not", `  - {id: r, effect: require, when: [{id: a, ground: [basis]}], require: [{id: b, attribute: {name: since, notOlder: 11h}}]`, "US-ZZ", Deny, 0, "r"},
		{"a limit", `  - {id: r, effect: limit, when: [{id: a, police: true}], extent: {elements: [{type: Patient, only: [name, address]}]}`, "US-ZZ", Redact, 4, ""},
		{"a limit to another type", `  - {id: r, effect: limit, when: [{id: a, police: true}], extent: {elements: [{type: Flag, only: [code]}]}`, "US-ZZ", Deny, 0, "r"},
	} {
		rules := c.rules
		if rules != "" {
			rules += marked + "}"
		}
		d := ask(rules, c.jurisdiction)
		lost := slices.ContainsFunc(d.Reasons, func(r Reason) bool { return r.Rule == c.rule && r.Effect == "deny" })
		if d.Effect != c.effect || len(d.Remove) != c.removed || c.rule != "" && c.effect == Deny && !lost && !strings.Contains(c.says, "limit") {
			t.Errorf("%s: %v, %d removed, %+v", c.says, d.Effect, len(d.Remove), d.Reasons)
		}
	}
	d := ask(`  - {id: r, effect: oblige, when: [{id: a, police: true}], obligations: [TELL-THE-SHERIFF]`+marked+`}`, "US-ZZ")
	if !slices.Contains(d.Obligations, "TELL-THE-SHERIFF") {
		t.Errorf("obligations do not add up: %v", d.Obligations)
	}
}

func TestAnUnverifiedRuleIsOffUntilItIsEnabled(t *testing.T) {
	text := stateRules("  - {id: r, effect: deny, citation: c, unverified: true}\n")
	p, err := packs.Read("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	federal, _ := packs.Builtin("us-federal")
	for _, enable := range [][]string{nil, {"r"}} {
		law, err := Compile(Selected{Pack: federal}, Selected{Pack: p, Enable: enable})
		if err != nil {
			t.Fatal(err)
		}
		req := officer(newWorld(1))
		req.Consents = []*consent.Consent{consentOf(`"type":"permit"`, "")}
		d := New(Options{Law: law}).Begin(req).Decide(subjectOf(t, carePlan, resource.Origin{}))
		info := law.Packs()[1]
		if on := enable != nil; on != (d.Effect == Deny) || on != (len(info.Off) == 0) || on != (len(info.Enabled) == 1) {
			t.Errorf("enabled %v: %v, %+v", enable, d.Effect, info)
		}
	}
	if _, err := Compile(Selected{Pack: federal}, Selected{Pack: p, Enable: []string{"q"}}); err == nil || !strings.Contains(err.Error(), `no rule "q"`) {
		t.Errorf("a rule that is not there is enabled: %v", err)
	}
}

func TestReferencesThatLeadNowhereHaveAPlace(t *testing.T) {
	federal, _ := packs.Builtin("us-federal")
	for rule, want := range map[string]string{
		"  - {id: r, effect: basis, type: t, within: no-such, extent: {covers: true}" + marked + "}": "test.yaml:9:",
		"  - {id: r, effect: deny, when: [{id: a, basis: [no-such]}]" + marked + "}":                 "test.yaml:9:",
		"  - {id: r, effect: deny, when: [{id: a, through: [gate/x]}]" + marked + "}":                "test.yaml:9:",
		"  - {id: r, effect: limit, extent: {profile: none}" + marked + "}":                          "test.yaml:9:",
	} {
		p, err := packs.Read("test.yaml", []byte(stateRules(rule)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(Selected{Pack: federal}, Selected{Pack: p}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
