package rest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/rest"
)

const page = "https://app.example"

// asked is the last request that came through, and a handler that answers it with
// what it was.
type asked struct{ last *rest.Request }

func (a *asked) handle(_ context.Context, r *rest.Request) *rest.Response {
	a.last = r
	h := http.Header{"Etag": {`W/"1"`}}
	switch {
	case r.Fault != nil:
		return &rest.Response{Status: http.StatusBadRequest, Header: h, Body: []byte(r.Fault.Error())}
	case r.Interaction == rest.Preflight:
		return &rest.Response{Status: http.StatusNoContent, Header: h}
	}
	return &rest.Response{Status: http.StatusOK, Header: h, Body: []byte(r.Interaction + "|" + r.Source())}
}

func newFront(t *testing.T, change func(*rest.Options)) (http.Handler, *asked) {
	t.Helper()
	a := &asked{}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", int(n))+r.RemoteAddr)
	})
	o := rest.Options{
		BasePath: "/fhir", HTTPS: true, Origins: func(_ context.Context, o string) bool { return o == page },
		Other: map[string]http.Handler{"/oauth/token": echo, "/oauth/introspect": echo, "/oauth/jwks": echo, "/healthz": echo},
	}
	if change != nil {
		change(&o)
	}
	return rest.New(o, a.handle), a
}

func do(h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWhereARequestComesFrom(t *testing.T) {
	trusted := rest.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")}
	for _, c := range []struct {
		name, peer string
		proxies    rest.Proxies
		header     http.Header
		want       string
	}{
		{"nobody is trusted", "10.0.0.1:4711", nil, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "10.0.0.1"},
		{"a stranger says so", "198.51.100.9:1", trusted, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "198.51.100.9"},
		{"one proxy", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, "192.0.2.7"},
		{"the caller wrote some itself", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"127.0.0.1, 192.0.2.7"}}, "192.0.2.7"},
		{"two proxies", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"1.2.3.4, 192.0.2.7, 10.9.9.9"}}, "192.0.2.7"},
		{"in two lines", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"1.2.3.4", "192.0.2.7, 10.9.9.9"}}, "192.0.2.7"},
		{"proxies all the way", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		{"not an address", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"192.0.2.7, unknown"}}, "10.0.0.1"},
		{"not an address behind a proxy", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"<script>, 10.0.0.2"}}, "10.0.0.2"},
		{"with a port", "10.0.0.1:4711", trusted, http.Header{"X-Forwarded-For": {"192.0.2.7:9"}}, "192.0.2.7"},
		{"IPv6", "[2001:db8::1]:4711", trusted, http.Header{"X-Forwarded-For": {"[2001:db8:7::9]:9"}}, "2001:db8:7::9"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:4711", trusted, http.Header{"X-Forwarded-For": {"::ffff:192.0.2.7"}}, "192.0.2.7"},
		{"nothing said", "10.0.0.1:4711", trusted, nil, "10.0.0.1"},
		{"other headers", "10.0.0.1:4711", trusted, http.Header{"Forwarded": {"for=192.0.2.7"}, "X-Real-Ip": {"192.0.2.7"}, "X-Forwarded-Host": {"evil"}, "Cf-Connecting-Ip": {"192.0.2.7"}}, "10.0.0.1"},
	} {
		h, a := newFront(t, func(o *rest.Options) { o.Proxies = c.proxies })
		for _, path := range []string{"/fhir/Patient/1", "/oauth/token"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr, r.Header = c.peer, c.header.Clone()
			if r.Header == nil {
				r.Header = http.Header{}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			got := w.Body.String()
			if path == "/fhir/Patient/1" {
				got = a.last.Source()
			}
			if got != c.want && !strings.HasPrefix(strings.Trim(got, "["), c.want) {
				t.Errorf("%s: %s comes from %s, want %s", c.name, path, got, c.want)
			}
		}
	}
}

