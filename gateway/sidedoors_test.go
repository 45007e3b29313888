package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/rest"
)

// untouchable is a store of which every use is a fault.
type (
	untouchableStore struct{ store.Store }
	untouchableFacts struct{ store.Facts }
)

// What the token alone decides is answered before anything is looked at: with no
// store at all the answers are the same.
func TestRefusalsTouchNoData(t *testing.T) {
	c := newCountyOf(t, time.Now, settings, func(o *gateway.Options) {
		o.Store, o.Facts = untouchableStore{}, untouchableFacts{}
	})
	c.must(c.store.Close()) // links and ids cannot be read either
	c.login("narrow", "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/Patient.r")
	for _, route := range rest.Routes() {
		if route.Open || route.Interaction == rest.Definition || route.Interaction == rest.Definitions {
			continue
		}
		for _, id := range []string{"p1", "k-abcdefghijklmnopqrstuvwxyz", "%00"} {
			typ := "Encounter"
			path := strings.NewReplacer(":type", typ, ":id", id, ":vid", "1").Replace(strings.TrimPrefix(route.Pattern, "/"))
			for who, want := range map[string]int{"": 401, "forged": 401, "narrow": 403} {
				if who == "narrow" && (route.Type == "Patient" || route.Interaction == rest.CrisisSummary) {
					continue // its scope covers it
				}
				a := c.do(who, route.Method, path, `{"resourceType":"Encounter"}`, asFHIR)
				if want == 403 && (route.Interaction == rest.Create || route.Interaction == rest.Update) {
					want = http.StatusMethodNotAllowed
				}
				if a.status != want {
					t.Errorf("%s %s as %q: %s, want %d", route.Method, path, who, a, want)
				}
			}
		}
	}
	for _, path := range []string{"", "Patient/p1/_history", "NoSuch/1", "Patient/p1/Encounter"} {
		if a := c.get("narrow", path); a.status != 404 && a.status != 405 {
			t.Errorf("%s: %s", path, a)
		}
	}
	if n := len(c.ehr.requests()) + len(c.program.requests()); n > 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

// What there is no way to ask, how it is refused, and that it is on record.
func TestWhatIsNotThere(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.login("all", "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.cruds")
	for _, q := range []struct {
		method, path string
		want         int
	}{
		{"GET", "", 405}, {"POST", "", 405}, {"GET", "?_type=Patient", 405}, {"PUT", "", 405}, {"DELETE", "", 405},
		{"GET", "_history", 404}, {"GET", "Patient/_history", 404}, {"GET", "Patient/p1/_history", 404}, {"GET", "Patient/p1/_history/99", 404},
		{"POST", "_search", 404}, {"GET", "Patient/_search", 404}, {"GET", "Patient/p1/Encounter", 404}, {"GET", "Patient/p1/*", 404},
		{"GET", "Patient/p1/$everything", 404}, {"POST", "Patient/p1/$everything", 405}, {"POST", "$export", 404}, {"GET", "$export", 404}, {"GET", "Patient/$export", 404},
		{"POST", "Patient/$match", 405}, {"GET", "Consent/$capture", 404}, {"POST", "Encounter/$capture", 405},
		{"PATCH", "Consent/1", 405}, {"DELETE", "Consent/1", 405}, {"DELETE", "Consent?identifier=urn:forms|7", 405}, {"PUT", "Consent?identifier=urn:forms|7", 405}, {"PATCH", "Consent?identifier=urn:forms|7", 405},
		{"POST", "Encounter", 405}, {"PUT", "Encounter/e1", 405},
		{"OPTIONS", "Patient/p1", 405}, {"TRACE", "Patient/p1", 405}, {"PROPFIND", "Patient/p1", 405}, {"GET", "Binary/1/2/3/4", 404},
		{"GET", "Encounter?patient.name=x", 400}, {"GET", "Encounter?subject:Patient.name=x", 400}, {"GET", "Patient?_has:Encounter:patient:status=finished", 400},
		{"GET", "Encounter?patient=p1&_include=Encounter:patient", 400}, {"GET", "Patient?_id=p1&_revinclude=Encounter:patient", 400}, {"GET", "Encounter?patient=p1&_contained=true", 400},
		{"GET", "Encounter?patient=p1&_filter=a", 400}, {"GET", "Encounter?patient=p1&_list=1", 400}, {"GET", "Encounter?patient=p1&_query=x", 400}, {"GET", "Encounter?patient=p1&_score=1", 400}, {"GET", "Encounter?patient=p1&_since=2020", 400},
		{"GET", "Encounter?patient=p1&_elements=nosuch", 400}, {"GET", "Encounter?patient=p1&_summary=all", 400}, {"GET", "Encounter?patient=p1&_total=some", 400}, {"GET", "Encounter?patient=p1&_count=-1", 400},
		{"GET", "Encounter?patient=p1&_count=1&_count=2", 400}, {"GET", "Encounter?_total=accurate", 400}, {"GET", "Encounter?_summary=count", 400}, {"GET", "Encounter?patient=p1&_sort=nosuch", 400},
		{"GET", "Encounter/e1?_count=1", 400}, {"GET", "Encounter/e1?_summary=count", 400}, {"GET", "Encounter/e1?_since=2020", 400}, {"GET", "Encounter/e1?a=1;b=2", 400}, {"GET", "Encounter/e1?_elements=%ff", 400},
	} {
		before := len(c.trail.events)
		a := c.do("all", q.method, q.path, "", nil)
		if a.status != q.want || !strings.Contains(a.body, "OperationOutcome") && a.status != 200 {
			t.Errorf("%s %s: %s, want %d", q.method, q.path, a, q.want)
		}
		if a.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: a 405 without Allow", q.method, q.path)
		}
		if e := c.trail.last(); len(c.trail.events) != before+1 || e.Status != q.want || e.Operation != q.method || e.Client != "all" {
			t.Errorf("%s %s is not on record as it was: %+v", q.method, q.path, e)
		}
	}
	long := c.do("", http.MethodGet, "metadata?x="+strings.Repeat("y", 9<<10), "", nil)
	if e := c.trail.last(); long.status != http.StatusRequestURITooLong || e.Status != http.StatusRequestURITooLong || e.Reason == "" {
		t.Errorf("a request that is too long: %s, %+v", long, e)
	}
}

