package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

const lawenf = "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|LAWENF"

// A clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// exceptional are the settings with what legal bases and emergencies need.
var exceptional = strings.NewReplacer(
	"{id: clinic, name: Clinic, kind: health}", "{id: clinic, name: Clinic, kind: health, privacyContact: {name: Pat Lane}}\n  - {id: er, name: County ER, kind: health}",
	"{id: program, name: Program, kind: health, part2: true}", "{id: program, name: Program, kind: health, part2: true, privacyContact: {name: Sam Ruiz, webhook: \"http://127.0.0.1:1/hook\"}}",
	"agreements:\n", "agreements:\n  - {id: custody-moa, from: clinic, to: so, ends: 2027-06-30, accepts: [{type: hipaa-512k5-custody, roles: [custody-officer], types: [CarePlan], within: 24h}, {type: hipaa-512f2-identify-locate, roles: [custody-officer], within: 2h}]}\n",
).Replace(settings)

// newCase is a county with an investigator of the police, a custody officer of
// the sheriff, and a records officer each of clinic and program.
func newCase(t testing.TB) (*county, *clock) {
	t.Helper()
	k := newClock()
	c := newCountyOf(t, k.now, exceptional, nil)
	c.populate()
	c.ehr.set(false, 0, remote, plan, diagnosis, asthma, therapy)
	const scopes = "system/*.rs system/Task.cu"
	c.login("detective", "pd", true, "law-enforcement-officer", lawenf, scopes)
	c.login("jailer", "so", true, "custody-officer", lawenf, scopes)
	c.login("records", "clinic", false, "case-manager", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HOPERAT", scopes)
	c.login("director", "program", false, "case-manager", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HOPERAT", scopes)
	c.tokens["records"].User = auth.User{ID: "npi-1", Name: "Rosa Diaz"}
	c.tokens["director"].User = auth.User{ID: "npi-2", Name: "Dan Wu"}
	c.tokens["detective"].User = auth.User{ID: "b-77", Name: "Det. Cole"}
	return c, k
}

const therapy = `{"resourceType":"CarePlan","id":"therapy","status":"active","intent":"plan","title":"therapy plan","description":"weekly sessions","subject":{"reference":"Patient/r1"}}`

// A param is one parameter as JSON.
func param(name, member, value string) string {
	return fmt.Sprintf(`{"name":%q,%q:%s}`, name, member, value)
}

func text(name, v string) string { return param(name, "valueString", quote(v)) }
func code(name, v string) string { return param(name, "valueCode", quote(v)) }
func ref(name, v string) string {
	return param(name, "valueReference", `{"reference":`+quote(v)+`}`)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func attributes(parts ...string) string {
	return `{"name":"attributes","part":[` + strings.Join(parts, ",") + `]}`
}

func parametersOf(params ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(params, ",") + `]}`
}

func (c *county) post(who, path string, params ...string) answer {
	c.t.Helper()
	return c.do(who, http.MethodPost, path, parametersOf(params...), asFHIR)
}

// taskID is the id of the Task in an answer.
func (a answer) taskID(t testing.TB, want int) string {
	t.Helper()
	var r struct{ ResourceType, ID string }
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != want || r.ResourceType != "Task" {
		t.Fatalf("no Task with %d: %s", want, a)
	}
	return r.ID
}

// declare files a warrant of the detective and returns the ids of both Tasks.
func (c *county) declare(more ...string) (declarer, custodian string) {
	c.t.Helper()
	a := c.post("detective", "Task/$declare-basis", append([]string{
		code("type", "warrant"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "the crisis plan"),
	}, more...)...)
	return a.taskID(c.t, http.StatusCreated), c.waiting("records")
}

// waiting is the one declaration that waits for the custodian.
func (c *county) waiting(who string) string {
	c.t.Helper()
	ids := c.get(who, "Task?status=requested&_sort=-_lastUpdated").ids(c.t)
	if len(ids) == 0 {
		c.t.Fatal("nothing waits")
	}
	return strings.TrimPrefix(ids[0], "Task/")
}

// planID is the opaque id of the plan, looked up by the clinic's own user, as one
// who decides does.
func (c *county) planID(id string) string {
	c.t.Helper()
	c.get("records", "CarePlan?patient=Patient/p1")
	opaque, _ := c.ids.Opaque("ehr", "CarePlan", id)
	return "CarePlan/" + opaque
}

func until(k *clock, d time.Duration) string {
	return param("validUntil", "valueInstant", quote(k.now().Add(d).Format(time.RFC3339)))
}

func TestAnAcceptedBasisOpensWhatItCoversAndNothingElse(t *testing.T) {
	c, k := newCase(t)
	const query = "CarePlan?patient=Patient/p1"
	mine, theirs := c.declare()
	if got := c.get("detective", query).ids(t); len(got) != 0 {
		t.Fatalf("a declaration opens %v", got)
	}
	if n := len(c.ehr.requests()); n != 0 {
		t.Errorf("the system was asked on a mere declaration: %d", n)
	}
	covered := c.planID("plan")
	a := c.post("records", "Task/"+theirs+"/$accept-basis", ref("covers", covered), until(k, time.Hour))
	a.taskID(t, http.StatusOK)
	for _, want := range []string{covered, "Rosa Diaz", `"accepted"`, "npi-1"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the acceptance does not tell %s: %s", want, a)
		}
	}
	if got := c.get("detective", query).ids(t); len(got) != 1 || got[0] != covered {
		t.Errorf("under the warrant: %v, want %s", got, covered)
	}
	e := c.trail.last()
	if !strings.Contains(strings.Join(e.Obligations, " "), "AOD") || e.Resources[0].Reasons[len(e.Resources[0].Reasons)-1].Basis != "Task/"+theirs+"/_history/2" {
		t.Errorf("the trail does not name the acceptance: %+v", e)
	}
	if a := c.get("detective", covered); a.status != http.StatusOK {
		t.Errorf("read: %s", a)
	}
	for _, q := range []string{"Condition?patient=Patient/p1", "Encounter?patient=Patient/p1&status=planned"} {
		if got := c.get("detective", q).ids(t); len(got) != 0 {
			t.Errorf("%s: %v", q, got)
		}
	}
	if got := c.get("officer", query).ids(t); len(got) != 1 {
		t.Errorf("a colleague of the same agency: %v", got) // the basis named the agency, no client
	}
	if got := c.get("jailer", query).ids(t); len(got) != 0 {
		t.Errorf("another agency: %v", got)
	}
	// The declarer learns state and end, and nothing of what the custodian has.
	a = c.get("detective", "Task/"+mine)
	if a.status != http.StatusOK || !strings.Contains(a.body, `"status":"accepted"`) || !strings.Contains(a.body, "2026-11-27T11:00:00.000Z") {
		t.Errorf("the declarer's Task: %s", a)
	}
	for _, no := range []string{covered, "Rosa", "npi-1", "covers"} {
		if strings.Contains(a.body, no) {
			t.Errorf("the declarer's Task tells %s: %s", no, a)
		}
	}
	k.pass(time.Hour - time.Millisecond)
	if got := c.get("detective", query).ids(t); len(got) != 1 {
		t.Errorf("just before its end: %v", got)
	}
	k.pass(time.Millisecond)
	if got := c.get("detective", query).ids(t); len(got) != 0 {
		t.Errorf("at its end: %v", got)
	}
	if a := c.get("detective", covered); a.status != http.StatusNotFound {
		t.Errorf("read at its end: %s", a)
	}
}

// With the person unknown, known, or known to somebody else, a declaration is
// answered alike.
func TestADeclarationDoesNotTellWhoIsKnown(t *testing.T) {
	c, _ := newCase(t)
	opaque := regexp.MustCompile(`[A-Z2-7]{26}`)
	var first string
	for _, patient := range []string{"p1", "nobody", "k-22222222222222222222222222"} {
		a := c.post("detective", "Task/$declare-basis", code("type", "court-order"), ref("custodian", "Organization/clinic"),
			ref("patient", "Patient/"+patient), text("request", "x"))
		got := opaque.ReplaceAllString(strings.ReplaceAll(a.body, "Patient/"+patient, "PATIENT"), "ID")
		a.taskID(t, http.StatusCreated)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("%s:\n%s\n%s", patient, got, first)
		}
	}
	if n := len(c.ehr.requests()); n != 0 {
		t.Errorf("systems were asked: %d", n)
	}
}

func TestWhatCannotBeDeclaredIsRefusedWithAReason(t *testing.T) {
	c, _ := newCase(t)
	c.login("reader", "pd", true, "law-enforcement-officer", lawenf, "system/*.rs")
	kind, clinic, p1, words := code("type", "warrant"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "x")
	order := func(data, typ string) string {
		return param("document", "valueAttachment", `{"contentType":`+quote(typ)+`,"data":`+quote(data)+`}`)
	}
	for _, b := range []struct {
		name, who string
		params    []string
		want      int
		says      string
	}{
		{"no scope", "reader", []string{kind, clinic, p1, words}, 403, "Task.c"},
		{"unknown type", "detective", []string{code("type", "because"), clinic, p1, words}, 422, "court-order"},
		{"no type", "detective", []string{clinic, p1, words}, 400, "type"},
		{"no custodian", "detective", []string{kind, p1, words}, 400, "custodian"},
		{"unknown custodian", "detective", []string{kind, ref("custodian", "Organization/none"), p1, words}, 422, "custodian"},
		{"police as custodian", "detective", []string{kind, ref("custodian", "Organization/so"), p1, words}, 422, "custodian"},
		{"another patient type", "detective", []string{kind, clinic, ref("patient", "Group/1"), words}, 400, "Patient"},
		{"a foreign server", "detective", []string{kind, clinic, ref("patient", "http://elsewhere/Patient/1"), words}, 400, "Patient"},
		{"nothing named", "detective", []string{kind, clinic, p1}, 422, "covers"},
		{"no reference", "detective", []string{kind, clinic, p1, ref("covers", "the plan")}, 400, "covers"},
		{"elements do not take covers", "detective", []string{code("type", "hipaa-512f2-identify-locate"), clinic, p1, ref("covers", "Patient/p1"), attributes(text("subject", "suspect"))}, 422, "elements"},
		{"an attribute of another type", "detective", []string{kind, clinic, p1, words, attributes(text("issuedBy", "x"))}, 422, "issuedBy"},
		{"an unknown attribute", "detective", []string{kind, clinic, p1, words, attributes(text("sudo", "x"))}, 400, "sudo"},
		{"an attribute of another kind", "detective", []string{code("type", "subpoena"), clinic, p1, words, attributes(text("satisfactoryAssurance", "yes"))}, 422, "true or false"},
		{"a code that is none", "detective", []string{code("type", "hipaa-512f2-identify-locate"), clinic, p1, attributes(text("subject", "neighbour"))}, 422, "suspect"},
		{"the custodian's own words", "detective", []string{code("type", "hipaa-512j-avert-threat"), clinic, p1, words, attributes(text("attestedBy", "Organization/clinic"))}, 422, "custodian's to state"},
		{"who comes forward", "detective", []string{code("type", "crime-on-part2-premises"), ref("custodian", "Organization/program"), p1, words}, 422, "custodian itself"},
		{"in favour of somebody else", "detective", []string{kind, clinic, p1, words, ref("recipient", "Organization/so")}, 422, "for itself"},
		{"a custodian for itself", "records", []string{kind, clinic, p1, words, ref("recipient", "Organization/clinic")}, 422, "own records"},
		{"a custodian for nobody", "records", []string{kind, clinic, p1, words}, 422, "recipient"},
		{"needed until yesterday", "detective", []string{kind, clinic, p1, words, param("until", "valueDate", `"2026-11-26"`)}, 422, "passed"},
		{"no time", "detective", []string{kind, clinic, p1, words, param("until", "valueString", `"soon"`)}, 400, "instant"},
		{"no role", "detective", []string{kind, clinic, p1, words, code("role", "boss")}, 422, "boss"},
		{"no document", "detective", []string{kind, clinic, p1, words, order("####", "application/pdf")}, 400, "base64"},
		{"an empty document", "detective", []string{kind, clinic, p1, words, order("", "application/pdf")}, 400, "base64"},
		{"a document of no type", "detective", []string{kind, clinic, p1, words, order("QUJD", "")}, 400, "contentType"},
		{"a large document", "detective", []string{kind, clinic, p1, words, order(base64.StdEncoding.EncodeToString(make([]byte, 257<<10)), "application/pdf")}, 413, "larger"},
		{"a document elsewhere", "detective", []string{kind, clinic, p1, words, param("document", "valueAttachment", `{"url":"http://x/y"}`)}, 400, "data"},
		{"a long request", "detective", []string{kind, clinic, p1, text("request", strings.Repeat("x", 5000))}, 422, "longer"},
	} {
		a := c.post(b.who, "Task/$declare-basis", b.params...)
		if a.status != b.want || !strings.Contains(a.body, b.says) || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %s, want %d with %q", b.name, a, b.want, b.says)
		}
	}
	if got := c.get("records", "Task").ids(t); len(got) != 0 {
		t.Errorf("something was filed all the same: %v", got)
	}
}

