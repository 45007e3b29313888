package signin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/auth"
)

// signOut is what an administrator does, by another handle on the store.
func (w *world) signOut(provider, sub string) {
	w.t.Helper()
	p := w.s.providers[provider]
	if err := auth.EndSubject(w.t.Context(), w.facts, w.s.subject(p, sub), w.clock.now()); err != nil {
		w.t.Fatal(err)
	}
}

func TestAPersonWhoIsSignedOutHasNoSessionAnywhere(t *testing.T) {
	w := newWorld(t)
	one, two, other := w.browser(), w.browser(), w.browser()
	one.signIn()
	two.signIn()
	if got := other.try(other.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Fatal(got.status)
	}
	id := one.who().Session
	if !w.alive(id) || two.who() == nil {
		t.Fatal("nobody is signed in")
	}
	n := 0
	err := EachSession(t.Context(), w.facts, w.clock.now(), func(k *Kept) error {
		n++
		over, err := auth.SignInEnded(t.Context(), w.facts, k.SignIn)
		if over || err != nil {
			t.Errorf("%+v: %v, %v", k.Person, over, err)
		}
		return nil
	})
	if n != 3 || err != nil {
		t.Errorf("%d sessions, %v", n, err)
	}
	w.clock.add(time.Minute)
	w.signOut("lakeside", "u-1")
	if one.who() != nil || two.who() != nil || w.alive(id) {
		t.Error("somebody is still signed in")
	}
	if other.who() == nil {
		t.Error("somebody else is signed out")
	}
	w.signOut("demo", "ortiz")
	if other.who() != nil {
		t.Error("ortiz is still signed in")
	}
	// At once, in the same second.
	if got := other.try(other.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != 303 || other.who() == nil {
		t.Errorf("who signs in again: %d", got.status)
	}
}

// A provider that still knows the browser proves nothing anew: it is asked to.
func TestWhoIsSignedOutHasToProveAnewWhoTheyAre(t *testing.T) {
	w := newWorld(t)
	w.asks = []string{"lakeside"}
	b := w.browser()
	before := w.clock.now()
	b.signIn()
	w.clock.add(time.Minute)
	w.signOut("lakeside", "u-1")
	w.clock.add(time.Minute)
	known := func(c map[string]any) { c["auth_time"] = before.Unix() }
	w.idp.claims = known
	got := b.signIn()
	if got.status != http.StatusForbidden || !strings.Contains(got.body, "signed out by an administrator") || b.who() != nil {
		t.Fatalf("a sign-in of before: %d\n%s", got.status, got.body)
	}
	if e := w.trail.last(); e.Reason != reasonSignedOut {
		t.Errorf("%+v", e)
	}
	_, link, _ := strings.Cut(got.body, `href="/oauth/signin?ask=`)
	link, _, _ = strings.Cut(link, `"`)
	again := func() url.Values {
		t.Helper()
		p := b.do(http.MethodPost, "/oauth/signin", b.get("/oauth/signin?ask="+link).form(t, "lakeside"))
		code, q := w.idp.authorize(t, strings.TrimPrefix(p.header.Get("Refresh"), "0;url="))
		if q.Get("prompt") != "login" || q.Get("max_age") != "0" {
			t.Errorf("the provider is not asked to ask again: %v", q)
		}
		return url.Values{"code": {code}, "state": {q.Get("state")}}
	}
	if got := b.get("/oauth/signin/callback/lakeside?" + again().Encode()); got.status == 303 || b.who() != nil {
		t.Errorf("a provider that does not ask: %d", got.status)
	}
	// The provider's clock may be behind by what is tolerated.
	w.idp.claims = func(c map[string]any) { c["auth_time"] = w.clock.now().Add(-auth.DefaultSkew).Unix() }
	if got := b.get("/oauth/signin/callback/lakeside?" + again().Encode()); got.status != 303 || b.who() == nil {
		t.Errorf("who has proven anew: %d\n%s", got.status, got.body)
	}
}

// The person is signed out while a gateway stands still before any step of a sign-in:
// nothing comes of it.
func TestASignOutHoldsForASignInThatIsUnderWay(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		steps := &storetest.Halting{Facts: w.facts}
		w.s.o.Facts = steps
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		reached := false
		steps.From(func(step int, _ string) {
			if step == at {
				reached = true
				w.signOut("lakeside", "u-1")
			}
		})
		got := b.get(q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode())
		steps.From(nil)
		if !reached {
			if at < 6 || got.status != 303 || b.who() == nil {
				t.Errorf("a sign-in has %d steps: %d", at-1, got.status)
			}
			return
		}
		if p := b.who(); p != nil {
			t.Errorf("halted before step %d: %+v", at, p)
		}
	}
}

// A session that an earlier release began has no generation: it is judged by when it
// began.
func TestASessionOfAnEarlierReleaseEndsWithItsPerson(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	key := sessionKey + HashHandle(b.jar[sessionCookie])
	f, err := w.facts.Get(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	var held session
	if err := json.Unmarshal(f.Value, &held); err != nil || held.Person.Generation == "" {
		t.Fatal(held, err)
	}
	held.Person.Generation = ""
	raw, err := json.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.facts.CompareAndSet(t.Context(), key, f.Version, raw, f.Expires); err != nil {
		t.Fatal(err)
	}
	if b.who() == nil {
		t.Fatal("it does not count")
	}
	w.clock.add(time.Minute)
	w.signOut("lakeside", "u-1")
	if b.who() != nil {
		t.Error("it outlives its person's end")
	}
}

// Wrong passwords for many names from one address, all on their way before one of them
// is judged, are no more than those of one after the other.
func TestABurstFromOneAddressIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	steps := &storetest.Halting{Facts: w.facts}
	w.s.o.Facts = steps
	b := w.browser()
	form := b.choice().form(t, "demo")
	// Each one that is about to be judged lets the next one in, before it is.
	left, judged := 2*addressFailures, 0
	steps.From(func(_ int, key string) {
		if !strings.HasPrefix(key, userKey) || left == 0 {
			return
		}
		left--
		if got := b.try(form, "nobody-"+string(rune('a'+left)), "wrong", demoCode); got.status == 422 {
			judged++
		}
	})
	if got := b.try(form, "nobody", "wrong", demoCode); got.status == 422 {
		judged++
	}
	steps.From(nil)
	if judged != addressFailures {
		t.Errorf("%d were judged, not %d", judged, addressFailures)
	}
}
