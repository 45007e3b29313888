package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

func TestKeySetsAreReadStrictly(t *testing.T) {
	es := keys()["es"]
	with := func(over map[string]any) map[string]any { return merge(es.jwk(false), over) }
	set := func(ks ...any) string { return string(marshal(map[string]any{"keys": ks})) }
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakJWK := pair{"weak", "RS384", weak}.jwk(false)
	weakJWK["n"] = b64(weak.N.Bytes()[:128])
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for note, raw := range map[string]string{
		"one key":                  set(es.jwk(false)),
		"alg may be absent":        set(with(map[string]any{"alg": nil})),
		"use may be absent":        set(with(map[string]any{"use": nil})),
		"key_ops verify":           set(with(map[string]any{"key_ops": []string{"verify"}})),
		"beside an encryption key": set(es.jwk(false), with(map[string]any{"use": "enc", "kid": "e"})),
		"beside an unknown kind":   set(es.jwk(false), map[string]any{"kty": "XYZ", "kid": "x"}),
		"with x5c":                 set(with(map[string]any{"x5t": "abc"})),
		"with unknown members":     string(marshal(map[string]any{"keys": []any{es.jwk(false)}, "generated": 1})),
	} {
		if _, err := auth.ParseKeySet([]byte(raw)); err != nil {
			t.Errorf("%s: %v", note, err)
		}
	}
	for note, raw := range map[string]string{
		"nothing": "", "no JSON": "{", "an array": "[]", "no keys": "{}", "keys an object": `{"keys":{}}`, "no key": set(),
		"a single key":         string(marshal(es.jwk(false))),
		"private key":          set(es.jwk(true)),
		"private among many":   set(es.jwk(false), keys()["rs"].jwk(true)),
		"symmetric key":        set(es.jwk(false), map[string]any{"kty": "oct", "kid": "o", "k": "AAAA"}),
		"no kid":               set(with(map[string]any{"kid": nil})),
		"kid long":             set(with(map[string]any{"kid": strings.Repeat("k", 300)})),
		"for encryption":       set(with(map[string]any{"use": "enc"})),
		"key_ops sign only":    set(with(map[string]any{"key_ops": []string{"sign"}})),
		"off the curve":        set(with(map[string]any{"x": b64(make([]byte, 48))})),
		"another curve":        set(pair{"p521", "ES512", p521}.jwk(false)),
		"OKP":                  set(map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(make([]byte, 32))}),
		"weak RSA":             set(weakJWK),
		"RSA exponent 1":       set(merge(keys()["rs"].jwk(false), map[string]any{"e": "AQ"})),
		"RSA enormous":         set(merge(keys()["rs"].jwk(false), map[string]any{"n": b64(append([]byte{0x80}, make([]byte, 8<<10)...))})),
		"repeated member":      strings.Replace(set(es.jwk(false)), `"kty":"EC"`, `"kty":"oct","kty":"EC"`, 1),
		"too many":             `{"keys":[` + strings.Repeat(string(marshal(es.jwk(false)))+",", 70) + string(marshal(es.jwk(false))) + `]}`,
		"too large":            `{"keys":[],"x":"` + strings.Repeat("x", 300<<10) + `"}`,
		"keys of odd elements": `{"keys":[1,"x",null]}`,
	} {
		if _, err := auth.ParseKeySet([]byte(raw)); err == nil {
			t.Errorf("%s was taken", note)
		}
	}
}

func TestAnAmbiguousKidIsRefused(t *testing.T) {
	w := newWorld(t)
	es, twin, rs := keys()["es"], keys()["other"], keys()["rs"]
	twin.kid, rs.kid = es.kid, es.kid
	w.replace(t, func(c *auth.Client) { c.JWKS = jwks(es, twin) })
	if a := w.post(t, form(w.good(), nil)); a.Code != 401 || w.audit.last(t).Reason != "key" {
		t.Errorf("two keys under one kid: %d %s", a.Code, w.audit.last(t).Reason)
	}
	// A key of another type under the same kid is no candidate.
	w.replace(t, func(c *auth.Client) { c.JWKS = jwks(es, rs) })
	if a := w.post(t, form(w.good(), nil)); a.Code != 200 {
		t.Errorf("EC beside RSA under one kid: %d %s", a.Code, w.audit.last(t).Reason)
	}
	// Nor is one that says it is for another algorithm.
	wrong := es
	wrong.alg = "ES256"
	w.replace(t, func(c *auth.Client) { c.JWKS = jwks(wrong) })
	if a := w.post(t, form(w.good(), nil)); a.Code != 401 {
		t.Errorf("key whose alg differs: %d", a.Code)
	}
}

