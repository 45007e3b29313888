package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/identity"
)

// A feed in another process says that two Patients are one person, then that they
// are two: what a Consent of the one says holds for the data of the other in
// between, and not a request longer.
func TestConsentsFollowAMerge(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.put(`{"resourceType":"Patient","id":"p2","active":false,"link":[{"other":{"reference":"Patient/p1"},"type":"replaced-by"}]}`)
	c.put(`{"resourceType":"Encounter","id":"e-loser","status":"finished","class":{"code":"FLD"},"subject":{"reference":"Patient/p2"}}`)
	beside := identity.NewLinks(c.store, c.ids, time.Now)
	merge := func(joined bool) {
		t.Helper()
		if kept, err := beside.Merge(t.Context(), "Patient/p1", "Patient/p2", joined, "told by rms"); err != nil || kept {
			t.Fatal(kept, err)
		}
	}
	seen := func(patient string) []string { return c.get("clinician", "Encounter?patient=Patient/"+patient).ids(t) }
	of := map[string][]string{"p1": seen("p1"), "p2": seen("p2")}
	if len(of["p1"]) == 0 || slices.Contains(of["p1"], "Encounter/e-loser") || len(of["p2"]) != 1 {
		t.Fatalf("before: %v", of)
	}
	merge(true)
	all := len(of["p1"]) + 1
	for _, p := range []string{"p1", "p2"} {
		if got := seen(p); len(got) != all || !slices.Contains(got, "Encounter/e-loser") {
			t.Errorf("merged, by %s: %v, want %d", p, got, all)
		}
	}
	if a := c.get("clinician", "Patient/p2"); a.status != http.StatusOK || !strings.Contains(a.body, `"replaced-by"`) || !strings.Contains(a.body, "Patient/p1") {
		t.Errorf("the loser read: %s", a)
	}
	deny := strings.NewReplacer(`"permit"`, `"deny"`, "Organization/pd", "Organization/clinic", "CarePlan", "Encounter", "CRISIS", "TREAT", "Patient/p1", "Patient/p2",
		"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "http://terminology.hl7.org/CodeSystem/v3-ActReason").Replace(release)
	created(t, c.do("clinician", http.MethodPost, "Consent", deny, asFHIR)) // on the loser
	for _, p := range []string{"p1", "p2"} {
		if got := seen(p); len(got) != 0 {
			t.Errorf("merged and denied on the loser, by %s: %v", p, got)
		}
	}
	for _, id := range append(slices.Clone(of["p1"]), "Encounter/e-loser") {
		if a := c.get("clinician", id); a.status == http.StatusOK {
			t.Errorf("read of %s: %s", id, a)
		}
	}
	merge(false)
	if got := seen("p1"); !slices.Equal(got, of["p1"]) {
		t.Errorf("parted: %v, want %v", got, of["p1"])
	}
	if got := seen("p2"); len(got) != 0 {
		t.Errorf("parted, the deny of the loser itself: %v", got)
	}
	merge(true)
	if got := seen("p1"); len(got) != 0 {
		t.Errorf("merged again: %v", got)
	}
}

// A permit on file for the loser opens the survivor's data as long as they are
// one person.
func TestAPermitFollowsAMergeAndEndsWithIt(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.put(`{"resourceType":"Patient","id":"p2"}`)
	created(t, c.do("clinician", http.MethodPost, "Consent", strings.ReplaceAll(release, "Patient/p1", "Patient/p2"), asFHIR))
	const query = "CarePlan?patient=Patient/p1"
	for i, joined := range []bool{false, true, false, true} {
		if _, err := c.links.Merge(t.Context(), "Patient/p1", "Patient/p2", joined, "told"); err != nil {
			t.Fatal(err)
		}
		want := 0
		if joined {
			want = 1
		}
		if got := c.get("officer", query).ids(t); len(got) != want {
			t.Errorf("step %d, joined %v: %v", i, joined, got)
		}
	}
}
