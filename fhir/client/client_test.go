package client

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var ctx = context.Background()

const onePatient = `{"resourceType":"Patient","id":"p1","extension":[{"url":"u","valueDecimal":1.00}]}`

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL + "/fhir"
}

func newClient(t testing.TB, base string, set func(*Options)) *Client {
	t.Helper()
	o := Options{System: "ehr", Base: base, Retries: 3, WaitMin: time.Millisecond, WaitMax: 3 * time.Millisecond}
	if set != nil {
		set(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func TestNewRefusesABaseThatIsUnsafe(t *testing.T) {
	for _, base := range []string{
		"", "ehr.example", "ftp://ehr.example/fhir", "http://ehr.example/fhir", "https://user:pw@ehr.example/fhir",
		"https://ehr.example/fhir?x=1", "https://ehr.example/fhir#x", "https:///fhir", "https://ehr.example/a/../b", "://", "https://ehr.example//fhir",
	} {
		if _, err := New(Options{System: "ehr", Base: base}); err == nil || !strings.Contains(err.Error(), "ehr") {
			t.Errorf("%q: %v", base, err)
		}
	}
	for _, o := range []Options{{Base: "https://ehr.example/fhir/"}, {Base: "http://127.0.0.1:1/fhir"}, {Base: "http://[::1]/"}, {Base: "http://ehr.example/fhir", PlainHTTP: true}} {
		c, err := New(o)
		if err != nil || strings.HasSuffix(c.Base(), "/") {
			t.Errorf("%q: %v", o.Base, err)
		}
	}
}

func TestBaseHoldsOnlyWhatIsBelowIt(t *testing.T) {
	b, err := parseBase("https://ehr.example/fhir/r4", false)
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"https://ehr.example/fhir/r4":                   true,
		"https://ehr.example/fhir/r4?_getpages=1":       true,
		"https://EHR.example:443/fhir/r4/Patient?x=%2F": true,
		"https://ehr.example/fhir/r4/Patient/":          true,
		"http://ehr.example/fhir/r4/Patient":            false,
		"https://ehr.example:8443/fhir/r4/Patient":      false,
		"https://ehr.example.evil/fhir/r4/Patient":      false,
		"https://u@ehr.example/fhir/r4/Patient":         false,
		"https://ehr.example/fhir/r4x/Patient":          false,
		"https://ehr.example/fhir/r4/../admin":          false,
		"https://ehr.example/fhir/r4/%2e%2e/admin":      false,
		"https://ehr.example/fhir/r4/..%2fadmin":        false,
		`https://ehr.example/fhir/r4/..\admin`:          false,
		"https:opaque":                                  false,
	} {
		u, err := url.Parse(s)
		if err != nil {
			if want {
				t.Errorf("%s: %v", s, err)
			}
			continue
		}
		if got := b.holds(u); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestReadGivesTheBytesAsTheyCame(t *testing.T) {
	for _, packed := range []bool{false, true} {
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/fhir/Patient/p1" || r.Header.Get("Accept") != "application/fhir+json" || r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "k" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			if !packed {
				answer(w, 200, onePatient)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(onePatient))
			_ = z.Close()
		})
		r, err := newClient(t, base, func(o *Options) { o.Header = http.Header{"X-Key": {"k"}} }).Read(ctx, "Patient", "p1")
		if err != nil || string(r.Raw()) != onePatient {
			t.Errorf("packed %v: %v", packed, err)
		}
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	for status, want := range map[int]int64{200: 1, 400: 1, 401: 1, 403: 1, 404: 1, 410: 1, 422: 1, 500: 1, 501: 1, 429: 4, 502: 4, 503: 4, 504: 4} {
		var n atomic.Int64
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); answer(w, status, onePatient) })
		_, err := newClient(t, base, nil).Read(ctx, "Patient", "p1")
		if n.Load() != want || (err == nil) != (status == 200) {
			t.Errorf("%d: asked %d times, %v", status, n.Load(), err)
		}
	}
	var n atomic.Int64
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
		answer(w, 200, onePatient)
	})
	if _, err := newClient(t, base, nil).Read(ctx, "Patient", "p1"); err != nil {
		t.Errorf("after two resets: %v", err)
	}
}

