package audit

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// answered is an event of n resources decided alike.
func answered(n int) *Event {
	e := &Event{ID: "r", At: time.Unix(0, 0), Interaction: "search-type", Client: "c", Patients: []string{"Patient/p1"}, Status: 200}
	f := &FactsRecorder{Facts: Facts{Laws: []string{"us-federal@2026.11 sha256:6f04832f6f8378662152d3d90ca99cc38ec49d3ce094e0ca2c91cddfc83909e4"}, LabelSet: "rules3/2017c2s"}}
	q := &policy.Request{
		At: time.Unix(0, 0), Action: "access", DenyActions: []string{"use", "disclose"}, OwnRecords: true, Person: []string{"Patient/p1"},
		Requester: policy.Requester{Client: "c", Organization: "Organization/pd", Police: true}, Scopes: smart.Scopes{{Context: "system", ResourceType: "*", Permissions: smart.Read}},
		Purposes: []label.Code{{System: "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", Code: "CRISIS"}},
	}
	for i := range n {
		number, err := f.Number(q)
		if err != nil {
			panic(err)
		}
		e.Resources = append(e.Resources, Judged{
			Reference: fmt.Sprintf("Encounter/e%d/_history/1", i), Digest: "kgzsVP3M-Cb_rn7QbMidng", Decision: "permit", Question: number, Patient: "Patient/p1",
			Origin: resource.Origin{System: "rms", Custodian: "Organization/pd", Police: true}, Labelled: "9Y5WSuH7AHh7TtM9LcejVw",
			Reasons: []policy.Reason{{Rule: "baseline/own-record", Effect: "permit", Pack: "us-federal@2026.11", Detail: "the requester's organisation is the custodian"}}, Obligations: []string{"AUDIT"},
		})
	}
	e.Facts = &f.Facts
	return e
}

// What one event costs before it is written, and how long it is.
func BenchmarkEvent(b *testing.B) {
	for _, n := range []int{1, 20, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				raw, err := json.Marshal(answered(n))
				if err != nil {
					b.Fatal(err)
				}
				size = len(raw)
			}
			b.ReportMetric(float64(size), "bytes/event")
		})
	}
}
