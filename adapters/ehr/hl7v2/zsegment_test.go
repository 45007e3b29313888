package hl7v2_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/mappings"
)

// A sender's own segment is read by rows of its profile; the fields that none
// reads are counted, as those of any segment.
func TestAProfileReadsTheSendersOwnSegment(t *testing.T) {
	const profile = `
profile: north
mapping: ehr/hl7v2/adt.map.yaml
timezone: America/Chicago
segments: {ZPD: 12}
ignore: {ZPD-1: set id}
override:
  resources:
    - change: patient
      rows:
        - add:
            to: telecom
            rows:
              - {to: system, value: phone}
              - {to: value, from: ZPD-4.2, required: true}
`
	const message = "MSH|^~\\&|EHR|NORTH|||20260101120000||ADT^A04^ADT_A01|Z1|P|2.5.1\rPID|1||P1^^^NORTH^MR||Test^Pat||198001021530|F\r" +
		"PV1|1|E|||||||||||||||||V1\rZPD|1||shelter|crisis line^555-0142|left\\T\\right\r"
	p, err := mappings.LoadProfile(fstest.MapFS{"north.profile.yaml": {Data: []byte(profile)}}, "north.profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), "ehr/hl7v2/adt.map.yaml", p)
	if err != nil {
		t.Fatal(err)
	}
	src, err := hl7v2.Open(context.Background(), adapters.Input{Name: "z.hl7", Reader: strings.NewReader(message)}, adapters.Options{Profile: p, Kinds: m.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	item, err := src.Next(context.Background())
	if err != nil || item.Record == nil {
		t.Fatalf("%v %+v", err, item)
	}
	res, err := m.Apply(item.Record, mappings.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var patient string
	for _, r := range res.Resources {
		if r.Type == "Patient" {
			patient = string(r.Raw)
		}
	}
	for _, want := range []string{`"telecom":[{"system":"phone","value":"555-0142"}]`,
		`"birthDate":"1980-01-02","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1980-01-02T15:30:00-06:00"}]}`} {
		if !strings.Contains(patient, want) {
			t.Errorf("no %s in %s", want, patient)
		}
	}
	var unread []string
	for _, u := range res.Unmapped {
		if u.Vocabulary == "" {
			unread = append(unread, u.Field)
		}
	}
	if got := strings.Join(unread, " "); got != "ZPD-3 ZPD-5" {
		t.Errorf("unread: %s", got)
	}
	if _, err := src.Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
