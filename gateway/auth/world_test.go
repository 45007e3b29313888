package auth_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

const (
	tokenURL      = "https://gw.example/oauth/token"
	issuerID      = "https://gw.example"
	fhirBase      = "https://gw.example/fhir"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// facts is a Facts in memory with a clock of its own and faults to order.
type facts struct {
	mu   sync.Mutex
	now  func() time.Time
	m    map[string]store.Fact
	fail error
	slow func() // called once, before a fact is put
	late func() // called once, before a fact is read
}

func newFacts(now func() time.Time) *facts { return &facts{now: now, m: map[string]store.Fact{}} }

func (f *facts) Get(_ context.Context, key string) (store.Fact, error) {
	if late := f.late; late != nil {
		f.late = nil
		late()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return store.Fact{}, f.fail
	}
	if v, ok := f.m[key]; ok && (v.Expires.IsZero() || f.now().Before(v.Expires)) {
		return v, nil
	}
	return store.Fact{}, store.ErrNotFound
}

func (f *facts) PutIfAbsent(_ context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if slow := f.slow; slow != nil {
		f.slow = nil
		slow()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return store.Fact{}, f.fail
	}
	if v, ok := f.m[key]; ok && (v.Expires.IsZero() || f.now().Before(v.Expires)) {
		return store.Fact{}, store.ErrExists
	}
	v := store.Fact{Key: key, Value: value, Version: 1, Expires: expires}
	f.m[key] = v
	return v, nil
}

func (f *facts) CompareAndSet(_ context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.m[key]
	if f.fail != nil || !ok || v.Version != version {
		return store.Fact{}, cmp.Or(f.fail, store.ErrConflict)
	}
	v.Value, v.Version, v.Expires = value, version+1, expires
	f.m[key] = v
	return v, nil
}
func (f *facts) Delete(context.Context, string) error { return nil }
func (f *facts) Scan(context.Context, string, string, int) ([]store.Fact, error) {
	return nil, nil
}

// A clock that the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// An auditor that keeps what it was told.
type auditor struct {
	mu       sync.Mutex
	attempts []auth.Attempt
	fail     error
}

func (a *auditor) TokenRequested(_ context.Context, at *auth.Attempt) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts = append(a.attempts, *at)
	return a.fail
}

func (a *auditor) last(t testing.TB) auth.Attempt {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.attempts) == 0 {
		t.Fatal("nothing was audited")
	}
	return a.attempts[len(a.attempts)-1]
}

// A pair is a key with what the tests need to forge with it.
type pair struct {
	kid, alg string
	key      crypto.Signer
}

