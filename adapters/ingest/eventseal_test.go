package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/ingest"
)

// event is one of a report of one person, who has the behavior.
func event(id, typ, at, behavior string) string {
	data := `"report_id":"MV1","order":"court"`
	if behavior != "" {
		data = fmt.Sprintf(`"report_id":"MV1","report_type":"FIELD_CONTACT","person":{"master_person_id":7,"first_name":"Ana","last_name":"Sample","dob":"1980-03-14","sex":"F"},`+
			`"crisis":{"flag":true,"disposition":"RESOLVED","behaviors":[%q]},"officer":{"badge":"7001","name":"Ofc Sample"}`, behavior)
	}
	return fmt.Sprintf(`{"event_id":%q,"type":%q,"schema":"rms.v3","agency_ori":"ZZ0010300","occurred_at":%q,"data":{%s}}`, id, typ, at, data)
}

// orders are the permutations of n things.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, rest := range orders(n - 1) {
		for at := range n {
			one := append(append(append([]int{}, rest[:at]...), n-1), rest[at:]...)
			out = append(out, one)
		}
	}
	return out
}

// What events tell of a sealed report is stored, whenever it comes, and stays
// under the seal: nothing of it is lost, and nothing opens it again.
func TestEventsOfASealedReportAreKeptUnderTheSeal(t *testing.T) {
	m := builtIn(t, "rms/maplevalley/event.map.yaml")
	f, err := all.Find("rms/webhook")
	if err != nil {
		t.Fatal(err)
	}
	events := []string{
		event("e1", "report.created", "2026-03-01T00:00:00Z", "PARANOID"),
		event("e2", "report.updated", "2026-03-02T00:00:00Z", "MANIC"),
		event("e3", "report.sealed", "2026-03-03T00:00:00Z", ""),
		event("e4", "report.updated", "2026-03-04T00:00:00Z", "CONFUSED"),
	}
	for _, order := range append(orders(len(events)), []int{2}, []int{2, 1}, []int{2, 3}, []int{0, 2}) {
		p, db := newPipeline(t)
		p.Format, p.Mapper, p.Options = f, m, adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}
		var text strings.Builder
		newest := -1
		for _, i := range order {
			text.WriteString(events[i] + "\n")
			if i != 2 {
				newest = max(newest, i)
			}
		}
		run(t, p, text.String())
		if again := run(t, p, text.String()); again.Created+again.Updated > 0 {
			t.Errorf("order %v: a replay changed something: %s", order, sum(again))
		}
		observations := find(t, db, "Observation")
		if newest < 0 {
			if n := len(observations); n != 0 {
				t.Errorf("order %v: %d Observations of a seal", order, n)
			}
			continue
		}
		want := map[int]string{0: "paranoid", 1: "mania", 3: "disorientation"}[newest]
		if len(observations) != 1 || !strings.Contains(string(observations[0].Raw), want) {
			t.Errorf("order %v: %d Observations, want the %s one", order, len(observations), want)
		}
		if got := state(t, db); got != "V" {
			t.Errorf("order %v: the record is %q, not sealed", order, got)
		}
	}
}

// An event that nobody can read yet is kept as a reject of the report that it is
// of: what expunges that takes the reject, and none comes after.
func TestAnExpungeReachesEventsThatWereNotRead(t *testing.T) {
	m := builtIn(t, "rms/maplevalley/event.map.yaml")
	f, err := all.Find("rms/webhook")
	if err != nil {
		t.Fatal(err)
	}
	p, db := newPipeline(t)
	p.Format, p.Mapper, p.Options = f, m, adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}
	unread := strings.Replace(event("e2", "report.updated", "2026-03-02T00:00:00Z", "MANIC"), "rms.v3", "rms.v4", 1) + "\n"
	other := strings.Replace(unread, "MV1", "MV2", 1)
	texts := func() (n int) {
		kept, err := ingest.Read(context.Background(), db, db, p.Origin.System, ingest.RejectStream(p.Origin.System), 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range kept {
			if len(k.Raw) > 0 {
				n++
			}
		}
		return n
	}
	if r := run(t, p, event("e1", "report.created", "2026-03-01T00:00:00Z", "PARANOID")+"\n"+unread+other); r.Rejects != 2 || texts() != 2 {
		t.Fatalf("%s, %d texts of rejects", sum(r), texts())
	}
	run(t, p, event("e3", "report.expunged", "2026-03-03T00:00:00Z", "")+"\n"+unread)
	if n := texts(); n != 1 {
		t.Errorf("%d texts of rejects are left, want that of the other report alone", n)
	}
}
