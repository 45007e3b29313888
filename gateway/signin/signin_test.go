package signin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
)

func TestAPersonSignsInAtTheProvider(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	page := b.choice()
	for _, want := range []string{"Official use only.", "sign in at Lakeside", `<label for="demo-name">`, `lang="en"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("%q is missing in\n%s", want, page.body)
		}
	}
	if b.who() != nil {
		t.Error("somebody is signed in before signing in")
	}
	got := b.signIn()
	if got.status != http.StatusSeeOther || got.header.Get("Location") != w.next {
		t.Fatalf("%d %v\n%s", got.status, got.header, got.body)
	}
	p := b.who()
	if p == nil || p.ID != "https://lakeside.example/staff#4711" || p.FHIRUser != "Practitioner/j-marsh" || p.Organization != "Organization/lakeside" ||
		!p.MFA || len(p.Roles) != 1 || p.Roles[0].Code != "treating-clinician" || p.Name != "Jo Marsh" || len(p.Session) != 32 || strings.Contains(p.Subject, "u-1") {
		t.Errorf("%+v", p)
	}
	q := w.idp.asked
	for name, want := range map[string]string{"response_type": "code", "client_id": "handoff", "code_challenge_method": "S256", "max_age": "43200", "acr_values": "strong", "redirect_uri": w.web.URL + "/oauth/signin/callback/lakeside"} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("state")) != HandleBytes || len(q.Get("nonce")) != HandleBytes || len(q.Get("code_challenge")) != 43 || !strings.Contains(q.Get("scope"), "openid") {
		t.Errorf("question %v", q)
	}
	if w.idp.basic != [2]string{"handoff", url.QueryEscape("a secret/with+signs")} || w.idp.form.Get("client_secret") != "" {
		t.Errorf("credentials %q, form %v", w.idp.basic, w.idp.form)
	}
	e := w.trail.last()
	if e.Interaction != audit.Login || e.Outcome != audit.Success || e.User != "Practitioner/j-marsh" || e.Source != "127.0.0.1" || e.ID == "" || !strings.Contains(e.Query, "amr=pwd") {
		t.Errorf("event %+v", e)
	}
	subject := p.Subject
	other := w.browser()
	other.signIn()
	if p := other.who(); p == nil || p.Subject != subject {
		t.Errorf("another sign-in is another subject: %+v", p)
	}
}

func TestCookies(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.choice()
	before := b.jar[browserCookie]
	if len(before) != HandleBytes || b.jar[sessionCookie] != "" {
		t.Fatalf("cookies %v", b.jar)
	}
	b.jar[sessionCookie] = strings.Repeat("A", HandleBytes) // put there by somebody else
	b.signIn()
	first := b.jar[sessionCookie]
	if len(first) != HandleBytes || first == strings.Repeat("A", HandleBytes) || first == before {
		t.Fatalf("the session has a name that was known before: %v", b.jar)
	}
	for _, c := range []struct {
		name   string
		base   string
		secure bool
	}{{"handoff-session", "http://127.0.0.1", false}, {"__Host-handoff-session", "https://gateway.example", true}} {
		o := w.s.o
		o.Base = c.base
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		rec := &headers{http.Header{}}
		s.setCookie(rec, sessionCookie, "x")
		got := rec.h.Get("Set-Cookie")
		for _, want := range []string{c.name + "=x", "HttpOnly", "SameSite=Lax", "Path=/"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q lacks %q", got, want)
			}
		}
		if strings.Contains(got, "Secure") != c.secure || strings.Contains(got, "Domain") {
			t.Errorf("%q", got)
		}
	}
	// The store holds hashes alone.
	for _, prefix := range []string{"signin/"} {
		list, err := w.facts.Scan(t.Context(), prefix, "", 100)
		if err != nil || len(list) == 0 {
			t.Fatal(len(list), err)
		}
		for _, f := range list {
			for _, secret := range []string{first, before} {
				if strings.Contains(f.Key, secret) || strings.Contains(string(f.Value), secret) {
					t.Errorf("%s holds a cookie", f.Key)
				}
			}
		}
	}
}

type headers struct{ h http.Header }

func (h *headers) Header() http.Header         { return h.h }
func (h *headers) Write(p []byte) (int, error) { return len(p), nil }
func (h *headers) WriteHeader(int)             {}

func TestSessionsEndInTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		exempt bool
		steps  []time.Duration // between uses
		in     bool
	}{
		{"used now", false, nil, true},
		{"used often", false, []time.Duration{29 * time.Minute, 28 * time.Minute, 28 * time.Minute}, true},
		{"unused for 30 minutes", false, []time.Duration{30 * time.Minute}, false},
		{"unused for 30 minutes after a use", false, []time.Duration{20 * time.Minute, 30 * time.Minute}, false},
		{"unused, exempt", true, []time.Duration{11 * time.Hour}, true},
		{"twelve hours, exempt", true, []time.Duration{12 * time.Hour}, false},
		{"twelve hours, used", false, slicesOf(25*time.Minute, 29), false},
		{"nearly twelve hours, used", false, slicesOf(25*time.Minute, 28), true},
	} {
		w := newWorld(t, func(_ *world, o *Options) { o.Providers[0].Exempt = c.exempt })
		b := w.browser()
		b.signIn()
		for _, d := range c.steps {
			b.who()
			w.clock.add(d)
		}
		if got := b.who() != nil; got != c.in {
			t.Errorf("%s: signed in %v, want %v", c.name, got, c.in)
		}
	}
}

func slicesOf(d time.Duration, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}

func TestTheSessionCountsFromTheSignInAtTheProvider(t *testing.T) {
	w := newWorld(t, func(_ *world, o *Options) { o.Providers[0].Exempt = true })
	w.idp.claims = func(c map[string]any) { c["auth_time"] = w.clock.now().Add(-11 * time.Hour).Unix() }
	b := w.browser()
	b.signIn()
	if b.who() == nil {
		t.Fatal("not signed in")
	}
	w.clock.add(time.Hour)
	if b.who() != nil {
		t.Error("signed in twelve hours after the person proved who they are")
	}
}

func TestAProviderThatIsTakenAwayEndsItsSessions(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	o := w.s.o
	o.Providers = o.Providers[1:]
	var err error
	if w.s, err = New(o); err != nil {
		t.Fatal(err)
	}
	if b.who() != nil {
		t.Error("still signed in")
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	sid := b.who().Session
	kept := b.jar[sessionCookie]
	page := b.get("/oauth/signout")
	if !strings.Contains(page.body, "You are signed in as Jo Marsh") || b.who() == nil {
		t.Fatalf("a link alone must not sign out:\n%s", page.body)
	}
	if got := b.do("POST", "/oauth/signout", url.Values{}); got.status != 400 || b.who() == nil {
		t.Errorf("without the page's token: %d", got.status)
	}
	m := hidden.FindStringSubmatch(page.body)
	if got := b.do("POST", "/oauth/signout", url.Values{m[1]: {m[2]}}); got.status != 200 || b.jar[sessionCookie] != "" {
		t.Errorf("%d %v", got.status, b.jar)
	}
	b.jar[sessionCookie] = kept
	if b.who() != nil {
		t.Error("the cookie still opens the session")
	}
	if len(w.ended) != 1 || w.ended[0] != sid {
		t.Errorf("tokens ended of %v, want %s", w.ended, sid)
	}
	// A note that goes earlier would wake refresh tokens that offline_access keeps.
	if w.until.Before(w.clock.now().Add(auth.MaxFamilyLife)) {
		t.Errorf("the end is noted until %v: refresh tokens would live again", w.until)
	}
	if e := w.trail.last(); e.Interaction != audit.Logout || e.User != "Practitioner/j-marsh" {
		t.Errorf("event %+v", e)
	}
}

func TestSigningInAgain(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	first := *b.who()
	old := b.jar[sessionCookie]
	w.again = true
	w.clock.add(10 * time.Minute)
	w.idp.claims = func(c map[string]any) { c["auth_time"] = w.clock.now().Add(-2 * time.Minute).Unix() }
	if got := b.signIn(); got.status != http.StatusForbidden || w.trail.last().Reason != "id-token-auth-time" {
		t.Errorf("a provider that did not ask again: %d %s", got.status, w.trail.last().Reason)
	}
	if w.idp.asked.Get("prompt") != "login" || w.idp.asked.Get("max_age") != "0" {
		t.Errorf("question %v", w.idp.asked)
	}
	w.idp.claims = nil
	b.signIn()
	second := b.who()
	if second == nil || second.Session != first.Session || !second.Began.After(first.Began) || len(w.ended) != 0 || b.jar[sessionCookie] == old {
		t.Errorf("the same person: %+v, ended %v", second, w.ended)
	}
	w.idp.claims = func(c map[string]any) { c["sub"] = "u-2" }
	b.signIn()
	if third := b.who(); third == nil || third.Session == first.Session || len(w.ended) != 1 || w.ended[0] != first.Session {
		t.Errorf("somebody else: %+v, ended %v", third, w.ended)
	}
	b.jar[sessionCookie] = old
	if b.who() != nil {
		t.Error("the old cookie still opens a session")
	}
}

func TestWithoutATrailNobodySignsIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	w.trail.err = http.ErrHandlerTimeout
	got := b.signIn()
	if got.status != http.StatusServiceUnavailable || b.jar[sessionCookie] != "" || strings.Contains(got.body, "Handler") {
		t.Errorf("%d %v\n%s", got.status, b.jar, got.body)
	}
	if b.who() != nil {
		t.Error("signed in")
	}
}

// Who is turned away is on record under the number that the page shows, whatever the
// reason; where that cannot be written, the page says no more than that.
func TestWhoIsTurnedAwayIsOnRecord(t *testing.T) {
	w := newWorld(t)
	cut := &cutFacts{Facts: w.facts, left: -1}
	w.s.o.Facts = cut
	for _, c := range []struct {
		name, method, path  string
		away                bool
		status              int
		interaction, reason string
	}{
		{"an old page", "GET", "/oauth/signin?ask=x", false, 400, audit.Login, "request"},
		{"a form of another site", "POST", "/oauth/signin", false, 400, audit.Login, "request"},
		{"a sign-out of another site", "POST", "/oauth/signout", false, 400, audit.Logout, "request"},
		{"no such provider", "GET", "/oauth/signin/callback/nobody", false, 404, audit.Login, "provider-unknown"},
		{"an answer to nothing", "GET", "/oauth/signin/callback/lakeside?code=x&state=y", false, 400, audit.Login, "request"},
		{"a method", "PUT", "/oauth/signin", false, 405, audit.Login, "method"},
		{"the store is away", "GET", "/oauth/signin?ask=" + strings.Repeat("A", HandleBytes), true, 503, audit.Login, "unavailable"},
	} {
		before := len(w.trail.events)
		b := w.browser()
		form := url.Values(nil)
		if c.method != "GET" {
			form = url.Values{"ask": {"x"}}
		}
		if c.away {
			b.choice()
			cut.left = 1
		}
		got := b.do(c.method, c.path, form)
		cut.left = -1
		if got.status != c.status || len(w.trail.events) == before {
			t.Errorf("%s: %d, %d events more", c.name, got.status, len(w.trail.events)-before)
			continue
		}
		if e := w.trail.last(); e.Interaction != c.interaction || e.Reason != c.reason || e.Status != c.status || e.ID != got.header.Get("X-Request-Id") || e.ID == "" {
			t.Errorf("%s: event %+v", c.name, e)
		}
	}
	w.trail.err = errAway
	if got := w.browser().get("/oauth/signin?ask=x"); got.status != 503 || strings.Contains(got.body, errAway.Error()) || strings.Contains(got.body, "too old") {
		t.Errorf("without a trail: %d\n%s", got.status, got.body)
	}
}
