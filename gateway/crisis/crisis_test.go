package crisis

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
)

var at = time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC)

func parse(t testing.TB, raw string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lists reads a summary back: name → texts; call and go as "name|phone|hours".
func lists(t testing.TB, b []byte) map[string][]string {
	t.Helper()
	var doc struct {
		Parameter []struct {
			Name, ValueString string
			ValueBoolean      *bool
			ValueReference    struct{ Reference string }
			Part              []struct {
				Name, ValueString string
			}
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, p := range doc.Parameter {
		text := p.ValueString + p.ValueReference.Reference
		if p.ValueBoolean != nil && *p.ValueBoolean {
			text = "true"
		}
		if p.Part != nil {
			m := map[string]string{}
			for _, x := range p.Part {
				m[x.Name] = x.ValueString
			}
			text = m["name"] + "|" + m["role"] + "|" + m["phone"] + "|" + m["hours"]
		}
		out[p.Name] = append(out[p.Name], text)
	}
	return out
}

const plan = `{"resourceType":"CarePlan","id":"c1","status":"active","intent":"plan","subject":{"reference":"Patient/p"},
 "description":"One voice, low and slow. Do not touch without asking. Dr. Mora knows her. Sirens trigger flashbacks.",
 "activity":[
  {"detail":{"status":"in-progress","code":{"coding":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/crisis-guidance","code":"helps"}]},"description":"Ask about Pepper, her dog."}},
  {"detail":{"status":"in-progress","doNotPerform":true,"description":"Handcuffs in front"}},
  {"detail":{"status":"cancelled","description":"Call her mother"}},
  {"detail":{"status":"scheduled","code":{"text":"Bring her to the centre"},"location":{"display":"Cedar Crisis Centre"},"performer":[{"reference":"PractitionerRole/r1"}]}}]}`

func TestSummariseSortsWhatAPlanSays(t *testing.T) {
	in := Input{At: at, Resources: []*resource.Resource{
		parse(t, plan),
		parse(t, `{"resourceType":"PractitionerRole","id":"r1","practitioner":{"reference":"Practitioner/d"},"code":[{"text":"case manager"}],
		 "telecom":[{"system":"phone","value":"555-0100","use":"old"},{"system":"phone","value":"555-0101","rank":2},{"system":"phone","value":"555-0102","rank":1}],
		 "availableTime":[{"daysOfWeek":["mon","tue"],"availableStartTime":"08:00:00","availableEndTime":"17:00:00"}]}`),
		parse(t, `{"resourceType":"Practitioner","id":"d","name":[{"family":"Marsh","given":["Jo"]}]}`),
		parse(t, `{"resourceType":"Flag","id":"f","status":"active","code":{"text":"Calmed by music"},"subject":{"reference":"Patient/p"}}`),
		parse(t, `{"resourceType":"Flag","id":"g","status":"inactive","code":{"text":"Never by day"},"subject":{"reference":"Patient/p"}}`),
		parse(t, `{"resourceType":"Flag","id":"h","status":"active","period":{"end":"2026-05-03"},"code":{"text":"Past"},"subject":{"reference":"Patient/p"}}`),
	}}
	got := lists(t, Summarise(in))
	for name, want := range map[string][]string{
		"plan":     {"true"},
		"helps":    {"Ask about Pepper, her dog.", "Calmed by music"},
		"avoid":    {"Handcuffs in front", "Do not touch without asking.", "Sirens trigger flashbacks."},
		"guidance": {"Bring her to the centre", "One voice, low and slow.", "Dr. Mora knows her."},
		"call":     {"Jo Marsh|case manager|555-0102|mon tue 08:00-17:00"},
		"go":       {"Cedar Crisis Centre|||"},
		"source":   {"CarePlan/c1", "Flag/f"},
	} {
		if name == "avoid" { // "trigger" as a verb is no heading: it stays guidance or warns, never helps
			if slices.Contains(got["helps"], "Sirens trigger flashbacks.") || !slices.Contains(got["avoid"], "Do not touch without asking.") || !slices.Contains(got["avoid"], "Handcuffs in front") {
				t.Errorf("avoid = %q, helps = %q", got["avoid"], got["helps"])
			}
			continue
		}
		if name == "guidance" {
			for _, w := range want {
				if !slices.Contains(got[name], w) {
					t.Errorf("guidance = %q lacks %q", got[name], w)
				}
			}
			continue
		}
		if !slices.Equal(got[name], want) {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestWarningsAreNeverTakenForHelp(t *testing.T) {
	for _, text := range []string{"Do not say it helps to calm down", "Never mention what helps others", "Avoid loud voices", "Shouting makes it worse"} {
		if headed(text) != avoids {
			t.Errorf("%q is %v", text, headed(text))
		}
	}
	for _, text := range []string{"Neverland is her dog", "Avoidant in crowds", "She is shelped"} {
		if headed(text) != unsorted {
			t.Errorf("%q is %v", text, headed(text))
		}
	}
}

// What may turn round a word of comfort is not listed as help.
func TestWhatMayHarmIsNotListedAsHelp(t *testing.T) {
	for text, want := range map[string]kind{
		"Don\u2019t touch; it helps to step back.":           avoids,
		"Not calmed by sirens.":                              unsorted,
		"Rarely responds well to uniforms.":                  unsorted,
		"Nothing calms her faster than leaving.":             unsorted,
		"Isn't calmed by family.":                            unsorted,
		"Yelling hardly helps to move him.":                  unsorted,
		"Shouting makes him worse; what helps is not known.": avoids,
		"Music de-escalates.":                                unsorted,
		"Crowding escalates.":                                avoids,
		"Calmed by her dog.":                                 help,
	} {
		if got := headed(text); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	got := lists(t, Summarise(Input{At: at, Resources: []*resource.Resource{parse(t, `{"resourceType":"CarePlan","id":"c1","status":"active","intent":"plan","subject":{"reference":"Patient/p"},
 "description":"What helps:\n- Music\n- Her dog\nPolice came twice. Avoid:\n- bright lights\n- dogs\n\nOne voice.\nTriggers: Sirens. Crowds. Call her mother.\nWhat does not help:\nHolding her arm\n\nOffer water.",
 "activity":[
  {"detail":{"status":"in-progress","code":{"text":"What helps"},"description":"Never crowd her"}},
  {"detail":{"status":"in-progress","code":{"coding":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/crisis-guidance","code":"communication"}]},"description":"Do not shout"}},
  {"detail":{"status":"in-progress","code":{"coding":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/crisis-guidance","code":"helps"}]},"description":"Plain clothes, no sirens"}},
  {"detail":{"status":"in-progress","kind":"MedicationRequest","description":"Lithium 300 mg"}},
  {"detail":{"status":"in-progress","productCodeableConcept":{"text":"lithium"},"description":"Evening dose"}}]}`)}}))
	for name, want := range map[string][]string{
		"helps":    {"Music", "Her dog"},
		"avoid":    {"Never crowd her", "Do not shout", "Plain clothes, no sirens", "bright lights", "dogs", "Triggers: Sirens. Crowds. Call her mother.", "Holding her arm"},
		"guidance": {"Police came twice.", "One voice.", "Offer water."},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestSummaryIsOneSizeAndOrderDoesNotMatter(t *testing.T) {
	site := Site{Contacts: []Contact{{Name: "988", Phone: "988", Hours: "24 hours"}}}
	nothing := Summarise(Input{At: at, Site: site})
	if len(nothing)%SizeClass != 0 || !json.Valid(nothing) {
		t.Errorf("%d bytes", len(nothing))
	}
	if issues := validate.Resource(parse(t, string(nothing))); validate.Failed(issues) {
		t.Errorf("%v", issues)
	}
	a, b := parse(t, plan), parse(t, strings.ReplaceAll(plan, `"c1"`, `"c2"`))
	x := Summarise(Input{At: at, Site: site, Resources: []*resource.Resource{a, b}})
	y := Summarise(Input{At: at, Site: site, Resources: []*resource.Resource{b, a}})
	if !bytes.Equal(x, y) {
		t.Error("the order of the resources shows")
	}
	if got := lists(t, nothing); len(got["call"]) != 1 || got["plan"][0] != "" {
		t.Errorf("nothing = %v", got)
	}
}

func TestAnotherServersStaffAreNotOurs(t *testing.T) {
	role := parse(t, `{"resourceType":"Practitioner","id":"d","name":[{"family":"Marsh"}],"telecom":[{"system":"phone","value":"555-0100"}]}`)
	for ref, want := range map[string]string{
		"Practitioner/d":                          "Marsh||555-0100|",
		"https://gw.example/fhir/Practitioner/d":  "Marsh||555-0100|",
		"https://ehr.example/fhir/Practitioner/d": "Dr. Other|||",
	} {
		team := parse(t, `{"resourceType":"CareTeam","id":"t","status":"active","participant":[{"member":{"reference":"`+ref+`","display":"Dr. Other"}}]}`)
		got := lists(t, Summarise(Input{At: at, Base: "https://gw.example/fhir", Resources: []*resource.Resource{team, role}}))
		if !slices.Equal(got["call"], []string{want}) {
			t.Errorf("%s: call = %q, want %q", ref, got["call"], want)
		}
	}
}
