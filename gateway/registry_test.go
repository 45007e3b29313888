package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
)

const (
	crisisPurpose = "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS"
	treatPurpose  = "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT"
)

// optOut is a deny of everything, recorded by whoever sends it.
var optOut = release[:strings.Index(release, `"provision"`)] + `"provision":{"type":"deny"}}`

// dated gives a Consent another dateTime.
func dated(raw, at string) string { return strings.Replace(raw, "2026-01-02T10:00:00-06:00", at, 1) }

func plans(t *testing.T, c *county) int {
	t.Helper()
	return len(c.get("officer", "CarePlan?patient=Patient/p1").ids(t))
}

// provenances returns the bodies of the Provenance in the store.
func (c *county) provenances() []string {
	c.t.Helper()
	return c.stored("Provenance")
}

func TestRevokeEndsAConsentAndKeepsWhoAndWhen(t *testing.T) {
	c := newCounty(t)
	c.populate()
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	if plans(t, c) != 1 {
		t.Fatal("the consent does not open the plan")
	}
	asked := `{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":"no longer wanted"},{"name":"how","valueCode":"phone"},{"name":"askedAt","valueDateTime":"2026-11-20T09:00:00-06:00"}]}`
	a := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", asked, asFHIR)
	if a.status != http.StatusOK || a.header.Get("ETag") != `W/"2"` || !strings.Contains(a.body, `"status":"inactive"`) || !strings.Contains(a.body, "1.00") {
		t.Fatalf("revocation: %s", a)
	}
	if plans(t, c) != 0 {
		t.Error("the plan is still open")
	}
	ps := c.provenances()
	if len(ps) != 1 || !strings.Contains(ps[0], "Consent/"+id+"/_history/2") || !strings.Contains(ps[0], "no longer wanted") ||
		!strings.Contains(ps[0], `"revocation-channel","valueCode":"phone"`) && !strings.Contains(ps[0], `"valueCode":"phone"`) ||
		!strings.Contains(ps[0], "Organization/clinic") || !strings.Contains(ps[0], "2026-11-20T15:00:00") {
		t.Errorf("provenance: %v", ps)
	}
	for _, query := range []string{"target=Consent/" + id, "target=Consent/" + id + "/_history/2"} {
		if found := c.get("clinician", "Provenance?"+query); len(found.ids(t)) != 1 || !strings.Contains(found.body, "Consent/"+id+"/_history/2") {
			t.Errorf("the Provenance by %s: %s", query, found)
		}
	}
	again := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", "", nil)
	if again.status != http.StatusOK || again.header.Get("ETag") != `W/"2"` || len(c.provenances()) != 1 {
		t.Errorf("again: %s", again)
	}
	if h := c.get("clinician", "Consent/"+id+"/_history/1"); h.status != http.StatusOK || !strings.Contains(h.body, `"active"`) {
		t.Errorf("the first version: %s", h)
	}
}

func TestWhoMayRevoke(t *testing.T) {
	toClinic := strings.NewReplacer("Organization/pd", "Organization/so").Replace(release)
	custodian := strings.Replace(toClinic, `"actor":[`, `"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]},"reference":{"reference":"Organization/clinic"}},`, 1)
	for _, b := range []struct {
		name, consent, by string
		want              int
		ends              bool
	}{
		{"its recorder", custodian, "officer", 200, true},
		{"the custodian that it names", custodian, "clinician", 200, true},
		{"an agency that it names as recipient", custodian, "deputy", 404, false},
		{"the persons' portal", custodian, "portal", 204, true},
		{"a deny, by its recorder", optOut, "officer", 200, true},
		{"a deny, by the custodian", strings.Replace(custodian, `"permit"`, `"deny"`, 1), "clinician", 403, false},
		{"a deny, by the portal", optOut, "portal", 404, false},
		{"an exception, by the portal", strings.Replace(custodian, `"class":[`, `"provision":[{"type":"deny"}],"class":[`, 1), "portal", 404, false},
		{"nobody's business", custodian, "reader", 403, false},
	} {
		c := newCounty(t)
		c.populate()
		c.login("officer", "pd", true, "law-enforcement-officer", crisisPurpose, "system/*.rs system/Consent.cu")
		c.login("deputy", "so", true, "law-enforcement-officer", crisisPurpose, "system/*.rs system/Consent.cu")
		c.login("portal", "exchange", false, "case-manager", treatPurpose, "system/Consent.u")
		c.login("reader", "clinic", false, "treating-clinician", treatPurpose, "system/*.rs")
		id := created(t, c.do("officer", http.MethodPost, "Consent", b.consent, asFHIR))
		a := c.do(b.by, http.MethodPost, "Consent/"+id+"/$revoke", "", nil)
		if a.status != b.want {
			t.Errorf("%s: %s, want %d", b.name, a, b.want)
		}
		if got := c.get("officer", "Consent/"+id); strings.Contains(got.body, `"inactive"`) != b.ends {
			t.Errorf("%s: %s", b.name, got)
		}
		absent := c.do(b.by, http.MethodPost, "Consent/none/$revoke", "", nil)
		if b.want == 404 && absent.body != a.body {
			t.Errorf("%s: hidden %s, absent %s", b.name, a, absent)
		}
	}
}

