package gateway_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A next link must not tell that a hidden record stands behind it.
func TestANextLinkLeadsToSomething(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.put(strings.NewReplacer(`"p1"`, `"p2"`, "Quintana", "Quade", `"R1"`, `"R2"`).Replace(person))
	hidden := strings.NewReplacer(`"p1"`, `"h1"`, "Quintana", "Quimby", `"R1"`, `"R3"`).Replace(person)
	for _, query := range []string{"Patient?family=qu&_count=2&_sort=family", "Patient?_count=2", "Patient?family=quade,quimby&_count=1&_sort=family"} {
		before := c.get("clinician", query)
		c.putAs(hidden, resource.Origin{System: "sud", Custodian: "Organization/program", Part2: true})
		after := c.get("clinician", query)
		if withoutCursor(before.body) != withoutCursor(after.body) {
			t.Errorf("%s:\nwithout the hidden one %s\nwith it %s", query, before.body, after.body)
		}
		c.must(c.store.Expunge(t.Context(), keyOf("Patient", "h1")))
	}
}

// withoutCursor leaves out what is encrypted with a fresh nonce each time.
func withoutCursor(body string) string {
	return regexp.MustCompile(`_cursor=[\w-]+`).ReplaceAllString(body, "_cursor")
}

// A Patient search brings the linked Patients, once, in order, within _count.
func TestANamedSearchIsOneAnswer(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.put(strings.NewReplacer(`"p1"`, `"p2"`, "Quintana", "Quintero", `"R1"`, `"R2"`).Replace(person))
	for _, query := range []string{"Patient?family=quint&_count=1", "Patient?family=quint&_count=2&_sort=-family", "Patient?family=quint&_sort=_id"} {
		var got []string
		for path, pages := query, 0; path != "" && pages < 9; pages++ {
			a := c.get("clinician", path)
			ids := a.ids(t)
			if strings.Contains(query, "_count=1") && len(ids) > 1 {
				t.Errorf("%s: %d on a page", query, len(ids))
			}
			got = append(got, ids...)
			path = a.next(t)
		}
		slices.Sort(got)
		if len(got) != 3 || len(slices.Compact(got)) != 3 {
			t.Errorf("%s: %v", query, got)
		}
	}
}

func TestTwoPersonsInOneSearchAreNobody(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for query, want := range map[string]int{
		"Encounter?patient=Patient/p1&subject=Patient/p1":   1,
		"Encounter?patient=Patient/p1&subject=Patient/none": 0,
		"Encounter?subject=Patient/none&patient=Patient/p1": 0,
		"Encounter?patient=p1":                              1,
		"Encounter?subject:Patient=p1":                      1,
	} {
		if got := c.get("clinician", query).ids(t); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
}

// What an answer refers to can be followed at once.
func TestReturnedReferencesCanBeFollowed(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.ehr.set(false, 0, remote, diagnosis, `{"resourceType":"Encounter","id":"stay","status":"finished","class":{"code":"IMP"},"subject":{"reference":"Patient/r1"},"diagnosis":[{"condition":{"reference":"Condition/dx"}}]}`)
	a := c.get("clinician", "Encounter?patient=Patient/p1")
	_, rest, ok := strings.Cut(a.body, `"condition":{"reference":"`)
	ref, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no reference: %s", a)
	}
	if b := c.get("clinician", ref); b.status != http.StatusOK {
		t.Errorf("%s: %s", ref, b)
	}
	if b := c.get("officer", ref); b.status != http.StatusNotFound {
		t.Errorf("%s as police: %s", ref, b)
	}
}

// A system that floods makes the answer incomplete, not impossible.
func TestAFloodIsCutOff(t *testing.T) {
	c := newCounty(t)
	c.populate()
	flood := []string{remote}
	for i := range 2_500 {
		flood = append(flood, fmt.Sprintf(`{"resourceType":"Encounter","id":"f%d","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/r1"}}`, i))
	}
	c.ehr.set(false, 0, flood...)
	a := c.get("clinician", "Encounter?patient=Patient/p1&class=FLD,AMB&_sort=_id")
	if !strings.Contains(a.body, "incomplete") || len(a.ids(t)) == 0 {
		t.Errorf("%.400s", a)
	}
}

// Looking up references of many resources at a slow system takes the time of a
// few, not of all: they are read side by side.
func TestLookingUpReferencesIsBounded(t *testing.T) {
	c := newCounty(t)
	c.populate()
	many := []string{remote}
	for i := range 60 {
		many = append(many,
			fmt.Sprintf(`{"resourceType":"Encounter","id":"e%d","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/r1"},"diagnosis":[{"condition":{"reference":"Condition/c%d"}}]}`, i, i),
			fmt.Sprintf(`{"resourceType":"Condition","id":"c%d","code":{"text":"x"},"subject":{"reference":"Patient/r1"}}`, i))
	}
	c.ehr.set(false, 0, many...)
	c.ehr.readTogether(10) // one after another none would be answered
	a := c.get("clinician", "Encounter?patient=Patient/p1&class=AMB&_count=60")
	if n := strings.Count(a.body, `"condition":{"reference"`); len(a.ids(t)) != 60 || n != 60 {
		t.Errorf("%d entries, %d references", len(a.ids(t)), n)
	}
}

func TestTheEventTellsWhatLeft(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for i := range 5 {
		c.put(strings.Replace(contact, `"e1"`, fmt.Sprintf(`"x%d"`, i), 1))
	}
	c.do("clinician", http.MethodPost, "Encounter/_search", "patient=Patient/p1&_count=2", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	e := c.trail.last()
	if len(e.Resources) != 2 || e.Query != "patient=Patient%2Fp1&_count=2" {
		t.Errorf("a page of two: %d resources, query %q", len(e.Resources), e.Query)
	}
	c.ehr.set(false, 500)
	c.get("clinician", "Encounter?patient=Patient/p1")
	if e := c.trail.last(); !e.Incomplete {
		t.Error("the event does not say that the answer was incomplete")
	}
}
