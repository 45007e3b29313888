package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/rest"
)

const (
	person    = `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:mni","value":"R1"}],"name":[{"family":"Quintana","given":["Marisol"]}],"birthDate":"1991-06-14","gender":"female"}`
	contact   = `{"resourceType":"Encounter","id":"e1","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"FLD"},"subject":{"reference":"Patient/p1"},"period":{"start":"2026-01-02T10:00:00-06:00"}}`
	remote    = `{"resourceType":"Patient","id":"r1","name":[{"family":"Quintana"}],"birthDate":"1991-06-14"}`
	plan      = `{"resourceType":"CarePlan","id":"plan","status":"active","intent":"plan","title":"crisis plan","subject":{"reference":"Patient/r1"}}`
	diagnosis = `{"resourceType":"Condition","id":"dx","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F31.81"}]},"subject":{"reference":"Patient/r1"}}`
	asthma    = `{"resourceType":"Condition","id":"asthma","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"J45.20"}]},"subject":{"reference":"Patient/r1"}}`
)

func (c *county) populate() {
	c.put(person)
	c.put(contact)
	c.ehr.set(false, 0, remote, plan, diagnosis, asthma)
	c.program.set(false, 0, strings.ReplaceAll(remote, "r1", "s1"), strings.ReplaceAll(strings.ReplaceAll(diagnosis, "F31.81", "F11.20"), "r1", "s1"))
	c.link("Patient/p1", "ehr", "r1")
	c.link("Patient/p1", "sud", "s1")
}

func TestNobodyWithoutATokenLearnsAnything(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, route := range rest.Routes() {
		if route.Open {
			continue
		}
		path := strings.NewReplacer(":type", "Patient", ":id", "p1", ":vid", "1").Replace(strings.TrimPrefix(route.Pattern, "/"))
		for _, who := range []string{"", "forged"} {
			a := c.do(who, route.Method, path, "", nil)
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") || !strings.Contains(a.body, "OperationOutcome") {
				t.Errorf("%s %s as %q: %s", route.Method, path, who, a)
			}
			if e := c.trail.last(); e.Status != http.StatusUnauthorized || e.Path != "/"+path {
				t.Errorf("%s %s: the refusal is not in the trail: %+v", route.Method, path, e)
			}
		}
	}
	if n := len(c.ehr.requests()); n > 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

func TestScopesAreAskedBeforeAnythingElse(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.login("narrow", "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/Patient.r")
	for path, want := range map[string]int{
		"Patient/p1":                http.StatusOK,
		"Patient?_id=p1":            http.StatusForbidden,
		"Encounter/e1":              http.StatusForbidden,
		"Encounter/none":            http.StatusForbidden,
		"Encounter?no-such=1":       http.StatusForbidden,
		"NoSuchType/1":              http.StatusNotFound,
		"Patient/p1/_history/1":     http.StatusOK,
		"Patient/p1/_history/9":     http.StatusNotFound,
		"Patient/p1/_history/x":     http.StatusNotFound,
		"Patient/p1?_elements=id":   http.StatusOK,
		"Patient/p1?_elements=no":   http.StatusBadRequest,
		"Patient/p1?_summary=count": http.StatusBadRequest,
		"Patient/p1?_count=1":       http.StatusBadRequest,
		"Patient/p1?_format=xml":    http.StatusNotAcceptable,
		"Patient/p1/$everything":    http.StatusNotFound,
		"Patient/p1/Encounter/":     http.StatusNotFound,
		"Patient/..%2fEncounter":    http.StatusNotFound,
		"Patient/p1?_format=json":   http.StatusOK,
		"Patient/p1?access_token=":  http.StatusBadRequest,
	} {
		if a := c.get("narrow", path); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		} else if got := a.header.Get("WWW-Authenticate"); (got == auth.InsufficientScope("handoff")) != (want == http.StatusForbidden) {
			t.Errorf("%s: challenged with %q", path, got)
		}
	}
}