var keys = sync.OnceValue(func() map[string]pair {
	m := map[string]pair{}
	for _, name := range []string{"es", "other", "stranger"} {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			panic(err)
		}
		m[name] = pair{name + "-key", "ES384", k}
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	m["issuer"] = pair{"issuer-key", "ES256", p256}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	m["rs"] = pair{"rs-key", "RS384", r}
	return m
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk renders the key by hand.
func (p pair) jwk(private bool) map[string]any {
	m := map[string]any{"kid": p.kid, "alg": p.alg, "use": "sig"}
	switch k := p.key.(type) {
	case *ecdsa.PrivateKey:
		size := (k.Curve.Params().BitSize + 7) / 8
		m["kty"], m["crv"] = "EC", k.Curve.Params().Name
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		m["x"], m["y"] = b64(point[1:1+size]), b64(point[1+size:])
		if private {
			d, err := k.Bytes()
			if err != nil {
				panic(err)
			}
			m["d"] = b64(d)
		}
	case *rsa.PrivateKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
		if private {
			m["d"], m["p"], m["q"] = b64(k.D.Bytes()), b64(k.Primes[0].Bytes()), b64(k.Primes[1].Bytes())
			m["dp"], m["dq"], m["qi"] = b64(k.Precomputed.Dp.Bytes()), b64(k.Precomputed.Dq.Bytes()), b64(k.Precomputed.Qinv.Bytes())
		}
	}
	return m
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func jwks(ps ...pair) []byte {
	var list []any
	for _, p := range ps {
		list = append(list, p.jwk(false))
	}
	return marshal(map[string]any{"keys": list})
}

// sign makes the raw JWS signature of the input with the algorithm named.
func (p pair) sign(alg, input string) []byte {
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	sum := h.New()
	io.WriteString(sum, input)
	switch k := p.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum.Sum(nil))
		if err != nil {
			panic(err)
		}
		size := (k.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, h, sum.Sum(nil))
		if err != nil {
			panic(err)
		}
		return sig
	}
	panic("no such key")
}

// A forgery is a JWT whose every part a test may bend.
type forgery struct {
	by     pair
	header map[string]any // nil values remove
	claims map[string]any
	rawHdr string // instead of header
	rawCls string // instead of claims
	alg    string // signs with this, whatever the header says
}

func merge(base, over map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range over {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func (f forgery) String() string {
	hdr := string(marshal(merge(map[string]any{"alg": f.by.alg, "kid": f.by.kid, "typ": "JWT"}, f.header)))
	if f.rawHdr != "" {
		hdr = f.rawHdr
	}
	cls := string(marshal(f.claims))
	if f.rawCls != "" {
		cls = f.rawCls
	}
	input := b64([]byte(hdr)) + "." + b64([]byte(cls))
	alg := f.alg
	if alg == "" {
		alg = f.by.alg
	}
	return input + "." + b64(f.by.sign(alg, input))
}

func hs256(secret []byte, header, claims map[string]any) string {
	input := b64(marshal(header)) + "." + b64(marshal(claims))
	m := hmac.New(sha256.New, secret)
	io.WriteString(m, input)
	return input + "." + b64(m.Sum(nil))
}

// A world is a token endpoint and a verifier with registered clients.
type world struct {
	clock    *clock
	facts    *facts
	steps    *storetest.Halting // the facts as the token endpoint sees them
	audit    *auditor
	registry *auth.Registry
	endpoint *auth.TokenEndpoint
	verifier *auth.Verifier
	clients  []auth.Client
	jti      int
}

func clientsOf(t testing.TB) []auth.Client {
	base := auth.Client{
		Organization: "Organization/riverton-pd", OrganizationKind: auth.Police,
		Roles:    []label.Code{{System: "https://handoff-health.github.io/fhir/CodeSystem/actor-role", Code: "law-enforcement-officer"}},
		Purposes: []string{"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS"},
		Scopes:   smart.ParseGranted("system/Patient.rs system/Encounter.rs system/Observation.rs?category=laboratory"),
	}
	es, rs, other, gone := base, base, base, base
	es.ID, es.JWKS = "rms", jwks(keys()["es"])
	rs.ID, rs.JWKS = "rms-rsa", jwks(keys()["rs"])
	other.ID, other.JWKS, other.AcceptIssuerAudience = "ehr", jwks(keys()["other"]), true
	other.Organization, other.OrganizationKind = "Organization/hope", auth.Health
	gone.ID, gone.JWKS, gone.Disabled = "gone", jwks(keys()["es"]), true
	outside := base
	outside.ID, outside.Issuer = "idp-client", "https://idp.example"
	return []auth.Client{es, rs, other, gone, outside}
}

func newWorld(t testing.TB) *world { return worldWith(t, nil) }

// worldWith is newWorld with a source of clients beside those.
func worldWith(t testing.TB, source auth.Source) *world {
	t.Helper()
	w := &world{clock: &clock{t: time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)}, audit: &auditor{}}
	w.facts = newFacts(w.clock.now)
	w.steps = &storetest.Halting{Facts: w.facts}
	w.clients = clientsOf(t)
	var err error
	if w.registry, err = auth.FollowingRegistry(w.clients, source, nil, w.clock.now); err != nil {
		t.Fatal(err)
	}
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	w.endpoint, err = auth.NewTokenEndpoint(auth.TokenOptions{
		URL: tokenURL, Issuer: issuerID, Audience: fhirBase, Registry: w.registry, Facts: w.steps,
		Key: key, Auditor: w.audit, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := auth.OwnIssuer(issuerID, fhirBase, key)
	if err != nil {
		t.Fatal(err)
	}
	w.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: w.registry, Facts: w.facts, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) in(d time.Duration) int64 { return w.clock.now().Add(d).Unix() }

// claims of a good assertion of the client, bent by over.
func (w *world) claims(client string, over map[string]any) map[string]any {
	w.jti++
	return merge(map[string]any{"iss": client, "sub": client, "aud": tokenURL, "exp": w.in(4 * time.Minute), "jti": fmt.Sprintf("j%d", w.jti)}, over)
}

// good is a good assertion of client rms.
func (w *world) good() string {
	return forgery{by: keys()["es"], claims: w.claims("rms", nil)}.String()
}

func form(assertion string, over map[string]string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	for k, s := range over {
		if s == "<none>" {
			v.Del(k)
		} else {
			v.Set(k, s)
		}
	}
	return v
}

// An answer of the token endpoint.
type answer struct {
	Code   int
	Header http.Header
	Body   string
	JSON   struct {
		Token       string `json:"access_token"`
		Type        string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
		Refresh     string `json:"refresh_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
}

func (w *world) serve(t testing.TB, r *http.Request) answer {
	t.Helper()
	rec := httptest.NewRecorder()
	w.endpoint.ServeHTTP(rec, r)
	a := answer{Code: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
	if err := json.Unmarshal(rec.Body.Bytes(), &a.JSON); err != nil {
		t.Fatalf("body %q: %v", a.Body, err)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Pragma") != "no-cache" {
		t.Errorf("caching is not forbidden: %v", rec.Header())
	}
	if (a.JSON.Token != "") != (a.Code == 200) || (a.JSON.Error != "") == (a.Code == 200) {
		t.Errorf("status %d with body %s", a.Code, a.Body)
	}
	return a
}

func (w *world) post(t testing.TB, v url.Values) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, tokenURL, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.serve(t, r)
}

// token gets an access token for client rms.
func (w *world) token(t testing.TB, scope string) string {
	t.Helper()
	a := w.post(t, form(w.good(), map[string]string{"scope": scope}))
	if a.Code != 200 {
		t.Fatalf("no token: %d %s (%s)", a.Code, a.Body, w.audit.last(t).Reason)
	}
	return a.JSON.Token
}

// replace puts a changed registration of rms in force.
func (w *world) replace(t testing.TB, change func(*auth.Client)) {
	t.Helper()
	cs := slices.Clone(w.clients)
	change(&cs[0])
	if err := w.registry.Replace(cs); err != nil {
		t.Fatal(err)
	}
}
