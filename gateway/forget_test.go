package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/identity"
)

// heardDeny is a Consent that the clinic's system keeps of its Patient r1.
var heardDeny = strings.NewReplacer(`"Consent"`, `"Consent","id":"d1"`, `"permit"`, `"deny"`, "Patient/p1", "Patient/r1", "CRISIS", "TREAT", "CarePlan", "Condition",
	"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "http://terminology.hl7.org/CodeSystem/v3-ActReason", "Organization/pd", "Organization/clinic").Replace(release)

// attended is one of its records, by somebody whom others' records name too.
const attended = `{"resourceType":"Observation","id":"weight","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/r1"},"performer":[{"reference":"Practitioner/staff7"}],"encounter":{"reference":"Encounter/visit9"},"valueQuantity":{"value":61}}`

// expunge takes a Patient out as an order to a feed does, by a process that has no
// memory in common with the gateways.
func (c *county) expunge(patient string) {
	c.t.Helper()
	ids, err := identity.NewIDMap(c.store, []byte(siteKey), map[string]string{"ehr": "k", "sud": "w"})
	c.must(err)
	c.must(c.store.Expunge(c.t.Context(), keyOf("Patient", strings.TrimPrefix(patient, "Patient/"))))
	c.must(gateway.Forget(c.t.Context(), c.store, identity.NewLinks(c.store, ids, time.Now), ids, patient))
}

func (c *county) facts(prefix string) (keys []string) {
	c.t.Helper()
	for _, x := range backendtest.Contents(c.t, c.store) {
		if key, ok := strings.CutPrefix(x.Where, "fact "); ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// ofPerson are the facts that say something of a person.
func (c *county) ofPerson() (keys []string) {
	for _, prefix := range []string{"heard/", "heard-of/", "subject/", "id-of/", "link/", "linkback/", "parting/", "id/Patient/", "id/Observation/", "id/Encounter/", "id/Condition/", "id/Consent/", "id/CarePlan/"} {
		keys = append(keys, c.facts(prefix)...)
	}
	return keys
}

func (c *county) look() {
	c.t.Helper()
	for _, path := range []string{"Observation?patient=Patient/p1", "Condition?patient=Patient/p1", "Patient?_id=p1", "CarePlan?patient=Patient/p1"} {
		if a := c.get("clinician", path); a.status != http.StatusOK {
			c.t.Fatalf("%s: %s", path, a)
		}
	}
}

// What two gateways have kept of a person is gone when a third process expunges the
// Patient; and what comes again afterwards is kept anew by both, although they
// remember that they had kept it.
func TestAnExpungeReachesWhatOtherGatewaysKeepAndRemember(t *testing.T) {
	a := newCounty(t)
	a.populate()
	a.ehr.set(false, 0, remote, plan, diagnosis, asthma, heardDeny, attended)
	b := a.beside()
	a.look()
	b.look()
	for _, prefix := range []string{"heard/", "heard-of/p1/", "subject/Observation/", "subject/Practitioner/", "id-of/", "id/Encounter/", "id/Practitioner/", "linkback/"} {
		if len(a.facts(prefix)) == 0 {
			t.Errorf("nothing under %s: the test looks at nothing", prefix)
		}
	}
	before := a.ofPerson()
	a.expunge("Patient/p1")
	if left := a.ofPerson(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if found := backendtest.Holding(backendtest.Contents(t, a.store), "visit9", `"r1"`, "/r1/", "asthma", `"s1"`, "/s1/", "weight"); len(found) > 0 {
		t.Errorf("left: %s", strings.Join(found, "\n"))
	}

	// The same person comes again, known to the same systems.
	a.put(person)
	a.link("Patient/p1", "ehr", "r1")
	a.link("Patient/p1", "sud", "s1")
	b.look()
	if now := a.ofPerson(); !slices.Equal(now, before) {
		t.Errorf("kept again:\n%s\nat first:\n%s", strings.Join(now, "\n"), strings.Join(before, "\n"))
	}
	for _, id := range b.get("clinician", "Observation?patient=Patient/p1").ids(t) {
		if strings.HasPrefix(id, "Observation/k-") {
			if got := a.get("clinician", id); got.status != http.StatusOK {
				t.Errorf("%s, which the other gateway has given out: %s", id, got)
			}
		}
	}
}

// What is somebody else's too stays until nobody is left, and staff are nobody's.
func TestAnExpungeLeavesWhatIsSomebodyElses(t *testing.T) {
	a := newCounty(t)
	a.populate()
	a.ehr.set(false, 0, remote, attended)
	a.put(strings.ReplaceAll(person, `"p1"`, `"p2"`))
	a.link("Patient/p2", "ehr", "r1")
	a.look()
	mapped := a.facts("id/Observation/")
	a.expunge("Patient/p1")
	if now := a.facts("id/Observation/"); len(now) == 0 || !slices.Equal(now, mapped) {
		t.Errorf("ids of a Patient to whom p2 is linked: %q, before %q", now, mapped)
	}
	if left := append(a.facts("link/p1/"), a.facts("heard-of/p1/")...); len(left) > 0 {
		t.Errorf("left of p1: %q", left)
	}
	a.expunge("Patient/p2")
	if left := a.ofPerson(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if len(a.facts("id/Practitioner/")) == 0 {
		t.Error("the id of a member of staff went with a person")
	}
}

// An expunge that is interrupted forgets the rest when it is repeated, though the
// links by which it found it are gone.
func TestAnInterruptedExpungeIsFinished(t *testing.T) {
	a := newCounty(t)
	a.populate()
	a.ehr.set(false, 0, remote, attended, heardDeny)
	a.look()
	ids, err := identity.NewIDMap(a.store, []byte(siteKey), map[string]string{"ehr": "k", "sud": "w"})
	a.must(err)
	links := identity.NewLinks(a.store, ids, time.Now)
	if alone, err := links.Part(t.Context(), "Patient/p1"); err != nil || len(alone) != 2 {
		t.Fatal(alone, err)
	}
	if len(a.facts("link/")) > 0 || len(a.facts("id/Observation/")) == 0 {
		t.Fatal("it is interrupted elsewhere")
	}
	a.expunge("Patient/p1")
	if left := a.ofPerson(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A system that is no longer configured has no slug; what is kept of its Patients is
// found all the same.
func TestAnExpungeFindsASystemThatIsNoLongerConfigured(t *testing.T) {
	a := newCounty(t)
	a.populate()
	a.ehr.set(false, 0, remote, attended, heardDeny)
	a.look()
	ids, err := identity.NewIDMap(a.store, []byte(siteKey), nil)
	a.must(err)
	a.must(gateway.Forget(t.Context(), a.store, identity.NewLinks(a.store, ids, time.Now), ids, "Patient/p1"))
	if left := a.ofPerson(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A request that was under way when somebody was expunged elsewhere leaves nothing of
// the person, and no answer goes out. One about somebody else is answered.
func TestARequestThatAnExpungeOvertakesLeavesNothing(t *testing.T) {
	a := newCounty(t)
	a.populate()
	a.ehr.set(false, 0, remote, attended, heardDeny)
	b := a.beside()
	a.put(strings.ReplaceAll(person, `"p1"`, `"p2"`))
	let := b.ehr.hold()
	got := make(chan answer)
	go func() { got <- b.get("clinician", "Observation?patient=Patient/p1") }()
	for start := time.Now(); len(b.ehr.requests()) == 0 && time.Since(start) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	a.expunge("Patient/p1")
	let()
	if x := <-got; x.status != http.StatusServiceUnavailable || x.header.Get("Retry-After") == "" {
		t.Errorf("the one who was expunged: %s", x)
	}
	for start := time.Now(); len(a.ofPerson()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("left: %q", a.ofPerson())
		}
	}

	a.put(strings.ReplaceAll(person, `"p1"`, `"p3"`))
	a.link("Patient/p2", "ehr", "r1")
	before := len(b.ehr.requests())
	let = b.ehr.hold()
	go func() { got <- b.get("clinician", "Observation?patient=Patient/p2") }()
	for start := time.Now(); len(b.ehr.requests()) == before && time.Since(start) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	a.expunge("Patient/p3")
	let()
	if x := <-got; x.status != http.StatusOK {
		t.Errorf("somebody else: %s", x)
	}
}

// Several hundred ids are forgotten as well.
func TestAnExpungeForgetsManyIDs(t *testing.T) {
	a := newCounty(t)
	a.populate()
	ids := a.ids.Batch("ehr")
	ids.About("r1")
	for i := range 450 {
		ids.Forward("Observation", fmt.Sprint("w", i))
	}
	a.must(ids.Save(t.Context()))
	if n := len(a.facts("id/Observation/")); n != 450 {
		t.Fatal(n)
	}
	a.expunge("Patient/p1")
	if left := a.ofPerson(); len(left) > 0 {
		t.Errorf("%d left: %q", len(left), left[:1])
	}
}
