package signin

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/storetest"
)

func (w *world) alive(id string) bool {
	w.t.Helper()
	is, err := w.s.Alive(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return is
}

func TestASessionIsAliveByItsID(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	id := b.who().Session
	if !w.alive(id) || w.alive("another") || w.alive("") {
		t.Fatal("who signed in is not alive, or somebody else is")
	}
	// To be asked about is no use.
	for range 3 {
		w.clock.add(10 * time.Minute)
		w.s.Alive(t.Context(), id)
	}
	if w.alive(id) {
		t.Error("unused for half an hour and alive")
	}
}

func TestASessionLivesOnUnderANewCookieAndEndsWithTheSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	id := b.who().Session
	w.again = true
	w.clock.add(10 * time.Minute)
	b.signIn()
	if b.who().Session != id || !w.alive(id) {
		t.Fatal("the session did not go on")
	}
	m := hidden.FindStringSubmatch(b.get("/oauth/signout").body)
	b.do("POST", "/oauth/signout", url.Values{m[1]: {m[2]}})
	if w.alive(id) {
		t.Error("alive after the sign-out")
	}
}

// A person signs in again in two tabs at once: a gateway stands still in the middle of
// one, while the other goes through. Both go on under the same id, and end together.
func TestWhoSignsOutEndsEverySessionOfTheirId(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	if got := b.try(b.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Fatal(got.status)
	}
	other := w.browser()
	form := b.choice().form(t, "demo")
	maps.Copy(other.jar, b.jar)
	second := other.choice().form(t, "demo")
	steps, reads := &storetest.Halting{Facts: w.facts}, 0
	w.s.o.Facts = steps
	steps.From(func(_ int, key string) {
		if !strings.HasPrefix(key, sessionKey) {
			return
		}
		if reads++; reads == 2 { // it has seen the session of before
			if got := other.try(second, "ortiz", demoPassword, demoCode); got.status != 303 {
				t.Error(got.status)
			}
		}
	})
	if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Fatal(got.status)
	}
	steps.From(nil)
	one, two := b.who(), other.who()
	if one == nil || two == nil || one.Session != two.Session || b.jar[sessionCookie] == other.jar[sessionCookie] {
		t.Fatalf("not two sessions of one id: %+v %+v", one, two)
	}
	m := hidden.FindStringSubmatch(other.get("/oauth/signout").body)
	if got := other.do("POST", "/oauth/signout", url.Values{m[1]: {m[2]}}); got.status != 200 {
		t.Fatal(got.status)
	}
	if p := b.who(); p != nil {
		t.Errorf("still signed in after signing out: %+v", p)
	}
	if alive, err := w.s.Alive(t.Context(), one.Session); err != nil || alive {
		t.Errorf("alive %v, %v", alive, err)
	}
	// Who signs in again after that has a session of a new id.
	if got := b.try(b.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Fatal(got.status)
	}
	if p := b.who(); p == nil || p.Session == one.Session {
		t.Errorf("signed in again: %+v", p)
	}
}