func TestRetryAfterIsHonouredWithinTheDeadline(t *testing.T) {
	var n atomic.Int64
	var header atomic.Value
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", header.Load().(string))
			answer(w, 503, "")
			return
		}
		answer(w, 200, onePatient)
	})
	header.Store("1")
	start := time.Now()
	if _, err := newClient(t, base, nil).Read(ctx, "Patient", "p1"); err != nil || time.Since(start) < 900*time.Millisecond {
		t.Errorf("seconds: %v after %v", err, time.Since(start))
	}
	for _, after := range []string{"90", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "3600"} {
		n.Store(0)
		header.Store(after)
		short, cancel := context.WithTimeout(ctx, time.Minute)
		start = time.Now()
		_, err := newClient(t, base, nil).Read(short, "Patient", "p1")
		cancel()
		if k, _ := KindOf(err); k != Server || time.Since(start) > 30*time.Second || n.Load() != 1 {
			t.Errorf("%s: %v after %v", after, err, time.Since(start))
		}
	}
	if _, ok := retryAfter(http.Header{"Retry-After": {"soon"}}, time.Now()); ok {
		t.Error("a word was taken for a time")
	}
}

func TestErrorsAreTypedAndSayNothingOfAnybody(t *testing.T) {
	outcome := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"%s","details":{"coding":[{"code":"%s"},{"code":"Ann Example"}],"text":"Ann"},"diagnostics":"Patient/p1 is restricted"}]}`
	tests := []struct {
		status int
		body   string
		kind   Kind
		issues int
	}{
		{404, fmt.Sprintf(outcome, "not-found", ""), NotFound, 1},
		{410, "gone", NotFound, 0},
		{403, fmt.Sprintf(outcome, "forbidden", "4118"), Forbidden, 1},
		{403, fmt.Sprintf(outcome, "suppressed", "4130"), Suppressed, 1},
		{400, "no supported search parameters provided for Patient/p1", BadRequest, 0},
		{400, fmt.Sprintf(outcome, "business-rule", "59159"), BadRequest, 1},
		{429, "", Throttled, 0},
		{500, `{"resourceType":"OperationOutcome","issue":[`, Server, 0},
		{200, fmt.Sprintf(outcome, "processing", "59159"), Incomplete, 1},
		{200, `{"resourceType":"Patient","id":"someone-else"}`, Protocol, 0},
		{200, `{"resourceType":"Observation","id":"p1"}`, Protocol, 0},
		{200, `{"resourceType":"Patient","id":"p1","Ann":`, Protocol, 0},
		{200, `{"resourceType":"Ann Example","id":"p1"}`, Protocol, 0},
	}
	for _, tt := range tests {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, tt.status, tt.body) })
		_, err := newClient(t, base, func(o *Options) { o.Retries = -1 }).Read(ctx, "Patient", "p1")
		var e *Error
		if !errors.As(err, &e) || e.Kind != tt.kind || len(e.Issues) != tt.issues || e.System != "ehr" {
			t.Errorf("%d %s: %v", tt.status, tt.body, err)
			continue
		}
		if s := err.Error(); strings.Contains(s, "p1") || strings.Contains(s, "Ann") || strings.Contains(s, "someone") {
			t.Errorf("the error gives something away: %s", s)
		}
		if errors.Is(err, ErrNotFound) != (tt.kind == NotFound) {
			t.Errorf("%v and ErrNotFound", err)
		}
	}
	_, err := newClient(t, "http://127.0.0.1:1/fhir", nil).Read(ctx, "Patient", "p1")
	if k, _ := KindOf(err); k != Unreachable || strings.Contains(err.Error(), "p1") {
		t.Errorf("nobody there: %v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = newClient(t, "http://127.0.0.1:1/fhir", nil).Read(gone, "Patient", "p1"); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller went: %v", err)
	}
	if _, err := newClient(t, "http://127.0.0.1:1/fhir", nil).Read(ctx, "Patient", "../x"); err == nil {
		t.Error("a path was taken for an id")
	}
}

func TestRedirectsAreFollowedWithinTheBaseOnly(t *testing.T) {
	var elsewhere atomic.Int64
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); answer(w, 200, onePatient) })
	for to, ok := range map[string]bool{"/fhir/v2/Patient/p1": true, other + "/Patient/p1": false, "/other/Patient/p1": false} {
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/fhir/Patient/p1" {
				http.Redirect(w, r, to, http.StatusPermanentRedirect)
				return
			}
			answer(w, 200, onePatient)
		})
		_, err := newClient(t, base, func(o *Options) { o.Tokens = static("t") }).Read(ctx, "Patient", "p1")
		if (err == nil) != ok {
			t.Errorf("%s: %v", to, err)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("a request went to another origin")
	}
}

type static string

func (s static) Token(context.Context) (string, error) { return string(s), nil }

func TestSearchUsesNextLinksAsTheyStand(t *testing.T) {
	const state = "?_getpages=a%2Fb&x=1&&y"
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/fhir/Observation?_count=2&patient=p1":
			answer(w, 200, `{"entry":[{"search":{"mode":"match"},"resource":{"resourceType":"Observation","id":"1"},"fullUrl":"u1"},{"resource":{"resourceType":"Observation","id":"2"}}],
				"link":[{"url":"x","relation":"self"},{"url":"/fhir`+state+`","relation":"next"}],"type":"searchset","total":3,"resourceType":"Bundle"}`)
		case "/fhir" + state:
			answer(w, 200, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Observation","id":"3"},"search":{"mode":"include","score":1}}],"link":[]}`)
		default:
			t.Errorf("asked for %s", r.URL.RequestURI())
		}
	})
	var got []string
	err := newClient(t, base, nil).Search(ctx, "Observation", url.Values{"patient": {"p1"}, "_count": {"2"}}, func(e Entry) bool {
		got = append(got, e.Resource.ID()+e.Mode+e.FullURL)
		return true
	})
	if err != nil || strings.Join(got, " ") != "1matchu1 2 3include" {
		t.Errorf("%v, %v", got, err)
	}
}

