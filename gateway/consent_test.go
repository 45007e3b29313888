package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway"
)

const release = `{"resourceType":"Consent","identifier":[{"system":"urn:forms","value":"7"}],"status":"active",
 "scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
 "category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],
 "patient":{"reference":"Patient/p1"},"dateTime":"2026-01-02T10:00:00-06:00","performer":[{"reference":"Patient/p1"}],
 "sourceAttachment":{"title":"signed"},"policyRule":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIPAAAuthCD"}]},
 "extension":[{"url":"http://example.org/pages","valueDecimal":1.00}],
 "provision":{"type":"permit",
  "actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/pd"}}],
  "purpose":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use","code":"CRISIS"}],
  "class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]}}`

var asFHIR = map[string]string{"Content-Type": "application/fhir+json"}

func with(pairs ...string) map[string]string {
	h := map[string]string{"Content-Type": "application/fhir+json"}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = pairs[i+1]
	}
	return h
}

// created returns the id in a 201's Location.
func created(t *testing.T, a answer) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.header.Get("Location"), "/Consent/")
	if a.status != http.StatusCreated || !ok || a.header.Get("ETag") != `W/"1"` {
		t.Fatalf("not created: %s %v", a, a.header)
	}
	id, _, _ := strings.Cut(rest, "/")
	return id
}

func TestAConsentOpensAndItsRevocationCloses(t *testing.T) {
	c := newCounty(t)
	c.populate()
	const query = "CarePlan?patient=Patient/p1"
	if got := c.get("officer", query).ids(t); len(got) != 0 {
		t.Fatalf("before the consent: %v", got)
	}
	a := c.do("clinician", http.MethodPost, "Consent", release, asFHIR)
	id := created(t, a)
	if !strings.Contains(a.body, "1.00") || !strings.Contains(a.body, `"id":"`+id+`"`) {
		t.Errorf("the stored Consent is not what was sent: %s", a.body)
	}
	if got := c.get("officer", query).ids(t); len(got) != 1 {
		t.Errorf("under the consent: %v", got)
	}
	if got := c.get("officer", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("what the consent does not name: %v", got)
	}
	if got := c.get("deputy", query).ids(t); len(got) != 0 {
		t.Errorf("an agency that the consent does not name: %v", got)
	}
	revoked := strings.Replace(strings.Replace(release, `"active"`, `"inactive"`, 1), `"Consent"`, `"Consent","id":"`+id+`"`, 1)
	if a := c.do("clinician", http.MethodPut, "Consent/"+id, revoked, with("If-Match", `W/"1"`)); a.status != http.StatusOK || a.header.Get("ETag") != `W/"2"` {
		t.Fatalf("revocation: %s", a)
	}
	if got := c.get("officer", query).ids(t); len(got) != 0 {
		t.Errorf("after the revocation: %v", got)
	}
	if a := c.get("clinician", "Consent/"+id+"/_history/1"); a.status != http.StatusOK || !strings.Contains(a.body, `"active"`) {
		t.Errorf("the first version: %s", a)
	}
}