func TestPagesOfWhichOriginsMayCall(t *testing.T) {
	h, a := newFront(t, nil)
	for _, c := range []struct{ path, origin, allowed, vary string }{
		{"/fhir/Patient/1", page, page, "Origin"},
		{"/fhir/Patient/1", "https://evil.example", "", "Origin"},
		{"/fhir/Patient/1", "https://app.example.evil.example", "", "Origin"},
		{"/fhir/Patient/1", "http://app.example", "", "Origin"},
		{"/fhir/Patient/1", "null", "", "Origin"},
		{"/fhir/Patient/1", "", "", "Origin"},
		{"/fhir/no/such/path", page, page, "Origin"},
		{"/fhir", page, page, "Origin"},
		{"/fhir/metadata", "https://evil.example", "*", ""},
		{"/fhir/metadata", "", "*", ""},
		{"/fhir/.well-known/smart-configuration", page, "*", ""},
		{"/fhirx/metadata", page, "", ""},
		{"/oauth/token", page, page, "Origin"},
		{"/oauth/token", "https://evil.example", "", "Origin"},
		{"/oauth/jwks", "https://evil.example", "*", ""},
		{"/oauth/introspect", page, "", ""},
		{"/healthz", page, "", ""},
	} {
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		w := do(h, http.MethodGet, c.path, header)
		got := w.Header()
		if got.Get("Access-Control-Allow-Origin") != c.allowed || got.Get("Vary") != c.vary || got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from %q: %v", c.path, c.origin, got)
		}
		if exposed := got.Get("Access-Control-Expose-Headers"); (c.allowed != "") != strings.Contains(exposed, "ETag") {
			t.Errorf("%s from %q exposes %q", c.path, c.origin, exposed)
		}
		// The preflight tells the same, without a token, and never comes to a handler
		// that would do something.
		header.Set("Access-Control-Request-Method", http.MethodPut)
		header.Set("Access-Control-Request-Headers", "authorization, if-match")
		a.last = nil
		w = do(h, http.MethodOptions, c.path, header)
		got = w.Header()
		if got.Get("Access-Control-Allow-Origin") != c.allowed || c.allowed != "" && c.origin != "" && !strings.Contains(got.Get("Access-Control-Allow-Headers"), "If-Match") {
			t.Errorf("preflight of %s from %q: %v", c.path, c.origin, got)
		}
		if shared := c.allowed != "" || c.vary != ""; shared && c.origin != "" && (w.Code != http.StatusNoContent || a.last == nil || a.last.Interaction != rest.Preflight) {
			t.Errorf("preflight of %s from %q: %d %+v", c.path, c.origin, w.Code, a.last)
		}
	}
	// Two origins are none.
	w := do(h, http.MethodGet, "/fhir/Patient/1", http.Header{"Origin": {page, "https://evil.example"}})
	if o := w.Header().Get("Access-Control-Allow-Origin"); o != "" {
		t.Errorf("two origins: %q", o)
	}
}

func TestEveryAnswerProtectsItself(t *testing.T) {
	h, _ := newFront(t, nil)
	plain, _ := newFront(t, func(o *rest.Options) { o.HTTPS = false })
	for _, path := range []string{"/fhir/Patient/1", "/fhir/metadata", "/fhir/x/y/z", "/", "/oauth/token", "/healthz", "/elsewhere", "/fhir/metadata?x=" + strings.Repeat("y", 9<<10)} {
		got := do(h, http.MethodGet, path, nil).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "max-age=31536000", "Server": "", "X-Powered-By": "",
		} {
			if got.Get(name) != want {
				t.Errorf("%.40s: %s: %q, want %q", path, name, got.Get(name), want)
			}
		}
		if v := do(plain, http.MethodGet, path, nil).Header().Get("Strict-Transport-Security"); v != "" {
			t.Errorf("%.40s over plain HTTP: %q", path, v)
		}
	}
}

func TestLimitsHoldForEveryPath(t *testing.T) {
	h, a := newFront(t, nil)
	many := http.Header{}
	for range rest.MaxHeaders + 1 {
		many.Add("X-Many", "1")
	}
	for _, path := range []string{"/fhir/Patient/1", "/fhir/metadata", "/oauth/token"} {
		for name, try := range map[string]func() *httptest.ResponseRecorder{
			"a long path": func() *httptest.ResponseRecorder {
				return do(h, "GET", path+"/"+strings.Repeat("x", rest.MaxURLBytes), nil)
			},
			"a long query": func() *httptest.ResponseRecorder {
				return do(h, "GET", path+"?x="+strings.Repeat("x", rest.MaxURLBytes), nil)
			},
			"many headers": func() *httptest.ResponseRecorder { return do(h, "GET", path, many) },
		} {
			a.last = nil
			if w := try(); w.Code != http.StatusBadRequest || a.last == nil || a.last.Fault == nil || a.last.Open {
				t.Errorf("%s at %s: %d, %+v", name, path, w.Code, a.last)
			}
		}
	}
	for size, want := range map[int]int{rest.MaxOtherBytes: http.StatusOK, rest.MaxOtherBytes + 1: http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(strings.Repeat("x", size))))
		if w.Code != want {
			t.Errorf("a body of %d bytes: %d, want %d", size, w.Code, want)
		}
	}
}

// bulky is a handler that takes more than a form.
type bulky struct{ http.Handler }

