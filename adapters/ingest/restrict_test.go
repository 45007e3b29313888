package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// state tells how a record's resources stand: "V" if all are sealed, "void" if
// all are entered in error, and the status of the Consent.
func state(t *testing.T, db store.Store) string {
	t.Helper()
	var out []string
	sealed, void, n := 0, 0, 0
	for _, typ := range []string{"Patient", "Encounter", "Observation", "Consent"} {
		for _, rec := range find(t, db, typ) {
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				t.Fatal(err)
			}
			n++
			for c := range r.Root().Get("meta").All("security") {
				if c.Get("code").Is("V") {
					sealed++
				}
			}
			if r.Root().Get("status").Is("entered-in-error") || typ == "Patient" {
				void++
			}
			if typ == "Consent" {
				out = append(out, "consent "+r.Root().Get("status").Text())
			}
		}
	}
	switch sealed {
	case 0:
	case n:
		out = append([]string{"V"}, out...)
	default:
		out = append([]string{fmt.Sprintf("%d of %d V", sealed, n)}, out...)
	}
	if void == n && n > 0 {
		out = append(out, "void")
	}
	return strings.Join(out, ", ")
}

var granted = fields{"ConsentAsked": "Y", "ConsentResult": "GRANTED", "ConsentMethod": "WRITTEN FORM", "ConsentScope": "", "Narrative": "Calm."}

func with(base fields, more fields) fields {
	out := fields{"IncidentNo": "25-1"}
	for _, m := range []fields{base, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func TestRestrictionsWinWhateverTheOrderAndTheTime(t *testing.T) {
	const same, older, newer = "2025-05-02 08:00:00", "2025-05-01 08:00:00", "2025-05-03 08:00:00"
	texts := 3
	if testing.Short() {
		texts = 1
	}
	for i := range texts { // the digest differs with the text: no toss may decide
		a := with(granted, fields{"Narrative": fmt.Sprintf("Calm %d.", i)})
		row := func(status, modified string) fields {
			return with(a, fields{"RecStatus": status, "LastModified": modified})
		}
		revoked := with(a, fields{"ConsentResult": "REVOKED", "LastModified": same})
		for _, c := range []struct {
			rows []fields
			want string
		}{
			{[]fields{row("A", same), row("S", same)}, "V, consent active"},
			{[]fields{row("S", same), row("A", same)}, "V, consent active"},
			{[]fields{row("A", same), row("S", older)}, "V, consent active"},
			{[]fields{row("A", same), row("S", "")}, "V, consent active"},
			{[]fields{row("S", ""), row("A", same)}, "V, consent active"},
			{[]fields{row("A", ""), row("S", "")}, "V, consent active"},
			{[]fields{row("S", same), row("A", newer)}, "consent active"},
			{[]fields{row("A", same), row("S", older), row("A", same)}, "V, consent active"},
			{[]fields{row("A", same), row("S", older), row("A", newer)}, "consent active"},
			{[]fields{row("A", same), row("S", older), row("A", newer), row("S", older)}, "consent active"},
			{[]fields{row("A", same), row("D", same)}, "consent entered-in-error, void"},
			{[]fields{row("D", same), row("A", same)}, "consent entered-in-error, void"},
			{[]fields{row("D", same), row("S", same)}, "V, consent entered-in-error, void"},
			{[]fields{row("S", same), row("D", same)}, "V, consent entered-in-error, void"},
			{[]fields{row("A", same), revoked}, "consent inactive"},
			{[]fields{revoked, row("A", same)}, "consent inactive"},
			{[]fields{revoked, row("S", same)}, "V, consent inactive"},
			{[]fields{row("S", same), revoked}, "V, consent inactive"},
		} {
			for _, runs := range []bool{true, false} { // each row in a run, all in one
				p, db := newPipeline(t)
				var names []string
				for _, r := range c.rows {
					names = append(names, r["RecStatus"]+r["ConsentResult"]+r["LastModified"])
					if runs {
						run(t, p, export(r))
					}
				}
				if !runs {
					run(t, p, export(c.rows...))
				}
				if got := state(t, db); got != c.want {
					t.Errorf("%v, runs %v: %q, want %q", names, runs, got, c.want)
				}
			}
		}
	}
}

func TestReplayOfASealThatWasLiftedChangesNothing(t *testing.T) {
	p, db := newPipeline(t)
	text := export(with(granted, fields{"RecStatus": "S", "LastModified": "2025-05-01 08:00:00"}), with(granted, nil))
	for range 3 {
		run(t, p, text)
		if got := state(t, db); got != "consent active" {
			t.Error(got)
		}
	}
}

func TestSealOfOneRecordLeavesAPersonThatOthersNamedLater(t *testing.T) {
	p, db := newPipeline(t)
	run(t, p, export(fields{"IncidentNo": "25-1"}, fields{"IncidentNo": "25-2", "LastModified": "2025-06-01 08:00:00"}))
	run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "S", "LastModified": ""}))
	for _, rec := range find(t, db, "Patient") {
		if strings.Contains(string(rec.Raw), `"V"`) {
			t.Error("the Patient is sealed")
		}
	}
	kept, err := ingest.Read(context.Background(), db, db, "riverton-rms", ingest.RawStream("riverton-rms"), 1, 10)
	if err != nil || len(kept) != 3 {
		t.Errorf("%d texts, %v", len(kept), err)
	}
}
