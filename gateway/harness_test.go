package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
	"github.com/handoff-health/handoff/gateway/upstream"
)

const siteKey = "0123456789abcdef0123456789abcdef"

// settings is a county in small. UPSTREAM and PART2 stand for addresses.
const settings = `
site: {key: ` + siteKey + `, timeZone: America/Chicago}
broker: {timeout: 60s, overall: 60s}
organizations:
  - {id: pd, name: Police, kind: police}
  - {id: so, name: Sheriff, kind: police}
  - {id: clinic, name: Clinic, kind: health}
  - {id: exchange, name: Exchange, kind: exchange}
  - {id: program, name: Program, kind: health, part2: true}
clients:
  - {id: officer, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs", jwks: x}
  - {id: deputy, organization: so, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs", jwks: x}
  - {id: clinician, organization: clinic, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs", jwks: x, treatingProvider: linked, recordsConsentFor: [clinic]}
  - {id: unit, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs system/Consent.cu", jwks: x, captures: verbal, recordsConsentFor: [pd]}
  - {id: tablet, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs system/Consent.cu", jwks: x, captures: written, recordsConsentFor: [pd, clinic, program]}
  - {id: portal, organization: exchange, roles: [case-manager], purposes: [TREAT], scopes: "system/Consent.u", jwks: x, passesOnRevocations: true}
  - {id: registrar, organization: so, roles: [case-manager], purposes: [TREAT], scopes: "system/*.rs system/Consent.cu", jwks: x, recordsConsentFor: [clinic]}
systems:
  - {key: rms, kind: feed, organization: pd, adapter: rms/csv}
  - {key: sheriff, kind: feed, organization: so, adapter: rms/csv}
  - {key: ehr, kind: fhir, slug: k, organization: clinic, base: "UPSTREAM"}
  - {key: sud, kind: fhir, slug: w, organization: program, base: "PART2"}
agreements:
  - {id: moa, from: pd, to: clinic, purposes: [TREAT], ends: 2099-12-31}
`

// A county is a gateway with its surroundings, for tests.
type county struct {
	t       testing.TB
	server  *gateway.Server
	store   backend.Backend
	asked   *asked // the store as the gateway asks it
	memory  *epoch.Cache
	links   *identity.Links
	ids     *identity.IDMap
	trail   *memoryTrail
	ehr     *ehr
	program *ehr
	tokens  tokens
	options gateway.Options
}

// tokens maps a bearer token to whom it speaks for.
type tokens map[string]*auth.Principal

func (m tokens) Verify(_ context.Context, bearer string) (*auth.Principal, error) {
	if p, ok := m[bearer]; ok {
		return p, nil
	}
	return nil, &auth.Refusal{Status: http.StatusUnauthorized, Code: "invalid_token", Reason: "signature"}
}

type memoryTrail struct {
	mu     sync.Mutex
	events []*audit.Event
	fail   bool
}

func (m *memoryTrail) Record(_ context.Context, e *audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errors.New("the disk is full")
	}
	m.events = append(m.events, e)
	return nil
}

func (m *memoryTrail) last() *audit.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) == 0 {
		return &audit.Event{}
	}
	return m.events[len(m.events)-1]
}

// An ehr is an upstream that answers any search with all it has of the type:
// the gateway must not trust its filters.
type ehr struct {
	*httptest.Server
	mu        sync.Mutex
	resources []string
	asked     []string
	hang      bool
	delay     time.Duration
	held      chan struct{} // no answer before it is closed; nil: at once
	together  int           // no read is answered before so many wait
	reads     int
	all       chan struct{} // closed when they do
	status    int
}

