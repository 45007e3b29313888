package gateway_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// published reads the forms and definitions that the gateway publishes.
func published(t testing.TB) [][]byte {
	t.Helper()
	names, err := filepath.Glob("../conformance/ig/*/*.json")
	if err != nil || len(names) < 4 {
		t.Fatalf("%d published resources, %v", len(names), err)
	}
	var out [][]byte
	for _, n := range names {
		raw, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// A said is what a device sends: parameter name to its members, as JSON.
type said map[string]string

func coded(s string) string  { return `"valueCode":"` + s + `"` }
func refOf(s string) string  { return `"valueReference":{"reference":"` + s + `"}` }
func worded(s string) string { return `"valueString":"` + s + `"` }
func at(t time.Time) string  { return `"valueDateTime":"` + t.Format(time.RFC3339) + `"` }

// change returns the capture with other members; "" takes one out.
func (m said) change(pairs ...string) said {
	out := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(out, pairs[i])
		}
	}
	return out
}

func sentBy(m said) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		for _, v := range strings.Split(m[name], "\x00") {
			out = append(out, `{"name":"`+name+`",`+v+`}`)
		}
	}
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(out, ",") + `]}`
}

func verbal(patient, id string) said {
	return said{
		"patient": refOf(patient), "identifier": `"valueIdentifier":{"system":"urn:device:1","value":"` + id + `"}`,
		"how": coded("verbal"), "decision": coded("permit"), "askedAt": at(time.Now().Add(-time.Hour)),
		"recipient": refOf("Organization/clinic"), "capacity": coded("capable"), "capacityBy": worded("co-responder"),
		"witness": worded("Badge 41"), "language": coded("es"), "interpreter": worded("line 7"), "askedBy": worded("Badge 372"),
	}
}

func written(patient, id string) said {
	return verbal(patient, id).change(
		"how", coded("written"), "custodian", refOf("Organization/clinic"), "recipient", refOf("Organization/pd"),
		"purpose", coded("CRISIS"), "what", coded("crisis-plan"), "informed", `"valueBoolean":true`, "expires", at(time.Now().Add(24*time.Hour)),
		"signature", `"valueSignature":{"type":[{"system":"urn:iso-astm:E1762-95:2013","code":"1.2.840.10065.1.12.1.7"}],"when":"`+time.Now().Add(-time.Hour).Format(time.RFC3339)+`","who":{"reference":"`+patient+`"},"sigFormat":"image/png","data":"c2lnbmVk"}`)
}

func (c *county) captures(who string, m said) answer {
	c.t.Helper()
	return c.do(who, http.MethodPost, "Consent/$capture", sentBy(m), asFHIR)
}

// scene is the county without the agreement that opens contact data anyway.
func scene(t *testing.T) *county {
	c := newCountyOf(t, nil, strings.Replace(settings, "{id: moa, from: pd, to: clinic", "{id: moa, from: pd, to: program", 1), nil)
	c.populate()
	for _, who := range []string{"unit", "tablet"} {
		c.login(who, "pd", true, "law-enforcement-officer", crisisPurpose, "system/*.rs system/Consent.cu")
	}
	return c
}

var (
	tablet  = resource.Origin{System: "client/tablet", Custodian: "Organization/pd", Police: true}
	sheriff = resource.Origin{System: "sheriff", Custodian: "Organization/so", Police: true}
)

func contacts(t *testing.T, c *county) int {
	t.Helper()
	return len(c.get("clinician", "Encounter?patient=Patient/p1").ids(t))
}

