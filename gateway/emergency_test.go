package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
)

const (
	actReason       = "http://terminology.hl7.org/CodeSystem/v3-ActReason|"
	emergencyOptOut = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
 "category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"reference":"Patient/p1"},"dateTime":"2026-01-02",
 "policyRule":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"OPTOUT"}]},
 "provision":{"type":"deny","actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/er"}}]}}`
)

// newEmergency is a county with a physician of the emergency room, who may see
// the person's Patient, and an opt-out of the person against that room.
func newEmergency(t testing.TB, change func(*gateway.Options)) (*county, *clock) {
	t.Helper()
	k := newClock()
	c := newCountyOf(t, k.now, exceptional, change)
	c.populate()
	c.login("er", "er", false, "emergency-physician", actReason+"ETREAT", "system/*.rs")
	c.tokens["er"].Requester.MedicalPersonnel = true
	c.tokens["er"].User = auth.User{ID: "npi-9", Name: "Ana Ortiz, MD"}
	for who, org := range map[string]string{"records": "clinic", "director": "program"} {
		c.login(who, org, false, "case-manager", actReason+"HOPERAT", "system/*.rs system/Task.cu")
		c.tokens[who].User = auth.User{ID: "u-" + who, Name: "U " + who}
	}
	return c, k
}

var (
	cannot = param("consentCannotBeObtained", "valueBoolean", "true")
	cause  = text("reason", "unresponsive, suspected overdose")
)

func TestBreakingTheGlassOpensThePart2RecordForAWhileAndIsOnRecord(t *testing.T) {
	c, k := newEmergency(t, nil)
	const query = "Condition?patient=Patient/p1"
	if got := c.get("er", query).ids(t); len(got) != 0 || len(c.program.requests()) != 0 {
		t.Fatalf("before: %v, %v", got, c.program.requests())
	}
	a := c.post("er", "Patient/p1/$break-glass", cause, cannot)
	id := a.taskID(t, http.StatusCreated)
	if !strings.Contains(a.body, "2026-11-27T11:00:00.000Z") {
		t.Errorf("no end: %s", a)
	}
	dx, _ := c.ids.Opaque("sud", "Condition", "dx")
	got := c.get("er", query)
	if ids := got.ids(t); len(ids) != 1 || ids[0] != "Condition/"+dx {
		t.Fatalf("under the declaration: %s", got)
	}
	if o := strings.Join(c.trail.last().Obligations, " "); !strings.Contains(o, "part2-emergency-record-2.51(c)") {
		t.Errorf("obligations: %s", o)
	}
	// 42 CFR 2.51(c): personnel and affiliation, who disclosed, when, why.
	for range 2 { // a second look adds nothing
		record := c.get("director", "Communication?category=part2-emergency-record-2.51(c)")
		if len(record.ids(t)) != 1 {
			t.Fatalf("records: %s", record)
		}
		for _, want := range []string{
			"Ana Ortiz, MD", "County ER", "Organization/er", "npi-9", "Program, through the Handoff gateway", "2026-11-27T10:00:00.000Z Condition/" + dx,
			"unresponsive, suspected overdose", "ETREAT", "Task/" + id, "42CFRPart2",
		} {
			if !strings.Contains(record.body, want) {
				t.Errorf("%q is not on record: %s", want, record)
			}
		}
		k.pass(time.Minute)
		c.get("er", query)
	}
	c.get("er", "Patient?_id=p1") // nothing of the program's
	review := c.get("director", "Task?status=requested")
	if len(review.ids(t)) != 1 || !strings.Contains(review.body, "2026-11-30T10:00:00.000Z") || !strings.Contains(review.body, "Sam Ruiz") {
		t.Errorf("the review: %s", review)
	}
	notice := c.get("director", "Communication?category=emergency-disclosure&status=in-progress")
	if len(notice.ids(t)) != 1 || !strings.Contains(notice.body, strings.TrimPrefix(review.ids(t)[0], "Task/")) || strings.Contains(notice.body, "overdose") || strings.Contains(notice.body, "Patient/") {
		t.Errorf("the notice: %s", notice)
	}
	for who, path := range map[string]string{"clinician": "Communication", "records": "Communication", "er": "Communication?patient=Patient/p1"} {
		if got := c.get(who, path).ids(t); len(got) != 0 {
			t.Errorf("%s sees the program's papers: %v", who, got)
		}
	}
	k.pass(58*time.Minute - time.Millisecond)
	if got := c.get("er", query).ids(t); len(got) != 1 {
		t.Errorf("just before its end: %v", got)
	}
	k.pass(time.Millisecond)
	if got := c.get("er", query).ids(t); len(got) != 0 {
		t.Errorf("at its end: %v", got)
	}
}

func TestADeclarationWithoutTheDeterminationOpensNoPart2Record(t *testing.T) {
	c, k := newEmergency(t, nil)
	c.post("er", "Patient/p1/$break-glass", cause).taskID(t, http.StatusCreated)
	if got := c.get("er", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("opened: %v", got)
	}
	if got := c.get("director", "Communication").ids(t); len(got) != 0 {
		t.Errorf("recorded: %v", got)
	}
	for _, newer := range []struct { // the newest statement counts
		params []string
		open   int
	}{{[]string{cause, cannot}, 1}, {[]string{cause}, 0}} {
		k.pass(time.Second)
		c.post("er", "Patient/p1/$break-glass", newer.params...).taskID(t, http.StatusCreated)
		if got := c.get("er", "Condition?patient=Patient/p1").ids(t); len(got) != newer.open {
			t.Errorf("%v opens %v", newer.params, got)
		}
	}
}

func TestADenyIsOverriddenForEmergencyTreatmentOnly(t *testing.T) {
	c, _ := newEmergency(t, nil)
	created(t, c.do("clinician", http.MethodPost, "Consent", emergencyOptOut, asFHIR))
	c.post("er", "Patient/p1/$break-glass", cause).taskID(t, http.StatusCreated)
	got := c.get("er", "CarePlan?patient=Patient/p1")
	if len(got.ids(t)) != 1 || !strings.Contains(got.body, "NOREUSE") {
		t.Errorf("against the opt-out: %s", got)
	}
	record := c.get("records", "Communication?category=emergency-disclosure&status=completed")
	if !strings.Contains(record.body, "CarePlan/") || !strings.Contains(record.body, "Clinic, through the Handoff gateway") {
		t.Errorf("the clinic's record: %s", record)
	}
	if got := c.get("director", "Communication").ids(t); len(got) != 0 {
		t.Errorf("the program has a record of the clinic's: %v", got)
	}
}

func TestWhoMayNotBreakTheGlass(t *testing.T) {
	c, _ := newEmergency(t, nil)
	as := func(name, org string, police, medical bool, role, purpose, scopes string) {
		c.login(name, org, police, role, purpose, scopes)
		c.tokens[name].Requester.MedicalPersonnel = medical
		c.tokens[name].User = auth.User{ID: "u", Name: "U"}
	}
	as("medic-officer", "pd", true, true, "law-enforcement-officer", actReason+"BTG", "system/*.rs")
	as("officer-at-er", "er", false, true, "law-enforcement-officer", actReason+"BTG", "system/*.rs")
	as("clerk", "er", false, false, "case-manager", actReason+"BTG", "system/*.rs")
	as("treating", "er", false, true, "treating-clinician", actReason+"TREAT", "system/*.rs")
	as("unscoped", "er", false, true, "emergency-physician", actReason+"BTG", "system/Condition.rs")
	as("userless", "er", false, true, "emergency-physician", actReason+"BTG", "system/*.rs")
	c.tokens["userless"].User = auth.User{}
	for _, b := range []struct {
		name, who string
		params    []string
		want      int
	}{
		{"police", "medic-officer", []string{cause, cannot}, 403},
		{"a role of law enforcement", "officer-at-er", []string{cause, cannot}, 403},
		{"not medical", "clerk", []string{cause, cannot}, 403},
		{"another purpose", "treating", []string{cause, cannot}, 403},
		{"no scope", "unscoped", []string{cause, cannot}, 403},
		{"nobody named", "userless", []string{cause, cannot}, 400},
		{"a blank name", "userless", []string{cause, cannot, text("personnel", " ")}, 400},
		{"two names", "er", []string{cause, cannot, text("personnel", "Bo")}, 400},
		{"no reason", "er", []string{cannot}, 400},
		{"a blank reason", "er", []string{text("reason", "  "), cannot}, 400},
		{"a long reason", "er", []string{text("reason", strings.Repeat("x", 3000)), cannot}, 400},
		{"no boolean", "er", []string{cause, text("consentCannotBeObtained", "yes")}, 400},
		{"an encounter of another type", "er", []string{cause, ref("encounter", "Patient/p1")}, 400},
		{"unknown parameter", "er", []string{cause, text("sudo", "x")}, 400},
	} {
		for _, patient := range []string{"p1", "nobody"} {
			if a := c.post(b.who, "Patient/"+patient+"/$break-glass", b.params...); a.status != b.want {
				t.Errorf("%s, %s: %s, want %d", b.name, patient, a, b.want)
			} else if challenged := a.header.Get("WWW-Authenticate") != ""; challenged != (b.name == "no scope") {
				t.Errorf("%s: challenged: %v", b.name, challenged)
			}
		}
	}
	for _, who := range []string{"medic-officer", "officer-at-er", "clerk", "er"} {
		if got := c.get(who, "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
			t.Errorf("%s: the purpose alone opens %v", who, got)
		}
	}
	a := c.post("userless", "Patient/p1/$break-glass", cause, cannot, text("personnel", "Bo Hill, RN"))
	if a.status != 201 || !strings.Contains(a.body, `"valueBoolean":true`) {
		t.Fatalf("a claimed name: %s", a)
	}
	if got := c.get("userless", "Condition?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("under a claimed name: %v", got)
	}
	if got := c.get("director", "Communication"); !strings.Contains(got.body, "Bo Hill, RN (as stated by the client userless)") {
		t.Errorf("the record: %s", got)
	}
}

// A declaration is for one client, one user, one person.
func TestADeclarationIsBound(t *testing.T) {
	c, _ := newEmergency(t, nil)
	c.put(`{"resourceType":"Patient","id":"p8"}`)
	c.post("er", "Patient/p8/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	if got := c.get("er", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("somebody else's emergency opens %v", got)
	}
	id := c.post("er", "Patient/p1/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	colleague := *c.tokens["er"]
	colleague.User = auth.User{ID: "npi-10", Name: "Bo"}
	c.tokens["colleague"] = &colleague
	other := *c.tokens["er"]
	other.Client = "er2"
	c.tokens["er2"] = &other
	other.Requester.Client = "er2"
	late := *c.tokens["er"]
	late.Purposes = []string{actReason + "TREAT"}
	c.tokens["treating"] = &late
	for _, who := range []string{"colleague", "er2", "treating"} {
		if got := c.get(who, "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
			t.Errorf("%s: %v", who, got)
		}
	}
	if a := c.post("er", "Task/"+id+"/$cancel"); a.status != http.StatusForbidden {
		t.Errorf("without Task.u: %s", a)
	}
	c.login("desk", "er", false, "case-manager", actReason+"HOPERAT", "system/Task.rs system/Task.u")
	if a := c.post("desk", "Task/"+id+"/$cancel"); a.status != http.StatusOK || !strings.Contains(a.body, `"cancelled"`) {
		t.Errorf("cancel: %s", a)
	}
	if got := c.get("er", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("after the end: %v", got)
	}
	if a := c.post("desk", "Task/"+id+"/$cancel"); a.status != http.StatusConflict {
		t.Errorf("again: %s", a)
	}
}

func TestADeclarationIsAnsweredAlikeForEverybody(t *testing.T) {
	c, _ := newEmergency(t, nil)
	opaque := regexp.MustCompile(`[A-Z2-7]{26}`)
	var first string
	for _, patient := range []string{"p1", "nobody", "w-22222222222222222222222222"} {
		a := c.post("er", "Patient/"+patient+"/$break-glass", cause, cannot)
		got := opaque.ReplaceAllString(strings.ReplaceAll(a.body, "Patient/"+patient, "PATIENT"), "ID")
		if a.status != 201 || first != "" && got != first {
			t.Errorf("%s:\n%d %s\n%s", patient, a.status, got, first)
		}
		first = got
	}
	for _, e := range []*ehr{c.ehr, c.program} {
		if n := len(e.requests()); n != 0 {
			t.Errorf("%d requests went out", n)
		}
	}
}

// brokenStore fails to write what the gateway keeps.
type brokenStore struct {
	store.Store
	mu     sync.Mutex
	broken bool
}

var errBroken = errors.New("the disk is full")

func (b *brokenStore) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return nil, errBroken
	}
	return b.Store.Apply(ctx, ws)
}

// The record comes first: without it no answer, and if the answer fails after
// it, the record stands.
func TestWithoutARecordThereIsNoAnswer(t *testing.T) {
	broken := &brokenStore{}
	c, _ := newEmergency(t, func(o *gateway.Options) { broken.Store = o.Store; o.Store = broken })
	c.post("er", "Patient/p1/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	dx, _ := c.ids.Opaque("sud", "Condition", "dx")
	broken.broken = true
	if a := c.get("er", "Condition?patient=Patient/p1"); a.status != http.StatusInternalServerError || strings.Contains(a.body, dx) || strings.Contains(a.body, "F11") {
		t.Errorf("search: %s", a)
	}
	if e := c.trail.last(); e.Status != http.StatusInternalServerError {
		t.Errorf("the trail: %+v", e)
	}
	broken.broken = false
	if got := c.get("director", "Communication").ids(t); len(got) != 0 {
		t.Errorf("half a record: %v", got)
	}
	c.trail.fail = true
	if a := c.get("er", "Condition?patient=Patient/p1"); a.status != http.StatusInternalServerError || strings.Contains(a.body, "F11") {
		t.Errorf("without a trail: %s", a)
	}
	c.trail.fail = false
	if got := c.get("director", "Communication?category=part2-emergency-record-2.51(c)"); len(got.ids(t)) != 1 || !strings.Contains(got.body, dx) {
		t.Errorf("the record of an answer that failed afterwards: %s", got)
	}
	if a := c.get("er", "Condition/"+dx); a.status != http.StatusOK {
		t.Errorf("read: %s", a)
	}
	if got := c.get("director", "Task?status=requested").ids(t); len(got) != 1 {
		t.Errorf("reviews: %v", got)
	}
}

// Answers at the same time share one record, and none is lost.
func TestAnswersAtOnceShareARecord(t *testing.T) {
	c, _ := newEmergency(t, nil)
	var all []string
	for _, id := range strings.Fields("c1 c2 c3 c4 c5 c6") {
		all = append(all, `{"resourceType":"Condition","id":"`+id+`","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}],"text":"`+id+`"},"subject":{"reference":"Patient/s1"}}`)
	}
	c.program.set(false, 0, append(all, strings.ReplaceAll(remote, "r1", "s1"))...)
	c.post("er", "Patient/p1/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	next := c.get("er", "Condition?patient=Patient/p1&_count=1") // ids are known now
	if next.next(t) == "" {
		t.Fatalf("one page: %s", next)
	}
	var wg sync.WaitGroup
	for _, id := range strings.Fields("c1 c2 c3 c4 c5 c6") {
		wg.Go(func() {
			opaque, _ := c.ids.Opaque("sud", "Condition", id)
			if a := c.get("er", "Condition?patient=Patient/p1&_id="+opaque); len(a.ids(t)) != 1 {
				t.Errorf("%s: %s", id, a)
			}
		})
	}
	wg.Wait()
	record := c.get("director", "Communication?category=part2-emergency-record-2.51(c)")
	if len(record.ids(t)) != 1 {
		t.Fatalf("records: %s", record)
	}
	for _, id := range strings.Fields("c1 c2 c3 c4 c5 c6") {
		opaque, _ := c.ids.Opaque("sud", "Condition", id)
		if strings.Count(record.body, "Z Condition/"+opaque) != 1 {
			t.Errorf("%s is not once on record: %s", id, record)
		}
	}
	if got := c.get("director", "Task?status=requested").ids(t); len(got) != 1 {
		t.Errorf("reviews: %v", got)
	}
}

