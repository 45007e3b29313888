package ingest_test

import (
	"strings"
	"testing"
)

// A record that tells that somebody is a minor restricts the Patient, also where
// a newer one that knows no birth date came before it.
func TestAMinorsPatientIsRestrictedInEitherOrder(t *testing.T) {
	child := fields{"IncidentNo": "25-1", "DOB": "03/14/2015", "LastModified": "2025-05-02 08:00:00"}
	bare := fields{"IncidentNo": "25-2", "DOB": "", "LastModified": "2025-06-02 08:00:00"}
	for name, order := range map[string][]fields{"as it was": {child, bare}, "late": {bare, child}} {
		p, db := newPipeline(t)
		for _, row := range order {
			run(t, p, export(row))
		}
		people := find(t, db, "Patient")
		if len(people) != 1 || !strings.Contains(string(people[0].Raw), `"code":"R"`) || !strings.Contains(string(people[0].Raw), "2015-03-14") {
			t.Errorf("%s: %d Patients, %s", name, len(people), people[0].Raw)
		}
	}
}
