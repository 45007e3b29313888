package gateway_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// pairSeed is that of what is generated.
var pairSeed uint64 = 20261127

// A pair is two gateways of one configuration with the same data, one on each kind of
// store.
type pair struct {
	*rand.Rand
	t    *testing.T
	both []*county
	at   atomic.Int64 // the clock of both, Unix milliseconds
}

func newPair(t *testing.T) *pair {
	t.Helper()
	shared := backendtest.MongoAddress(t)
	p := &pair{Rand: rand.New(rand.NewPCG(pairSeed, 3)), t: t} //nolint:gosec // test data
	p.at.Store(time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(p.at.Load()).UTC() }
	ehr, program := newEHR(t), newEHR(t)
	for _, address := range []string{t.TempDir() + "/handoff.db", shared} {
		c := &county{t: t, trail: &memoryTrail{}, ehr: ehr, program: program, tokens: tokens{}, store: backendtest.At(t, address, backend.Options{Now: now, SweepEvery: -1})}
		c.assemble(now, settings, nil)
		c.populate()
		p.both = append(p.both, c)
	}
	return p
}

func (p *pair) of(from ...string) string { return from[p.IntN(len(from))] }

var (
	pairNames = []string{"Quintana", "QUINTANA", "Quíntana", "Qu\u0069\u0301ntana", "O'Quin", "OQuin", "Quin-Tana", "Straße", "日本", "$ne", "a.b", "q|u", "q,u", strings.Repeat("Quint", 100)}
	pairDates = []string{"1991-06-14", "1991-06", "1991", "0001-01-01", "9999-12-31", "2016-12-31T23:59:60Z", "2026-03-08T02:30:00-06:00", "2026-01-02T10:00:00-06:00", "2026-01-02T16:00:00.123Z"}
	sortsOf   = map[string][]string{"Patient": {"family", "given", "birthdate"}, "Encounter": {"date", "class"}, "Observation": {"date", "code", "value-quantity"}, "Location": {"name"}}
	pairTypes = []string{"Patient", "Encounter", "Observation", "Location"}
)