func newEHR(t testing.TB) *ehr {
	e := &ehr{}
	release := make(chan struct{})
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.asked = append(e.asked, r.URL.RequestURI())
		hang, status, all, delay, held := e.hang, e.status, e.resources, e.delay, e.held
		e.mu.Unlock()
		if hang {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		time.Sleep(delay)
		if held != nil {
			select {
			case <-held:
			case <-release:
			}
		}
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if len(parts) == 3 && !e.read(r.Context()) {
			return
		}
		if status != 0 {
			http.Error(w, "<html>no</html>", status)
			return
		}
		w.Header().Set("Content-Type", "application/fhir+json")
		var entries []string
		for _, raw := range all {
			res, err := resource.Parse([]byte(raw))
			if err != nil {
				t.Error(err)
			}
			if len(parts) == 3 && res.Type() == parts[1] && res.ID() == parts[2] {
				_, _ = io.WriteString(w, raw)
				return
			}
			if len(parts) == 2 && res.Type() == parts[1] {
				entries = append(entries, `{"fullUrl":"`+e.URL+`/fhir/`+res.Reference()+`","resource":`+raw+`,"search":{"mode":"match"}}`)
			}
		}
		if len(parts) == 3 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"resourceType":"Bundle","type":"searchset","entry":[`+strings.Join(entries, ",")+`]}`)
	}))
	t.Cleanup(func() { close(release); e.Close() })
	return e
}

func (e *ehr) set(hang bool, status int, resources ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hang, e.status, e.resources = hang, status, resources
}

// slow makes every answer take this long.
func (e *ehr) slow(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delay = d
}

// hold keeps every answer back until let is called.
func (e *ehr) hold() (let func()) {
	held := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = held
	return sync.OnceFunc(func() {
		e.mu.Lock()
		e.held = nil
		e.mu.Unlock()
		close(held)
	})
}

// readTogether answers no read before n of them wait.
func (e *ehr) readTogether(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.together, e.reads, e.all = n, 0, make(chan struct{})
}

// read waits for the others; false says that who asked has gone.
func (e *ehr) read(ctx context.Context) bool {
	e.mu.Lock()
	all := e.all
	if e.reads++; e.reads == e.together {
		close(all)
	}
	e.mu.Unlock()
	if all == nil {
		return true
	}
	select {
	case <-all:
		return true
	case <-ctx.Done():
		return false
	}
}

func keyOf(typ, id string) store.Key { return store.Key{Type: typ, ID: id} }

func (e *ehr) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.asked...)
}

func newCounty(t testing.TB) *county { return newCountyAt(t, time.Now) }

// newCountyAt is a county with a clock of its own.
func newCountyAt(t testing.TB, now func() time.Time) *county {
	t.Helper()
	return newCountyOf(t, now, settings, nil)
}

// newCountyOf is a county of other settings, with its options changed.
func newCountyOf(t testing.TB, now func() time.Time, settings string, change func(*gateway.Options)) *county {
	t.Helper()
	c := &county{t: t, trail: &memoryTrail{}, ehr: newEHR(t), program: newEHR(t), tokens: tokens{}, store: backendtest.Open(t, backend.Options{Now: now})}
	c.assemble(now, settings, change)
	return c
}

// beside is another gateway of the same store and systems, with memories of its own.
func (c *county) beside() *county {
	c.t.Helper()
	d := &county{t: c.t, trail: &memoryTrail{}, ehr: c.ehr, program: c.program, tokens: tokens{}, store: c.store}
	d.assemble(time.Now, settings, nil)
	return d
}

// assemble makes the gateway over the store.
func (c *county) assemble(now func() time.Time, settings string, change func(*gateway.Options)) {
	c.t.Helper()
	text := strings.NewReplacer("UPSTREAM", c.ehr.URL+"/fhir", "PART2", c.program.URL+"/fhir").Replace(settings)
	cfg, err := config.Parse("test.yaml", []byte(text))
	c.must(err)
	c.asked = &asked{Backend: c.store}
	c.memory = epoch.New(c.asked, 0, nil)
	c.memory.Along(identity.FactChanges, identity.FactForgotten)
	c.ids, err = identity.NewIDMap(c.memory, []byte(siteKey), map[string]string{"ehr": "k", "sud": "w"})
	c.must(err)
	c.links = identity.NewLinks(c.memory, c.ids, time.Now)
	directory, err := attribute.NewDirectory(cfg)
	c.must(err)
	o := broker.Options{IDs: c.ids, Timeout: cfg.Broker.Timeout, Overall: cfg.Broker.Overall}
	for _, s := range directory.Upstreams() {
		cl, err := client.New(client.Options{System: s.Key, Base: s.Base, Retries: -1})
		c.must(err)
		origin, _ := directory.Origin(s.Key)
		u, err := upstream.NewFHIR(upstream.FHIROptions{Client: cl, Origin: origin, Units: directory.Units(s.Key)})
		c.must(err)
		o.Systems = append(o.Systems, broker.System{Upstream: u})
	}
	b, err := broker.New(o)
	c.must(err)
	options := gateway.Options{
		Capture:   gateway.CaptureLimits{Verbal: 72 * time.Hour, Written: 365 * 24 * time.Hour, Backlog: 72 * time.Hour},
		Published: published(c.t),
		Base:      "http://gateway.test/fhir", SiteKey: []byte(siteKey), Store: c.memory, Facts: c.memory, Verifier: c.tokens,
		Discovery: smart.Discovery{TokenEndpoint: "http://gateway.test/oauth/token", Algorithms: []string{"ES384"}, Scopes: []string{"system/*.rs"}},
		Directory: directory, Identity: c.links, IDs: c.ids, Broker: b, Labeller: label.New(label.Options{}),
		Policy: policy.New(policy.Options{Directory: []string{"Practitioner", "Organization"}}), Audit: c.trail,
		Now: now, Lookups: time.Minute,
	}
	if change != nil {
		change(&options)
	}
	c.options = options
	c.restart(func(*gateway.Options) {})
	c.login("officer", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/*.rs")
	c.login("deputy", "so", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/*.rs")
	c.login("clinician", "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs system/Consent.cu")
}

// restart makes the gateway anew over the same store, with other options.
func (c *county) restart(change func(*gateway.Options)) {
	c.t.Helper()
	change(&c.options)
	var err error
	c.server, err = gateway.New(c.options)
	c.must(err)
}

func (c *county) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// login makes the token of the same name as the client.
func (c *county) login(client, org string, police bool, role, purpose, scopes string) {
	p := &auth.Principal{TokenID: "jti-" + client, Client: client, Police: police, Purposes: []string{purpose}, Expires: time.Now().Add(time.Hour)}
	p.Requester = policy.Requester{Client: client, Organization: "Organization/" + org, Police: police, Roles: []label.Code{attribute.Role(role)}}
	for s := range strings.FieldsSeq(scopes) {
		sc, err := smart.ParseScope(s)
		c.must(err)
		p.Scopes = append(p.Scopes, sc)
	}
	c.tokens[client] = p
}

// put stores a resource of the police feed.
func (c *county) put(raw string) {
	c.t.Helper()
	c.putAs(raw, resource.Origin{System: "rms", Custodian: "Organization/pd", Police: true})
}

func (c *county) putAs(raw string, o resource.Origin) {
	c.t.Helper()
	r, err := resource.Parse([]byte(raw))
	c.must(err)
	_, err = c.store.Write(c.t.Context(), store.Write{
		Record: store.Record{Key: store.Key{Type: r.Type(), ID: r.ID()}, Raw: []byte(raw), Origin: o, Index: search.Index(r)}, Expect: store.AnyVersion,
	})
	c.must(err)
}

// link joins the police Patient p1 with a Patient of a system.
func (c *county) link(own, system, remote string) {
	c.t.Helper()
	c.must(c.links.Confirm(c.t.Context(), own, system, remote, "test"))
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ids lists the entries of a searchset, outcomes left out.
func (a answer) ids(t testing.TB) []string {
	t.Helper()
	var b struct {
		Entry []struct {
			Resource struct{ ResourceType, ID string }
			Search   struct{ Mode string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &b); err != nil || a.status != http.StatusOK {
		t.Fatalf("not a searchset: %s", a)
	}
	var out []string
	for _, e := range b.Entry {
		if e.Search.Mode != "outcome" {
			out = append(out, e.Resource.ResourceType+"/"+e.Resource.ID)
		}
	}
	return out
}

func (a answer) next(t testing.TB) string {
	t.Helper()
	var b struct {
		Link []struct{ Relation, URL string }
	}
	if err := json.Unmarshal([]byte(a.body), &b); err != nil {
		t.Fatal(err)
	}
	for _, l := range b.Link {
		if l.Relation == "next" {
			return strings.TrimPrefix(l.URL, "http://gateway.test/fhir/")
		}
	}
	return ""
}

// get asks as a client; "" asks without a token.
func (c *county) get(who, path string) answer { return c.do(who, http.MethodGet, path, "", nil) }

func (c *county) do(who, method, path, body string, header map[string]string) answer {
	c.t.Helper()
	req := httptest.NewRequest(method, "http://gateway.test/fhir/"+path, strings.NewReader(body))
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	c.server.ServeHTTP(w, req)
	return answer{w.Code, w.Header(), w.Body.String()}
}