func TestConditionalReads(t *testing.T) {
	c := newCounty(t)
	c.populate()
	first := c.get("officer", "Encounter/e1")
	at := first.header.Get("Last-Modified")
	modified, err := http.ParseTime(at)
	c.must(err)
	before, after := modified.Add(-time.Second).Format(http.TimeFormat), modified.Add(time.Hour).Format(http.TimeFormat)
	for _, q := range []struct {
		name string
		head []string
		want int
	}{
		{"nothing", nil, 200},
		{"the version", []string{"If-None-Match", `W/"1"`}, 304},
		{"the version, strong", []string{"If-None-Match", `"1"`}, 304},
		{"one of several", []string{"If-None-Match", `W/"7", W/"1"`}, 304},
		{"any", []string{"If-None-Match", `*`}, 304},
		{"another version", []string{"If-None-Match", `W/"2"`}, 200},
		{"no tag", []string{"If-None-Match", `1`}, 200},
		{"since then", []string{"If-Modified-Since", at}, 304},
		{"since later", []string{"If-Modified-Since", after}, 304},
		{"since before", []string{"If-Modified-Since", before}, 200},
		{"since nonsense", []string{"If-Modified-Since", "yesterday"}, 200},
		{"the tag goes before the time", []string{"If-None-Match", `W/"2"`, "If-Modified-Since", after}, 200},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for who, path := range map[string]string{"officer": "Encounter/e1", "deputy": "Encounter/e1", "none": "Encounter/e2"} {
				want := q.want
				if who != "officer" {
					want = http.StatusNotFound
				}
				name := who
				if who == "none" {
					name = "officer"
				}
				a := c.do(name, method, path, "", with(q.head...))
				if a.status != want || a.status == 304 && (a.body != "" || a.header.Get("ETag") != `W/"1"`) {
					t.Errorf("%s, %s %s as %s: %s %v, want %d", q.name, method, path, who, a, a.header, want)
				}
				if a.status == 404 && (a.header.Get("ETag") != "" || a.header.Get("Last-Modified") != "") {
					t.Errorf("%s: a 404 tells %v", q.name, a.header)
				}
				// A 304 was decided like any read, and is on record as one.
				if e := c.trail.last(); e.Status != want || e.Interaction != "read" || want < 400 && len(e.Resources) != 1 {
					t.Errorf("%s: on record as %+v", q.name, e)
				}
			}
		}
	}
	// A connected system's resource has the tag of its form.
	opaque, _ := c.ids.Opaque("ehr", "Condition", "asthma")
	c.get("clinician", "Condition?patient=Patient/p1")
	a := c.get("clinician", "Condition/"+opaque)
	if tag := a.header.Get("ETag"); a.status != 200 || len(tag) < 20 {
		t.Errorf("%s %v", a, a.header)
	} else if again := c.do("clinician", http.MethodGet, "Condition/"+opaque, "", with("If-None-Match", tag)); again.status != 304 {
		t.Errorf("the same form again: %s", again)
	}
}

