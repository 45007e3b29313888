package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/rest"
)

// Non-interference: two worlds that differ only in what a caller must not see
// give the caller the same answers, byte for byte, whatever it asks. The queries
// are generated from the table of routes, the search parameters and the values
// that stand in the hidden data.

// A hiding is what one caller must not see: whole resources, or the value of an
// element of resources that it does see.
type hiding struct {
	own     []placed // of the own store
	ehr     []string // of the clinic's system
	program []string // of the Part 2 program's
}

// A placed is a resource of the own store with whose it is.
type placed struct {
	raw    string
	origin resource.Origin
}

var (
	ofPD = resource.Origin{System: "rms", Custodian: "Organization/pd", Police: true}
	ofSO = resource.Origin{System: "sheriff", Custodian: "Organization/so", Police: true}
)

// An ask is a caller with what is hidden from it.
type ask struct {
	who    string
	hidden hiding
}

// what the program and the sheriff know of the person, and a person of whom only
// the sheriff knows.
func elsewhere() hiding {
	subject := `"subject":{"reference":"Patient/p1"}`
	return hiding{
		own: []placed{
			{`{"resourceType":"Encounter","id":"so-e","status":"finished","class":{"code":"FLD"},` + subject + `,"period":{"start":"2025-03-04T05:06:07-06:00"},"reasonCode":[{"text":"welfare check on the bridge"}],"location":[{"location":{"reference":"Location/so-loc"}}]}`, ofSO},
			{`{"resourceType":"Observation","id":"so-o","status":"final","code":{"coding":[{"system":"http://snomed.info/sct","code":"6471006","display":"Suicidal thoughts"}]},` + subject + `,"effectiveDateTime":"2025-03-04T05:10:00-06:00","valueString":"said she would jump","encounter":{"reference":"Encounter/so-e"}}`, ofSO},
			{`{"resourceType":"Flag","id":"so-f","status":"active","code":{"text":"armed in 2019"},` + subject + `}`, ofSO},
			{`{"resourceType":"Location","id":"so-loc","status":"active","name":"Mill bridge"}`, ofSO},
			{`{"resourceType":"Patient","id":"so-p","name":[{"family":"Okafor","given":["Ngozi"]}],"birthDate":"1979-05-06","identifier":[{"system":"urn:so","value":"S-77"}]}`, ofSO},
			{`{"resourceType":"Encounter","id":"so-e2","status":"finished","class":{"code":"FLD"},"subject":{"reference":"Patient/so-p"},"period":{"start":"2025-05-06"}}`, ofSO},
		},
		program: []string{
			`{"resourceType":"Condition","id":"sd","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20","display":"Opioid dependence"}]},"subject":{"reference":"Patient/s1"},"recordedDate":"2024-07-08"}`,
			`{"resourceType":"CarePlan","id":"sp","status":"active","intent":"plan","title":"crisis plan","description":"methadone at seven","subject":{"reference":"Patient/s1"},"author":{"reference":"Practitioner/sdoc"},"addresses":[{"reference":"Condition/sd"}]}`,
			`{"resourceType":"MedicationRequest","id":"sm","status":"active","intent":"order","medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"6813","display":"methadone"}]},"subject":{"reference":"Patient/s1"},"authoredOn":"2024-07-09"}`,
			`{"resourceType":"Encounter","id":"se","status":"in-progress","class":{"code":"AMB"},"subject":{"reference":"Patient/s1"},"period":{"start":"2024-07-08"}}`,
			`{"resourceType":"Practitioner","id":"sdoc","name":[{"family":"Hale","given":["Iris"]}]}`,
		},
	}
}