func TestWhatIsSaidOpensContactDataAndNoMore(t *testing.T) {
	c := scene(t)
	if contacts(t, c) != 0 {
		t.Fatal("contact data is open before")
	}
	a := c.captures("unit", verbal("Patient/p1", "1").change("contactName", worded("Jo at the clinic"), "contactPhone", worded("555-0100"), "contact", refOf("Organization/clinic")))
	if a.status != http.StatusCreated || a.header.Get("Location") == "" || !strings.Contains(a.body, `"callBack"`) || !strings.Contains(a.body, `"policyRule":{"coding":[{"code":"OPTIN"`) {
		t.Fatalf("capture: %s", a)
	}
	if contacts(t, c) != 1 {
		t.Error("contact data is not open to the clinic")
	}
	if plans(t, c) != 0 || len(c.get("unit", "CarePlan?patient=Patient/p1").ids(t)) != 0 {
		t.Error("health data is open to police")
	}
	if got := c.get("clinician", "ServiceRequest?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("the clinic does not see the request to call back: %v", got)
	}
	ps := c.provenances()
	if len(ps) != 1 || !strings.Contains(ps[0], "CREATE") || !strings.Contains(ps[0], "Badge 41") {
		t.Errorf("provenance: %v", ps)
	}
	rec, err := c.store.Search(t.Context(), everything("Consent"))
	c.must(err)
	if o := rec.Records[0].Origin; o.Capture.How != "verbal" || time.Until(time.Unix(o.Capture.Until, 0)) > 72*time.Hour {
		t.Errorf("the ceiling is not kept: %+v", o)
	}
}

// Whatever a Consent under a verbal ceiling says, it opens no health data: the
// ceiling is held in deciding, not only at the door.
func TestTheVerbalCeilingHoldsInEveryDecision(t *testing.T) {
	c := scene(t)
	wide := strings.Replace(release, `"resourceType":"Consent"`, `"resourceType":"Consent","id":"wide"`, 1)
	for how, want := range map[string]int{"verbal": 0, "written": 1, "unknown": 0} {
		o := tablet
		o.Capture.How, o.Capture.Until = how, time.Now().Add(time.Hour).Unix()
		c.putAs(wide, o)
		if n := plans(t, c); n != want {
			t.Errorf("%s: %d plans", how, n)
		}
		o.Capture.Until = time.Now().Add(-time.Second).Unix()
		c.putAs(wide, o)
		if n := plans(t, c); n != 0 {
			t.Errorf("%s, over: %d plans", how, n)
		}
	}
	// One that was not captured never favours its recorder.
	c.putAs(wide, tablet)
	if plans(t, c) != 0 {
		t.Error("an uncaptured Consent opens data to its own recorder")
	}
}

func TestWhatIsSignedOpensHealthData(t *testing.T) {
	c := scene(t)
	a := c.captures("tablet", written("Patient/p1", "1"))
	if a.status != http.StatusCreated || !strings.Contains(a.body, "HIPAAAuthCD") || !strings.Contains(a.body, `"data":"c2lnbmVk"`) {
		t.Fatalf("%s", a)
	}
	if plans(t, c) != 1 {
		t.Error("the plan is not open")
	}
	if got := c.get("officer", "Condition?patient=Patient/p1").ids(t); len(got) != 0 {
		t.Errorf("what it does not name: %v", got)
	}
	if ps := c.provenances(); len(ps) != 1 || !strings.Contains(ps[0], `"signature":[{`) || !strings.Contains(ps[0], "signed-sha256") {
		t.Errorf("provenance: %v", ps)
	}
	// An update is no capture: it no longer favours its recorder.
	id, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Location"), "http://gateway.test/fhir/Consent/"), "/")
	body := c.get("tablet", "Consent/"+id).body
	if u := c.do("tablet", http.MethodPut, "Consent/"+id, body, with("If-Match", `W/"1"`)); u.status != http.StatusOK {
		t.Fatalf("update: %s", u)
	}
	if plans(t, c) != 0 {
		t.Error("an updated Consent still counts as captured")
	}
}

func TestPart2NeedsEveryElement(t *testing.T) {
	c := scene(t)
	part2 := written("Patient/p1", "1").change("custodian", refOf("Organization/program"), "part2", `"valueBoolean":true`,
		"what", coded("diagnosis"), "sensitivity", coded("substance-use"))
	open := func() int { return len(c.get("officer", "Condition?patient=Patient/p1").ids(t)) }
	for _, b := range []struct{ name, element, value string }{
		{"Part 2 is not named", "part2", ""}, {"no recipient", "recipient", ""}, {"no purpose", "purpose", ""}, {"no expiry", "expires", ""},
		{"no signature", "signature", ""}, {"no description", "what", ""}, {"rights not told", "informed", ""}, {"for enforcement", "purpose", coded("LAWENF")},
	} {
		if a := c.captures("tablet", part2.change(b.element, b.value)); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", b.name, a)
		}
	}
	if open() != 0 {
		t.Fatal("a refused capture opens something")
	}
	if a := c.captures("tablet", part2); a.status != http.StatusCreated || !strings.Contains(a.body, "42CFRPart2CD") {
		t.Fatalf("%s", a)
	}
	if open() != 1 {
		t.Error("the record of the program is not open")
	}
}

