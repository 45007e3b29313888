package launch_test

import (
	"errors"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/launch"
)

// What was begun with an expunged Patient is over; what was begun with others, or
// with nobody yet, goes on.
func TestForgetEndsLaunchesWithThePatient(t *testing.T) {
	db := backendtest.Open(t, backend.Options{})
	for key, value := range map[string]string{
		"launch/flow/a":    `{"browser":"b","patient":"Patient/p1","name":"Ada Okafor","about":"1988-03-17"}`,
		"launch/flow/b":    `{"browser":"b","patient":"Patient/p10","name":"Ben"}`,
		"launch/flow/c":    `{"browser":"b"}`,
		"launch/context/d": `{"client":"app","patient":"Patient/p1"}`,
		"launch/context/e": `{"client":"app","patient":"Patient/p2"}`,
		"launch/role/f":    `x`,
	} {
		if _, err := db.PutIfAbsent(t.Context(), key, []byte(value), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := launch.Forget(t.Context(), db, "Patient/p1"); err != nil {
		t.Fatal(err)
	}
	fs, err := db.Scan(t.Context(), "launch/", "", 10)
	got := ""
	for _, f := range fs {
		got += f.Key[len("launch/"):] + " "
	}
	if err != nil || got != "context/e flow/b flow/c role/f " {
		t.Errorf("%v: left %s", err, got)
	}
	if _, err := db.PutIfAbsent(t.Context(), "launch/flow/z", []byte("{"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := launch.Forget(t.Context(), db, "Patient/p1"); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a damaged flow: %v", err)
	}
}