func TestOnlyARegisteredRecorderGrants(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.login("officer", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/*.rs system/Consent.cu")
	created(t, c.do("officer", http.MethodPost, "Consent", release, asFHIR))
	if got := c.get("officer", "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("an officer granted himself %v", got)
	}
	deny := strings.NewReplacer(`"permit"`, `"deny"`, "Organization/pd", "Organization/clinic", "CarePlan", "Encounter", "CRISIS", "TREAT",
		"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use", "http://terminology.hl7.org/CodeSystem/v3-ActReason").Replace(release)
	created(t, c.do("officer", http.MethodPost, "Consent", deny, asFHIR))
	if got := c.get("clinician", "Encounter?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("a deny that anybody records is not heard: %v", got)
	}
}

func TestBadWritesAreRefused(t *testing.T) {
	c := newCounty(t)
	c.populate()
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	own := strings.Replace(release, `"Consent"`, `"Consent","id":"`+id+`"`, 1)
	c.login("reader", "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs")
	for _, b := range []struct {
		name, who, method, path, body string
		header                        map[string]string
		want                          int
	}{
		{"no scope", "reader", "POST", "Consent", release, asFHIR, 403},
		{"another type", "clinician", "POST", "Patient", person, asFHIR, 405},
		{"wrong type in the body", "clinician", "POST", "Consent", person, asFHIR, 400},
		{"not JSON", "clinician", "POST", "Consent", "{", asFHIR, 400},
		{"duplicate name", "clinician", "POST", "Consent", strings.Replace(release, `"status":"active"`, `"status":"inactive","status":"active"`, 1), asFHIR, 400},
		{"empty", "clinician", "POST", "Consent", "", asFHIR, 400},
		{"XML", "clinician", "POST", "Consent", "<Consent/>", map[string]string{"Content-Type": "application/fhir+xml"}, 415},
		{"too large", "clinician", "POST", "Consent", `{"resourceType":"Consent","x":"` + strings.Repeat("a", 2<<20) + `"}`, asFHIR, 413},
		{"not valid", "clinician", "POST", "Consent", strings.Replace(release, `"active"`, `"sometimes"`, 1), asFHIR, 422},
		{"no status", "clinician", "POST", "Consent", strings.Replace(release, `"status":"active",`, ``, 1), asFHIR, 422},
		{"no patient", "clinician", "POST", "Consent", strings.Replace(release, `"patient":{"reference":"Patient/p1"},`, ``, 1), asFHIR, 422},
		{"a stranger's", "clinician", "POST", "Consent", strings.ReplaceAll(release, "Patient/p1", "Patient/none"), asFHIR, 422},
		{"no If-Match", "clinician", "PUT", "Consent/" + id, own, asFHIR, 428},
		{"stale If-Match", "clinician", "PUT", "Consent/" + id, own, with("If-Match", `W/"7"`), 412},
		{"malformed If-Match", "clinician", "PUT", "Consent/" + id, own, with("If-Match", `*`), 400},
		{"other id in the body", "clinician", "PUT", "Consent/" + id, release, with("If-Match", `W/"1"`), 400},
		{"update of what is not there", "clinician", "PUT", "Consent/none", strings.Replace(release, `"Consent"`, `"Consent","id":"none"`, 1), with("If-Match", `W/"1"`), 404},
		{"moved to another Patient", "clinician", "PUT", "Consent/" + id, strings.ReplaceAll(own, "Patient/p1", "Patient/p2"), with("If-Match", `W/"1"`), 422},
		{"delete", "clinician", "DELETE", "Consent/" + id, "", nil, 405},
		{"batch", "clinician", "POST", "", `{"resourceType":"Bundle"}`, asFHIR, 405},
	} {
		if a := c.do(b.who, b.method, b.path, b.body, b.header); a.status != b.want || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %s, want %d", b.name, a, b.want)
		}
	}
	if a := c.get("clinician", "Consent/"+id); a.header.Get("ETag") != `W/"1"` {
		t.Errorf("something was written all the same: %s", a)
	}
}

// A Patient that is out of sight and one that is not there answer alike.
func TestAWriteDoesNotTellWhoIsKnown(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.login("deputy", "so", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/*.rs system/Consent.cu")
	hidden := c.do("deputy", "POST", "Consent", release, asFHIR)
	absent := c.do("deputy", "POST", "Consent", strings.ReplaceAll(release, "Patient/p1", "Patient/p9"), asFHIR)
	if hidden.status != 422 || hidden.body != absent.body {
		t.Errorf("hidden %s\nabsent %s", hidden, absent)
	}
}

func TestOfSeveralConditionalCreatesOneWins(t *testing.T) {
	c := newCounty(t)
	c.populate()
	h := with("If-None-Exist", "identifier=urn:forms|7")
	var wg sync.WaitGroup
	got := make([]answer, 8)
	for i := range got {
		wg.Go(func() { got[i] = c.do("clinician", "POST", "Consent", release, h) })
	}
	wg.Wait()
	n := 0
	for _, a := range got {
		switch a.status {
		case http.StatusCreated:
			n++
		case http.StatusOK:
		default:
			t.Errorf("%s", a)
		}
	}
	if n != 1 {
		t.Errorf("%d were created", n)
	}
	if a := c.do("clinician", "POST", "Consent", release, h); a.status != http.StatusOK || a.header.Get("ETag") != `W/"1"` {
		t.Errorf("again: %s", a)
	}
	if got := c.get("clinician", "Consent?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("on file: %v", got)
	}
}

// What a consent opens can be followed to the people it names, and no further.
func TestStaffOfAPermittedPlanCanBeReached(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.ehr.set(false, 0, remote, strings.Replace(plan, `"subject"`, `"author":{"reference":"Practitioner/jo"},"subject"`, 1),
		`{"resourceType":"Practitioner","id":"jo","telecom":[{"system":"phone","value":"555-0100"}]}`, `{"resourceType":"Practitioner","id":"other"}`)
	created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	a := c.get("officer", "CarePlan?patient=Patient/p1")
	if len(a.ids(t)) != 1 {
		t.Fatalf("plan: %s", a)
	}
	jo, _ := c.ids.Opaque("ehr", "Practitioner", "jo")
	other, _ := c.ids.Opaque("ehr", "Practitioner", "other")
	if b := c.get("officer", "Practitioner/"+jo); b.status != http.StatusOK || !strings.Contains(b.body, "555-0100") {
		t.Errorf("the plan's author: %s", b)
	}
	for who, id := range map[string]string{"officer": other, "deputy": jo} {
		if b := c.get(who, "Practitioner/"+id); b.status != http.StatusNotFound {
			t.Errorf("%s reads %s: %s", who, id, b)
		}
	}
}

// A deny that the connected system itself keeps is heard on every path, also
// where it names somebody by a reference of its own.
func TestAConsentOfTheSystemItselfWithholds(t *testing.T) {
	for name, actor := range map[string]string{
		"anybody":      ``,
		"by reference": `"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/their-police"}}],`,
	} {
		c := newCounty(t)
		c.populate()
		created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
		ids := c.get("officer", "CarePlan?patient=Patient/p1").ids(t)
		if len(ids) != 1 {
			t.Fatalf("%s: without it: %v", name, ids)
		}
		c.ehr.set(false, 0, remote, plan, `{"resourceType":"Consent","id":"opt-out","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
		 "category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"reference":"Patient/r1"},"dateTime":"2026-01-01","provision":{"type":"deny",`+actor+`"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]}}`)
		if got := c.get("officer", "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
			t.Errorf("%s: search: %v", name, got)
		}
		if a := c.get("officer", ids[0]); a.status != http.StatusNotFound {
			t.Errorf("%s: read: %s", name, a)
		}
	}
}

// Whoever recorded a Consent can read it whole and revoke it, whatever it
// refers to and whatever else the person has decided.
func TestARecorderCanAlwaysRevoke(t *testing.T) {
	for name, change := range map[string][2]string{
		"a document":                {`"sourceAttachment":{"title":"signed"}`, `"sourceReference":{"reference":"DocumentReference/x"}`},
		"a relative who signed":     {`"performer":[{"reference":"Patient/p1"}]`, `"performer":[{"reference":"RelatedPerson/mum"}]`},
		"an instance":               {`"class":[`, `"data":[{"meaning":"instance","reference":{"reference":"CarePlan/zzz"}}],"class":[`},
		"a general opt-out":         {`"type":"permit"`, `"type":"deny"`},
		"an opt-out for everything": {release[strings.Index(release, `"provision"`):], `"provision":{"type":"deny"}}`},
	} {
		c := newCounty(t)
		c.populate()
		text := strings.Replace(release, change[0], change[1], 1)
		if text == release {
			t.Fatalf("%s: nothing was changed", name)
		}
		id := created(t, c.do("clinician", http.MethodPost, "Consent", text, asFHIR))
		if a := c.get("clinician", "Consent/"+id); a.status != http.StatusOK || strings.Contains(a.body, "SUBSETTED") {
			t.Errorf("%s: read: %s", name, a)
		}
		// A further Consent can be recorded beside it.
		created(t, c.do("clinician", http.MethodPost, "Consent", strings.Replace(release, `"value":"7"`, `"value":"8"`, 1), asFHIR))
		revoked := strings.Replace(strings.Replace(text, `"active"`, `"inactive"`, 1), `"Consent"`, `"Consent","id":"`+id+`"`, 1)
		if a := c.do("clinician", http.MethodPut, "Consent/"+id, revoked, with("If-Match", `W/"1"`)); a.status != http.StatusOK {
			t.Errorf("%s: revocation: %s", name, a)
		}
	}
}

// Look-ups that the gateway itself cuts short do not shut a system off.
func TestCuttingLookUpsShortIsNoFailureOfTheSystem(t *testing.T) {
	c := newCountyOf(t, time.Now, settings, func(o *gateway.Options) { o.Lookups = 200 * time.Millisecond })
	c.populate()
	many := []string{remote, plan}
	for i := range 100 {
		many = append(many, fmt.Sprintf(`{"resourceType":"Condition","id":"c%d","code":{"text":"x"},"encounter":{"reference":"Encounter/none%d"},"subject":{"reference":"Patient/r1"}}`, i, i))
	}
	c.ehr.set(false, 0, many...)
	c.ehr.slow(100 * time.Millisecond) // far below what a system has here; all look-ups together have twice that
	for range 2 {
		c.get("clinician", "Condition?patient=Patient/p1&_count=100")
	}
	c.ehr.slow(0)
	if a := c.get("clinician", "CarePlan?patient=Patient/p1"); strings.Contains(a.body, "incomplete") || len(a.ids(t)) != 1 {
		t.Errorf("the system is shut off: %s", a)
	}
}
