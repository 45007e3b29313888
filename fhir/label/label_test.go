package label

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func parse(t testing.TB, s string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return r
}

// summary writes labels in one line: level, sensitivities, law, CJI.
func summary(l *Labels) string {
	s := []string{l.Level.String()}
	s = append(s, l.Sensitivity...)
	s = append(s, l.Law...)
	return strings.Join(append(s, l.CJI...), " ")
}

func labelled(t testing.TB, s string, o resource.Origin) *Labels {
	t.Helper()
	l := new(Labels)
	shared.Label(parse(t, s), o, l)
	return l
}

// shared is one Labeller for all tests: it keeps nothing between calls.
var shared = New(Options{})

const icd = `"system":"http://hl7.org/fhir/sid/icd-10-cm"`

func condition(security, rest string) string {
	return `{"resourceType":"Condition","id":"c","meta":{"security":[` + security + `]},` + rest + `"subject":{"reference":"Patient/p"}}`
}

func TestResourceLabels(t *testing.T) {
	const conf, act = `"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality"`, `"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode"`
	code := func(c string) string { return `"code":{"coding":[{` + icd + `,"code":"` + c + `"}]},` }
	for _, c := range []struct{ name, in, want string }{
		{"no label at all is N", condition("", code("I10")), "N"},
		{"a code alone labels", condition("", code("F11.20")), "R SUD"},
		{"two families", condition("", code("F19.20")), "R PSY SUD"},
		{"undotted", condition("", code("F331")), "R PSY"},
		{"an escaped system is read", condition("", `"code":{"coding":[{"system":"http:\/\/hl7.org\/fhir\/sid\/icd-10-cm","code":"F\u00331.1"}]},`), "R PSY"},
		{"a code without a system is read by its form", condition("", `"code":{"coding":[{"code":"F33.1"}]},`), "R PSY"},
		{"a stated level is not lowered", condition(`{`+conf+`,"code":"V"}`, code("F33.1")), "V PSY"},
		{"a stated level below is raised", condition(`{`+conf+`,"code":"U"}`, code("F33.1")), "R PSY"},
		{"the highest of two levels counts", condition(`{`+conf+`,"code":"R"},{`+conf+`,"code":"N"}`, code("I10")), "R"},
		{"a low level stands", condition(`{`+conf+`,"code":"L"}`, code("I10")), "L"},
		{"stated sensitivity", condition(`{`+act+`,"code":"ETHUD"}`, code("I10")), "N ETHUD"},
		{"old system", condition(`{"system":"http://hl7.org/fhir/v3/Confidentiality","code":"V"},{"system":"http://hl7.org/fhir/v3/ActCode","code":"SDV"}`, ""), "V SDV"},
		{"OID system", condition(`{"system":"urn:oid:2.16.840.1.113883.5.25","code":"R"},{"system":"urn:oid:2.16.840.1.113883.5.4","code":"HIV"}`, ""), "R HIV"},
		{"retired Confidentiality code", condition(`{`+conf+`,"code":"ETH"}`, ""), "N ETH"},
		{"retired T", condition(`{`+conf+`,"code":"T"}`, ""), "N TBOO"},
		{"unknown confidentiality is restricted", condition(`{`+conf+`,"code":"QQ"}`, ""), "R"},
		{"law tag", condition(`{`+act+`,"code":"42CFRPart2"},{`+act+`,"code":"HIPAAPsyNotes"}`, ""), "N 42CFRPart2 HIPAAPsyNotes"},
		{"deprecated law system", condition(`{"system":"http://terminology.hl7.org/CodeSystem/v3-ActUSPrivacyLaw","code":"42CFRPart2"}`, ""), "N 42CFRPart2"},
		{"label without system", condition(`{"code":"R"},{"code":"SUD"}`, ""), "R SUD"},
		{"wrong case raises", condition(`{`+act+`,"code":"42cfrpart2"},{`+act+`,"code":"sud"}`, ""), "N SUD 42CFRPart2"},
		{"a refrain code is no Part 2", condition(`{`+act+`,"code":"NORDSCLCD"},{`+act+`,"code":"NORDSLCD"}`, code("I10")), "N"},
		{"the mark of the notice raises", condition(`{`+act+`,"code":"RedisclosureProhibitionMark"}`, code("I10")), "N 42CFRPart2"},
		{"a label among the tags counts", `{"resourceType":"Flag","meta":{"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"42CFRPart2"},{"system":"http://x","code":"V"}]}}`, "N 42CFRPart2"},
		{"criminal justice label", condition(`{"system":"http://example.org/pmhc/CodeSystem/cji-label","code":"CHRI"}`, ""), "N CHRI"},
		{"a code never computes or removes Part 2", condition(`{`+act+`,"code":"42CFRPart2"}`, code("I10")), "N 42CFRPart2"},
		{"one security label as an object", `{"resourceType":"Flag","meta":{"security":{` + conf + `,"code":"V"}}}`, "V"},
		{"Observation value", `{"resourceType":"Observation","valueCodeableConcept":{"coding":[{` + icd + `,"code":"F33.1"}]}}`, "R PSY"},
		{"Observation code, LOINC", `{"resourceType":"Observation","code":{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.1","code":"10367-1"}]}}`, "R SUD"},
		{"medication by RxNorm", `{"resourceType":"MedicationRequest","medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"6813"}]}}`, "R SUD"},
		{"medication by name", `{"resourceType":"MedicationRequest","medicationCodeableConcept":{"text":"SUBOXONE 8 mg/2 mg film"}}`, "R SUD"},
		{"medication by NDC and display", `{"resourceType":"MedicationStatement","medicationCodeableConcept":{"coding":[{"system":"http://hl7.org/fhir/sid/ndc","code":"12496120803","display":"buprenorphine/naloxone film"}]}}`, "R SUD"},
		{"no drug name inside another word", `{"resourceType":"MedicationRequest","medicationCodeableConcept":{"text":"normethadones 5"}}`, "N"},
		{"contained medication is the subject matter", `{"resourceType":"MedicationRequest","contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"1819"}]}}],"medicationReference":{"reference":"#m"}}`, "R SUD"},
		{"medication ingredient", `{"resourceType":"Medication","ingredient":[{"itemCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"7243"}]}}]}`, "R SUD"},
		{"document type", `{"resourceType":"DocumentReference","type":{"coding":[{` + icd + `,"code":"B20"}]}}`, "R HIV"},
		{"a secondary code leaves the resource alone", `{"resourceType":"Encounter","reasonCode":[{"coding":[{` + icd + `,"code":"F33.1"}]}]}`, "N"},
		{"notice, short", condition("", `"note":[{"text":"42 CFR part 2 prohibits unauthorized use or disclosure of these records."}],`), "N 42CFRPart2"},
		{"notice, entities", condition("", `"note":[{"text":"protected by federal confidentiality rules (42&#160;C.F.R. Part&nbsp;2)"}],`), "N 42CFRPart2"},
		{"other CFR parts are no notice", condition("", `"note":[{"text":"45 CFR part 164 prohibits; 42 CFR part 482 prohibits; 42 CFR 2.11 is a definition"}],`), "N"},
		{"naming Part 2 is no notice", condition("", `"note":[{"text":"training on 42 CFR part 2 was given"}],`), "N"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := labelled(t, c.in, resource.Origin{})
			if got := summary(l); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if l.Version != LabelSetVersion {
				t.Errorf("version %q", l.Version)
			}
		})
	}
}

