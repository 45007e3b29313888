package whatif

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

const toPolice = `{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},` +
	`"patient":{"reference":"Patient/p"},"dateTime":"2026-01-02","provision":{"type":"permit","actor":[` +
	`{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]},"reference":{"reference":"Organization/a"}},` +
	`{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/pd"}}],` +
	`"purpose":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use","code":"CRISIS"}]CONDITION}}`

// site is a directory of which Organization/a alone is known.
type site struct {
	kind  string
	part2 bool
}

func (s site) Kind(organization string) string {
	if organization == "Organization/a" {
		return s.kind
	}
	return ""
}

func (s site) Part2(organization string) bool { return s.part2 && organization == "Organization/a" }

func (site) Agreements(string, string, []label.Code, time.Time) []string { return nil }

func (site) Jurisdiction(string) string { return "" }

func foresee(t *testing.T, raw string, source func(string, string) consent.Source) map[string]Cell {
	t.Helper()
	return foreseeAt(t, raw, source, nil)
}

func foreseeAt(t *testing.T, raw string, source func(string, string) consent.Source, d Directory) map[string]Cell {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	ms, err := Foresee(r, Options{
		At: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Engine: policy.New(policy.Options{}), Labeller: label.New(label.Options{}), Source: source, Directory: d,
	})
	if err != nil || len(ms) != 1 {
		t.Fatal(ms, err)
	}
	out := map[string]Cell{}
	for _, row := range ms[0].Rows {
		if len(row.Cells) != len(Classes()) {
			t.Fatalf("%s has %d cells", row.Requester, len(row.Cells))
		}
		for _, c := range row.Cells {
			out[row.Requester+" "+row.As+" "+c.Class] = c
		}
	}
	return out
}

func TestConditionsThatNameSomethingShow(t *testing.T) {
	const key = "officer-crisis Organization/pd crisis-plan"
	for condition, want := range map[string]string{
		``: Open,
		`,"data":[{"meaning":"instance","reference":{"reference":"CarePlan/x7"}}]`: Some,
		`,"dataPeriod":{"start":"2024-01-01","end":"2024-12-31"}`:                  Some,
		`,"code":[{"coding":[{"system":"urn:x","code":"k"}]}]`:                     Some,
		`,"class":[{"system":"http://hl7.org/fhir/resource-types","code":"Flag"}]`: Closed,
	} {
		got := foresee(t, strings.Replace(toPolice, "CONDITION", condition, 1), nil)[key]
		if got.With != want || got.Without != Closed || got.Changed != (want != Closed) {
			t.Errorf("%s: %+v", condition, got)
		}
	}
}

func TestCellsAreWhatTheDecisionPointSays(t *testing.T) {
	plain := strings.Replace(toPolice, "CONDITION", "", 1)
	got := foresee(t, plain, nil)
	for key, want := range map[string]string{
		"officer-crisis Organization/pd substance-use-part2": "gate/part2",
		"officer-crisis Organization/pd crisis-plan":         "consent/permit",
		"officer-crisis  crisis-plan":                        "baseline/police",
		"treating-provider  mental-health":                   "baseline/treatment",
	} {
		if got[key].Reason.Rule != want {
			t.Errorf("%s: %+v, want %s", key, got[key], want)
		}
	}
	for key, c := range foresee(t, plain, func(string, string) consent.Source { return consent.Source{} }) {
		if c.Changed {
			t.Errorf("a recorder who may not grant: %s %+v", key, c)
		}
	}
	verbal := foresee(t, plain, func(string, string) consent.Source {
		return consent.Source{Entitled: true, Ceiling: consent.Ceiling{Verbal: true}}
	})
	if c := verbal["officer-crisis Organization/pd crisis-plan"]; c.With != Closed {
		t.Errorf("beyond the verbal ceiling: %+v", c)
	}
	if c := verbal["co-responder Organization/pd police-contact"]; c.With != Open {
		t.Errorf("within the verbal ceiling: %+v", c)
	}
}

// All that a Part 2 program keeps is Part 2, and all that a police agency keeps
// is a police record, whatever class it is of.
func TestDataComeFromTheirCustodian(t *testing.T) {
	plain := strings.Replace(toPolice, "CONDITION", "", 1)
	program := foreseeAt(t, plain, nil, site{"health", true})
	for _, key := range []string{"treating-provider Organization/pd crisis-plan", "treating-provider  mental-health"} {
		if c := program[key]; c.Without != Closed || c.With != Closed || c.Reason.Rule != "gate/part2" {
			t.Errorf("a program's %s: %+v", key, c)
		}
	}
	agency := foreseeAt(t, plain, func(string, string) consent.Source {
		return consent.Source{Entitled: true, Ceiling: consent.Ceiling{Verbal: true}}
	}, site{"police", false})
	if c := agency["co-responder Organization/pd crisis-plan"]; c.With != Open {
		t.Errorf("an agency's flag on a spoken consent: %+v", c)
	}
	if c := agency["treating-provider  diagnosis"]; c.Without != Closed {
		t.Errorf("an agency's record without a consent: %+v", c)
	}
}

func TestALargeConsentIsNotTried(t *testing.T) {
	r, err := resource.Parse([]byte(`{"resourceType":"Consent","language":"` + strings.Repeat("a", MaxBytes) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Foresee(r, Options{At: time.Now(), Engine: policy.New(policy.Options{}), Labeller: label.New(label.Options{})})
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}