// hidingResources is, per caller, what the one world has and the other has not.
func hidingResources() []ask {
	clinical := elsewhere()
	clinical.ehr = []string{ // the consent opens plans alone to the police
		`{"resourceType":"Condition","id":"dx2","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F20.0"}],"text":"Paranoid schizophrenia"},"subject":{"reference":"Patient/r1"},"onsetDateTime":"2020-02-03"}`,
		`{"resourceType":"DocumentReference","id":"doc","status":"current","type":{"coding":[{"system":"http://loinc.org","code":"11488-4"}]},"subject":{"reference":"Patient/r1"},"date":"2023-01-02T03:04:05Z","description":"heard voices on Friday","content":[{"attachment":{"url":"http://ehr/doc.pdf"}}]}`,
		`{"resourceType":"MedicationRequest","id":"rx","status":"active","intent":"order","medicationCodeableConcept":{"text":"clozapine"},"subject":{"reference":"Patient/r1"},"authoredOn":"2023-02-03"}`,
		`{"resourceType":"Observation","id":"phq","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"44261-6"}]},"subject":{"reference":"Patient/r1"},"valueInteger":21,"effectiveDateTime":"2023-03-04"}`,
	}
	sheriff := clinical
	sheriff.own = []placed{
		{`{"resourceType":"Encounter","id":"pd-e","status":"finished","class":{"code":"FLD"},"subject":{"reference":"Patient/p1"},"period":{"start":"2025-09-08"}}`, ofPD},
		{`{"resourceType":"Flag","id":"pd-f","status":"active","code":{"text":"fears dogs"},"subject":{"reference":"Patient/p1"}}`, ofPD},
	}
	return []ask{
		{"officer", clinical}, {"deputy", sheriff}, {"clinician", elsewhere()}, {"privacy", elsewhere()}, {"researcher", clinical}, {"narrow", clinical}, {"", clinical},
		{"user", elsewhere()}, {"patient", another()}, {"laboratory", uncovered()}, {"gone", clinical},
	}
}

// another is what the clinic keeps of another patient than the one in context,
// beside what is hidden anyway.
func another() hiding {
	h := elsewhere()
	h.own = append(h.own,
		placed{`{"resourceType":"Patient","id":"p2","name":[{"family":"Okonkwo","given":["Ada"]}],"birthDate":"1966-07-08","identifier":[{"system":"urn:clinic","value":"C-2"}]}`, ofClinic},
		placed{`{"resourceType":"Observation","id":"p2-o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2951-2"}]},"subject":{"reference":"Patient/p2"},"performer":[{"reference":"Patient/p1"}],"effectiveDateTime":"2024-05-06","valueString":"very low"}`, ofClinic},
		placed{`{"resourceType":"Consent","id":"p2-c","status":"active","scope":{"coding":[{"code":"treatment"}]},"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"reference":"Patient/p2"},"dateTime":"2024-05-07","identifier":[{"system":"urn:forms","value":"77"}]}`, ofClinic},
	)
	return h
}

// uncovered is what the clinic keeps of the patient in context and the criteria
// of the scopes do not cover.
func uncovered() hiding {
	h := another()
	h.own = append(h.own,
		placed{`{"resourceType":"Observation","id":"p1-v","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2024-06-07","valueString":"racing"}`, ofClinic},
		placed{`{"resourceType":"Observation","id":"p1-n","status":"final","code":{"text":"no category"},"subject":{"reference":"Patient/p1"}}`, ofClinic},
	)
	return h
}

// hidingElements is, per caller, the same resources with another withheld value.
func hidingElements(value int) []ask {
	pick := func(a, b string) string { return []string{a, b}[value] }
	coded := func(code, text string) string {
		return `{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"` + code + `","display":"` + text + `"}],"text":"` + text + `"}`
	}
	icd := coded(pick("F11.20", "B20"), pick("Opioid dependence", "HIV disease"))
	police := placed{`{"resourceType":"Encounter","id":"pd-r","status":"finished","class":{"code":"FLD"},"subject":{"reference":"Patient/p1"},"period":{"start":"2026-02-03"},"reasonCode":[` + icd + `]}`, ofPD}
	carePlan := `{"resourceType":"CarePlan","id":"plan2","status":"active","intent":"plan","title":"crisis plan two","subject":{"reference":"Patient/r1"},` +
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + pick("Opioid dependence", "HIV disease") + `</div>"},` +
		`"contained":[{"resourceType":"Condition","id":"c","code":` + icd + `,"subject":{"reference":"Patient/r1"}}],` +
		`"addresses":[{"reference":"#c"},{"reference":"Condition/` + pick("dx", "asthma") + `","display":"` + pick("bipolar", "asthma") + `"}],` +
		`"activity":[{"detail":{"status":"in-progress","description":"walk with her","reasonCode":[` + icd + `]}},{"detail":{"status":"in-progress","description":"speak slowly"}}]}`
	return []ask{
		{"officer", hiding{ehr: []string{carePlan}}},
		{"clinician", hiding{own: []placed{police}}},
		{"user", hiding{own: []placed{police}}}, {"patient", hiding{own: []placed{police}}},
	}
}