func TestOriginLabels(t *testing.T) {
	l := labelled(t, condition("", ""), resource.Origin{Part2: true})
	if summary(l) != "N 42CFRPart2" || l.Because[0] != (Reason{Label: Part2, Basis: "origin"}) {
		t.Errorf("%s %v", summary(l), l.Because)
	}
	l = labelled(t, condition("", ""), resource.Origin{Police: true})
	if !slices.Contains(l.Other, Code{RecordOrigin, "police"}) || len(l.CJI) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestReasonsNameCodeAndSet(t *testing.T) {
	l := labelled(t, condition("", `"code":{"coding":[{`+icd+`,"code":"F20.9"}]},`), resource.Origin{})
	var got []string
	for _, r := range l.Because {
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Label, r.Basis, r.Code.Code, r.Set))
	}
	want := []string{"PSY code F20.9 2.16.840.1.113762.1.4.1142.32", "R code F20.9 2.16.840.1.113762.1.4.1142.32"}
	if len(got) != 2 || !strings.HasPrefix(got[0], "PSY code F20.9") || !strings.HasPrefix(got[1], "R code F20.9") {
		t.Errorf("got %q, want about %q", got, want)
	}
}

// elements writes the labelled elements as "bytes → labels".
func elements(l *Labels) []string {
	var out []string
	for i := range l.Elements {
		raw := string(l.Elements[i].Node.Raw())
		out = append(out, raw[:min(len(raw), 44)]+" → "+summary(&l.Elements[i].Labels))
	}
	return out
}