func TestARefusalWithholds(t *testing.T) {
	c := newCounty(t) // with the agreement
	c.populate()
	c.login("unit", "pd", true, "law-enforcement-officer", crisisPurpose, "system/*.rs system/Consent.cu")
	if contacts(t, c) != 1 {
		t.Fatal("the agreement does not open contact data")
	}
	no := verbal("Patient/p1", "1").change("decision", coded("refuse"), "capacity", "")
	a := c.captures("unit", no)
	if a.status != http.StatusCreated || !strings.Contains(a.body, `"type":"deny"`) || !strings.Contains(a.body, "OPTOUT") {
		t.Fatalf("%s", a)
	}
	if contacts(t, c) != 0 {
		t.Error("the person's no is not heard")
	}
	if len(c.get("officer", "Encounter?patient=Patient/p1").ids(t)) != 1 {
		t.Error("the agency does not see its own record")
	}
	// Asked again, the person agrees: that replaces the refusal.
	id, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Location"), "http://gateway.test/fhir/Consent/"), "/")
	if b := c.captures("unit", verbal("Patient/p1", "2").change("replaces", refOf("Consent/"+id))); b.status != http.StatusCreated {
		t.Fatalf("%s", b)
	}
	if contacts(t, c) != 1 || !strings.Contains(c.get("unit", "Consent/"+id).body, `"inactive"`) {
		t.Error("the refusal is not replaced")
	}
}

func TestBadCapturesAreRefused(t *testing.T) {
	c := scene(t)
	c.putAs(strings.Replace(person, `"p1"`, `"p9"`, 1), sheriff)
	theirs := created(t, c.do("clinician", http.MethodPost, "Consent", optOut, asFHIR))
	v, w := verbal("Patient/p1", "x"), written("Patient/p1", "x")
	hours := func(n int) string { return at(time.Now().Add(time.Duration(n) * time.Hour)) }
	for _, b := range []struct {
		name, who string
		m         said
		want      int
	}{
		{"a client without the right", "clinician", v, 403},
		{"written by a client for verbal", "unit", w, 403},
		{"without a scope", "officer", v, 403},
		{"beyond the verbal ceiling", "unit", v.change("expires", hours(80)), 422},
		{"beyond the written ceiling", "tablet", w.change("expires", hours(24*400)), 422},
		{"said, to police", "unit", v.change("recipient", refOf("Organization/so")), 422},
		{"said, of a clinic's data", "tablet", v.change("custodian", refOf("Organization/clinic")), 422},
		{"said, about substance use", "unit", v.change("sensitivity", coded("substance-use")), 422},
		{"said, Part 2", "unit", v.change("part2", `"valueBoolean":true`), 422},
		{"of data it records nothing for", "unit", v.change("custodian", refOf("Organization/so")), 422},
		{"backdated", "unit", v.change("askedAt", hours(-100)), 422},
		{"from the future", "unit", v.change("askedAt", hours(2)), 422},
		{"an end before the start", "unit", v.change("expires", hours(-2)), 422},
		{"signed before it was asked", "tablet", w.change("askedAt", at(time.Now())), 422},
		{"signed by somebody else", "tablet", w.change("signature", strings.Replace(w["signature"], "Patient/p1", "Patient/p2", 1)), 422},
		{"signed by the officer", "tablet", w.change("signature", strings.Replace(w["signature"], "Patient/p1", "Practitioner/o", 1)), 422},
		{"an empty signature", "tablet", w.change("signature", strings.Replace(w["signature"], "c2lnbmVk", "", 1)), 400},
		{"through an exchange", "tablet", w.change("recipient", refOf("Organization/exchange")), 422},
		{"an unknown recipient", "unit", v.change("recipient", refOf("Organization/none")), 422},
		{"nobody asked", "unit", v.change("askedBy", ""), 422},
		{"capacity not observed", "unit", v.change("capacity", ""), 422},
		{"another person's id", "unit", v.change("patient", refOf("Patient/p9")), 422},
		{"nobody's id", "unit", v.change("patient", refOf("Patient/none")), 422},
		{"an unknown contact", "unit", v.change("contact", refOf("Practitioner/none")), 422},
		{"a contact out of sight", "unit", v.change("contact", refOf("Patient/p9")), 422},
		{"a refusal with a contact", "unit", v.change("decision", coded("refuse"), "contactName", worded("x")), 422},
		{"replaces another's", "unit", v.change("replaces", refOf("Consent/"+theirs)), 422},
		{"replaces none", "unit", v.change("replaces", refOf("Consent/none")), 422},
		{"no identifier", "unit", v.change("identifier", ""), 400},
		{"half an identifier", "unit", v.change("identifier", `"valueIdentifier":{"value":"x"}`), 400},
		{"no such purpose", "tablet", w.change("purpose", coded("HLEGAL")), 422},
		{"no such data", "tablet", w.change("what", coded("everything")), 422},
		{"no such way", "unit", v.change("how", coded("implied")), 400},
		{"a form of law of its own", "tablet", w.change("policyRule", coded("42CFRPart2CD")), 400},
		{"a long text", "unit", v.change("witness", worded(strings.Repeat("a", 600))), 400},
	} {
		if a := c.captures(b.who, b.m); a.status != b.want || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %s, want %d", b.name, a, b.want)
		}
	}
	hidden, absent := c.captures("unit", v.change("patient", refOf("Patient/p9"))), c.captures("unit", v.change("patient", refOf("Patient/none")))
	if hidden.body != absent.body {
		t.Errorf("hidden %s\nabsent %s", hidden, absent)
	}
	if n := len(c.stored("Consent")); n != 1 || len(c.provenances()) != 0 || len(c.stored("ServiceRequest")) != 0 {
		t.Errorf("%d Consents are stored", n)
	}
}