func TestHiddenAndAbsentAreTheSameBytes(t *testing.T) {
	c := newCounty(t)
	c.populate()
	plain := func(a answer) string {
		h := a.header.Clone()
		h.Del("X-Request-Id")
		return fmt.Sprintf("%d %v %s", a.status, h, a.body)
	}
	hidden, absent := c.get("deputy", "Patient/p1"), c.get("deputy", "Patient/p2")
	if hidden.status != http.StatusNotFound || plain(hidden) != plain(absent) {
		t.Errorf("read:\n%s\n%s", plain(hidden), plain(absent))
	}
	opaque, _ := c.ids.Opaque("ehr", "Condition", "dx")
	hidden, absent = c.get("officer", "Condition/"+opaque), c.get("officer", "Condition/"+opaque[:len(opaque)-1]+"a")
	if hidden.status != http.StatusNotFound || plain(hidden) != plain(absent) {
		t.Errorf("read of an upstream's:\n%s\n%s", plain(hidden), plain(absent))
	}
	for _, query := range []string{"Condition?patient=%s", "CarePlan?patient=%s", "Observation?subject=%s", "Condition?patient=%s&_summary=count", "Condition?patient=%s&_sort=_id&_count=1"} {
		hidden, absent = c.get("officer", fmt.Sprintf(query, "Patient/p1")), c.get("officer", fmt.Sprintf(query, "Patient/p9"))
		if len(hidden.ids(t)) > 0 || strings.ReplaceAll(plain(hidden), "p1", "p9") != plain(absent) {
			t.Errorf("%s:\n%s\n%s", query, plain(hidden), plain(absent))
		}
	}
	if n := len(c.ehr.requests()) + len(c.program.requests()); n > 0 {
		t.Errorf("%d requests went upstream for a caller who may get nothing", n)
	}
}

func TestAnOrganisationSeesItsOwnRecords(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, query := range []string{"Patient?identifier=urn:mni|R1", "Patient?_id=p1", "Patient?family=quintana&given=marisol&birthdate=1991-06-14"} {
		if got := c.get("officer", query).ids(t); !slices.Equal(got, []string{"Patient/p1"}) {
			t.Errorf("%s: %v", query, got)
		}
		if got := c.get("deputy", query).ids(t); len(got) > 0 {
			t.Errorf("%s as another agency: %v", query, got)
		}
	}
	a := c.get("officer", "Patient/p1")
	if a.status != http.StatusOK || a.header.Get("ETag") != `W/"1"` || !strings.Contains(a.body, `"versionId":"1"`) {
		t.Errorf("read: %s %v", a, a.header)
	}
	if a := c.do("officer", http.MethodGet, "Patient/p1", "", map[string]string{"If-None-Match": `W/"1"`}); a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("conditional read: %s", a)
	}
}

// An older version goes out only if the newest one would: what was sealed since
// stays sealed.
func TestOlderVersionsAreJudgedByTheNewest(t *testing.T) {
	c := newCounty(t)
	c.populate()
	if a := c.get("clinician", "Encounter/e1/_history/1"); a.status != http.StatusOK {
		t.Fatalf("before: %s", a)
	}
	c.put(strings.Replace(contact, `"id":"e1"`, `"id":"e1","meta":{"security":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/cji-label","code":"JUVENILE"}]}`, 1))
	for _, path := range []string{"Encounter/e1", "Encounter/e1/_history/1", "Encounter/e1/_history/2"} {
		if a := c.get("clinician", path); a.status != http.StatusNotFound {
			t.Errorf("%s after the seal: %s", path, a)
		}
	}
}

func TestPoliceSearchWithinOnePerson(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, query := range []string{"Patient", "Patient?family=q", "Patient?birthdate=1991-06-14", "Patient?identifier=R1", "Encounter", "Encounter?status=finished",
		"Patient?family=qu&given=ma&birthdate=1991", "Patient?identifier=urn:mni|R1,urn:mni|R2", "Encounter?patient:missing=false"} {
		if a := c.get("officer", query); a.status != http.StatusForbidden {
			t.Errorf("%s: %s", query, a)
		}
	}
	if a := c.get("officer", "Encounter?patient=Patient/p1,Patient/p2"); a.status != http.StatusBadRequest {
		t.Errorf("two persons: %s", a)
	}
}