func TestADocumentIsKeptWithItsDigest(t *testing.T) {
	c, _ := newCase(t)
	mine, theirs := c.declare(param("document", "valueAttachment", `{"contentType":"application/pdf","title":"warrant 26-114","data":"QUJD"}`))
	const digest = "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78" // of ABC
	own, held := c.get("detective", "Task/"+mine), c.get("records", "Task/"+theirs)
	if !strings.Contains(held.body, "QUJD") || !strings.Contains(held.body, digest) {
		t.Errorf("the custodian's: %s", held)
	}
	if strings.Contains(own.body, "QUJD") || !strings.Contains(own.body, digest) || !strings.Contains(own.body, "warrant 26-114") {
		t.Errorf("the declarer's: %s", own)
	}
}

func TestWhoMayDecideAndHow(t *testing.T) {
	c, k := newCase(t)
	mine, theirs := c.declare(param("until", "valueDateTime", `"2026-12-01T00:00:00Z"`))
	c.login("robot", "clinic", false, "case-manager", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HOPERAT", "system/*.rs system/Task.cu")
	c.login("viewer", "clinic", false, "case-manager", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HOPERAT", "system/*.rs")
	c.login("er", "er", false, "emergency-physician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs system/Task.cu")
	c.login("colleague", "pd", false, "case-manager", lawenf, "system/*.rs system/Task.cu") // of the declarer's organisation, as if it were no police
	for _, who := range []string{"viewer", "er", "colleague"} {
		c.tokens[who].User = auth.User{ID: "u", Name: "U"}
	}
	covered, valid := ref("covers", c.planID("plan")), until(k, time.Hour)
	dx, _ := c.ids.Opaque("ehr", "Condition", "dx")
	theirsDx, _ := c.ids.Opaque("sud", "Condition", "dx")
	for _, b := range []struct {
		name, who, id string
		params        []string
		want          int
		says          string
	}{
		{"no user", "robot", theirs, []string{covered, valid}, 403, "names the user"},
		{"no scope", "viewer", theirs, []string{covered, valid}, 403, "Task.u"},
		{"police", "detective", mine, []string{covered, valid}, 403, "law-enforcement"},
		{"the declarer's own organisation", "colleague", mine, []string{covered, valid}, 403, "custodian decides"},
		{"the declarer, by the custodian's Task", "colleague", theirs, []string{covered, valid}, 404, "not found"},
		{"another organisation's user", "er", theirs, []string{covered, valid}, 404, "not found"},
		{"another custodian's user", "director", theirs, []string{covered, valid}, 404, "not found"},
		{"a Task that is not there", "records", "none", []string{covered, valid}, 404, "not found"},
		{"without an end", "records", theirs, []string{covered}, 400, "validUntil"},
		{"an end that has passed", "records", theirs, []string{covered, until(k, 0)}, 422, "passed"},
		{"for too long", "records", theirs, []string{covered, until(k, 721*time.Hour)}, 422, "longest"},
		{"longer than it is needed", "records", theirs, []string{covered, until(k, 96*time.Hour)}, 422, "needs it"},
		{"nothing covered", "records", theirs, []string{valid}, 422, "covers"},
		{"what is not there", "records", theirs, []string{ref("covers", "CarePlan/none"), valid}, 422, "covers"},
		{"what was never looked at", "records", theirs, []string{ref("covers", "Condition/"+dx), valid}, 422, "looked at"},
		{"another custodian's record", "records", theirs, []string{ref("covers", "Condition/"+theirsDx), valid}, 422, "no record of yours"},
		{"the police's record", "records", theirs, []string{ref("covers", "Encounter/e1"), valid}, 422, "no record of yours"},
		{"the declaration itself", "records", theirs, []string{ref("covers", "Task/"+theirs), valid}, 422, "no record of yours"},
		{"unknown parameter", "records", theirs, []string{covered, valid, text("force", "x")}, 400, "force"},
	} {
		a := c.post(b.who, "Task/"+b.id+"/$accept-basis", b.params...)
		if a.status != b.want || !strings.Contains(a.body, b.says) {
			t.Errorf("%s: %s, want %d with %q", b.name, a, b.want, b.says)
		}
	}
	if a := c.get("records", "Task/"+theirs); a.header.Get("ETag") != `W/"1"` {
		t.Errorf("something was decided all the same: %s", a)
	}
	if a := c.do("records", "POST", "Task/"+theirs+"/$accept-basis", parametersOf(covered, valid), with("If-Match", `W/"7"`)); a.status != http.StatusPreconditionFailed {
		t.Errorf("stale If-Match: %s", a)
	}
	if a := c.do("records", "POST", "Task/"+theirs+"/$accept-basis", parametersOf(covered, valid), with("If-Match", `W/"1"`)); a.status != http.StatusOK {
		t.Errorf("good If-Match: %s", a)
	}
	if a := c.post("records", "Task/"+theirs+"/$accept-basis", covered, valid); a.status != http.StatusConflict {
		t.Errorf("again: %s", a)
	}
}

func TestOfTwoDecisionsAtOnceOneWins(t *testing.T) {
	c, k := newCase(t)
	_, theirs := c.declare()
	covered, valid := ref("covers", c.planID("plan")), until(k, time.Hour)
	got := make([]answer, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			if i%2 == 0 {
				got[i] = c.post("records", "Task/"+theirs+"/$accept-basis", covered, valid)
			} else {
				got[i] = c.post("records", "Task/"+theirs+"/$reject-basis", text("reason", "no"))
			}
		})
	}
	wg.Wait()
	won := 0
	for _, a := range got {
		switch a.status {
		case http.StatusOK:
			won++
		case http.StatusConflict:
		default:
			t.Errorf("%s", a)
		}
	}
	if a := c.get("records", "Task/"+theirs); won != 1 || a.header.Get("ETag") != `W/"2"` {
		t.Errorf("%d won; %s", won, a)
	}
}

func TestStatesFollowEachOther(t *testing.T) {
	c, k := newCase(t)
	covered := ref("covers", c.planID("plan"))
	accept := func(id string) answer {
		return c.post("records", "Task/"+id+"/$accept-basis", covered, until(k, time.Hour))
	}
	reject := func(id string) answer {
		return c.post("records", "Task/"+id+"/$reject-basis", text("reason", "not ours: she is at Program"))
	}
	withdraw := func(id string) answer { return c.post("records", "Task/"+id+"/$withdraw-basis") }
	open := func() int { return len(c.get("detective", "CarePlan?patient=Patient/p1").ids(t)) }

	mine, theirs := c.declare()
	if a := withdraw(theirs); a.status != http.StatusConflict {
		t.Errorf("withdrawn before it was accepted: %s", a)
	}
	if a := reject(theirs); a.status != http.StatusOK || !strings.Contains(a.body, "at Program") {
		t.Errorf("reject: %s", a)
	}
	if a := c.get("detective", "Task/"+mine); !strings.Contains(a.body, `"rejected"`) || strings.Contains(a.body, "Program") || strings.Contains(a.body, "ours") {
		t.Errorf("the declarer is told why: %s", a)
	}
	for name, a := range map[string]answer{"accept": accept(theirs), "reject": reject(theirs), "cancel": c.post("detective", "Task/"+mine+"/$cancel")} {
		if a.status != http.StatusConflict {
			t.Errorf("%s after the rejection: %s", name, a)
		}
	}
	mine, theirs = c.declare()
	accept(theirs).taskID(t, http.StatusOK)
	if open() != 1 {
		t.Error("not open after acceptance")
	}
	if a := withdraw(theirs); a.status != http.StatusOK || open() != 0 {
		t.Errorf("withdrawn: %s, %d open", a, open())
	}
	if a := c.get("detective", "Task/"+mine); !strings.Contains(a.body, `"cancelled"`) {
		t.Errorf("the declarer's: %s", a)
	}
	mine, theirs = c.declare()
	accept(theirs).taskID(t, http.StatusOK)
	if a := c.post("records", "Task/"+theirs+"/$cancel"); a.status != http.StatusForbidden {
		t.Errorf("the custodian cancels: %s", a)
	}
	if a := c.post("jailer", "Task/"+mine+"/$cancel"); a.status != http.StatusNotFound {
		t.Errorf("another agency cancels: %s", a)
	}
	if a := c.post("detective", "Task/"+mine+"/$cancel", text("reason", "done")); a.status != http.StatusOK || open() != 0 {
		t.Errorf("cancelled: %s, %d open", a, open())
	}
	if a := c.get("records", "Task/"+theirs+"/_history/2"); a.status != http.StatusOK || !strings.Contains(a.body, `"accepted"`) {
		t.Errorf("the acceptance of the past: %s", a)
	}
	for who, path := range map[string]string{"jailer": "Task/" + mine, "clinician": "Task/" + mine, "director": "Task/" + theirs, "officer": "Task/" + theirs} {
		if a := c.get(who, path); a.status != http.StatusNotFound {
			t.Errorf("%s sees %s: %s", who, path, a)
		}
	}
}

// One page is out, the acceptance is withdrawn, the next page is empty.
func TestAWithdrawalHoldsInTheMiddleOfPaging(t *testing.T) {
	c, k := newCase(t)
	_, theirs := c.declare()
	one, two := ref("covers", c.planID("plan")), ref("covers", c.planID("therapy"))
	c.post("records", "Task/"+theirs+"/$accept-basis", one, two, until(k, time.Hour)).taskID(t, http.StatusOK)
	a := c.get("detective", "CarePlan?patient=Patient/p1&_count=1")
	if len(a.ids(t)) != 1 || a.next(t) == "" {
		t.Fatalf("first page: %s", a)
	}
	c.post("records", "Task/"+theirs+"/$withdraw-basis").taskID(t, http.StatusOK)
	if b := c.get("detective", a.next(t)); len(b.ids(t)) != 0 {
		t.Errorf("second page: %s", b)
	}
}

func TestTheLimitsOfABasisHold(t *testing.T) {
	for name, b := range map[string]struct {
		declared, accepted []string
		open               map[string]int
	}{
		"by client, declared": {[]string{text("client", "detective")}, nil, map[string]int{"detective": 1, "officer": 0}},
		"by client, accepted": {nil, []string{text("client", "officer")}, map[string]int{"detective": 0, "officer": 1}},
		"by role":             {[]string{code("role", "custody-officer")}, nil, map[string]int{"detective": 0, "officer": 0}},
		"by a role they have": {nil, []string{code("role", "law-enforcement-officer")}, map[string]int{"detective": 1, "officer": 1}},
	} {
		c, k := newCase(t)
		_, theirs := c.declare(b.declared...)
		c.post("records", "Task/"+theirs+"/$accept-basis", append(b.accepted, ref("covers", c.planID("plan")), until(k, time.Hour))...).taskID(t, http.StatusOK)
		for who, want := range b.open {
			if got := c.get(who, "CarePlan?patient=Patient/p1").ids(t); len(got) != want {
				t.Errorf("%s: %s gets %v, want %d", name, who, got, want)
			}
		}
	}
}

// What only the custodian can state is stated for it when it accepts, or by it.
func TestTheCustodianStatesWhatItDetermines(t *testing.T) {
	c, k := newCase(t)
	a := c.post("detective", "Task/$declare-basis", code("type", "hipaa-512j-avert-threat"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "on the bridge"))
	a.taskID(t, http.StatusCreated)
	id := c.waiting("records")
	covered := ref("covers", c.planID("plan"))
	if a := c.post("records", "Task/"+id+"/$accept-basis", covered, until(k, time.Hour), attributes(text("attestedBy", "Organization/pd"))); a.status != 422 || !strings.Contains(a.body, "recipient itself") {
		t.Errorf("attested by the recipient: %s", a)
	}
	if a := c.post("records", "Task/"+id+"/$accept-basis", covered, until(k, time.Hour), attributes(param("attestedAt", "valueInstant", `"2027-01-01T00:00:00Z"`))); a.status != 422 {
		t.Errorf("attested in the future: %s", a)
	}
	c.post("records", "Task/"+id+"/$accept-basis", covered, until(k, time.Hour)).taskID(t, http.StatusOK)
	if got := c.get("detective", "CarePlan?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("the plan under the determination: %v", got)
	}
	if o := strings.Join(c.trail.last().Obligations, " "); !strings.Contains(o, "HUAPRV") || !strings.Contains(o, "MINEC") {
		t.Errorf("obligations: %s", o)
	}
	// A victim who does not agree ends it, whatever the declarer said.
	c.post("detective", "Task/$declare-basis", code("type", "hipaa-512f3-victim"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "x"), attributes(param("victimAgrees", "valueBoolean", "true"))).taskID(t, http.StatusCreated)
	id = c.waiting("records")
	if a := c.post("records", "Task/"+id+"/$accept-basis", covered, until(k, time.Hour), attributes(param("victimAgrees", "valueBoolean", "false"))); a.status != 422 || !strings.Contains(a.body, "would not hold") {
		t.Errorf("a victim who does not agree: %s", a)
	}
}

// A program reports a crime on its premises: it declares and accepts itself, and
// the agency learns of it then.
func TestAProgramComesForward(t *testing.T) {
	c, k := newCase(t)
	s1, _ := c.ids.Opaque("sud", "Patient", "s1")
	if got := c.get("director", "Condition?patient=Patient/p1").ids(t); len(got) != 1 { // it looks its own patient up
		t.Fatalf("the program's own: %v", got)
	}
	a := c.post("director", "Task/$declare-basis", code("type", "crime-on-part2-premises"), ref("custodian", "Organization/program"), ref("patient", "Patient/"+s1), ref("recipient", "Organization/pd"), text("request", "he broke the door"))
	id := a.taskID(t, http.StatusCreated)
	if got := c.get("detective", "Task?patient=Patient/"+s1).ids(t); len(got) != 0 {
		t.Errorf("the agency knows before the program has decided: %v", got)
	}
	if a := c.post("director", "Task/"+id+"/$accept-basis", until(k, time.Hour), attributes(text("initiatedBy", "Organization/pd"))); a.status != 422 {
		t.Errorf("initiated by the agency: %s", a)
	}
	c.post("director", "Task/"+id+"/$accept-basis", until(k, time.Hour)).taskID(t, http.StatusOK)
	got := c.get("detective", "Task?patient=Patient/"+s1)
	if len(got.ids(t)) != 1 || strings.Contains(got.body, "door") {
		t.Errorf("the agency's Task: %s", got)
	}
	if a := c.get("detective", "Patient/"+s1); a.status != http.StatusOK || strings.Contains(a.body, "birthDate") {
		t.Errorf("the program's Patient: %s", a)
	}
	if got := c.get("detective", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("more than name and address: %v", got)
	}
	// The agency's own Task is not the agency's to decide on or to take back.
	mine := strings.TrimPrefix(c.get("detective", "Task?patient=Patient/"+s1).ids(t)[0], "Task/")
	if a := c.post("detective", "Task/"+mine+"/$cancel"); a.status != http.StatusForbidden {
		t.Errorf("the agency takes back what it did not declare: %s", a)
	}
	c.post("director", "Task/"+id+"/$withdraw-basis").taskID(t, http.StatusOK)
	if a := c.get("detective", "Patient/"+s1); a.status != http.StatusNotFound {
		t.Errorf("after the withdrawal: %s", a)
	}
}

func TestAnAgreementAcceptsInAdvance(t *testing.T) {
	c, k := newCase(t)
	custody := []string{
		code("type", "hipaa-512k5-custody"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "booked tonight"),
		attributes(code("represented", "health-and-safety")),
	}
	if a := c.post("detective", "Task/$declare-basis", custody...); a.status != 201 || !strings.Contains(a.body, `"status":"requested"`) {
		t.Errorf("an agency without agreement: %s", a)
	}
	a := c.post("jailer", "Task/$declare-basis", custody...)
	a.taskID(t, http.StatusCreated)
	if !strings.Contains(a.body, `"accepted"`) || !strings.Contains(a.body, "2026-11-28T10:00:00.000Z") {
		t.Fatalf("not accepted in advance: %s", a)
	}
	if got := c.get("jailer", "CarePlan?patient=Patient/p1").ids(t); len(got) != 2 {
		t.Errorf("plans in custody: %v", got)
	}
	if got := c.get("jailer", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("what the agreement does not name: %v", got)
	}
	held := c.get("records", "Task?status=accepted")
	if len(held.ids(t)) != 1 || !strings.Contains(held.body, "custody-moa") {
		t.Errorf("the custodian's record: %s", held)
	}
	if got := c.get("records", "Communication").body; !strings.Contains(got, "legal-basis-accepted-by-policy") || !strings.Contains(got, "Pat Lane") {
		t.Errorf("notices: %s", got)
	}
	// Another role of the sheriff's, and another client of the same role.
	c.login("jailer2", "so", true, "custody-officer", lawenf, "system/*.rs")
	for _, who := range []string{"deputy", "jailer2"} {
		if got := c.get(who, "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
			t.Errorf("%s: %v", who, got)
		}
	}
	// A named record of another type, or something that wants a judgement, waits.
	dx, _ := c.ids.Opaque("ehr", "Condition", "dx")
	for name, params := range map[string][]string{
		"another type of record": append(append([]string{}, custody...), ref("covers", "Condition/"+dx)),
		"a determination":        {code("type", "hipaa-512j-avert-threat"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "x")},
		"nothing represented":    custody[:4],
	} {
		if a := c.post("jailer", "Task/$declare-basis", params...); a.status != 201 || !strings.Contains(a.body, `"status":"requested"`) {
			t.Errorf("%s: %s", name, a)
		}
	}
	k.pass(24 * time.Hour)
	if got := c.get("jailer", "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("a day later: %v", got)
	}
}

func TestAnAcceptanceInAdvanceEndsWithItsAgreement(t *testing.T) {
	c, k := newCase(t)
	k.pass(time.Date(2027, 6, 30, 20, 0, 0, 0, time.UTC).Sub(k.now())) // the agreement's last day in Chicago ends at 05:00Z
	for who := range c.tokens {
		c.tokens[who].Expires = k.now().Add(time.Hour)
	}
	a := c.post("jailer", "Task/$declare-basis", code("type", "hipaa-512k5-custody"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), text("request", "x"), attributes(code("represented", "transport")))
	if !strings.Contains(a.body, "2027-07-01T05:00:00.000Z") {
		t.Errorf("it outlives the agreement: %s", a)
	}
	k.pass(9 * time.Hour)
	if got := c.get("jailer", "CarePlan?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("after the agreement: %v", got)
	}
}

// The settings that could not hold are refused before anything is served.
func TestAcceptancesInAdvanceThatCannotBeAreRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"no such type":    {"type: hipaa-512k5-custody", "type: because"},
		"a determination": {"{type: hipaa-512f2-identify-locate, ", "{type: hipaa-512j-avert-threat, types: [CarePlan], "},
		"no types":        {"types: [CarePlan], ", ""},
	} {
		text := strings.Replace(exceptional, change[0], change[1], 1)
		if text == exceptional {
			t.Fatalf("%s: nothing was changed", name)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: was served", name)
				}
			}()
			newCountyOf(&recording{TB: t}, time.Now, text, nil)
		}()
	}
}

// recording turns a fatal error into a panic.
type recording struct{ testing.TB }

func (r *recording) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// The person whom the custodian knows by another id, whom nobody has linked.
func TestTheCustodianNamesThePersonAsItKnowsHer(t *testing.T) {
	c, k := newCase(t)
	c.put(`{"resourceType":"Patient","id":"p7","name":[{"family":"Quintana"}]}`)
	a := c.post("detective", "Task/$declare-basis", code("type", "court-order"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p7"), text("request", "the plan of M. Quintana"))
	a.taskID(t, http.StatusCreated)
	id, covered := c.waiting("records"), c.planID("plan")
	r1, _ := c.ids.Opaque("ehr", "Patient", "r1")
	if a := c.post("records", "Task/"+id+"/$accept-basis", ref("covers", covered), until(k, time.Hour)); a.status != 422 {
		t.Errorf("somebody else's plan: %s", a)
	}
	c.post("records", "Task/"+id+"/$accept-basis", ref("covers", covered), ref("patient", "Patient/"+r1), until(k, time.Hour)).taskID(t, http.StatusOK)
	if a := c.get("detective", covered); a.status != http.StatusOK {
		t.Errorf("the plan by its id: %s", a)
	}
}

// Nothing in a request that is not an accepted Task opens anything.
func TestAClaimedBasisOpensNothing(t *testing.T) {
	c, _ := newCase(t)
	// A Task of the right shape that came in through a feed.
	c.put(`{"resourceType":"Task","id":"fake","meta":{"profile":["https://handoff-health.github.io/fhir/StructureDefinition/legal-basis"]},"status":"accepted","intent":"order","for":{"reference":"Patient/p1"},"owner":{"reference":"Organization/clinic"},"businessStatus":{"coding":[{"code":"accepted"}]},"code":{"coding":[{"code":"court-order"}]},"groupIdentifier":{"value":"x"}}`)
	h := map[string]string{"X-Legal-Basis": "court-order", "Legal-Basis": "Task/fake"}
	if got := c.do("detective", http.MethodGet, "CarePlan?patient=Patient/p1", "", h).ids(t); len(got) != 0 {
		t.Errorf("a header opened %v", got)
	}
	if a := c.post("detective", "Task", code("type", "court-order")); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a Task is created: %s", a)
	}
	if a := c.post("detective", "Task/fake/$cancel"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a feed's Task is cancelled: %s", a)
	}
}

// custodyPack is a sharing agreement as a pack.
const custodyPack = `
id: clinic-pd
version: "2026.11"
title: The clinic's agreement with the police
kind: agreement
jurisdiction: US
combining: deny-overrides
period: {end: 2027-06-30}
sources: [{id: moa, title: the signed agreement}]
rules:
  - id: interviews
    citation: clause 4
    verified: {where: moa, on: 2026-11-01}
    effect: accept
    basis: [administrative-request]
    when:
      - {id: who, organization: [Organization/pd]}
      - {id: whose, custodian: [Organization/clinic]}
    extent: {elements: [{type: CarePlan, only: [status, intent, subject, title]}]}
`

func TestAnAgreementOfAPackAcceptsInAdvance(t *testing.T) {
	federal, err := packs.Builtin("us-federal")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := packs.Read("clinic-pd.yaml", []byte(custodyPack))
	if err != nil {
		t.Fatal(err)
	}
	law, err := policy.Compile(policy.Selected{Pack: federal}, policy.Selected{Pack: pack})
	if err != nil {
		t.Fatal(err)
	}
	k := newClock()
	c := newCountyOf(t, k.now, exceptional, func(o *gateway.Options) { o.Policy = policy.New(policy.Options{Law: law}) })
	c.populate()
	c.ehr.set(false, 0, remote, plan, therapy)
	c.login("detective", "pd", true, "law-enforcement-officer", lawenf, "system/*.rs system/Task.cu")
	c.login("records", "clinic", false, "case-manager", actReason+"HOPERAT", "system/*.rs system/Task.cu")
	covered := c.planID("therapy")
	yes := func(name string) string { return param(name, "valueBoolean", "true") }
	request := []string{
		code("type", "administrative-request"), ref("custodian", "Organization/clinic"), ref("patient", "Patient/p1"), ref("covers", covered),
		attributes(yes("relevantAndMaterial"), yes("specificAndLimited"), yes("deidentifiedInsufficient")),
	}
	if a := c.post("detective", "Task/$declare-basis", request[:4]...); a.status != 201 || !strings.Contains(a.body, `"status":"requested"`) {
		t.Errorf("without what the law asks for: %s", a)
	}
	if a := c.post("detective", "Task/$declare-basis", request...); a.status != 201 || !strings.Contains(a.body, `"status":"accepted"`) || !strings.Contains(a.body, "2026-12-27T10:00:00.000Z") {
		t.Fatalf("not accepted: %s", a)
	}
	got := c.get("detective", "CarePlan?patient=Patient/p1")
	if ids := got.ids(t); len(ids) != 1 || ids[0] != covered || strings.Contains(got.body, "weekly") {
		t.Errorf("within the agreement: %s", got)
	}
	if held := c.get("records", "Task?status=accepted"); !strings.Contains(held.body, "clinic-pd/interviews") {
		t.Errorf("the custodian's record: %s", held)
	}
}