func TestBadRevocationsAreRefused(t *testing.T) {
	c := newCounty(t)
	c.populate()
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	par := func(s string) string { return `{"resourceType":"Parameters","parameter":[` + s + `]}` }
	for name, b := range map[string]struct {
		body   string
		header map[string]string
		want   int
	}{
		"in the future":    {par(`{"name":"askedAt","valueDateTime":"2999-01-01T00:00:00Z"}`), asFHIR, 400},
		"a date alone":     {par(`{"name":"askedAt","valueDateTime":"2026-01-01"}`), asFHIR, 400},
		"unknown channel":  {par(`{"name":"how","valueCode":"telepathy"}`), asFHIR, 400},
		"unknown name":     {par(`{"name":"force","valueBoolean":true}`), asFHIR, 400},
		"a long reason":    {par(`{"name":"reason","valueString":"` + strings.Repeat("a", 3000) + `"}`), asFHIR, 400},
		"another resource": {release, asFHIR, 400},
		"stale If-Match":   {par(``), with("If-Match", `W/"7"`), 412},
	} {
		if a := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", b.body, b.header); a.status != b.want {
			t.Errorf("%s: %s, want %d", name, a, b.want)
		}
	}
	if plans(t, c) != 1 || len(c.provenances()) != 0 {
		t.Error("a refused revocation did something")
	}
	opaque, _ := c.ids.Opaque("ehr", "Consent", "x")
	if a := c.do("clinician", http.MethodPost, "Consent/"+opaque+"/$revoke", "", nil); a.status != http.StatusNotFound {
		t.Errorf("a connected system's: %s", a)
	}
}

// A revocation is in force for every request that starts after its answer, and
// of several at once one makes the version.
func TestRevocationsAtOnceAndInForce(t *testing.T) {
	c := newCounty(t)
	c.populate()
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	ctx, stop := context.WithCancel(t.Context())
	var revoked sync.WaitGroup
	var mu sync.Mutex
	acknowledged := false
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				closed := acknowledged
				mu.Unlock()
				a := c.get("officer", "CarePlan?patient=Patient/p1")
				if closed && strings.Contains(a.body, "crisis plan") {
					t.Error("a request that started after the revocation sees the plan")
					return
				}
			}
		})
	}
	for range 6 {
		revoked.Go(func() {
			if a := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", "", nil); a.status != http.StatusOK || a.header.Get("ETag") != `W/"2"` {
				t.Errorf("revocation: %s", a)
			}
			mu.Lock()
			acknowledged = true
			mu.Unlock()
		})
	}
	revoked.Wait()
	time.Sleep(50 * time.Millisecond)
	stop()
	readers.Wait()
	if n := len(c.provenances()); n != 1 {
		t.Errorf("%d records of one revocation", n)
	}
}

func TestANewConsentUnderTheSameIdentifierEndsTheOldOne(t *testing.T) {
	c := newCounty(t)
	c.populate()
	old := created(t, c.do("clinician", http.MethodPost, "Consent", optOut, asFHIR))
	if plans(t, c) != 0 {
		t.Fatal("the opt-out is not heard")
	}
	fresh := created(t, c.do("clinician", http.MethodPost, "Consent", dated(release, "2026-02-02T10:00:00-06:00"), asFHIR))
	if plans(t, c) != 1 {
		t.Error("re-consent does not win")
	}
	if a := c.get("clinician", "Consent/"+old); !strings.Contains(a.body, `"inactive"`) {
		t.Errorf("the old one: %s", a)
	}
	ps := c.provenances()
	if len(ps) != 1 || !strings.Contains(ps[0], "OBSOLETE") || !strings.Contains(ps[0], "Consent/"+fresh) || !strings.Contains(ps[0], "Consent/"+old+"/_history/2") {
		t.Errorf("provenance: %v", ps)
	}
}