func TestTheClinicSeesPoliceContactsAndItsOwn(t *testing.T) {
	c := newCounty(t)
	c.populate()
	if got := c.get("clinician", "Encounter?patient=Patient/p1").ids(t); !slices.Equal(got, []string{"Encounter/e1"}) {
		t.Errorf("contacts: %v", got)
	}
	a := c.get("clinician", "Condition?patient=Patient/p1")
	if got := a.ids(t); len(got) != 2 {
		t.Errorf("conditions: %v", got)
	}
	for _, secret := range []string{"F11.20", c.ehr.URL, c.program.URL, `"dx"`, "Patient/r1", "Condition/dx"} {
		if strings.Contains(a.body, secret) {
			t.Errorf("%q shows in %s", secret, a.body)
		}
	}
	if n := len(c.program.requests()); n > 0 {
		t.Errorf("the Part 2 program was asked %d times without a consent", n)
	}
	for _, r := range c.ehr.requests() {
		if strings.Contains(r, "p1") || strings.Contains(strings.ToLower(r), "quintana") {
			t.Errorf("the outbound query %q tells of the caller's record", r)
		}
	}
	// What was given out can be read by its id, and by nobody else.
	id := a.ids(t)[0]
	if b := c.get("clinician", id); b.status != http.StatusOK {
		t.Errorf("read %s: %s", id, b)
	}
	if b := c.get("officer", id); b.status != http.StatusNotFound {
		t.Errorf("read %s as police: %s", id, b)
	}
}

func TestASearchByFormIsTheSameAsByAddress(t *testing.T) {
	c := newCounty(t)
	c.populate()
	get := c.get("clinician", "Condition?patient=Patient/p1&_sort=code")
	post := c.do("clinician", http.MethodPost, "Condition/_search", "patient=Patient/p1&_sort=code", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	if get.body != post.body {
		t.Errorf("GET  %s\nPOST %s", get, post)
	}
	if a := c.do("clinician", http.MethodPost, "Condition/_search", "{}", map[string]string{"Content-Type": "application/json"}); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON as a form: %s", a)
	}
}

func TestUnknownParametersAreRefused(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, query := range []string{"Condition?patient=Patient/p1&no-such=x", "Condition?patient=Patient/p1&_include=Condition:subject", "Condition?patient=Patient/p1&_has:Observation:patient:code=x",
		"Condition?patient.name=x", "Condition?patient=Patient/p1&onset-date=yesterday"} {
		if a := c.get("clinician", query); a.status != http.StatusBadRequest || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %s", query, a)
		}
	}
}

func TestPartsOfResourcesAreCutAfterTheDecision(t *testing.T) {
	c := newCounty(t)
	c.populate()
	a := c.get("clinician", "Encounter?patient=Patient/p1&_elements=period")
	if !strings.Contains(a.body, `"period"`) || !strings.Contains(a.body, `"status"`) || strings.Contains(a.body, `"subject"`) || !strings.Contains(a.body, "SUBSETTED") {
		t.Errorf("_elements: %s", a)
	}
	if a := c.get("clinician", "Encounter?patient=Patient/p1&_summary=count"); !strings.Contains(a.body, `"total":1`) || strings.Contains(a.body, `"entry"`) {
		t.Errorf("_summary=count: %s", a)
	}
}

func TestAnAnswerSaysWhenASystemIsMissing(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, fault := range []struct {
		name   string
		hang   bool
		status int
	}{{"hangs", true, 0}, {"fails", false, 500}, {"answers HTML", false, 200}} {
		c := newCountyOf(t, time.Now, strings.Replace(settings, "timeout: 60s", "timeout: 300ms", 1), nil)
		c.populate()
		c.ehr.set(fault.hang, fault.status)
		a := c.get("clinician", "Encounter?patient=Patient/p1")
		if !strings.Contains(a.body, "incomplete") || strings.Contains(a.body, "ehr") || strings.Contains(a.body, `"total"`) {
			t.Errorf("%s: %s", fault.name, a)
		}
		if got := a.ids(t); !slices.Equal(got, []string{"Encounter/e1"}) {
			t.Errorf("%s: our own records are missing: %v", fault.name, got)
		}
		// An officer, for whom the system would not be asked, sees no difference.
		if b := c.get("officer", "Encounter?patient=Patient/p1"); strings.Contains(b.body, "incomplete") {
			t.Errorf("%s: police learn of it: %s", fault.name, b)
		}
	}
}

