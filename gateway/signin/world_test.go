package signin

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A clock that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A trail keeps events, or fails.
type trail struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (t *trail) Record(_ context.Context, e *audit.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.events = append(t.events, *e)
	}
	return t.err
}

func (t *trail) last() audit.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) == 0 {
		return audit.Event{}
	}
	return t.events[len(t.events)-1]
}

// An idp is an OpenID Provider that says what a test wants.
type idp struct {
	*httptest.Server
	key    *signingKey
	client string // id of the gateway there
	clock  *clock

	mu       sync.Mutex
	metadata func(map[string]any)
	claims   func(map[string]any)
	token    func(claims map[string]any) string      // nil: signed by key
	answer   func(w http.ResponseWriter) (done bool) // of the token endpoint
	jwks     func(w http.ResponseWriter) (done bool) //
	codes    map[string]url.Values                   // questions by code
	form     url.Values                              // last of the token endpoint
	basic    [2]string                               // last credentials
	fetched  map[string]int                          // by path
	asked    url.Values                              // last question
	verified bool                                    // PKCE of the last exchange
}

func newIDP(t *testing.T, c *clock) *idp {
	t.Helper()
	p := &idp{key: newSigningKey(t, "k1"), client: "handoff", clock: c, codes: map[string]url.Values{}, fetched: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetched[r.URL.Path]++
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks",
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "private_key_jwt"},
		}
		if p.metadata != nil {
			p.metadata(doc)
		}
		_ = json.NewEncoder(w).Encode(doc)
	case "/jwks":
		if p.jwks != nil && p.jwks(w) {
			return
		}
		_, _ = w.Write(p.key.jwks())
	case "/token":
		p.exchange(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *idp) exchange(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.form = r.PostForm
	p.basic[0], p.basic[1], _ = r.BasicAuth()
	if p.answer != nil && p.answer(w) {
		return
	}
	q, ok := p.codes[r.PostFormValue("code")]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	p.verified = ok && q.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(sum[:])
	if !p.verified || q.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
		return
	}
	now := p.clock.now().Unix()
	claims := map[string]any{
		"iss": p.URL, "aud": p.client, "sub": "u-1", "name": "Jo Marsh", "nonce": q.Get("nonce"), "iat": now, "exp": now + 300, "auth_time": now,
		"amr": []string{"pwd", "otp"}, "roles": []string{"crisis-team", "else"}, "badge": "4711",
	}
	if p.claims != nil {
		p.claims(claims)
	}
	sign := p.key.sign
	if p.token != nil {
		sign = p.token
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"id_token": sign(claims), "access_token": "x", "token_type": "Bearer"})
}

// authorize plays the person at the provider: it returns the code for a question.
func (p *idp) authorize(t *testing.T, question string) (code string, q url.Values) {
	t.Helper()
	u, err := url.Parse(question)
	if err != nil || !strings.HasPrefix(question, p.URL+"/authorize?") {
		t.Fatalf("the browser was sent to %q: %v", question, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = u.Query()
	code = fmt.Sprintf("code-%d", len(p.codes)+1)
	p.codes[code] = p.asked
	return code, p.asked
}

// A world is a server, its store, and a place that needs people to sign in.
type world struct {
	t     *testing.T
	clock *clock
	trail *trail
	facts backend.Backend
	s     *Server
	web   *httptest.Server
	idp   *idp
	ended []string
	until time.Time // of the last one
	next  string    // what Ask is given
	asks  []string
	again bool
}

func newWorld(t *testing.T, change ...func(*world, *Options)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}, trail: &trail{}, next: "/oauth/launch/authorize?id=1", asks: []string{"lakeside", "demo"}}
	w.idp = newIDP(t, w.clock)
	var err error
	w.facts = backendtest.Open(t, backend.Options{Now: w.clock.now})
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(rw, r) }))
	t.Cleanup(w.web.Close)
	n := 0
	var mu sync.Mutex
	o := Options{
		Base: w.web.URL, SiteKey: []byte(strings.Repeat("k", 32)), Facts: w.facts, Audit: w.trail, Banner: "Official use only.",
		Providers: []Provider{w.openid("lakeside"), demoProvider(t)},
		EndTokens: func(ctx context.Context, sid string, until time.Time) error {
			w.ended, w.until = append(w.ended, sid), until
			return auth.EndSession(ctx, w.facts, sid, until)
		},
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprintf("req-%d", n)
		},
		Now: w.clock.now,
	}
	for _, c := range change {
		c(w, &o)
	}
	if w.s, err = New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) openid(id string) Provider {
	w.t.Helper()
	o, err := NewOpenID(OpenIDOptions{Issuer: w.idp.URL, Client: w.idp.client, Secret: "a secret/with+signs", Fetcher: auth.NewHTTPFetcher(), Now: w.clock.now})
	if err != nil {
		w.t.Fatal(err)
	}
	return Provider{
		ID: id, Name: "Lakeside", Organization: "Organization/lakeside", OpenID: o, Roles: map[string]label.Code{"crisis-team": {System: "s", Code: "treating-clinician"}},
		Claims: Claims{User: "badge", System: "https://lakeside.example/staff"}, ACRValues: []string{"strong"},
		People: []Known{{"Practitioner/j-marsh", "https://lakeside.example/staff", "4711"}},
	}
}