// What must not end a deny: an identifier that somebody else reuses, an older
// one, a draft, one that is not understood, one about another person.
func TestWhatEndsNoDeny(t *testing.T) {
	newer := dated(release, "2026-02-02T10:00:00-06:00")
	for name, b := range map[string]struct{ by, raw string }{
		"another organisation's":          {"registrar", strings.ReplaceAll(newer, "Patient/p1", "Patient/p6")},
		"another organisation's inactive": {"registrar", strings.ReplaceAll(strings.Replace(newer, `"active"`, `"inactive"`, 1), "Patient/p1", "Patient/p6")},
		"an older one":                    {"clinician", dated(release, "2025-01-02T10:00:00-06:00")},
		"one without a date":              {"clinician", strings.Replace(release, `"dateTime":"2026-01-02T10:00:00-06:00",`, "", 1)},
		"a draft":                         {"clinician", strings.Replace(newer, `"active"`, `"draft"`, 1)},
		"one that is not understood":      {"clinician", strings.Replace(newer, `"status"`, `"modifierExtension":[{"url":"http://x.example/y","valueBoolean":true}],"status"`, 1)},
		"one about treatment":             {"clinician", strings.Replace(newer, "patient-privacy", "treatment", 1)},
		"another number":                  {"clinician", strings.Replace(newer, `"value":"7"`, `"value":"7,8"`, 1)},
		"another person":                  {"clinician", strings.ReplaceAll(newer, "Patient/p1", "Patient/p5")},
	} {
		c := newCounty(t)
		c.populate()
		c.put(strings.Replace(person, `"p1"`, `"p5"`, 1))
		c.link("Patient/p5", "ehr", "r5")
		// registrar is entitled for the clinic's data, and of another organisation.
		c.login("registrar", "so", false, "case-manager", treatPurpose, "system/*.rs system/Consent.cu")
		c.putAs(strings.Replace(person, `"p1"`, `"p6"`, 1), resource.Origin{System: "sheriff", Custodian: "Organization/so", Police: true})
		c.link("Patient/p6", "ehr", "r1")
		deny := created(t, c.do("clinician", http.MethodPost, "Consent", optOut, asFHIR))
		if a := c.do(b.by, http.MethodPost, "Consent", b.raw, asFHIR); a.status != http.StatusCreated {
			t.Errorf("%s: %s", name, a)
			continue
		}
		if plans(t, c) != 0 {
			t.Errorf("%s ends the deny", name)
		}
		if a := c.get("clinician", "Consent/"+deny); !strings.Contains(a.body, `"active"`) {
			t.Errorf("%s: %s", name, a)
		}
	}
}

// stored reads all resources of a type from the store, past every decision.
func (c *county) stored(typ string) []string {
	c.t.Helper()
	var out []string
	page, err := c.store.Search(c.t.Context(), everything(typ))
	c.must(err)
	for _, rec := range page.Records {
		out = append(out, string(rec.Raw))
	}
	return out
}

func everything(typ string) store.Plan {
	return store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Limit: 200}
}

// Whoever revokes stands still between being judged and writing, while the recorder adds
// what withholds something: that is for the recorder alone to end.
func TestARevocationIsJudgedByTheVersionThatItEnds(t *testing.T) {
	halted := &haltedStore{}
	c := newCountyOf(t, nil, settings, func(o *gateway.Options) { halted.Store = o.Store; o.Store = halted })
	c.populate()
	c.login("officer", "pd", true, "law-enforcement-officer", crisisPurpose, "system/*.rs system/Consent.cu")
	open := strings.Replace(strings.NewReplacer("Organization/pd", "Organization/so").Replace(release), `"actor":[`, `"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"CST"}]},"reference":{"reference":"Organization/clinic"}},`, 1)
	withheld := strings.Replace(open, `"class":[`, `"provision":[{"type":"deny"}],"class":[`, 1)
	for name, b := range map[string]struct {
		change string // what it is changed to
		want   int
	}{"it withholds now": {withheld, http.StatusForbidden}, "it is written again as it was": {open, http.StatusOK}} {
		id := created(t, c.do("officer", http.MethodPost, "Consent", open, asFHIR))
		halted.before = func() {
			changed := strings.Replace(b.change, `"resourceType":"Consent"`, `"resourceType":"Consent","id":"`+id+`"`, 1)
			if a := c.do("officer", http.MethodPut, "Consent/"+id, changed, with("If-Match", `W/"1"`)); a.status != http.StatusOK {
				t.Errorf("%s: the change: %s", name, a)
			}
		}
		if a := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", "", nil); a.status != b.want {
			t.Errorf("%s: %s, want %d", name, a, b.want)
		}
		if a := c.get("officer", "Consent/"+id); strings.Contains(a.body, `"inactive"`) != (b.want == http.StatusOK) {
			t.Errorf("%s: it stands as %s", name, a)
		}
	}
}

// A haltedStore stands still before it writes a unit, once.
type haltedStore struct {
	store.Store
	before func()
}

func (h *haltedStore) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if before := h.before; before != nil {
		h.before = nil
		before()
	}
	return h.Store.Apply(ctx, ws)
}
