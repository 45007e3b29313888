package ndex_test

import (
	"context"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/rms/ndex"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// The same contact by the agency's CSV export and by N-DEx is one record with one
// Patient and one Encounter.
func TestKeysAreThoseOfTheAgencysOtherFeeds(t *testing.T) {
	columns := map[string]string{"AgencyORI": "ZZ0010100", "IncidentNo": "26-7", "MNI": "R7", "LastName": "STONE", "FirstName": "LEE", "ContactDT": "04/12/2026 18:55", "RecStatus": "A", "LastModified": "2026-04-13 10:00:00"}
	row := &tree.Node{}
	for name, text := range columns {
		row.Children = append(row.Children, &tree.Node{Name: name, Text: text})
	}
	in := strings.NewReplacer("26-FC-0", "26-7", "</nc:Person>", "<n:PersonRMSIdentification><nc:IdentificationID>r7</nc:IdentificationID></n:PersonRMSIdentification></nc:Person>",
		"</nc:ActivityIdentification>", "</nc:ActivityIdentification><nc:ActivityDate><nc:DateTime>2026-04-12T17:55:00-05:00</nc:DateTime></nc:ActivityDate>").Replace(report("26-FC-0", "Stone"))
	src, err := ndex.Open(context.Background(), adapters.Input{Name: "in", Reader: strings.NewReader(in)}, adapters.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := src.Next(context.Background())
	if err != nil || it.Record == nil {
		t.Fatalf("%v: %+v", err, it)
	}
	csv := apply(t, "rms/riverton/contact.map.yaml", &tree.Record{Kind: "contact", Root: row})
	xml := apply(t, ndex.Mapping, it.Record)
	if csv.Key != xml.Key {
		t.Errorf("the keys are %s and %s", csv.Key, xml.Key)
	}
	for _, typ := range []string{"Patient", "Encounter", "Organization"} {
		if a, b := idOf(csv, typ), idOf(xml, typ); a == "" || a != b {
			t.Errorf("%s: %q and %q", typ, a, b)
		}
	}
}

func apply(t *testing.T, mapping string, rec *tree.Record) *mappings.Result {
	t.Helper()
	m, err := mappings.Load(mappings.Files(), mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := m.Apply(rec, mappings.Options{})
	if err != nil || res.Action != mappings.Upsert {
		t.Fatalf("%s: %v: %+v", mapping, err, res.Issues)
	}
	for _, r := range res.Resources {
		for _, is := range validate.Bytes(r.Raw) {
			t.Errorf("%s: %s", r.Type, is)
		}
	}
	return res
}

func idOf(res *mappings.Result, typ string) string {
	for _, r := range res.Resources {
		if r.Type == typ {
			return r.ID
		}
	}
	return ""
}
