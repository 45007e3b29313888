package relabel

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

func TestASweepBringsStaleLabelsUpToDate(t *testing.T) {
	db := backendtest.Open(t, backend.Options{})
	l := label.New(label.Options{})
	put := func(typ, id, code, set string, o resource.Origin, labels ...string) {
		raw := fmt.Sprintf(`{"resourceType":%q,"id":%q,"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":%q}]}}`, typ, id, code)
		if _, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: typ, ID: id}, Raw: []byte(raw), Origin: o, Labels: labels, LabelSet: set, Index: []string{"code|" + code}}, Expect: store.Absent}); err != nil {
			t.Fatal(err)
		}
	}
	put("Condition", "self-harm", "T36.0X2A", "rules2/old", resource.Origin{}) // unknown to the old set
	put("Condition", "unit", "I10", "rules2/old", resource.Origin{Part2: true})
	put("Condition", "plain", "I10", "rules2/old", resource.Origin{})
	put("Condition", "fresh", "I10", l.Version(), resource.Origin{})
	put("Consent", "c", "F11.20", "rules2/old", resource.Origin{})
	for i := range pageSize { // more than a page
		put("Observation", fmt.Sprintf("o%d", i), "I10", "rules2/old", resource.Origin{})
	}
	sweep := Sweep{Store: db, Labeller: l, Types: []string{"Condition", "Consent", "Observation"}, DryRun: true}
	run := func(want Report) {
		t.Helper()
		got, err := sweep.Run(t.Context())
		if err != nil || got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	}
	read := func(typ, id string) *store.Record {
		rec, err := db.Read(t.Context(), store.Key{Type: typ, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	run(Report{Seen: 4 + pageSize, Stale: 3 + pageSize, Changed: 2})
	if rec := read("Condition", "self-harm"); rec.Version != 1 {
		t.Error("a dry run has written")
	}
	sweep.DryRun = false
	run(Report{Seen: 4 + pageSize, Stale: 3 + pageSize, Changed: 2})
	rec := read("Condition", "self-harm")
	if !strings.Contains(strings.Join(rec.Labels, " "), "|PSY") || rec.LabelSet != l.Version() || rec.Version != 2 || !slices.Contains(rec.Index, "code|T36.0X2A") {
		t.Errorf("%+v", rec)
	}
	if rec := read("Condition", "unit"); !rec.Origin.Part2 || !strings.Contains(strings.Join(rec.Labels, " "), "42CFRPart2") {
		t.Errorf("%+v", rec)
	}
	for _, k := range []string{"plain", "fresh"} {
		if rec := read("Condition", k); rec.Version != 1 {
			t.Errorf("%s was written though its labels are the same", k)
		}
	}
	if rec := read("Consent", "c"); rec.Version != 1 {
		t.Error("a Consent was written")
	}
	run(Report{Seen: 4 + pageSize, Stale: 1 + pageSize})
}
