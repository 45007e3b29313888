package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/emergency"
)

func TestReportListsOpenReviewsTheOldestFirst(t *testing.T) {
	db := backendtest.Open(t, backend.Options{})
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	put := func(id, system string, due time.Time, closed bool) {
		v := &emergency.Review{Custodian: "Organization/harbor", Contact: "Sam", Patient: "Patient/w-1", Record: "Communication/c-" + id, At: now, Due: due,
			Of: emergency.Personnel{Organization: "Organization/er", Client: "er", Name: "Ana Ortiz"}}
		if closed {
			var err error
			if v, err = v.Close("Organization/harbor", emergency.Closing{Outcome: emergency.Justified, User: "u", Name: "U", At: now}); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := v.Task(id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := resource.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Task", ID: id}, Raw: raw, Origin: resource.Origin{System: system}, Index: search.Index(r)}}); err != nil {
			t.Fatal(err)
		}
	}
	put("later", "gateway/emergency", now.Add(time.Hour), false)
	put("overdue", "gateway/emergency", now, false)
	put("closed", "gateway/emergency", now, true)
	put("forged", "rms", now, false)
	list, err := openReviews(t.Context(), db, now)
	if err != nil || len(list) != 2 || list[0].Task != "Task/overdue" || !list[0].Overdue || list[1].Task != "Task/later" || list[1].Overdue {
		t.Fatalf("%+v, %v", list, err)
	}
	var out bytes.Buffer
	if err := printReviews(&out, list); err != nil || !strings.Contains(out.String(), "open reviews of emergencies: 2") || !strings.Contains(out.String(), "OVERDUE since 2026-11-27") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestReportOfTheDemoHasNoOpenReview(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	if err := runDemo(t.Context(), demoOnTestStore(t, demoOptions{addr: "127.0.0.1:0", data: dir, once: true}), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runAudit("report", filepath.Join(dir, "audit"), "--config", filepath.Join(dir, "handoff.yaml"))
	if code != 0 || !strings.Contains(out, "open reviews of emergencies: 0") || !strings.Contains(out, "interaction $complete-review") {
		t.Errorf("exit %d\n%s\n%s", code, out, errs)
	}
}