// resource is one of a few persons', of a person that is not there, or of nobody.
func (p *pair) resource() string {
	id, who := p.IntN(40), p.of("p1", "p2", "p3", "p4", "nobody")
	person := fmt.Sprintf(`{"reference":"Patient/%s"}`, who)
	quoted := func(from []string) string { return fmt.Sprintf("%q", p.of(from...)) }
	switch p.of(pairTypes...) {
	case "Patient":
		return fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","identifier":[{"system":"urn:mni","value":"R%d"},{"value":%s}],"name":[{"family":%s,"given":[%s]}],"birthDate":"%s","gender":"%s"}`,
			1+p.IntN(30), id, quoted(pairNames), quoted(pairNames), quoted(pairNames), p.of("1991-06-14", "1991-06", "1991", "1870-01-01"), p.of("male", "female"))
	case "Encounter":
		return fmt.Sprintf(`{"resourceType":"Encounter","id":"e%d","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"%s"},"subject":%s,"period":{"start":"%s"}}`,
			id, p.of("FLD", "fld", "EMER"), person, p.of("2026-01-02T10:00:00-06:00", "2026-01-02T16:00:00.123Z", "2026-01", "2016-12-31T23:59:59Z"))
	case "Observation":
		return fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"urn:c","code":%s}],"text":%s},"subject":%s,"effectiveDateTime":"%s","valueQuantity":{"value":%s,"unit":"mg"}}`,
			id, quoted(pairNames), quoted(pairNames), person, p.of("2026-01-02", "2025", "2026-01-02T16:00:00.123Z"), p.of("5.40", "5.4", "1e-7", "-0.5", "540"))
	}
	return fmt.Sprintf(`{"resourceType":"Location","id":"l%d","name":%s,"status":"active"}`, id, quoted(pairNames))
}

// change writes, deletes or expunges some resources, in both stores.
func (p *pair) change(n int) {
	for range n {
		p.at.Add(int64(p.IntN(3)) * 500)
		raw := p.resource()
		gone := p.IntN(10) == 0
		for _, c := range p.both {
			if gone {
				r, err := resource.Parse([]byte(raw))
				c.must(err)
				if err := c.store.Expunge(p.t.Context(), keyOf(r.Type(), r.ID())); !errors.Is(err, store.ErrNotFound) {
					c.must(err)
				}
				continue
			}
			c.put(raw)
		}
	}
}

// path is a search as a caller may send it, or a read.
func (p *pair) path() string {
	typ := p.of(pairTypes...)
	if p.IntN(8) == 0 {
		return fmt.Sprintf("%s/%s%d", typ, strings.ToLower(typ[:1]), p.IntN(40))
	}
	q := url.Values{}
	all := search.Parameters(typ)
	for range p.IntN(3) {
		param := all[p.IntN(len(all))]
		value := p.of(pairNames...)
		switch param.Kind {
		case search.Date:
			value = p.of("", "gt", "le", "sa", "ap", "ne") + p.of(pairDates...)
		case search.Token:
			value = p.of("FLD", "urn:mni|R1", "urn:c|", "|Quintana", "p1", "e1", "male", search.Escape(value))
		case search.Reference:
			value = p.of("Patient/p1", "p2", "http://gateway.test/fhir/Patient/p3", "urn:uuid:x", "Patient/nobody")
		case search.Quantity, search.Number:
			value = p.of("", "gt", "le") + p.of("5.4", "5.40||mg", "1e-7")
		default:
			value = search.Escape(value)
		}
		switch p.IntN(8) {
		case 0:
			q.Set(param.Name+":missing", p.of("true", "false"))
		case 1:
			q.Set(param.Name+p.of(":not", ":exact", ":contains", ":identifier"), value)
		default:
			q.Set(param.Name, value)
		}
	}
	if typ != "Patient" && typ != "Location" && p.IntN(2) == 0 {
		q.Set("patient", "Patient/"+p.of("p1", "p2", "p3"))
	}
	if p.IntN(2) == 0 {
		q.Set("_sort", p.of("", "-")+p.of("_id", "_lastUpdated", p.of(sortsOf[typ]...))+p.of("", "", ",-_id", ",_lastUpdated"))
	}
	if p.IntN(2) == 0 {
		q.Set("_count", p.of("0", "1", "2", "2", "7", "7", "200", "1000", "-1"))
	}
	if p.IntN(5) == 0 {
		q.Set("_total", p.of("none", "none", "estimate", "accurate", "all"))
	}
	if p.IntN(6) == 0 {
		q.Set("_summary", p.of("count", "true", "text", "false"))
	}
	return typ + "?" + q.Encode()
}

// same asks both as a caller and follows the pages of what they answer.
func (p *pair) same(who, path string, between func()) (pages int, status int) {
	p.t.Helper()
	paths := []string{path, path}
	for pages = 1; ; pages++ {
		var answers []answer
		for i, c := range p.both {
			answers = append(answers, c.get(who, paths[i]))
			paths[i] = ""
			if answers[i].status == http.StatusOK && strings.Contains(answers[i].body, `"Bundle"`) {
				paths[i] = answers[i].next(p.t)
			}
		}
		a, b := answers[0], answers[1]
		if diff := cmp.Diff(withoutCursor(a.body), withoutCursor(b.body)); a.status != b.status || diff != "" {
			p.t.Fatalf("%s: %s, page %d: %d and %d (-embedded +MongoDB):\n%s", who, path, pages, a.status, b.status, diff)
		}
		if diff := cmp.Diff(headersOf(a), headersOf(b)); diff != "" {
			p.t.Fatalf("%s: %s, page %d: headers (-embedded +MongoDB):\n%s", who, path, pages, diff)
		}
		if paths[0] == "" || paths[1] == "" || pages == 12 {
			return pages, a.status
		}
		between()
	}
}

// headersOf leaves out what is another for each answer.
func headersOf(a answer) http.Header {
	h := maps.Clone(a.header)
	for _, name := range []string{"Date", "X-Request-Id"} {
		h.Del(name)
	}
	return h
}

// Callers cannot tell the stores apart: status, headers and body of every answer are
// the same, page by page while there are writes, deletions and expunges in between.
func TestCallersCannotTellTheStoresApart(t *testing.T) {
	p := newPair(t)
	p.change(200)
	statuses, most := map[int]int{}, 0
	for i := range 150 {
		if i%5 == 0 {
			p.change(3)
		}
		between := func() {}
		if i%2 == 0 {
			between = func() { p.change(1) }
		}
		pages, status := p.same(p.of("clinician", "clinician", "deputy", "officer"), p.path(), between)
		statuses[status]++
		most = max(most, pages)
	}
	t.Logf("answers by status: %v; up to %d pages", statuses, most)
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound} {
		if statuses[status] == 0 {
			t.Errorf("none was answered by %d", status)
		}
	}
	if most < 3 {
		t.Error("nothing had several pages")
	}
}

// The largest search that a form can hold is answered, or refused as too large: it is
// no trouble of a store.
func TestTheLargestFormIsNoTroubleOfTheStore(t *testing.T) {
	c := newCounty(t)
	c.populate()
	form := func(values int) string {
		var years []string
		for i := range values {
			years = append(years, fmt.Sprint(1000+i))
		}
		var out []string
		for part := range slices.Chunk(years, search.MaxValues) {
			out = append(out, "date="+strings.Join(part, ","))
		}
		return strings.Join(out, "&")
	}
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for values, want := range map[int]int{search.MaxInAll: http.StatusOK, search.MaxInAll + 1: http.StatusBadRequest, 8900: http.StatusBadRequest} {
		if a := c.do("clinician", http.MethodPost, "Encounter/_search", form(values), header); a.status != want {
			t.Errorf("%d values: %.300s", values, a)
		}
	}
}