// world is a county with the hidden part in it, at a standing clock.
func world(t *testing.T, h hiding) *county {
	t.Helper()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	c := newCountyAt(t, func() time.Time { return at })
	c.populate()
	c.ehr.set(false, 0, append([]string{remote, plan, diagnosis, asthma}, h.ehr...)...)
	c.program.set(false, 0, append([]string{strings.ReplaceAll(remote, "r1", "s1")}, h.program...)...)
	c.privacyOfficer()
	c.login("researcher", "clinic", false, "researcher", "http://terminology.hl7.org/CodeSystem/v3-ActReason|HRESCH", "system/*.rs")
	c.tokens["researcher"].Requester.Organization = "Organization/lab"
	c.login("narrow", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/Patient.rs system/CarePlan.s")
	c.signIn("user", "", "user/*.cruds")
	c.signIn("patient", "Patient/p1", "patient/*.cruds")
	c.signIn("laboratory", "Patient/p1", "patient/Patient.rs patient/Observation.rs?category=laboratory")
	c.signIn("gone", "Patient/p9", "patient/*.cruds")
	withholding := strings.Replace(release, `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]}`,
		`"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}],"provision":[{"type":"deny","securityLabel":[
		{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV"}]}]}`, 1)
	withholding = strings.Replace(withholding, `"resourceType":"Consent"`, `"resourceType":"Consent","id":"release"`, 1)
	c.putAs(withholding, resource.Origin{System: "client/clinician", Custodian: "Organization/clinic"})
	for _, p := range h.own {
		c.putAs(p.raw, p.origin)
	}
	c.get("clinician", "CarePlan?patient=Patient/p1") // so that the clinic's ids are known
	return c
}

// secrets are all texts of the resources, for values to ask for.
func secrets(t *testing.T, hs ...hiding) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	add := func(raw string) {
		r, err := resource.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		out["id"] = append(out["id"], r.ID())
		r.Root().Descend(func(n resource.Node) bool {
			switch {
			case n.Kind() == resource.Object && n.Get("code").Kind() == resource.String:
				out["token"] = append(out["token"], n.Get("system").Text()+"|"+n.Get("code").Text(), n.Get("code").Text())
			case n.Kind() == resource.Object && n.Get("reference").Exists():
				out["reference"] = append(out["reference"], n.Get("reference").Text())
			case n.Kind() == resource.String && len(n.Text()) >= 4:
				if text := n.Text(); text[0] >= '0' && text[0] <= '9' && strings.Count(text, "-") >= 2 {
					out["date"] = append(out["date"], text[:10], "lt"+text[:10], "ge"+text[:4])
				} else {
					out["string"] = append(out["string"], text[:4], text)
				}
			}
			return true
		})
	}
	for _, h := range hs {
		for _, p := range h.own {
			add(p.raw)
		}
		for _, raw := range slices.Concat(h.ehr, h.program) {
			add(raw)
		}
	}
	for k := range out {
		slices.Sort(out[k])
		out[k] = slices.Compact(out[k])
	}
	return out
}

// A query is one request.
type query struct{ method, path, body string }