// signer makes assertions that tell for whom they were made.
type signer struct{ n atomic.Int64 }

func (s *signer) Assertion(aud string) (string, error) {
	return fmt.Sprint(aud, "#", s.n.Add(1)), nil
}

// authorization is a token server beside a FHIR server that wants its tokens.
type authorization struct {
	mu      sync.Mutex
	tokens  int
	refused string
	expires int
	status  int
}

func (a *authorization) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch r.URL.Path {
	case "/fhir/.well-known/smart-configuration":
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"token_endpoint":"http://%s/token"}`, r.Host)
	case "/token":
		_ = r.ParseForm()
		f := r.PostForm
		if r.Method != http.MethodPost || f.Get("grant_type") != "client_credentials" || f.Get("scope") != "system/*.rs" ||
			f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || !strings.HasPrefix(f.Get("client_assertion"), "http://"+r.Host+"/token#") {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"error":"invalid_request"}`))
			return
		}
		a.tokens++
		if a.status != 0 {
			w.WriteHeader(a.status)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"secret"}`))
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"t%d","token_type":"Bearer","expires_in":%d,"scope":"system/*.rs"}`, a.tokens, a.expires)
	default:
		if tok := r.Header.Get("Authorization"); tok == "" || tok == a.refused {
			answer(w, 401, "")
			return
		}
		answer(w, 200, onePatient)
	}
}

