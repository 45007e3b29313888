package label

import (
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestCodesInFreeTextLabelTheElement(t *testing.T) {
	coded := `"code":{"coding":[{` + icd + `,"code":"I10"}]},`
	div := func(s string) string {
		return `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + s + `</div>"},`
	}
	condition := func(rest string) string {
		return `{"resourceType":"Condition",` + rest + `"subject":{"reference":"Patient/p"}}`
	}
	for _, c := range []struct {
		name, in, own string
		elements      []string // starts of the labelled elements
	}{
		{"narrative", condition(coded + div("ICD-10: F11.20 opioid dependence")), "N", []string{`{"status":"generated"`}},
		{"narrative, no code", condition(div("F11.20")), "R SUD", []string{`{"status":"generated"`}},
		{"narrative, a text only", condition(`"code":{"text":"see below"},` + div("F11.20")), "R SUD", []string{`{"status":"generated"`}},
		{"narrative, a local code only", condition(`"code":{"coding":[{"system":"urn:local","code":"17"}]},` + div("F11.20")), "R SUD", []string{`{"status":"generated"`}},
		{"narrative of a type that has no code", `{"resourceType":"Encounter",` + div("F11.20") + `"status":"finished"}`, "N", []string{`{"status":"generated"`}},
		{"lower case, in brackets, at the end of a sentence", condition(coded + div("(f33.1).")), "N", []string{`{"status":"generated"`}},
		{"entities", condition(coded + div("F11&#46;20")), "N", []string{`{"status":"generated"`}},
		{"escapes", condition(coded + div(`\u00461\u0031\u002e20`)), "N", []string{`{"status":"generated"`}},
		{"after a line break", condition(coded + div(`Dx:\nF11.20`)), "N", []string{`{"status":"generated"`}},
		{"after an escaped bracket", condition(coded + div(`\u003eF11.20`)), "N", []string{`{"status":"generated"`}},
		{"note", condition(coded + `"note":[{"text":"Dx F11.20"}],`), "N", []string{`"Dx F11.20"`}},
		{"title", `{"resourceType":"CarePlan","title":"plan for F11.20"}`, "N", []string{`"plan for F11.20"`}},
		{"conclusion", `{"resourceType":"DiagnosticReport",` + coded + `"conclusion":"B20.1, F20.0"}`, "N", []string{`"B20.1, F20.0"`}},
		{"display of a reference", `{"resourceType":"Encounter","diagnosis":[{"condition":{"reference":"Condition/c","display":"F11.20"}}]}`, "N", []string{`{"reference":"Condition/c"`}},
		{"display of a coding takes the coding", `{"resourceType":"Encounter","reasonCode":[{"coding":[{"system":"urn:local","code":"1","display":"F11.20"}]}]}`, "N", []string{`{"system":"urn:local"`}},
		{"a code of a local system", `{"resourceType":"Encounter","reasonCode":[{"coding":[{"system":"urn:local","code":"F11.20"}]}]}`, "N", []string{`{"system":"urn:local"`}},
		{"text of a concept takes the concept", `{"resourceType":"Encounter","reasonCode":[{"coding":[{"system":"urn:local","code":"1"}],"text":"F11.20"}]}`, "N", []string{`{"coding":[`}},
		{"text of the principal element", condition(`"code":{"text":"F11.20 opioid dependence"},`), "R SUD", nil},
		{"section of a document", `{"resourceType":"Composition","type":{"coding":[{"system":"http://loinc.org","code":"11503-0"}]},"section":[{` + strings.TrimSuffix(div("F11.20"), ",") + `}]}`, "N", []string{`{"status":"generated"`}},
		{"contained", `{"resourceType":"Encounter","contained":[{"resourceType":"Condition","id":"x",` + strings.TrimSuffix(div("F11.20"), ",") + `}]}`, "N", []string{`{"status":"generated"`, `{"resourceType":"Condition"`}},
		{"tag", `{"resourceType":"Encounter","meta":{"tag":[{` + icd + `,"code":"F11.20"}]}}`, "N", []string{`{` + icd}},
		{"extension of meta", `{"resourceType":"Encounter","meta":{"extension":[{"url":"http://x","valueCoding":{` + icd + `,"code":"F11.20"}}]}}`, "N", []string{`{` + icd}},
		{"text extension of meta", `{"resourceType":"Encounter","meta":{"extension":[{"url":"http://x","valueString":"F11.20"}]}}`, "N", []string{`"F11.20"`}},
		{"among the security labels", `{"resourceType":"Encounter","meta":{"security":[{` + icd + `,"code":"F11.20"}]}}`, "R SUD", nil},
		{"extension of the narrative", `{"resourceType":"Encounter","text":{"extension":[{"url":"http://x","valueCoding":{` + icd + `,"code":"F11.20"}}]}}`, "N", []string{`{` + icd}},
		{"name of a service", `{"resourceType":"Encounter","serviceProvider":{"reference":"Organization/o","display":"Harbor Methadone Clinic"}}`, "N", []string{`{"reference":"Organization/o"`}},
		{"an ordinary code", condition(coded + div("I10, E11.9 and F99.x")), "N", nil},
		{"no word", condition(coded + div("AF11.20 F11.20x9999 F11.pdf F11.")), "N", nil},
		{"undotted", condition(coded + div("F1120")), "N", []string{`{"status":"generated"`}},
		{"undotted, with letters", condition(coded + div("T1491XA, then X710XXA")), "N", []string{`{"status":"generated"`}},
		{"undotted and short, announced", condition(coded + div("ICD-10: F20")), "N", []string{`{"status":"generated"`}},
		{"undotted and short, Dx in a note with ICD", condition(coded + `"note":[{"text":"ICD10 Dx Z21"}],`), "N", []string{`"ICD10 Dx Z21"`}},
		{"a truck", condition(coded + div("drove a Ford F150, plate F20 771")), "N", nil},
		{"with a letter after the dot", condition(coded + div("F32.A")), "N", []string{`{"status":"generated"`}},
		{"split by markup", condition(coded + div("F11<b>.20</b>")), "N", []string{`{"status":"generated"`}},
		{"split by nested markup", condition(coded + div("F<i>1</i><span class='x'>1.2</span>0")), "N", []string{`{"status":"generated"`}},
		{"split by an escaped tag", condition(coded + div(`F11\u003cb\u003e.20\u003c/b\u003e`)), "N", []string{`{"status":"generated"`}},
		{"split by a comment", condition(coded + div("F11<!-- x -->.20")), "N", []string{`{"status":"generated"`}},
		{"split by a soft hyphen", condition(coded + div("F11\u00ad.20")), "N", []string{`{"status":"generated"`}},
		{"split by an entity without width", condition(coded + div("F11&#8203;.20")), "N", []string{`{"status":"generated"`}},
		{"two cells are two words", condition(coded + div("<table><tr><td>F11</td><td>.20</td></tr></table>")), "N", nil},
		{"numbers of things", `{"resourceType":"Patient","identifier":[{"system":"urn:F11.20","value":"F11.20"}],"photo":[{"url":"F11.20"}]}`, "N", nil},
		{"an ordinary name", `{"resourceType":"Encounter","serviceProvider":{"display":"Detoxia Harbor Hospital"}}`, "N", nil},
	} {
		l := labelled(t, c.in, resource.Origin{})
		if got := summary(l); got != c.own {
			t.Errorf("%s: the resource is %q, want %q", c.name, got, c.own)
		}
		same := len(l.Elements) == len(c.elements)
		for i := range l.Elements {
			same = same && strings.HasPrefix(string(l.Elements[i].Node.Raw()), c.elements[i])
		}
		if !same {
			t.Errorf("%s: elements %q, want %q", c.name, elements(l), c.elements)
		}
	}
}

func TestAConsentIsLabelledByWhatItIsAbout(t *testing.T) {
	rule := func(code string) string {
		return `{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + code + `"}]}`
	}
	label := func(code string) string {
		return `"provision":{"type":"permit","provision":[{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + code + `"}]}]}`
	}
	for in, want := range map[string]string{
		`"policyRule":` + rule("42CFRPart2CD"):              "R SUD 42CFRPart2",
		`"policyRule":` + rule("42CFRPart2"):                "R SUD 42CFRPart2",
		`"policyRule":` + rule("MDHHS-5515Part2"):           "R SUD 42CFRPart2",
		`"policyRule":{"text":"42 CFR Part 2 consent"}`:     "R SUD 42CFRPart2",
		`"category":[` + rule("42CFRPart2") + `]`:           "R SUD 42CFRPart2",
		label("42CFRPart2"):                                 "R SUD 42CFRPart2",
		label("SUD"):                                        "R SUD",
		label("ETHUD"):                                      "R SUD",
		label("PSY"):                                        "N",
		`"policyRule":` + rule("HIPAAConsentCD"):            "N",
		`"policy":[{"uri":"https://x.example/45-cfr-164"}]`: "N",
	} {
		if got := summary(labelled(t, `{"resourceType":"Consent","id":"c",`+in+`}`, resource.Origin{})); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	nested := labelled(t, `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Consent","policyRule":`+rule("42CFRPart2CD")+`}}]}`, resource.Origin{})
	if got := elements(nested); !slices.Equal(got, []string{`{"resourceType":"Consent","policyRule":{"cod → R SUD 42CFRPart2`}) {
		t.Errorf("in a Bundle: %q", got)
	}
}