// When a part changes that the caller does not see, nothing of what the caller
// gets changes: no tag, no time, no order, no version.
func TestAHiddenChangeChangesNothing(t *testing.T) {
	own := hidingElements(0)[1].hidden
	c := world(t, own)
	paths := []string{
		"Encounter/pd-r", "Encounter?patient=Patient/p1", "Encounter?patient=Patient/p1&_sort=-_lastUpdated", "Encounter?patient=Patient/p1&_lastUpdated=gt2000-01-01",
		"Encounter/pd-r/_history/1", "Encounter/pd-r/_history/2", "Encounter/pd-r/_history/3", "Encounter/pd-r?_elements=status",
	}
	shown := func() []string {
		var out []string
		for _, p := range paths {
			a := c.get("clinician", p)
			a.header.Del("X-Request-Id")
			out = append(out, fmt.Sprint(p, " ", a, a.header))
		}
		return out
	}
	before := shown()
	tag := c.get("clinician", "Encounter/pd-r").header.Get("ETag")
	mine := c.get("officer", "Encounter/pd-r").header.Get("ETag")
	if !strings.Contains(before[0], "SUBSETTED") || tag == "" || tag == mine || mine != `W/"1"` {
		t.Fatalf("not redacted: %s (%s, %s)", before[0], tag, mine)
	}
	c.putAs(strings.ReplaceAll(own.own[0].raw, "F11.20", "F11.21"), ofPD)
	after := shown()
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("it tells of the change:\n%s\n%s", before[i], after[i])
		}
	}
	if a := c.do("clinician", http.MethodGet, "Encounter/pd-r", "", with("If-None-Match", tag)); a.status != http.StatusNotModified {
		t.Errorf("the same form: %s", a)
	}
	if got := c.get("officer", "Encounter/pd-r").header.Get("ETag"); got != `W/"2"` {
		t.Errorf("who sees the whole: %s", got)
	}
	c.putAs(strings.ReplaceAll(own.own[0].raw, "finished", "in-progress"), ofPD)
	if got := c.get("clinician", "Encounter/pd-r").header.Get("ETag"); got == tag {
		t.Error("a change in sight has the same tag")
	}
}

func TestReadsGiveTheShapeThatIsAskedFor(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for _, q := range []struct {
		query          string
		has, hasNot    string
		tagged, pretty bool
	}{
		{"", "birthDate", "SUBSETTED", false, false},
		{"_elements=gender", "gender", "birthDate", true, false},
		{"_elements=gender,birthDate&_pretty=true", "birthDate", "Quintana", true, true},
		{"_summary=true", "Quintana", "nothing", false, false},
		{"_summary=text", `"id"`, "Quintana", true, false},
		{"_summary=data", "Quintana", "SUBSETTED", false, false},
		{"_summary=false&_format=application/fhir%2Bjson", "Quintana", "SUBSETTED", false, false},
	} {
		for _, path := range []string{"Patient/p1", "Patient/p1/_history/1"} {
			a := c.get("officer", path+"?"+q.query)
			if a.status != 200 || !strings.Contains(a.body, q.has) || strings.Contains(a.body, q.hasNot) || strings.Contains(a.body, "SUBSETTED") != q.tagged || strings.Contains(a.body, "\n") != q.pretty {
				t.Errorf("%s?%s: %s", path, q.query, a)
			}
			if hidden, absent := c.get("deputy", path+"?"+q.query), c.get("deputy", "Patient/none?"+q.query); hidden.String() != absent.String() || hidden.status != 404 {
				t.Errorf("%s?%s: hidden %s, absent %s", path, q.query, hidden, absent)
			}
		}
	}
	// Nobody gets the police's record marked as a part and writes it back as a whole.
	part := strings.Replace(release, `"resourceType":"Consent"`, `"resourceType":"Consent","meta":{"tag":[{"code":"SUBSETTED"}]}`, 1)
	if a := c.do("clinician", http.MethodPost, "Consent", part, asFHIR); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a part is written: %s", a)
	}
}

