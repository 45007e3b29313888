package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// adt writes a message; each segment after PID is one of the test's own.
func adt(facility, id, person string, segments ...string) string {
	msg := "MSH|^~\\&|ADT|" + facility + "|GW|HANDOFF|2026010112" + id + "||ADT^A01^ADT_A01|M" + id + "|P|2.5.1\rEVN|A01|2026010112" + id +
		"\rPID|1||" + person + "^^^CLINIC^MR||Example^Pat||19800314|F\r"
	return msg + strings.Join(segments, "\r") + "\r"
}

// pv1 has location, hospital service and visit number.
func pv1(location, service, visit string) string {
	return "PV1|1|I|" + location + "|||||||" + service + "|||||||||" + visit + "^^^CLINIC^VN"
}

func newADT(t *testing.T, rules ...part2.Rule) (*ingest.Pipeline, backend.Backend) {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	m := builtIn(t, f.Mapping)
	return &ingest.Pipeline{Format: f, Mapper: m, Store: db, Facts: db, Log: db, SiteKey: siteKey, Options: adapters.Options{Profile: m.Profile(), Kinds: m.Kinds()},
		Origin: resource.Origin{System: "adt", Custodian: "Organization/clinic"}, Units: part2.New(rules),
		Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{}}, db
}

func feed(t *testing.T, p *ingest.Pipeline, text string) {
	t.Helper()
	if _, err := p.Run(context.Background(), adapters.Input{Name: "in.hl7", Reader: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

// part2Of tells of every stored resource of a type whether it is Part 2; the
// kept labels must say the same as the origin.
func part2Of(t *testing.T, db store.Store, typ string) string {
	t.Helper()
	var out []string
	for _, rec := range find(t, db, typ) {
		if got := strings.Contains(strings.Join(rec.Labels, " "), "42CFRPart2"); got != rec.Origin.Part2 {
			t.Errorf("%s: the labels %v, the origin %+v", rec.Key, rec.Labels, rec.Origin)
		}
		out = append(out, fmt.Sprint(rec.Origin.Part2))
	}
	return strings.Join(out, " ")
}

func TestTheUnitOfAMessageDecides(t *testing.T) {
	rules := []part2.Rule{
		{Place: "MSH-4", Values: []string{"HARBOR-OTP"}},
		{Place: "PV1-3", Values: []string{"9W"}, Others: []string{"4W", "ED"}},
		{Place: "PV1-10", Values: []string{"DTX"}},
	}
	byService := rules[2:]
	for _, c := range []struct {
		name, message string
		rules         []part2.Rule
		want          string
	}{
		{"sending facility", adt("HARBOR-OTP", "00", "1", pv1("4W", "MED", "V")), rules, "true"},
		{"location", adt("HARBOR", "00", "1", pv1("9W^901^A", "MED", "V")), rules, "true"},
		{"hospital service", adt("HARBOR", "00", "1", pv1("4W", "DTX", "V")), rules, "true"},
		{"another unit", adt("HARBOR", "00", "1", pv1("4W^401", "MED", "V")), rules, "false"},
		{"a location that nobody listed", adt("HARBOR", "00", "1", pv1("7N", "MED", "V")), rules, "true"},
		{"no service", adt("HARBOR", "00", "1", pv1("4W", "", "V")), byService, "true"},
		{"an explicit null", adt("HARBOR", "00", "1", pv1("4W", `""`, "V")), byService, "true"},
		{"another service", adt("HARBOR", "00", "1", pv1("4W", "MED", "V")), byService, "false"},
		{"no rules", adt("HARBOR", "00", "1", pv1("4W", "", "V")), nil, "false"},
		{"a component", adt("HARBOR", "00", "1", pv1("4W^401^A^OTP", "MED", "V")), []part2.Rule{{Place: "PV1-3.4", Values: []string{"otp"}}}, "true"},
		{"a diagnosis decides nothing", adt("HARBOR", "00", "1", pv1("4W", "MED", "V"), "PV2|||F11.20^Opioid dependence^I10C"), byService, "false"},
		{"a notice in a note", adt("HARBOR", "00", "1", pv1("4W", "MED", "V"), "NTE|1||42 CFR part 2 prohibits unauthorized use or disclosure of these records."), byService, "true"},
		{"a notice in an observation", adt("HARBOR", "00", "1", pv1("4W", "MED", "V"), `OBX|1|TX|N^Notice||This information has been disclosed to you from records protected by Federal confidentiality rules (42 CFR part 2)`), nil, "true"},
		{"a notice in a segment of the site's own", adt("HARBOR", "00", "1", pv1("4W", "MED", "V"), "ZPR|REDISCLOSURE PROHIBITED: 42 C.F.R. Part 2"), nil, "true"},
		{"the label", adt("HARBOR", "00", "1", pv1("4W", "MED", "V"), "ZSC|42CFRPart2"), nil, "true"},
	} {
		p, db := newADT(t, c.rules...)
		feed(t, p, c.message)
		for _, typ := range []string{"Encounter", "Patient"} {
			if got := part2Of(t, db, typ); got != c.want {
				t.Errorf("%s: the %s is Part 2: %q, want %q", c.name, typ, got, c.want)
			}
		}
	}
}

// What was stored as a Part 2 record stays one when a message of another unit
// replaces it.
func TestPart2IsNeverTakenAway(t *testing.T) {
	p, db := newADT(t, part2.Rule{Place: "PV1-10", Values: []string{"DTX"}})
	feed(t, p, adt("HARBOR", "00", "1", pv1("4W", "DTX", "V1"))+adt("HARBOR", "10", "2", pv1("4W", "MED", "V2")))
	if got := part2Of(t, db, "Encounter"); strings.Count(got, "true") != 1 || strings.Count(got, "false") != 1 {
		t.Fatalf("at first: %s", got)
	}
	feed(t, p, adt("HARBOR", "20", "1", pv1("4W", "MED", "V1")))
	if got := part2Of(t, db, "Encounter"); strings.Count(got, "true") != 1 {
		t.Errorf("after a message of another unit: %s", got)
	}
	if got := part2Of(t, db, "Patient"); strings.Count(got, "true") != 1 {
		t.Errorf("the Patient: %s", got)
	}
	// The other way round it becomes one.
	feed(t, p, adt("HARBOR", "30", "2", pv1("4W", "DTX", "V2")))
	if got := part2Of(t, db, "Encounter"); strings.Count(got, "true") != 2 {
		t.Errorf("after a transfer to the unit: %s", got)
	}
}

func TestAColumnTellsTheUnit(t *testing.T) {
	p, db := newPipeline(t)
	p.Units = part2.New([]part2.Rule{{Place: "InitialCallType", Values: []string{"detox run"}}})
	run(t, p, export(fields{"IncidentNo": "25-1", "InitialCallType": "Detox Run"}, fields{"IncidentNo": "25-2", "MNI": "R2", "LastName": "OTHER", "InitialCallType": "WELF"}))
	if got := part2Of(t, db, "Encounter"); strings.Count(got, "true") != 1 || strings.Count(got, "false") != 1 {
		t.Errorf("%s", got)
	}
}