// Only what leaves is on record: not what stands on another page.
func TestARecordHoldsWhatLeft(t *testing.T) {
	c, _ := newEmergency(t, nil)
	two := `{"resourceType":"Condition","id":"dx9","code":{"text":"opioid use"},"subject":{"reference":"Patient/s1"}}`
	c.program.set(false, 0, strings.ReplaceAll(remote, "r1", "s1"), strings.ReplaceAll(strings.ReplaceAll(diagnosis, "F31.81", "F11.20"), "r1", "s1"), two)
	c.post("er", "Patient/p1/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	page := c.get("er", "Condition?patient=Patient/p1&_count=1")
	one := page.ids(t)
	if len(one) != 1 || page.next(t) == "" {
		t.Fatalf("first page: %s", page)
	}
	if got := c.get("er", "Condition?patient=Patient/p1&_summary=count"); got.status != http.StatusOK {
		t.Fatalf("count: %s", got)
	}
	record := func() int {
		return strings.Count(c.get("director", "Communication?category=part2-emergency-record-2.51(c)").body, "Z Condition/")
	}
	if n := record(); n != 1 {
		t.Errorf("%d on record after one page of one", n)
	}
	c.get("er", page.next(t))
	if n := record(); n != 2 {
		t.Errorf("%d on record after both", n)
	}
}

func TestAReviewIsClosedOnceByAPersonOfTheCustodian(t *testing.T) {
	c, _ := newEmergency(t, nil)
	c.post("er", "Patient/p1/$break-glass", cause, cannot).taskID(t, http.StatusCreated)
	c.get("er", "Condition?patient=Patient/p1")
	id := c.waiting("director")
	c.login("robot", "program", false, "case-manager", actReason+"HOPERAT", "system/*.rs system/Task.cu")
	verdict := code("outcome", "justified")
	for _, b := range []struct {
		name, who string
		params    []string
		want      int
	}{
		{"another custodian", "records", []string{verdict}, 404},
		{"police", "officer", []string{verdict}, 403},
		{"no user", "robot", []string{verdict}, 403},
		{"no outcome", "director", nil, 400},
		{"no such outcome", "director", []string{code("outcome", "fine")}, 400},
		{"a long note", "director", []string{verdict, text("note", strings.Repeat("x", 3000))}, 400},
		{"as a legal basis", "director", nil, 0},
	} {
		if b.want == 0 {
			if a := c.post(b.who, "Task/"+id+"/$reject-basis", text("reason", "x")); a.status != 422 {
				t.Errorf("%s: %s", b.name, a)
			}
			if a := c.post(b.who, "Task/"+id+"/$cancel"); a.status != 422 {
				t.Errorf("%s: %s", b.name, a)
			}
			continue
		}
		if a := c.post(b.who, "Task/"+id+"/$complete-review", b.params...); a.status != b.want {
			t.Errorf("%s: %s, want %d", b.name, a, b.want)
		}
	}
	a := c.post("director", "Task/"+id+"/$complete-review", code("outcome", "not-justified"), text("note", "the patient could be asked"))
	if a.status != 200 || !strings.Contains(a.body, `"completed"`) || !strings.Contains(a.body, "not-justified") || !strings.Contains(a.body, "U director") {
		t.Errorf("closed: %s", a)
	}
	if a := c.post("director", "Task/"+id+"/$complete-review", verdict); a.status != http.StatusConflict {
		t.Errorf("again: %s", a)
	}
	if got := c.get("director", "Task?status=requested").ids(t); len(got) != 0 {
		t.Errorf("still open: %v", got)
	}
}