func backend(t *testing.T, a *authorization, now func() time.Time) (*Client, *BackendTokens) {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	tokens, err := NewBackendTokens(BackendOptions{System: "ehr", Base: s.URL + "/fhir", Scope: "system/*.rs", Signer: &signer{}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, s.URL+"/fhir", func(o *Options) { o.Tokens = tokens }), tokens
}

func TestTokensAreKeptUntilShortlyBeforeTheirExpiry(t *testing.T) {
	a := &authorization{expires: 300}
	now := time.Now()
	var mu sync.Mutex
	c, tokens := backend(t, a, func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	var wg sync.WaitGroup
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := c.Read(ctx, "Patient", "p1"); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if a.tokens != 1 {
		t.Errorf("%d tokens for 20 requests at once", a.tokens)
	}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{269 * time.Second, 1}, {2 * time.Second, 2}} {
		mu.Lock()
		now = now.Add(step.pass)
		mu.Unlock()
		if _, err := tokens.Token(ctx); err != nil || a.tokens != step.want {
			t.Errorf("after %v: %d tokens, %v", step.pass, a.tokens, err)
		}
	}
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	a := &authorization{expires: 300, refused: "Bearer t1"}
	c, _ := backend(t, a, nil)
	if _, err := c.Read(ctx, "Patient", "p1"); err != nil || a.tokens != 2 {
		t.Errorf("%d tokens, %v", a.tokens, err)
	}
	a.refused = "Bearer t2"
	if _, err := c.Read(ctx, "Patient", "p1"); err != nil || a.tokens != 3 {
		t.Errorf("%d tokens, %v", a.tokens, err)
	}
	b := &authorization{expires: 300, status: 401}
	c, _ = backend(t, b, nil)
	_, err := c.Read(ctx, "Patient", "p1")
	if k, _ := KindOf(err); k != Unauthorized || b.tokens != 1 || !strings.Contains(err.Error(), "invalid_client") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%d requests for a token, %v", b.tokens, err)
	}
}

func TestATokenServerThatIsWrongIsRefused(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no token": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token_type":"bearer"}`)) },
		"another type": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"a","token_type":"mac"}`))
		},
		"a line break": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"a\nb","token_type":"bearer"}`))
		},
		"HTML":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`<html>`)) },
		"too much":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 100<<10))) },
		"503":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"a redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) },
		"a reset":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a null answer": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`null`)) },
	} {
		var n atomic.Int64
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			if r.URL.Path != "/token" {
				t.Errorf("%s: asked %s", name, r.URL)
			}
			h(w, r)
		})
		tokens, err := NewBackendTokens(BackendOptions{System: "ehr", Base: base, TokenURL: strings.TrimSuffix(base, "/fhir") + "/token", Signer: &signer{}})
		if err != nil {
			t.Fatal(err)
		}
		if tok, err := tokens.Token(ctx); err == nil || n.Load() != 1 {
			t.Errorf("%s: token %q, asked %d times", name, tok, n.Load())
		}
	}
	for _, o := range []BackendOptions{
		{Base: "https://ehr.example/fhir"}, {Base: "ehr", Signer: &signer{}}, {Base: "https://ehr.example", Signer: &signer{}, TokenURL: "http://ehr.example/token"},
		{Base: "https://ehr.example", Signer: &signer{}, TokenURL: "/token"},
	} {
		if _, err := NewBackendTokens(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestATokenIsNotWaitedForLongerThanTheDeadline(t *testing.T) {
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	tokens, err := NewBackendTokens(BackendOptions{System: "ehr", Base: base, Signer: &signer{}})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = newClient(t, base, func(o *Options) { o.Tokens = tokens }).Read(short, "Patient", "p1")
	if k, _ := KindOf(err); k != Timeout || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"u"}],"entry":[{"fullUrl":"u","resource":{"resourceType":"Patient"},"search":{"mode":"match"}}]}`))
	f.Add([]byte(`{"resourceType":"OperationOutcome","issue":[{}]}`))
	f.Add([]byte(`{"entry":[{"resource":1,"search":[]}],"link":{},"type":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := newPage(strings.NewReader(string(raw)), func(_, _ string, r []byte) bool { return len(r) < 1000 })
		if err := p.read(); err != nil {
			var c Client
			c.system = "ehr"
			if s := c.bodyError(ctx, "search X", err).Error(); len(s) > 300 {
				t.Fatalf("a long error: %s", s)
			}
		}
	})
}