func TestPrivateKeysStayPrivate(t *testing.T) {
	dir := t.TempDir()
	for _, alg := range []string{auth.ES256, auth.ES384, auth.RS384} {
		path := filepath.Join(dir, alg+".jwk")
		k, err := auth.LoadOrGenerateKey(path, alg)
		if err != nil {
			t.Fatal(err)
		}
		if k.Algorithm() != alg || len(k.KeyID()) < 20 {
			t.Errorf("key %v", k)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		again, err := auth.LoadOrGenerateKey(path, alg)
		if err != nil || again.KeyID() != k.KeyID() {
			t.Errorf("read again: %v, %v", again, err)
		}
		if err := k.Write(path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("overwriting: %v", err)
		}
		var secret struct{ D string }
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &secret); err != nil || len(secret.D) < 40 {
			t.Fatalf("no secret in the file: %v", err)
		}
		printed := fmt.Sprintf("%v %+v %#v %s", k, k, k, k)
		if _, err := json.Marshal(k); err == nil || strings.Contains(printed, secret.D[:20]) {
			t.Errorf("the secret is printed: %v", err)
		}
		public, err := auth.PublicKeys(k)
		if err != nil || strings.Contains(string(public), secret.D[:20]) {
			t.Errorf("public set %s, %v", public, err)
		}
		if _, err := auth.ParseKeySet(public); err != nil {
			t.Errorf("public set: %v", err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := auth.ReadPrivateKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("group-readable key: %v", err)
		}
	}
	es := keys()["es"]
	for note, raw := range map[string]string{
		"public": string(marshal(es.jwk(false))), "no kid": string(marshal(merge(es.jwk(true), map[string]any{"kid": nil}))),
		"no alg": string(marshal(merge(es.jwk(true), map[string]any{"alg": nil}))), "alg of another kind": string(marshal(merge(es.jwk(true), map[string]any{"alg": "RS384"}))),
		"alg of another curve": string(marshal(merge(es.jwk(true), map[string]any{"alg": "ES256"}))), "HS256": `{"kty":"oct","kid":"x","alg":"HS256","k":"AAAA","d":"x"}`,
		"damaged": string(marshal(merge(es.jwk(true), map[string]any{"x": "AA"}))), "empty": "", "two keys": `{"keys":[{},{}]}`,
	} {
		if k, err := auth.ParsePrivateKey([]byte(raw)); err == nil {
			t.Errorf("%s was taken: %v", note, k)
		} else if strings.Contains(err.Error(), es.jwk(true)["d"].(string)) {
			t.Errorf("%s: the error tells the secret", note)
		}
	}
	if _, err := auth.ReadPrivateKey(dir); err == nil {
		t.Error("a directory was taken for a key")
	}
	if _, err := auth.GenerateKey("HS256"); err == nil {
		t.Error("HS256 key was made")
	}
	set := string(marshal(map[string]any{"keys": []any{es.jwk(true)}}))
	if _, err := auth.ParsePrivateKey([]byte(set)); err != nil {
		t.Errorf("set of one: %v", err)
	}
}

func TestTheSignerMakesWhatTheEndpointTakes(t *testing.T) {
	w := newWorld(t)
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		t.Fatal(err)
	}
	public, err := auth.PublicKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	w.replace(t, func(c *auth.Client) { c.JWKS = public })
	s, err := auth.NewSigner("rms", key, 0, w.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 3 {
		a, err := s.Assertion(tokenURL)
		if err != nil {
			t.Fatal(err)
		}
		if seen[a] {
			t.Error("the same assertion twice")
		}
		seen[a] = true
		if got := w.post(t, form(a, nil)); got.Code != 200 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	if _, err := s.Assertion(""); err == nil {
		t.Error("assertion without audience")
	}
	for _, life := range []time.Duration{-1, time.Millisecond, time.Hour} {
		if _, err := auth.NewSigner("rms", key, life, nil); err == nil {
			t.Errorf("life %v was taken", life)
		}
	}
	if _, err := auth.NewSigner("", key, 0, nil); err == nil {
		t.Error("signer without client")
	}
}

func TestRegistrationsAreChecked(t *testing.T) {
	good := clientsOf(t)[0]
	fetcher := auth.NewHTTPFetcher()
	for note, change := range map[string]func(*auth.Client){
		"no id": func(c *auth.Client) { c.ID = "" }, "odd id": func(c *auth.Client) { c.ID = "a b" }, "long id": func(c *auth.Client) { c.ID = strings.Repeat("a", 256) },
		"no organisation": func(c *auth.Client) { c.Organization = "" }, "no kind": func(c *auth.Client) { c.OrganizationKind = "" },
		"unknown kind": func(c *auth.Client) { c.OrganizationKind = "court" }, "no purposes": func(c *auth.Client) { c.Purposes = nil },
		"no scopes": func(c *auth.Client) { c.Scopes = nil }, "no keys": func(c *auth.Client) { c.JWKS = nil },
		"keys and URL": func(c *auth.Client) { c.JWKSURL = "https://x.example/jwks" }, "bad keys": func(c *auth.Client) { c.JWKS = []byte("{}") },
		"alg none": func(c *auth.Client) { c.Algorithms = []string{"none"} }, "alg HS256": func(c *auth.Client) { c.Algorithms = []string{"HS256"} },
		"http URL":            func(c *auth.Client) { c.JWKS, c.JWKSURL = nil, "http://x.example/jwks" },
		"relative URL":        func(c *auth.Client) { c.JWKS, c.JWKSURL = nil, "/jwks" },
		"file URL":            func(c *auth.Client) { c.JWKS, c.JWKSURL = nil, "file:///etc/passwd" },
		"user in URL":         func(c *auth.Client) { c.JWKS, c.JWKSURL = nil, "https://u:p@x.example/jwks" },
		"loopback look-alike": func(c *auth.Client) { c.JWKS, c.JWKSURL = nil, "http://127.0.0.1.evil.example/jwks" },
		"outsider with a key": func(c *auth.Client) { c.Issuer = "https://idp.example" },
	} {
		c := good
		change(&c)
		if _, err := auth.NewRegistry([]auth.Client{c}, fetcher, nil); err == nil {
			t.Errorf("%s was taken", note)
		}
	}
	if _, err := auth.NewRegistry([]auth.Client{good, good}, nil, nil); err == nil {
		t.Error("one id twice")
	}
	c := good
	c.JWKS, c.JWKSURL = nil, "https://x.example/jwks"
	if _, err := auth.NewRegistry([]auth.Client{c}, nil, nil); err == nil {
		t.Error("URL without fetcher")
	}
	r, err := auth.NewRegistry([]auth.Client{good}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Replace([]auth.Client{good, {}}); err == nil {
		t.Error("a bad replacement was taken")
	}
}

// keyServer serves key sets and counts.
type keyServer struct {
	*httptest.Server
	mu      sync.Mutex
	body    string
	control string
	status  int
	typ     string
	hits    atomic.Int32
}

func newKeyServer(t *testing.T, body string) *keyServer {
	s := &keyServer{body: body, status: 200, typ: "application/json"}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Header.Get("Accept") != "application/json" {
			t.Errorf("Accept %q", r.Header.Get("Accept"))
		}
		if s.control != "" {
			w.Header().Set("Cache-Control", s.control)
		}
		w.Header().Set("Content-Type", s.typ)
		if s.status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(f func(*keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// urlWorld is a world whose client rms publishes its keys at the server.
func urlWorld(t *testing.T, s *keyServer) *world {
	w := newWorld(t)
	cs := w.clients
	cs[0].JWKS, cs[0].JWKSURL = nil, s.URL+"/jwks.json"
	r, err := auth.NewRegistry(cs, auth.NewHTTPFetcher(), w.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	w.registry = r
	w.endpoint, err = auth.NewTokenEndpoint(auth.TokenOptions{URL: tokenURL, Issuer: issuerID, Audience: fhirBase, Registry: r, Facts: w.facts, Key: key, Auditor: w.audit, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestKeysBehindAURL(t *testing.T) {
	s := newKeyServer(t, string(jwks(keys()["es"])))
	s.control = "max-age=60"
	w := urlWorld(t, s)
	ask := func(want int, hits int32, note string) {
		t.Helper()
		if a := w.post(t, form(w.good(), nil)); a.Code != want {
			t.Errorf("%s: %d %s (%s)", note, a.Code, a.Body, w.audit.last(t).Reason)
		}
		if n := s.hits.Load(); n != hits {
			t.Errorf("%s: %d fetches, want %d", note, n, hits)
		}
	}
	ask(200, 1, "first")
	ask(200, 1, "cached")
	w.clock.add(59 * time.Second)
	ask(200, 1, "just fresh")
	w.clock.add(time.Second)
	ask(200, 2, "no longer fresh")
	s.set(func(s *keyServer) { s.status = 503 })
	w.clock.add(time.Minute)
	ask(401, 3, "stale keys are not used when the owner is down")
	ask(401, 3, "and the owner is not asked at once again")
	s.set(func(s *keyServer) { s.status = 200 })
	w.clock.add(3 * time.Second)
	ask(200, 4, "back")

	// jku must be the registered URL.
	good := forgery{by: keys()["es"], header: map[string]any{"jku": s.URL + "/jwks.json"}, claims: w.claims("rms", nil)}.String()
	if a := w.post(t, form(good, nil)); a.Code != 200 {
		t.Errorf("registered jku: %d %s", a.Code, w.audit.last(t).Reason)
	}
	for _, jku := range []any{s.URL + "/other.json", s.URL + "/jwks.json?x", "", 7, []string{s.URL + "/jwks.json"}} {
		bad := forgery{by: keys()["es"], header: map[string]any{"jku": jku}, claims: w.claims("rms", nil)}.String()
		if a := w.post(t, form(bad, nil)); a.Code != 401 || w.audit.last(t).Reason != "jku" {
			t.Errorf("jku %v: %d %s", jku, a.Code, w.audit.last(t).Reason)
		}
	}
}

func TestAnUnknownKidMakesItLookAgainNotOften(t *testing.T) {
	s := newKeyServer(t, string(jwks(keys()["other"])))
	s.control = "max-age=3600"
	w := urlWorld(t, s)
	if a := w.post(t, form(w.good(), nil)); a.Code != 401 || s.hits.Load() != 1 {
		t.Fatalf("%d after %d fetches", a.Code, s.hits.Load())
	}
	s.set(func(s *keyServer) { s.body = string(jwks(keys()["es"])) })
	for range 20 {
		w.post(t, form(w.good(), nil))
	}
	if n := s.hits.Load(); n != 1 {
		t.Errorf("%d fetches within half a minute", n)
	}
	w.clock.add(30 * time.Second)
	if a := w.post(t, form(w.good(), nil)); a.Code != 200 || s.hits.Load() != 2 {
		t.Errorf("after the rotation: %d, %d fetches", a.Code, s.hits.Load())
	}
}

func TestCacheControlIsKept(t *testing.T) {
	for control, cached := range map[string]bool{
		"": true, "max-age=60": true, "public, max-age=60": true, "max-age=0": false, "no-store": false, "no-cache, max-age=60": false,
		"max-age=soon": false, "max-age=-1": false, "MAX-AGE=60": true, "max-age=60, max-age=0": false, `max-age="60"`: true,
	} {
		s := newKeyServer(t, string(jwks(keys()["es"])))
		s.control = control
		k, err := auth.NewRemoteKeys(s.URL, auth.NewHTTPFetcher(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := k.Keys(context.Background(), "es-key"); err != nil {
				t.Errorf("%q: %v", control, err)
			}
		}
		if got := s.hits.Load() == 1; got != cached {
			t.Errorf("Cache-Control %q: %d fetches", control, s.hits.Load())
		}
	}
}

func TestOddKeyServersAreNotBelieved(t *testing.T) {
	good := string(jwks(keys()["es"]))
	for note, change := range map[string]func(*keyServer){
		"redirect":     func(s *keyServer) { s.status = 302 },
		"not found":    func(s *keyServer) { s.status = 404 },
		"created":      func(s *keyServer) { s.status = 201 },
		"HTML":         func(s *keyServer) { s.typ = "text/html" },
		"no JSON":      func(s *keyServer) { s.body = "<html>" },
		"huge":         func(s *keyServer) { s.body = good + strings.Repeat(" ", 1<<20) },
		"private keys": func(s *keyServer) { s.body = string(marshal(map[string]any{"keys": []any{keys()["es"].jwk(true)}})) },
		"no keys":      func(s *keyServer) { s.body = `{"keys":[]}` },
	} {
		s := newKeyServer(t, good)
		change(s)
		k, err := auth.NewRemoteKeys(s.URL, auth.NewHTTPFetcher(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Keys(context.Background(), "es-key"); err == nil {
			t.Errorf("%s was believed", note)
		}
	}
	k, err := auth.NewRemoteKeys("http://127.0.0.1:1/jwks", auth.NewHTTPFetcher(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keys(context.Background(), "x"); err == nil {
		t.Error("nobody listens there")
	}
}

func TestCallersAtOnceShareAFetch(t *testing.T) {
	s := newKeyServer(t, string(jwks(keys()["es"])))
	k, err := auth.NewRemoteKeys(s.URL, auth.NewHTTPFetcher(), nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := k.Keys(gone, "es-key"); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := k.Keys(context.Background(), "es-key"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.hits.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
}

func FuzzParseKeySet(f *testing.F) {
	f.Add(jwks(keys()["es"], keys()["rs"]))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-384","kid":"x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ks, err := auth.ParseKeySet(raw); (ks == nil) == (err == nil) {
			t.Fatalf("%v, %v", ks, err)
		}
	})
}

func TestAnEmptyKeySetIsAnErrorThatSaysSo(t *testing.T) {
	_, err := auth.ParseKeySet([]byte(`{"keys":[]}`))
	if err == nil || !strings.Contains(err.Error(), "is empty") || strings.Contains(err.Error(), "%!") {
		t.Errorf("got %v", err)
	}
}
