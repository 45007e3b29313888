package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRequest: whatever stands in method, path and query, the gateway answers by
// itself: no panic, no failure, nothing that the caller may not see.
func FuzzRequest(f *testing.F) {
	c := newCounty(f)
	c.populate()
	for _, path := range []string{
		"", "/", "/metadata", "/Patient/p1", "/Patient/p1/_history/1", "/Encounter?patient=Patient/p1&_sort=-date&_count=1", "/Encounter/_search",
		"/Patient/%00", "/Patient/..%2f..%2fmetadata", "//Patient", "/Consent/%24capture", "/Patient/$crisis-summary", "/Patient?identifier=urn:mni|R1",
		"/Encounter?patient=p1;_count=2", "/Encounter?_cursor=AAAA&patient=p1", "/Encounter?patient:missing=true", "/Condition?patient=Patient/p1&code:not=x&_elements=code",
		"/k-/x", "/Condition/k-aaaaaaaaaaaaaaaaaaaaaaaaaa", "/Patient/p1?_pretty=true&_summary=data", "/%E2%80%AE", "/Encounter?date=ge2026-02-30&_total=accurate", "/*", "/.well-known/smart-configuration/..",
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "PUT"} {
			f.Add(method, path, "")
		}
	}
	f.Add("POST", "/Encounter/_search", "patient=p1&status=finished")
	f.Add("GET", "/Patient/p1?x"+strings.Repeat("%C3%A9", 40)+"=1&%ff=1", "")
	f.Add("GET", "/%ff", "")
	f.Add("PUT", "/Consent/1", `{"resourceType":"Consent","id":"1"}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		u, err := url.ParseRequestURI("/fhir" + path)
		if err != nil || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return // net/http refuses it
		}
		for _, who := range []string{"", "officer", "deputy", "clinician"} {
			r := httptest.NewRequest(http.MethodGet, "http://gateway.test/", strings.NewReader(body))
			r.Method, r.URL, r.RequestURI = method, u, "/fhir"+path
			r.Header.Set("Content-Type", "application/fhir+json")
			if strings.HasSuffix(u.Path, "_search") {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if who != "" {
				r.Header.Set("Authorization", "Bearer "+who)
			}
			before := len(c.trail.events)
			w := httptest.NewRecorder()
			c.server.ServeHTTP(w, r)
			if w.Code >= 500 || w.Code < 200 {
				t.Errorf("%s %q as %q: %d %s", method, path, who, w.Code, w.Body)
			}
			if len(c.trail.events) != before+1 || c.trail.last().Status != w.Code {
				t.Errorf("%s %q as %q is not on record", method, path, who)
			}
			if typ := w.Header().Get("Content-Type"); strings.Contains(typ, "json") && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) || !utf8.Valid(w.Body.Bytes()) {
				t.Errorf("%s %q as %q gives no JSON: %q", method, path, who, w.Body)
			}
			if (who == "" || who == "deputy") && strings.Contains(w.Body.String(), "Quintana") && !strings.Contains(path+body, "Quintana") {
				t.Errorf("%s %q as %q: %s", method, path, who, w.Body)
			}
		}
	})
}
