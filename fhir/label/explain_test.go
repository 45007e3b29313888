package label

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestExplainNamesCodePlaceAndSet(t *testing.T) {
	const act = `"system":"http://hl7.org/fhir/v3/ActCode"`
	for _, c := range []struct {
		name, in string
		origin   resource.Origin
		want     []string // label @ element @ path: basis system|code set
	}{
		{"a code", condition("", `"code":{"coding":[{`+icd+`,"code":"z21"}]},`), resource.Origin{}, []string{
			"HIV @  @ Condition.code.coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|z21 handoff:icd10cm-hiv",
			"R @  @ Condition.code.coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|z21 handoff:icd10cm-hiv",
		}},
		{"stated, and by origin", condition(`{"code":"V"},{`+act+`,"code":"SDV"},{"system":"http://hl7.org/fhir/v3/Confidentiality","code":"ETH"}`, ""), resource.Origin{Part2: true}, []string{
			"V @  @ Condition.meta.security[0]: stated http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V ",
			"SDV @  @ Condition.meta.security[1]: stated http://terminology.hl7.org/CodeSystem/v3-ActCode|SDV ",
			"ETH @  @ Condition.meta.security[2]: stated http://terminology.hl7.org/CodeSystem/v3-Confidentiality|ETH ",
			"42CFRPart2 @  @ : origin | ",
		}},
		{"a value of a choice", `{"resourceType":"Observation","valueCodeableConcept":{"coding":[{` + icd + `,"code":"R75"}]}}`, resource.Origin{}, []string{
			"HIV @  @ Observation.value.ofType(CodeableConcept).coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|R75 handoff:icd10cm-hiv",
			"R @  @ Observation.value.ofType(CodeableConcept).coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|R75 handoff:icd10cm-hiv",
		}},
		{"an element", `{"resourceType":"Encounter","reasonCode":[{"text":"x"},{"coding":[{` + icd + `,"code":"R75"}]}]}`, resource.Origin{}, []string{
			"HIV @ Encounter.reasonCode[1].coding[0] @ Encounter.reasonCode[1].coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|R75 handoff:icd10cm-hiv",
			"R @ Encounter.reasonCode[1].coding[0] @ Encounter.reasonCode[1].coding[0]: code http://hl7.org/fhir/sid/icd-10-cm|R75 handoff:icd10cm-hiv",
		}},
		{"inline", `{"resourceType":"Patient","meta":{"security":[{` + act + `,"code":"PROCESSINLINELABEL"}]},"_birthDate":{"extension":[{"url":"` + InlineLabelURL + `","valueCoding":{"code":"V"}}]}}`, resource.Origin{}, []string{
			"V @ Patient.birthDate @ Patient.birthDate.extension[0].value.ofType(Coding): inline http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V ",
		}},
		{"notice", condition("", `"note":[{"text":"42 CFR part 2 prohibits unauthorized use or disclosure of these records."}],`), resource.Origin{}, []string{"42CFRPart2 @  @ Condition: notice | "}},
		{"nothing", condition("", ""), resource.Origin{}, nil},
	} {
		var got []string
		for _, x := range New(Options{}).Explain(parse(t, c.in), c.origin) {
			got = append(got, fmt.Sprintf("%s @ %s @ %s: %s %s|%s %s", x.Label, x.Element, x.Path, x.Basis, x.System, x.Code, x.Set))
			if x.Set != "" && (x.Source == "" || x.SetName == "" || !strings.Contains(x.SetVersion, " sha256:")) {
				t.Errorf("%s: %+v", c.name, x)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// What is explained is what is labelled: no label without a cause, no cause
// without its label.
func checkExplained(t *testing.T, l *Labeller, r *resource.Resource, o resource.Origin) {
	t.Helper()
	var labels Labels
	l.Label(r, o, &labels)
	want, got := map[string]bool{}, map[string]bool{}
	note := func(of *Labels, at string) {
		if of.Stated {
			want[at+" "+of.Level.String()] = true
		}
		for _, s := range slices.Concat(of.Sensitivity, of.Law, of.CJI) {
			want[at+" "+s] = true
		}
	}
	note(&labels, "")
	for i := range labels.Elements {
		note(&labels.Elements[i].Labels, PathTo(r, labels.Elements[i].Node))
	}
	for _, c := range l.Explain(r, o) {
		got[c.Element+" "+c.Label] = true
	}
	for w := range want {
		if !got[w] {
			t.Errorf("%q is not explained in %s", w, r.Raw())
		}
	}
	levels := []string{"U", "L", "M", "N", "R", "V"}
	for g := range got {
		if label := g[strings.LastIndexByte(g, ' ')+1:]; !want[g] && !slices.Contains(levels, label) { // a lower level may have its cause too
			t.Errorf("%q is explained and is no label of %s", g, r.Raw())
		}
	}
}
