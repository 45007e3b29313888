package casefile

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/resource/resourcetest"
)

const patient = `{"resourceType":"Patient","id":"p","identifier":[{"system":"s","value":"1"},{"system":"t","value":"2"}],"deceasedBoolean":false,` +
	`"name":[{"family":"Holm","given":["Ida","Eva"]}],"extension":[{"url":"http://x.example/a","valueString":"v"}]}`

func TestPathsOfCases(t *testing.T) {
	r, err := resource.Parse([]byte(patient))
	if err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]int{
		"Patient.name": 1, "name.given": 2, "Patient.name.given[1]": 1, "Patient.name.given[2]": 0, "Patient.telecom": 0,
		"Patient.identifier.where(system='s')": 1, "Patient.identifier.where(system='s').value": 1, "Patient.identifier.where(system='u')": 0,
		"Patient.identifier.where(system='s' and value='2')": 0, "Patient.identifier.where(value)": 2, "Patient.deceased": 1,
		"Patient.name.first().family": 1, "Patient.extension('http://x.example/a').value": 1, "Patient.name.exists()": 1,
		"Patient.descendants().where(family = 'Holm')": 1, "Patient.deceased.where($this)": -1, "Patient.name | Patient.telecom": -1,
		"Patient.name.select(family)": -1, "": -1, "Patient.identifier.where(system=": -1, "Patient.name[x]": -1,
	} {
		got, err := evaluate(r, expr)
		if (err != nil) != (want < 0) || err == nil && len(got) != want {
			t.Errorf("%q: %d values, %v; want %d", expr, len(got), err, want)
		}
	}
}

// openCase lets the requester see everything but the Condition "no".
func openCase(query string) string {
	return `{"id":"q","consents":[{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},` +
		`"patient":{"reference":"Patient/p"},"provision":{"type":"permit","provision":[{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Condition/no"}}]}]}}],` +
		`"resources":[` + patient + `,{"resourceType":"Condition","id":"no","subject":{"reference":"Patient/p"},"code":{"coding":[{"system":"s","code":"x"}]}},` +
		`{"resourceType":"Condition","id":"yes","subject":{"reference":"Patient/p"},"code":{"coding":[{"system":"s","code":"y"}]}},` +
		`{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p"},"diagnosis":[{"condition":{"reference":"Condition/no"}},{"condition":{"reference":"Condition/yes"}}]}],` +
		`"request":{"at":"2026-08-05T12:00:00Z","actor":{"reference":"Practitioner/x","organization":null},"role":[],"purpose":[],"scopes":["user/*.rs"],"breakGlass":null,` +
		`"interaction":{"type":"search","method":"POST","query":` + string(resource.Quote(query)) + `}}}`
}

func TestSearchesSeeOnlyWhatIsVisible(t *testing.T) {
	runner := NewRunner()
	for query, want := range map[string]string{
		"Condition?patient=p":                             "Condition/yes",
		"Condition?code=s|x":                              "",
		"Condition?code=s|y":                              "Condition/yes",
		"Encounter?diagnosis:Condition.code=x":            "",
		"Encounter?diagnosis:Condition.code=y":            "Encounter/e",
		"Encounter?diagnosis.code=y":                      "Encounter/e",
		"Encounter?diagnosis=Condition/no":                "",
		"Patient?_has:Condition:patient:code=x":           "",
		"Patient?_has:Condition:patient:code=y":           "Patient/p",
		"Patient?_has:Encounter:patient:diagnosis.code=y": "Patient/p",
		"Encounter?_include=Encounter:diagnosis":          "Encounter/e Condition/yes",
		"Condition?_revinclude=Encounter:diagnosis":       "Condition/yes Encounter/e",
		"Patient?_id=p&_revinclude=*":                     "Patient/p Condition/yes Encounter/e",
		"Patient/p/Condition":                             "Condition/yes",
		"Patient/p/$everything":                           "Patient/p Condition/yes Encounter/e",
		"Patient/q/Condition":                             "",
		"Condition/no":                                    "",
		"Condition?_summary=count":                        "",
		"Condition?no-such=1":                             "refused",
		"Encounter?diagnosis:Condition.nothing=1":         "refused",
		"Encounter?_include=Encounter:nothing":            "refused",
		"Conditions":                                      "refused",
	} {
		cases, errs := Read([]byte(openCase(query)))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		o := runner.Run(cases[0])
		line, err := o.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Problem string
			Bundle  struct {
				Total int
				Entry []struct {
					Resource struct{ ResourceType, ID string }
				}
			}
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		var refs []string
		for _, e := range got.Bundle.Entry {
			refs = append(refs, e.Resource.ResourceType+"/"+e.Resource.ID)
		}
		found := strings.Join(refs, " ")
		if got.Problem != "" {
			found = "refused"
		}
		if found != want {
			t.Errorf("%s: found %q %s, want %q", query, found, got.Problem, want)
		}
		if strings.Contains(string(o.Bundle), "Condition/no") {
			t.Errorf("%s: the answer names what is denied: %s", query, o.Bundle)
		}
	}
}

func TestErrorsSayLineAndColumn(t *testing.T) {
	_, errs := Read([]byte("[\n {\"id\":\"a\",\n  \"request\":{\"at\":\"2026-08-05T12:00:00Z\",\"scopes\":[1]}}]"))
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "3:52: case a: request.scopes") {
		t.Errorf("got %v", errs)
	}
}

// Every case that can be read is decided, and the same however letters are written.
func FuzzRead(f *testing.F) {
	f.Add([]byte(openCase("Condition?patient=p")))
	f.Add([]byte(strings.Replace(openCase(""), `"code":{"coding":[{"system":"s","code":"y"}]}`, `"meta":{"security":[{"code":"V"}]},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}`, 1)))
	f.Add([]byte(`[{"id":"x","request":{"at":"2026-08-05T12:00:00Z","legalBasis":{"type":"warrant","covers":"x","a":{"reference":1}}}}]`))
	runner := NewRunner()
	f.Fuzz(func(t *testing.T, raw []byte) {
		cases, _ := Read(raw)
		if len(cases) == 0 {
			return
		}
		spelled, errs := Read(resourcetest.SpellOut(trimBOM(raw)))
		if len(spelled) != len(cases) {
			t.Fatalf("%d cases, and %d where letters are written as escapes: %v in %s", len(cases), len(spelled), errs, raw)
		}
		for i, c := range cases {
			o := runner.Run(c)
			o.Check(c)
			line, err := o.JSON()
			if err != nil || !json.Valid(line) || strings.Contains(string(line), "\n") {
				t.Fatalf("%v: %s", err, line)
			}
			for _, j := range o.Resources {
				if (j.Resource == nil) != (j.Decision == "deny") {
					t.Fatalf("%s: %s with a resource %v", j.Reference, j.Decision, j.Resource != nil)
				}
			}
			if want, got := decided(o), decided(runner.Run(spelled[i])); !slices.Equal(got, want) {
				t.Fatalf("%q, and %q where letters are written as escapes: %s", want, got, raw)
			}
		}
	})
}

// decided is what was decided of each resource, and by which rules.
func decided(o *Outcome) (out []string) {
	for _, j := range o.Resources {
		s := j.Reference + " " + j.Decision
		for _, r := range j.Reasons {
			s += " " + r.Rule
		}
		out = append(out, s)
	}
	return out
}