func TestDoubtAboutCapacityOpensNothing(t *testing.T) {
	c := scene(t)
	a := c.captures("unit", verbal("Patient/p1", "1").change("capacity", coded("doubtful"), "contactName", worded("Jo")))
	if a.status != http.StatusCreated || !strings.Contains(a.body, `"status":"proposed"`) || strings.Contains(a.body, "callBack") {
		t.Errorf("%s", a)
	}
	if contacts(t, c) != 0 || len(c.stored("ServiceRequest")) != 0 {
		t.Error("it counts")
	}
}

func TestAReplayIsOneConsent(t *testing.T) {
	c := scene(t)
	m := verbal("Patient/p1", "7").change("contactName", worded("Jo"))
	var wg sync.WaitGroup
	got := make([]answer, 6)
	for i := range got {
		wg.Go(func() { got[i] = c.captures("unit", m) })
	}
	wg.Wait()
	made := 0
	for _, a := range got {
		switch a.status {
		case http.StatusCreated:
			made++
		case http.StatusOK:
		default:
			t.Errorf("%s", a)
		}
	}
	if made != 1 || len(c.stored("Consent")) != 1 || len(c.stored("ServiceRequest")) != 1 || len(c.provenances()) != 1 {
		t.Errorf("%d made, %d stored", made, len(c.stored("Consent")))
	}
	// Replayed after the person has taken it back, it stays taken back.
	id, _, _ := strings.Cut(strings.TrimPrefix(got[0].header.Get("Location"), "http://gateway.test/fhir/Consent/"), "/")
	if a := c.do("unit", http.MethodPost, "Consent/"+id+"/$revoke", "", nil); a.status != http.StatusOK {
		t.Fatalf("%s", a)
	}
	if a := c.captures("unit", m); a.status != http.StatusOK || contacts(t, c) != 0 {
		t.Errorf("a replay undoes a revocation: %s", a)
	}
	c.put(strings.Replace(person, `"p1"`, `"p4"`, 1))
	if a := c.captures("unit", m.change("patient", refOf("Patient/p4"))); a.status != http.StatusConflict {
		t.Errorf("the identifier for another person: %s", a)
	}
}