func TestAPageIsOfOnePersonInOneRole(t *testing.T) {
	c := ward(t)
	for i := range 4 {
		c.putAs(fmt.Sprintf(`{"resourceType":"Observation","id":"x%d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`, i), ofClinic)
	}
	const query = "Observation?patient=Patient/p1&_count=2"
	c.signIn("ana", "Patient/p1", "user/*.rs patient/*.rs")
	next := c.get("ana", query).next(t)
	if next == "" || c.get("ana", next).status != 200 {
		t.Fatalf("no second page: %q", next)
	}
	for name, change := range map[string]func(*auth.Principal){
		"another client":        func(p *auth.Principal) { p.Client = "officer" },
		"another person":        func(p *auth.Principal) { p.User.ID = "u-ben" },
		"another subject":       func(p *auth.Principal) { p.User.Subject = "sub-ben" },
		"another practitioner":  func(p *auth.Principal) { p.Requester.Reference = "Practitioner/ben" },
		"another authorization": func(p *auth.Principal) { p.Authorization = "auth-ben" },
		"another patient":       func(p *auth.Principal) { p.Patient = "Patient/p2" },
		"no patient":            func(p *auth.Principal) { p.Patient = "" },
		"another encounter":     func(p *auth.Principal) { p.Encounter = "Encounter/e1" },
		"another purpose": func(p *auth.Principal) {
			p.Purposes = []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason|ETREAT"}
		},
		"another role":            func(p *auth.Principal) { p.Requester.Roles = []label.Code{attribute.Role("case-manager")} },
		"another organisation":    func(p *auth.Principal) { p.Requester.Organization = "Organization/program" },
		"names that run together": func(p *auth.Principal) { p.User.ID, p.User.Subject = p.User.ID+p.User.Subject, "" },
	} {
		p := c.signIn("other", "Patient/p1", "user/*.rs patient/*.rs")
		p.User, p.Authorization = c.tokens["ana"].User, c.tokens["ana"].Authorization
		if a := c.get("other", next); a.status != 200 { // a new token of the same sign-in goes on
			t.Fatalf("%s: before: %s", name, a)
		}
		change(p)
		if a := c.get("other", next); a.status != http.StatusBadRequest || strings.Contains(a.body, "sodium") {
			t.Errorf("%s follows the link: %s", name, a)
		}
	}
	if a := c.get("ana", strings.Replace(next, "Observation?", "Encounter?", 1)); a.status != http.StatusBadRequest {
		t.Errorf("another type: %s", a)
	}
	_, cursor, _ := strings.Cut(next, "_cursor=")
	for _, bad := range []string{"", "x", cursor[:len(cursor)-2], cursor + "A", "AAAA" + cursor, strings.ToLower(cursor), cursor[1:] + cursor[:1]} {
		if a := c.get("ana", query+"&_cursor="+bad); a.status != http.StatusBadRequest {
			t.Errorf("cursor %.20s…: %s", bad, a)
		}
	}
}