// asFor generates what is asked of each route of the table. A route that it
// does not know fails the test: a new one needs its generator here.
func asFor(t *testing.T, route rest.Route, values map[string][]string) []query {
	t.Helper()
	generate := map[string]func(rest.Route, map[string][]string) []query{
		rest.Capabilities:  plainly,
		rest.Discovery:     plainly,
		rest.SearchType:    searching,
		rest.Read:          reading,
		rest.VRead:         reading,
		rest.CrisisSummary: summarising,
		rest.Revoke:        revoking,
		rest.ExplainAccess: asking,
		rest.WhatIf:        trying,
		rest.Capture:       capturing,
		rest.Definitions:   publications,
		rest.Definition:    publications,
		rest.Create:        writing,
		rest.Update:        writing,

		rest.DeclareBasis: deciding, rest.AcceptBasis: deciding, rest.RejectBasis: deciding, rest.WithdrawBasis: deciding,
		rest.CancelTask: deciding, rest.CompleteReview: deciding, rest.BreakGlass: deciding,
	}[route.Interaction]
	if generate == nil {
		t.Errorf("no queries are generated for %s %s", route.Method, route.Pattern)
		return nil
	}
	return generate(route, values)
}

func plainly(r rest.Route, _ map[string][]string) []query {
	return []query{{r.Method, strings.TrimPrefix(r.Pattern, "/"), ""}}
}

// publications asks for what is published, by the texts and ids of what is hidden.
func publications(r rest.Route, values map[string][]string) []query {
	path := strings.TrimPrefix(r.Pattern, "/")
	out := []query{{r.Method, path, ""}}
	for i, id := range values["id"] {
		if i < 3 && strings.Contains(path, ":id") {
			out = append(out, query{r.Method, strings.ReplaceAll(path, ":id", id), ""})
		} else if i < 3 {
			out = append(out, query{r.Method, path + "?_id=" + id, ""}, query{r.Method, path + "?name=" + url.QueryEscape(values["string"][i]), ""})
		}
	}
	return out
}

// searching asks each type by each parameter, with values of the hidden data.
func searching(r rest.Route, values map[string][]string) []query {
	var out []query
	add := func(typ string, params ...string) {
		q := strings.Join(params, "&")
		if r.Method == http.MethodPost {
			out = append(out, query{r.Method, typ + "/_search", q})
		} else {
			out = append(out, query{r.Method, typ + "?" + q, ""})
		}
	}
	for _, typ := range gateway.Served() {
		within := "patient=Patient/p1"
		if typ == "Patient" {
			within = "_id=p1"
		}
		for _, extra := range []string{"", "_summary=count", "_total=accurate", "_count=1", "_elements=id", "_sort=-_lastUpdated"} {
			add(typ, within, extra)
		}
		if r.Method == http.MethodPost {
			continue // the same as by address, which another test shows
		}
		for _, p := range search.Parameters(typ) {
			for _, v := range valuesFor(p, values) {
				add(typ, within, v)
				if len(out)%5 == 0 {
					add(typ, v)
				}
			}
			if p.Kind != search.NotSupported && !strings.HasPrefix(p.Name, "_") {
				add(typ, within, "_sort="+p.Name)
			}
		}
	}
	return out
}

// valuesFor is a parameter with values that could find what is hidden.
func valuesFor(p *search.Parameter, values map[string][]string) []string {
	var out []string
	add := func(modifier string, vs ...string) {
		for _, v := range vs {
			out = append(out, p.Name+modifier+"="+url.QueryEscape(v))
		}
	}
	if p.Name == "_id" {
		add("", values["id"]...)
		return out
	}
	if strings.HasPrefix(p.Name, "_") {
		return nil
	}
	add(":missing", "true", "false")
	kind := p.Kind.String()
	all := values[kind]
	step := max(1, len(all)/2) // some of them: there are many parameters
	for i := 0; i < len(all); i += step {
		add("", all[i])
	}
	if kind == "token" && len(all) > 0 {
		add(":not", all[0])
	}
	return out
}

