package label

import (
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/resource/resourcetest"
)

// A resource with any labels gives labels that read back as themselves, and that do not
// depend on how it is written.
func FuzzLabel(f *testing.F) {
	f.Add([]byte(condition(`{"code":"V"}`, `"code":{"coding":[{`+icd+`,"code":"F19.20"}]},`)))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MedicationRequest","contained":[{"resourceType":"Medication","id":"m"}],"medicationReference":{"reference":"#m"}}}]}`))
	f.Add([]byte(`{"resourceType":"DocumentReference","type":{"coding":[{"system":"http://loinc.org","code":"11503-0"}]},"text":{"div":"<div>42 CFR part 2 prohibits unauthorized disclosure</div>"},"content":[{"attachment":{"contentType":"text/plain","data":"RHg6IEYyMC4wIHNjaGl6b3BocmVuaWE="}}]}`))
	f.Add([]byte(`{"resourceType":"Encounter","contained":[{"resourceType":"Observation","valueString":"HIV positive"}],"reasonCode":[{"text":"heroin overdose"}],"note":[{"text":"ICD F20"}]}`))
	f.Add([]byte(`{"resourceType":"Patient","meta":{"security":[{"code":"PROCESSINLINELABEL"}]},"_birthDate":{"extension":[{"url":"inline-sec-label","valueCoding":{"code":"V"}}]}}`))
	l := New(Options{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		var a, b Labels
		l.Label(r, resource.Origin{}, &a)
		checkExplained(t, l, r, resource.Origin{})
		checkSpelledOut(t, l, r, &a)
		sec := MetaSecurity(&a)
		if sec == nil {
			return
		}
		again, err := resource.Parse([]byte(`{"resourceType":"Basic","meta":{"security":` + string(sec) + `}}`))
		if err != nil {
			t.Fatalf("%s: %v", sec, err)
		}
		l.Label(again, resource.Origin{}, &b)
		if a.Level != b.Level || !slices.Equal(a.Sensitivity, b.Sensitivity) || !slices.Equal(a.Law, b.Law) || !slices.Equal(a.CJI, b.CJI) {
			t.Fatalf("%s reads back as %s, was %s", sec, summary(&b), summary(&a))
		}
	})
}

// checkSpelledOut writes letters of a resource as escapes, in names too: all its texts
// are read then, and none of its labels may have depended on that.
func checkSpelledOut(t *testing.T, l *Labeller, r *resource.Resource, want *Labels) {
	t.Helper()
	written := resourcetest.SpellOut(r.Raw())
	again, err := resource.Parse(written)
	if err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	var got Labels
	l.Label(again, resource.Origin{}, &got)
	if summary(&got) != summary(want) || !slices.Equal(ofElements(&got), ofElements(want)) {
		t.Fatalf("%s: %s %q\n%s: %s %q", r.Raw(), summary(want), ofElements(want), written, summary(&got), ofElements(&got))
	}
}

func ofElements(l *Labels) (out []string) {
	for i := range l.Elements {
		out = append(out, summary(&l.Elements[i].Labels))
	}
	return out
}
