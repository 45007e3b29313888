package signin

import (
	"net/url"
	"testing"
	"time"
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