func reading(r rest.Route, values map[string][]string) []query {
	var out []query
	for i, typ := range gateway.Served() {
		if r.Interaction == rest.VRead && i%4 > 0 {
			continue
		}
		for _, id := range slices.Concat(values["id"], []string{"p1", "e1", "nobody"}) {
			path := strings.NewReplacer(":type", typ, ":id", id, ":vid", "1").Replace(strings.TrimPrefix(r.Pattern, "/"))
			out = append(out, query{r.Method, path, ""})
		}
	}
	return out
}

func summarising(r rest.Route, values map[string][]string) []query {
	if !strings.Contains(r.Pattern, ":id") {
		var out []query
		for _, n := range [][3]string{{"Okafor", "Ngozi", "1979-05-06"}, {"Quintana", "Marisol", "1991-06-14"}, {"No", "Body", "1901-02-03"}} {
			out = append(out, query{r.Method, "Patient/$crisis-summary", strings.NewReplacer("FAMILY", n[0], "GIVEN", n[1], "BIRTH", n[2]).Replace(named)})
		}
		return out
	}
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"p1", "nobody"}) {
		out = append(out, query{r.Method, "Patient/" + id + "/$crisis-summary", ""})
	}
	return out
}

// asking asks for explanations: about the own Patient and others', for each kind
// of requester, by type and by the references of what is hidden.
func asking(r rest.Route, values map[string][]string) []query {
	m, err := identity.NewIDMap(nil, []byte(siteKey), map[string]string{"ehr": "k", "sud": "w"})
	if err != nil {
		panic(err)
	}
	mine, _ := m.Opaque("ehr", "Patient", "r1")
	theirs, _ := m.Opaque("sud", "Patient", "s1")
	at := `{"name":"at","valueInstant":"2026-06-01T12:00:00Z"}`
	var out []query
	for _, id := range slices.Concat([]string{mine, theirs, "p1", "nobody"}, values["id"]) {
		patient := `{"name":"patient","valueReference":{"reference":"Patient/` + id + `"}}`
		for _, who := range []string{asOfficer, asPolice, asER} {
			out = append(out, query{r.Method, "$explain-access", question(patient, who, at)})
			for _, typ := range []string{"Encounter", "Condition", "CarePlan"} {
				for _, hidden := range values["id"] {
					if id == mine && who == asER {
						out = append(out, query{r.Method, "$explain-access", question(patient, who, at, `{"name":"resource","valueReference":{"reference":"`+typ+"/"+hidden+`"}}`)})
					}
				}
			}
		}
	}
	return out
}

// capturing tries to capture a Consent of somebody out of sight.
func capturing(r rest.Route, values map[string][]string) []query {
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"nobody"}) {
		out = append(out, query{r.Method, "Consent/$capture", sentBy(verbal("Patient/"+id, "k-"+id))})
	}
	return out
}

// trying asks what Consents about somebody would open.
func trying(r rest.Route, values map[string][]string) []query {
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"p1", "nobody"}) {
		out = append(out, query{r.Method, "Consent/$what-if", strings.ReplaceAll(release, "Patient/p1", "Patient/"+id)})
	}
	return out[:min(len(out), 4)]
}

// revoking tries to end what is out of sight.
func revoking(r rest.Route, values map[string][]string) []query {
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"nobody"}) {
		out = append(out, query{r.Method, "Consent/" + id + "/$revoke", ""})
	}
	return out
}

// writing tries what must fail alike: writes about somebody out of sight.
func writing(r rest.Route, values map[string][]string) []query {
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"nobody"}) {
		body := strings.ReplaceAll(release, "Patient/p1", "Patient/"+id)
		path := "Consent"
		if r.Method == http.MethodPut {
			path = "Consent/" + id
			body = strings.Replace(body, `"resourceType":"Consent"`, `"resourceType":"Consent","id":"`+id+`"`, 1)
		}
		out = append(out, query{r.Method, path, body})
	}
	return out
}