func TestAnotherPersonsDataFromASystemIsDropped(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.ehr.set(false, 0, remote, asthma, strings.ReplaceAll(strings.ReplaceAll(diagnosis, "r1", "r2"), `"dx"`, `"other"`), `{"resourceType":"Condition","id":"nobody","code":{"text":"x"}}`)
	if got := c.get("clinician", "Condition?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("got %v, want the one Condition of the patient", got)
	}
}

func TestNoAuditNoAnswer(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.trail.fail = true
	for _, path := range []string{"Patient/p1", "Encounter?patient=Patient/p1", "metadata"} {
		a := c.get("officer", path)
		if a.status != http.StatusInternalServerError || strings.Contains(a.body, "Quintana") || strings.Contains(a.body, "e1") {
			t.Errorf("%s: %s", path, a)
		}
	}
}

func TestEveryRequestIsInTheTrail(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.get("clinician", "Condition?patient=Patient/p1")
	e := c.trail.last()
	if e.Client != "clinician" || e.Organization != "Organization/clinic" || !slices.Contains(e.Patients, "Patient/p1") || len(e.Resources) != 2 || !slices.Equal(e.Systems, []string{"ehr"}) {
		t.Errorf("event: %+v", e)
	}
	for _, r := range e.Resources {
		if r.Decision != "permit" || len(r.Reasons) == 0 {
			t.Errorf("judged: %+v", r)
		}
	}
	c.get("officer", "Patient/none")
	if e := c.trail.last(); e.Status != http.StatusNotFound {
		t.Errorf("refused: %+v", e)
	}
}

func TestPagesAreCompleteAndBound(t *testing.T) {
	c := newCounty(t)
	c.populate()
	want := []string{"Encounter/e1"}
	for i := range 23 {
		id := fmt.Sprintf("x%02d", i)
		c.put(strings.Replace(contact, `"e1"`, `"`+id+`"`, 1))
		want = append(want, "Encounter/"+id)
		// Another agency's contacts stand between them and are hidden.
		c.put(strings.ReplaceAll(strings.Replace(contact, `"e1"`, `"h`+id+`"`, 1), "p1", "p2"))
	}
	c.put(strings.ReplaceAll(person, `"p1"`, `"p2"`))
	for _, query := range []string{"Encounter?patient=Patient/p1&_count=5", "Encounter?patient=Patient/p1&_count=5&_sort=-date", "Encounter?patient=Patient/p1&_count=7&_sort=_id"} {
		var got []string
		first := ""
		for path, pages := query, 0; path != "" && pages < 10; pages++ {
			a := c.get("clinician", path)
			ids := a.ids(t)
			got = append(got, ids...)
			path = a.next(t)
			if pages == 0 {
				first = path
			}
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: %d of %d: %v", query, len(got), len(want), got)
		}
		if a := c.get("officer", first); a.status != http.StatusBadRequest {
			t.Errorf("another client follows the link: %s", a)
		}
		if a := c.get("clinician", strings.Replace(first, "patient=Patient/p1", "patient=Patient/p2", 1)); a.status != http.StatusBadRequest {
			t.Errorf("the cursor serves another query: %s", a)
		}
	}
	// Over all persons, from the own store.
	var got []string
	for path := "Encounter?_count=10"; path != ""; {
		a := c.get("clinician", path)
		got = append(got, a.ids(t)...)
		if strings.Contains(a.body, `"total"`) {
			t.Error("a total over all persons")
		}
		path = a.next(t)
	}
	if slices.Sort(got); len(slices.Compact(got)) != 47 {
		t.Errorf("over all: %d", len(got))
	}
}

func TestMetadataAndDiscoveryAreOpen(t *testing.T) {
	c := newCounty(t)
	for path, want := range map[string]string{"metadata": `"fhirVersion":"4.0.1"`, ".well-known/smart-configuration": `"token_endpoint":"http://gateway.test/oauth/token"`} {
		a := c.do("", http.MethodGet, path, "", map[string]string{"Origin": "https://app.example"})
		if a.status != http.StatusOK || !strings.Contains(a.body, want) || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %s", path, a)
		}
	}
}