func TestAnAnsweredFormBecomesAConsent(t *testing.T) {
	c := scene(t)
	answerTo := func(form, id string, items ...string) string {
		return `{"resourceType":"QuestionnaireResponse","questionnaire":"https://handoff-health.github.io/fhir/Questionnaire/` + form + `|1.0.0","status":"completed",` +
			`"identifier":{"system":"urn:device:1","value":"` + id + `"},"subject":{"reference":"Patient/p1"},"authored":"` + time.Now().Add(-time.Hour).Format(time.RFC3339) + `",` +
			`"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature",` + written("Patient/p1", id)["signature"] + `}],"item":[` + strings.Join(items, ",") + `]}`
	}
	item := func(link, value string) string { return `{"linkId":"` + link + `","answer":[{` + value + `}]}` }
	ticked := func(link, c string) string { return item(link, `"valueCoding":{"code":"`+c+`"}`) }
	common := []string{
		ticked("decision", "permit"), item("recipient", refOf("Organization/pd")), ticked("purpose", "CRISIS"),
		item("expires", at(time.Now().Add(24*time.Hour))), item("informed", `"valueBoolean":true`),
		`{"linkId":"text-scene","item":[` + ticked("capacity", "capable") + `,` + item("askedBy", worded("Badge 372")) + `]}`,
	}
	ask := func(body string) answer { return c.do("tablet", http.MethodPost, "Consent/$capture", body, asFHIR) }
	a := ask(answerTo("universal-release", "1", append(common, item("custodian", refOf("Organization/clinic")), ticked("what", "crisis-plan"))...))
	if a.status != http.StatusCreated || !strings.Contains(a.body, "universal-release|1.0.0") || plans(t, c) != 1 {
		t.Errorf("universal release: %s", a)
	}
	b := ask(answerTo("part2-police-release", "2", append(common, item("custodian", refOf("Organization/program")), ticked("what", "diagnosis"), ticked("sensitivity", "substance-use"))...))
	if b.status != http.StatusCreated || !strings.Contains(b.body, "42CFRPart2CD") || len(c.get("officer", "Condition?patient=Patient/p1").ids(t)) != 1 {
		t.Errorf("Part 2 consent: %s", b)
	}
	d := ask(answerTo("on-scene-crisis-consent", "3", ticked("how", "verbal"), ticked("decision", "permit"), item("recipient", refOf("Organization/clinic")), ticked("capacity", "capable"), item("askedBy", worded("x"))))
	if d.status != http.StatusCreated || contacts(t, c) != 1 {
		t.Errorf("on the scene: %s", d)
	}
	for link, twice := range map[string]string{
		"decision": ticked("decision", "refuse"), "capacity": ticked("capacity", "incapable"), "how": ticked("how", "verbal"),
	} {
		body := answerTo("universal-release", "twice", append(common, item("custodian", refOf("Organization/clinic")), ticked("what", "crisis-plan"), twice)...)
		if e := ask(body); e.status != http.StatusBadRequest || !strings.Contains(e.body, link+" is answered more than once") || !strings.Contains(e.body, ".item[8].answer") {
			t.Errorf("%s answered twice: %s", link, e)
		}
	}
	for name, body := range map[string]string{
		"the contact form":     answerTo("on-scene-contact", "4"),
		"a form of nobody":     answerTo("none", "4"),
		"a question of nobody": answerTo("universal-release", "4", item("policyRule", worded("x"))),
		"not completed":        strings.Replace(answerTo("universal-release", "4", common...), "completed", "in-progress", 1),
		"a program's data":     answerTo("universal-release", "4", append(common, item("custodian", refOf("Organization/program")), ticked("what", "diagnosis"))...),
	} {
		if e := ask(body); e.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %s", name, e)
		}
	}
}

