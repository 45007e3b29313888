package ingest_test

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// A consent of the officers' own feed joins the Patient and the Encounter of the
// records system, whichever comes first, and tells nothing over the former.
func TestConsentsJoinTheContactInEitherOrder(t *testing.T) {
	contact := export(fields{"IncidentNo": "25-1", "MNI": "R1", "HomeAddr": "1 A St"})
	consent := `{"consent_id":"C-1","subject":{"mni":"R1","name":"Somebody Else","dob":"1970-01-02"},"incident_no":"25-1","asked_at":"2025-05-01T10:20:00-05:00","decision":"granted","method":"verbal_bwc",` +
		`"language":"en","capacity_observed":"appears_able","direction":"police_to_bh","scope":["this_encounter"],"recipients":["CCBH"],"purpose":"TREAT","expires":"72 HRS","officer_badge":"7001","bwc_evidence_id":"A-1"}` + "\n"
	m := builtIn(t, "rms/onscene/consent.map.yaml")
	f, err := all.Find("rms/jsonl")
	if err != nil {
		t.Fatal(err)
	}
	alone, db := newPipeline(t)
	run(t, alone, contact)
	want := string(find(t, db, "Patient")[0].Raw)
	encounter := find(t, db, "Encounter")[0].Key
	for _, consentFirst := range []bool{false, true} {
		p, db := newPipeline(t)
		q := &ingest.Pipeline{Store: db, Facts: db, Log: db, SiteKey: siteKey, Origin: p.Origin, Validator: p.Validator, Labeler: p.Labeler, Indexer: p.Indexer}
		q.Format, q.Mapper, q.Options = f, m, adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}
		q.Origin.System = "onscene"
		if consentFirst {
			run(t, q, consent)
			run(t, p, contact)
		} else {
			run(t, p, contact)
			run(t, q, consent)
		}
		run(t, q, consent)
		run(t, p, contact)
		checkJoined(t, db, want, encounter.String())
	}
}

func checkJoined(t *testing.T, db backend.Backend, want, encounter string) {
	t.Helper()
	people, visits, consents := find(t, db, "Patient"), find(t, db, "Encounter"), find(t, db, "Consent")
	if len(people) != 1 || len(visits) != 1 || len(consents) != 1 {
		t.Fatalf("%d Patients, %d Encounters, %d Consents", len(people), len(visits), len(consents))
	}
	if got := string(people[0].Raw); got != want {
		t.Errorf("the Patient became\n%s\nwant\n%s", got, want)
	}
	c, err := resource.Parse(consents[0].Raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Root().Get("patient").Get("reference").Text(); got != people[0].Key.String() {
		t.Errorf("the consent is of %s, not of %s", got, people[0].Key)
	}
	if visits[0].Key.String() != encounter || !strings.Contains(string(consents[0].Raw), encounter) {
		t.Errorf("the consent does not name %s: %s", encounter, consents[0].Raw)
	}
	if got := c.Root().Get("status").Text(); got != "active" {
		t.Errorf("status %s", got)
	}
}