func TestElementLabels(t *testing.T) {
	mdd := `{` + icd + `,"code":"F33.1"}`
	inline := `{"url":"` + InlineLabelURL + `","valueCoding":{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}}`
	process := `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PROCESSINLINELABEL"}]},`
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"secondary code", `{"resourceType":"Encounter","reasonCode":[{"coding":[` + mdd + `]},{"text":"x"}]}`, []string{mdd[:44] + " → R PSY"}},
		{"extension", `{"resourceType":"Patient","extension":[{"url":"http://x","valueCoding":` + mdd + `}]}`, []string{mdd[:44] + " → R PSY"}},
		{"component", `{"resourceType":"Observation","code":{"text":"x"},"component":[{"code":{"coding":[` + mdd + `]}}]}`, []string{mdd[:44] + " → R PSY"}},
		{"contained", `{"resourceType":"Encounter","contained":[{"resourceType":"Condition","id":"c","code":{"coding":[` + mdd + `]}}]}`, []string{`{"resourceType":"Condition","id":"c","code": → R PSY`}},
		{"contained, its own secondary code", `{"resourceType":"Observation","contained":[{"resourceType":"Encounter","id":"c","reasonCode":[{"coding":[` + mdd + `]}]}]}`, []string{mdd[:44] + " → R PSY"}},
		{"contained with stated label", `{"resourceType":"Encounter","contained":[{"resourceType":"Basic","id":"c","meta":{"security":[{"code":"V"}]}}]}`, []string{`{"resourceType":"Basic","id":"c","meta":{"se → V`}},
		{"entry of a Bundle", `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Condition","id":"c","code":{"coding":[` + mdd + `]}}}]}`, []string{`{"resourceType":"Condition","id":"c","code": → R PSY`}},
		{"inline label", `{"resourceType":"Patient",` + process + `"address":[{"extension":[` + inline + `],"city":"R"},{"city":"S"}]}`, []string{`{"extension":[` + inline[:30] + " → V"}},
		{"inline label of a primitive", `{"resourceType":"Patient",` + process + `"_birthDate":{"extension":[` + inline + `]}}`, []string{`{"extension":[` + inline[:30] + " → V"}},
		{"inline label in the principal element", `{"resourceType":"Condition",` + process + `"code":{"coding":[{"extension":[` + inline + `],"code":"x"}]}}`, []string{`{"extension":[` + inline[:30] + " → V"}},
		{"inline label without the tag", `{"resourceType":"Patient","address":[{"extension":[` + inline + `],"city":"R"}]}`, nil},
	} {
		if got := elements(labelled(t, c.in, resource.Origin{})); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestReuseLeavesNothingBehind(t *testing.T) {
	l, into := New(Options{}), new(Labels)
	l.Label(parse(t, condition(`{"code":"V"}`, `"code":{"coding":[{`+icd+`,"code":"F19.20"}]},"contained":[{"resourceType":"Basic","meta":{"security":[{"code":"V"}]}}],`)), resource.Origin{Part2: true, Police: true}, into)
	l.Label(parse(t, condition("", "")), resource.Origin{}, into)
	if into.Sensitive() || into.Stated || into.Computed || len(into.Because)+len(into.Elements)+len(into.Other) > 0 {
		t.Errorf("left behind: %+v", into)
	}
}

func TestMetaSecurityAndHighWater(t *testing.T) {
	a := labelled(t, condition(`{"code":"V"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"REDACT"}`, ""), resource.Origin{Police: true})
	b := labelled(t, condition("", `"code":{"coding":[{`+icd+`,"code":"F19.20"}]},`), resource.Origin{Part2: true})
	const conf, act = `{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"`, `{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"`
	want := `[` + conf + `R"},` + act + `PSY"},` + act + `SUD"},` + act + `42CFRPart2"}]`
	if got := string(MetaSecurity(b)); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var h HighWater
	if h.MetaSecurity() != nil {
		t.Error("an empty Bundle has no label")
	}
	h.Add(a)
	h.Add(b)
	h.Add(labelled(t, condition("", ""), resource.Origin{}))
	want = `[` + conf + `V"},` + act + `42CFRPart2"},` + act + `PSY"},` + act + `SUD"}]`
	if got := string(h.MetaSecurity()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if MetaSecurity(labelled(t, condition("", ""), resource.Origin{})) != nil {
		t.Error("no labels render as nothing")
	}
}

func TestUnsensitiveResourceDoesNotAllocate(t *testing.T) {
	for name, raw := range samples(t) {
		r, l, into := parse(t, string(raw)), New(Options{}), new(Labels)
		if l.Label(r, resource.Origin{}, into); into.Sensitive() || len(into.Elements) > 0 {
			t.Fatalf("%s is sensitive: %s %q", name, summary(into), elements(into))
		}
		if n := testing.AllocsPerRun(100, func() { l.Label(r, resource.Origin{}, into) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// samples are a 1.2 kB Observation, a 1.2 kB Condition and a 3.4 kB Patient of
// the project's own.
func samples(t testing.TB) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range []string{"observation.json", "condition.json", "patient.json"} {
		raw, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(f, ".json")] = raw
	}
	return out
}

func BenchmarkLabel(b *testing.B) {
	for name, raw := range samples(b) {
		l, into := New(Options{}), new(Labels)
		var r resource.Resource
		if err := r.Reset(raw); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/parse", func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if r.Reset(raw) != nil {
					b.Fatal("not read")
				}
			}
		})
		b.Run(name+"/label", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Label(&r, resource.Origin{}, into)
			}
			if into.Sensitive() {
				b.Fatal("wrong answer")
			}
		})
		b.Run(name+"/json.Valid", func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if !json.Valid(raw) {
					b.Fatal("not valid")
				}
			}
		})
	}
}