func TestQuestionnairesAreOpenToWhoeverHasAToken(t *testing.T) {
	c := newCounty(t)
	c.login("narrow", "so", true, "law-enforcement-officer", crisisPurpose, "system/Patient.r")
	if got := c.get("narrow", "Questionnaire").ids(t); len(got) != 4 {
		t.Errorf("%v", got)
	}
	for query, want := range map[string]int{
		"url=https://handoff-health.github.io/fhir/Questionnaire/universal-release":       1,
		"url=https://handoff-health.github.io/fhir/Questionnaire/universal-release%7C9.9": 0,
		"name=onscene": 2, "_id=part2-police-release": 1, "status=draft": 0,
	} {
		if got := c.get("narrow", "Questionnaire?"+query).ids(t); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	a := c.get("narrow", "Questionnaire/part2-police-release")
	var q struct{ URL string }
	if err := json.Unmarshal([]byte(a.body), &q); err != nil || a.status != http.StatusOK || !strings.HasSuffix(q.URL, "part2-police-release") {
		t.Errorf("%s", a)
	}
	for path, want := range map[string]int{"Questionnaire/none": 404, "Questionnaire?publisher=x": 400, "Questionnaire?url=": 400, "Questionnaire/part2-police-release?x=1": 400} {
		if a := c.get("narrow", path); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		}
	}
	if fmt.Sprint(c.get("", "Questionnaire").status) != "401" {
		t.Error("without a token")
	}
}

// What the CapabilityStatement says of operations is there to be read, by
// whoever has a token, with its event.
func TestDefinitionsAreServed(t *testing.T) {
	c := newCounty(t)
	c.login("narrow", "so", true, "law-enforcement-officer", crisisPurpose, "system/Patient.r")
	var statement struct {
		Rest []struct {
			Operation []struct{ Name, Definition string }
			Resource  []struct {
				Type      string
				Operation []struct{ Name, Definition string }
			}
		}
	}
	if err := json.Unmarshal([]byte(c.get("", "metadata").body), &statement); err != nil {
		t.Fatal(err)
	}
	listed, types := statement.Rest[0].Operation, map[string]bool{}
	for _, r := range statement.Rest[0].Resource {
		listed = append(listed, r.Operation...)
		types[r.Type] = true
	}
	if len(listed) != 12 {
		t.Errorf("the statement lists %d operations", len(listed))
	}
	for _, o := range listed {
		a := c.get("narrow", strings.TrimPrefix(o.Definition, "https://handoff-health.github.io/fhir/"))
		if a.status != http.StatusOK || !strings.Contains(a.body, `"url": "`+o.Definition+`"`) {
			t.Errorf("%s: %s", o.Name, a)
		}
		if got := c.get("narrow", "OperationDefinition?url="+o.Definition).ids(t); len(got) != 1 {
			t.Errorf("%s by its url: %v", o.Name, got)
		}
	}
	for path, want := range map[string]int{
		"CodeSystem/purpose-of-use": 200, "ValueSet/actor-role": 200, "StructureDefinition/legal-basis": 200, "StructureDefinition?name=consent": 200,
		"CodeSystem/universal-release": 404, "Questionnaire/purpose-of-use": 404, "CodeSystem?content=complete": 400, "CodeSystem/purpose-of-use/_history/1": 403,
	} {
		if a := c.get("narrow", path); a.status != want {
			t.Errorf("%s: %s, want %d", path, a, want)
		}
	}
	for _, typ := range []string{"Questionnaire", "OperationDefinition", "CodeSystem", "ValueSet", "StructureDefinition"} {
		if !types[typ] {
			t.Errorf("the statement does not list %s", typ)
		}
		if a := c.get("", typ); a.status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", typ, a)
		}
		if a := c.do("narrow", http.MethodPost, typ, "{}", asFHIR); a.status < 400 {
			t.Errorf("%s can be written: %s", typ, a)
		}
		before := len(c.trail.events)
		got := c.get("narrow", typ).ids(t)
		if len(got) == 0 || slices.ContainsFunc(got, func(ref string) bool { return !strings.HasPrefix(ref, typ+"/") }) {
			t.Errorf("%s: %v", typ, got)
		}
		if len(c.trail.events) != before+1 {
			t.Errorf("%s left no event", typ)
		}
		form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		_, id, _ := strings.Cut(got[0], "/")
		if one := c.do("narrow", http.MethodPost, typ+"/_search", "_id="+id, form).ids(t); len(one) != 1 || one[0] != got[0] {
			t.Errorf("%s by POST: %v", typ, one)
		}
		if a := c.do("narrow", http.MethodPost, typ+"/_search?_id="+id, "_id="+id, form); a.status != http.StatusBadRequest {
			t.Errorf("%s by POST with a parameter in both places: %s", typ, a)
		}
	}
}
