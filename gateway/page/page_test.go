package page

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPagesCarryTheirHeadersAndStructure(t *testing.T) {
	from := fstest.MapFS{"t/ask.html": {Data: []byte(`<form method="post"><label for="name">Name</label>{{template "fault" (.Fault "name")}}<input id="name" value="{{.Data}}"></form>`)}}
	pages, err := Parse(from, "t/*.html")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	v := View{Title: `Who <are> you?`, Faults: []Fault{{"name", "Enter your name."}, {"", "Try again."}}, Data: `"><script>alert(1)</script>`}
	if err := pages.Write(w, 422, "ask", v); err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	for _, want := range []string{
		`<html lang="en">`, `<h1>Who &lt;are&gt; you?</h1>`, `<title>Error: Who &lt;are&gt; you?`, `<a href="#name">Enter your name.</a>`,
		`<li>Try again.</li>`, `id="name-fault">Enter your name.`, `value="&#34;&gt;&lt;script&gt;`, `width=device-width`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing in\n%s", want, body)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "ZgotmplZ") {
		t.Errorf("a script got in:\n%s", body)
	}
	inner := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	sum := sha256.Sum256([]byte(inner[1]))
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q does not allow the stylesheet that was sent", csp)
	}
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy %q lacks %q", csp, want)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if w.Code != 422 {
		t.Errorf("status %d", w.Code)
	}
}

func TestWhatCannotBeRenderedSaysNothing(t *testing.T) {
	pages, err := Parse(fstest.MapFS{"p.html": {Data: []byte(`before {{.Data.Missing}}`)}}, "p.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p", "nosuch"} {
		w := httptest.NewRecorder()
		if err := pages.Write(w, 200, name, View{Data: struct{ Secret string }{"hush"}}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if w.Code != 500 || strings.Contains(w.Body.String(), "before") || strings.Contains(w.Body.String(), "Secret") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if _, err := Parse(fstest.MapFS{}, "p.html"); err == nil {
		t.Error("a page without a template was accepted")
	}
}

func TestForward(t *testing.T) {
	for to, ok := range map[string]bool{
		"https://idp.example/authorize?a=1&b=2": true,
		"http://127.0.0.1:9/cb?code=x":          true,
		"com.example.app:/callback?code=x":      true,
		"javascript:alert(1)":                   false,
		"JavaScript:alert(1)":                   false,
		"data:text/html,x":                      false,
		"//evil.example/":                       false,
		"/relative":                             false,
		"https://a.example/\r\nSet-Cookie: x=y": false,
		"https://a.example/ x":                  false,
		`https://a.example/"><script>`:          false,
		"https://a.example/\u00e9":              false,
	} {
		w := httptest.NewRecorder()
		err := Forward(w, to)
		if ok != (err == nil) || (err != nil && !errors.Is(err, ErrTarget)) {
			t.Errorf("%q: %v", to, err)
		}
		if ok && (w.Header().Get("Refresh") != "0;url="+to || !strings.Contains(w.Body.String(), `<a href="`+strings.ReplaceAll(to, "&", "&amp;")+`">`)) {
			t.Errorf("%q: %v\n%s", to, w.Header(), w.Body)
		}
		if !ok && (w.Header().Get("Refresh") != "" || w.Body.Len() > 0) {
			t.Errorf("%q: something was sent: %v", to, w.Header())
		}
	}
}

func TestFailTellsTheRequestAndNothingElse(t *testing.T) {
	w := httptest.NewRecorder()
	if err := Fail(w, "req-42"); err != nil {
		t.Fatal(err)
	}
	if w.Code != 503 || !strings.Contains(w.Body.String(), "<code>req-42</code>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The colours of text have a contrast of at least 4.5 to 1 (WCAG 1.4.3), those of
// borders and focus of 3 to 1 (1.4.11).
func TestContrast(t *testing.T) {
	for _, c := range []struct {
		front, back string
		least       float64
	}{
		{"#1b1b1b", "#ffffff", 4.5}, {"#1b1b1b", "#f0f3f6", 4.5}, {"#0b4f8a", "#ffffff", 4.5}, {"#ffffff", "#0b4f8a", 4.5}, {"#0b4f8a", "#f0f3f6", 4.5},
		{"#ffffff", "#17324d", 4.5}, {"#17324d", "#f0f3f6", 4.5}, {"#a80000", "#ffffff", 4.5}, {"#454545", "#ffffff", 4.5},
		{"#b25000", "#ffffff", 3}, {"#565c65", "#ffffff", 3}, {"#71767a", "#ffffff", 3},
	} {
		if got := contrast(c.front, c.back); got < c.least {
			t.Errorf("%s on %s: %.2f, want %.1f", c.front, c.back, got, c.least)
		}
		short := strings.Replace(c.front, "#ffffff", "#fff", 1)
		if !strings.Contains(style(), short) {
			t.Errorf("%s is not used any more", c.front)
		}
	}
	for _, colour := range regexp.MustCompile(`#[0-9a-f]{3,6}\b`).FindAllString(style(), -1) {
		if !strings.Contains("#fff #1b1b1b #f0f3f6 #0b4f8a #17324d #a80000 #454545 #b25000 #565c65 #71767a", colour) {
			t.Errorf("%s was not looked at", colour)
		}
	}
}