// A write is read strictly or not at all.
func TestBodiesThatAreNotTaken(t *testing.T) {
	c := newCounty(t)
	c.populate()
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, q := range []struct {
		name, method, path, body string
		header                   map[string]string
		want                     []int
	}{
		{"a key twice", "POST", "Consent", strings.Replace(release, "{", `{"status":"inactive",`, 1), asFHIR, []int{400}},
		{"a key twice, escaped", "POST", "Consent", strings.Replace(release, "{", `{"st\u0061tus":"inactive",`, 1), asFHIR, []int{400}},
		{"another case", "POST", "Consent", strings.Replace(release, `"status"`, `"STATUS"`, 1), asFHIR, []int{400, 422}},
		{"too deep", "POST", "Consent", strings.Repeat(`{"a":[`, 5000), asFHIR, []int{400}},
		{"not UTF-8", "POST", "Consent", strings.Replace(release, "signed", "sig\xffned", 1), asFHIR, []int{400}},
		{"a byte order mark", "POST", "Consent", "\xef\xbb\xbf" + release, asFHIR, []int{400}},
		{"UTF-16", "POST", "Consent", "\xff\xfe{\x00}\x00", with("Content-Type", "application/fhir+json; charset=utf-16"), []int{415}},
		{"UTF-16 that says nothing", "POST", "Consent", "\xff\xfe{\x00}\x00", asFHIR, []int{400}},
		{"text behind it", "POST", "Consent", release + "x", asFHIR, []int{400}},
		{"nothing", "POST", "Consent", "", asFHIR, []int{400}},
		{"null", "POST", "Consent", "null", asFHIR, []int{400}},
		{"a list", "POST", "Consent", "[" + release + "]", asFHIR, []int{400}},
		{"too large", "POST", "Consent", release + strings.Repeat(" ", 2<<20), asFHIR, []int{413}},
		{"gzip", "POST", "Consent", release, with("Content-Encoding", "gzip"), []int{415}},
		{"deflate", "POST", "Consent", release, with("Content-Encoding", "deflate"), []int{415}},
		{"XML", "POST", "Consent", "<Consent/>", with("Content-Type", "application/fhir+xml"), []int{415}},
		{"no type", "POST", "Consent", release, nil, []int{415}},
		{"a form", "POST", "Consent", "status=active", form, []int{415}},
		{"a Bundle", "POST", "Consent", `{"resourceType":"Bundle","type":"transaction","entry":[]}`, asFHIR, []int{400}},
		{"an update blindly", "PUT", "Consent/1", strings.Replace(release, "{", `{"id":"1",`, 1), asFHIR, []int{428}},
		{"an update of any version", "PUT", "Consent/1", strings.Replace(release, "{", `{"id":"1",`, 1), with("If-Match", "*"), []int{400, 404}},
		{"a create if none", "POST", "Consent", release, with("If-None-Match", "*"), []int{400}},
		{"a search as JSON", "POST", "Encounter/_search", `{"patient":"p1"}`, asFHIR, []int{415}},
		{"a search of many", "POST", "Encounter/_search", strings.Repeat("status=finished&", 100), form, []int{400}},
		{"a search too large", "POST", "Encounter/_search", "patient=" + strings.Repeat("x", rest.MaxFormBytes), form, []int{413}},
		{"a value too long", "POST", "Encounter/_search", "patient=" + strings.Repeat("x", 5000), form, []int{400}},
		{"a semicolon", "POST", "Encounter/_search", "patient=p1;status=finished", form, []int{400}},
		{"a bad escape", "POST", "Encounter/_search", "patient=%zz", form, []int{400}},
		{"the token in the form", "POST", "Encounter/_search", "patient=p1&access_token=clinician", form, []int{400}},
	} {
		a := c.do("clinician", q.method, q.path, q.body, q.header)
		if !slices.Contains(q.want, a.status) || !strings.Contains(a.body, "OperationOutcome") {
			t.Errorf("%s: %.300s, want %v", q.name, a, q.want)
		}
	}
	if a := c.do("clinician", http.MethodPost, "Encounter/_search?status=finished", "patient=Patient/p1", form); len(a.ids(t)) != 1 {
		t.Errorf("a search as it should be: %s", a)
	}
}

func TestOriginsAndProxiesComeFromTheConfiguration(t *testing.T) {
	enabled := true
	c := newCountyOf(t, time.Now, settings, func(o *gateway.Options) {
		o.Origins = func(_ context.Context, origin string) bool { return enabled && origin == "https://app.example" }
		o.Proxies = rest.Proxies{netip.MustParsePrefix("192.0.2.0/24")} // where httptest's requests come from
	})
	c.populate()
	from := map[string]string{
		"Origin": "https://app.example", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "Host": "evil.example",
	}
	a := c.do("officer", http.MethodGet, "Encounter?patient=Patient/p1&_count=1", "", from)
	if a.header.Get("Access-Control-Allow-Origin") != "https://app.example" || strings.Contains(a.body, "evil") || !strings.Contains(a.body, `"url":"http://gateway.test/fhir/`) {
		t.Errorf("%s %v", a, a.header)
	}
	if e := c.trail.last(); e.Source != "203.0.113.9" {
		t.Errorf("on record from %q", e.Source)
	}
	ask := with("Origin", "https://app.example", "Access-Control-Request-Method", "GET")
	if p := c.do("", http.MethodOptions, "Encounter/e1", "", ask); p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("preflight: %s %v", p, p.header)
	}
	if e := c.trail.last(); e.Interaction != rest.Preflight || e.Status != http.StatusNoContent {
		t.Errorf("a preflight is on record as %+v", e)
	}
	enabled = false // the client was disabled
	same := c.do("officer", http.MethodGet, "Encounter?patient=Patient/p1&_count=1", "", from)
	if o := same.header.Get("Access-Control-Allow-Origin"); o != "" || same.body != a.body {
		t.Errorf("after the client was disabled: %q %s", o, same)
	}
}