const demoPassword, demoCode = "correct horse battery", "482913"

func demoProvider(t *testing.T) Provider {
	t.Helper()
	u, err := NewUsers(User{Name: "ortiz", Password: demoPassword, Code: demoCode, ID: "PD-7", Display: "Officer Ortiz", Roles: []label.Code{{System: "s", Code: "law-enforcement-officer"}}})
	if err != nil {
		t.Fatal(err)
	}
	return Provider{ID: "demo", Name: "Riverton PD", Organization: "Organization/riverton-pd", Users: u}
}

// serve has a place /need that asks for a person, and /who that tells who is there.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/need":
		w.s.Ask(rw, r, w.asks, w.next, w.again)
	case "/who":
		p, err := w.s.Current(r)
		switch {
		case err != nil:
			http.Error(rw, err.Error(), 500)
		case p != nil:
			_ = json.NewEncoder(rw).Encode(p)
		default:
			fmt.Fprint(rw, "nobody")
		}
	default:
		w.s.ServeHTTP(rw, r)
	}
}

// A browser keeps cookies and follows redirects of this server one at a time.
type browser struct {
	w      *world
	client *http.Client
	jar    map[string]string
}

func (w *world) browser() *browser {
	return &browser{w: w, jar: map[string]string{}, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// A seen is what came back.
type seen struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, path string, form url.Values) seen {
	b.w.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	if strings.HasPrefix(path, "/") {
		path = b.w.web.URL + path
	}
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, path, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.jar {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
		} else {
			b.jar[c.Name] = c.Value
		}
	}
	return seen{resp.StatusCode, resp.Header, string(raw)}
}

func (b *browser) get(path string) seen { b.w.t.Helper(); return b.do(http.MethodGet, path, nil) }

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// form reads the hidden fields of the page's form that names the provider.
func (p seen) form(t *testing.T, provider string) url.Values {
	t.Helper()
	for part := range strings.SplitSeq(p.body, "</form>") {
		v := url.Values{}
		for _, m := range hidden.FindAllStringSubmatch(part, -1) {
			v.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		if v.Get("provider") == provider {
			return v
		}
	}
	t.Fatalf("no form for %q in\n%s", provider, p.body)
	return nil
}

// choice goes as far as the page that lists where to sign in.
func (b *browser) choice() seen {
	b.w.t.Helper()
	p := b.get("/need")
	if p.status != http.StatusSeeOther {
		b.w.t.Fatalf("Ask: %d\n%s", p.status, p.body)
	}
	return b.get(p.header.Get("Location"))
}

// question chooses the provider and returns where the browser is sent.
func (b *browser) question(provider string) string {
	b.w.t.Helper()
	p := b.do(http.MethodPost, "/oauth/signin", b.choice().form(b.w.t, provider))
	to, ok := strings.CutPrefix(p.header.Get("Refresh"), "0;url=")
	if p.status != http.StatusOK || !ok {
		b.w.t.Fatalf("choose %s: %d %v\n%s", provider, p.status, p.header, p.body)
	}
	return to
}

// signIn goes all the way through the provider.
func (b *browser) signIn() seen {
	b.w.t.Helper()
	code, q := b.w.idp.authorize(b.w.t, b.question("lakeside"))
	return b.get(q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode())
}

// who is signed in; nil if nobody.
func (b *browser) who() *Person {
	b.w.t.Helper()
	p := b.get("/who")
	if p.body == "nobody" {
		return nil
	}
	var out Person
	if err := json.Unmarshal([]byte(p.body), &out); err != nil {
		b.w.t.Fatalf("%s: %v", p.body, err)
	}
	return &out
}

func demoRoles() map[string]label.Code {
	return map[string]label.Code{"a": {System: "s", Code: "a"}}
}