// deciding takes steps of legal bases and emergencies about what is hidden; what
// those who may take them learn, their own tests compare.
func deciding(r rest.Route, values map[string][]string) []query {
	var out []query
	for _, id := range slices.Concat(values["id"], []string{"p1", "nobody"}) {
		body := fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":%q}]}`, id)
		out = append(out, query{r.Method, strings.ReplaceAll(strings.TrimPrefix(r.Pattern, "/"), ":id", id), body})
	}
	return out
}

// perform asks both worlds and compares.
func perform(t *testing.T, who string, q query, a, b *county) bool {
	t.Helper()
	header := asFHIR
	switch {
	case strings.HasSuffix(q.path, "_search"):
		header = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	case q.method == http.MethodPut:
		header = with("If-Match", `W/"1"`)
	case q.body == "":
		header = nil
	}
	x, y := a.do(who, q.method, q.path, q.body, header), b.do(who, q.method, q.path, q.body, header)
	for _, h := range []http.Header{x.header, y.header} {
		h.Del("X-Request-Id")
	}
	same := maps.EqualFunc(x.header, y.header, slices.Equal[[]string])
	if x.status != y.status || withoutCursor(x.body) != withoutCursor(y.body) || !same {
		t.Errorf("%s %s %s as %q tells the worlds apart:\n%s %v\n%s %v", q.method, q.path, q.body, who, x, x.header, y, y.header)
		return false
	}
	return true
}

// stride is how many of the generated searches stand for one that is asked; the
// generator's order mixes types, parameters and values.
const stride = 3

func TestNothingHiddenInterferes(t *testing.T) {
	asked, step, least := 0, stride, 2000
	if testing.Short() { // the race detector needs no more
		step, least = 8*stride, 500
	}
	compare := func(name string, one, other ask) {
		t.Run(fmt.Sprintf("%s as %s", name, one.who), func(t *testing.T) {
			a, b := world(t, one.hidden), world(t, other.hidden)
			values := secrets(t, one.hidden, other.hidden)
			faults := 0
			for _, route := range rest.Routes() {
				for i, q := range asFor(t, route, values) {
					if route.Interaction == rest.SearchType && i%step > 0 {
						continue
					}
					asked++
					if !perform(t, one.who, q, a, b) {
						if faults++; faults > 5 {
							t.Fatal("and so on")
						}
					}
				}
			}
		})
	}
	for _, k := range hidingResources() {
		compare("a hidden resource", k, ask{who: k.who})
	}
	elements := hidingElements(1)
	for i, k := range hidingElements(0) {
		compare("a hidden element", k, elements[i])
	}
	if asked < least {
		t.Errorf("only %d queries were generated", asked)
	}
	t.Logf("%d queries, each in two worlds", asked)
}

// The worlds must differ for somebody, or the comparison shows nothing.
func TestTheWorldsDifferForWhoeverMaySee(t *testing.T) {
	full := world(t, hidingResources()[0].hidden)
	if got := full.get("deputy", "Encounter?patient=Patient/p1").ids(t); !slices.Contains(got, "Encounter/so-e") {
		t.Errorf("the sheriff does not see its own: %v", got)
	}
	if got := full.get("clinician", "Condition?patient=Patient/p1").ids(t); len(got) != 3 {
		t.Errorf("the clinic sees %v of its own", got)
	}
	for i, value := range []string{"F11.20", "B20"} {
		own := world(t, hidingElements(i)[1].hidden)
		if a := own.get("officer", "Encounter/pd-r"); !strings.Contains(a.body, value) {
			t.Errorf("the agency does not see its own %s: %s", value, a)
		}
		if a := own.get("clinician", "Encounter/pd-r"); a.status != http.StatusOK || strings.Contains(a.body, value) {
			t.Errorf("the clinic sees %s: %s", value, a)
		}
		plans := world(t, hidingElements(i)[0].hidden).get("officer", "CarePlan?patient=Patient/p1")
		if len(plans.ids(t)) != 2 || strings.Contains(plans.body, value) || !strings.Contains(plans.body, "speak slowly") {
			t.Errorf("the officer sees %s", plans)
		}
	}
}