func (bulky) MaxBytes() int64 { return 1 << 20 }

func TestAHandlerMaySayHowMuchItTakes(t *testing.T) {
	h, _ := newFront(t, func(o *rest.Options) { o.Other["/adapters/rms"] = bulky{o.Other["/oauth/token"]} })
	for size, want := range map[int]int{1 << 20: http.StatusOK, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/adapters/rms", strings.NewReader(strings.Repeat("x", size))))
		if w.Code != want {
			t.Errorf("a body of %d bytes: %d, want %d", size, w.Code, want)
		}
	}
}

// The method, the path and the base are those of the request line, whatever
// headers say.
func TestHeadersChangeNoRequest(t *testing.T) {
	h, a := newFront(t, nil)
	for name, value := range map[string]string{
		"X-HTTP-Method-Override": "PUT", "X-HTTP-Method": "PUT", "X-Method-Override": "DELETE", "X-Original-URL": "/fhir/metadata",
		"X-Rewrite-URL": "/fhir/metadata", "X-Forwarded-Prefix": "/x", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher",
	} {
		if do(h, http.MethodGet, "/fhir/Patient/1", http.Header{http.CanonicalHeaderKey(name): {value}}); a.last.Interaction != rest.Read || a.last.ID != "1" || a.last.Open {
			t.Errorf("%s: %s: %+v", name, value, a.last)
		}
	}
}

func TestPathsAndTheirInteractions(t *testing.T) {
	h, a := newFront(t, nil)
	for _, c := range []struct{ method, path, interaction, typ, id string }{
		{"GET", "/fhir/Patient/1", rest.Read, "Patient", "1"},
		{"HEAD", "/fhir/Patient/1", rest.Read, "Patient", "1"},
		{"HEAD", "/fhir/metadata", rest.Capabilities, "", ""},
		{"HEAD", "/fhir/Patient", rest.SearchType, "Patient", ""},
		{"HEAD", "/fhir/Patient/1/_history/2", rest.VRead, "Patient", "1"},
		{"GET", "/fhir/Patient/%2e%2e", rest.Read, "Patient", ".."},
		{"GET", "/fhir/Patient/a%2Fb", rest.Read, "Patient", "a/b"},
		{"GET", "/fhir/Patient/%2570", rest.Read, "Patient", "%70"},
		{"GET", "/fhir/Patient/1%00", rest.Read, "Patient", "1\x00"},
		{"POST", "/fhir/Consent/%24capture", rest.Capture, "Consent", ""},
		{"POST", "/fhir/Consent/%2524capture", rest.Unknown, "", ""},
		{"POST", "/fhir/Patient/$capture", rest.Unknown, "", ""},
		{"GET", "/fhir/Consent/$capture", rest.Read, "Consent", "$capture"},
		{"GET", "/fhir/Patient/1/", rest.Unknown, "", ""},
		{"GET", "/fhir//Patient/1", rest.Unknown, "", ""},
		{"GET", "//fhir/Patient/1", rest.Unknown, "", ""},
		{"GET", "/FHIR/metadata", rest.Unknown, "", ""},
		{"GET", "/fhir/../oauth/token", rest.Unknown, "", ""},
		{"GET", "/fhir", rest.Unknown, "", ""},
		{"POST", "/fhir", rest.Unknown, "", ""},
		{"POST", "/fhir/", rest.Unknown, "", ""},
		{"PUT", "/fhir/Consent", rest.Unknown, "", ""},
		{"PATCH", "/fhir/Consent/1", rest.Unknown, "", ""},
		{"DELETE", "/fhir/Consent/1", rest.Unknown, "", ""},
		{"DELETE", "/fhir/Consent", rest.Unknown, "", ""},
		{"OPTIONS", "/fhir/Consent/1", rest.Unknown, "", ""},
		{"TRACE", "/fhir/Consent/1", rest.Unknown, "", ""},
		{"PROPFIND", "/fhir/Consent/1", rest.Unknown, "", ""},
		{"GET", "/fhir/Patient/1/_history", rest.Unknown, "", ""},
		{"GET", "/fhir/Patient/1/Encounter", rest.Unknown, "", ""},
	} {
		a.last = nil
		w := do(h, c.method, c.path, nil)
		if a.last == nil {
			t.Errorf("%s %s never came: %d", c.method, c.path, w.Code)
			continue
		}
		if r := a.last; r.Interaction != c.interaction || r.Type != c.typ || r.ID != c.id || r.Open != (c.path == "/fhir/metadata") {
			t.Errorf("%s %s: %q %q %q", c.method, c.path, r.Interaction, r.Type, r.ID)
		}
	}
}
