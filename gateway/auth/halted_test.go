package auth_test

import (
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

// What another gateway does while this one stands still in the middle of a token
// request: halted by its machine, or waiting for the store.

func TestAnAssertionWorksOnceWhereAGatewayStoodStill(t *testing.T) {
	w := newWorld(t)
	assertion := w.good()
	w.facts.slow = func() {
		if a := w.post(t, form(assertion, nil)); a.Code != 200 {
			t.Errorf("at the other gateway: %d %s", a.Code, a.Body)
		}
		w.clock.add(time.Hour) // its note is gone
	}
	if a := w.post(t, form(assertion, nil)); a.JSON.Error != "invalid_client" || w.audit.last(t).Reason != "expired" {
		t.Errorf("used twice: %d %s %s", a.Code, a.Body, w.audit.last(t).Reason)
	}
}

// The client has proven its name by what was replaced meanwhile.
func TestAnEndingEndsTheTokenThatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	w.facts.slow = func() {
		w.clock.add(3 * time.Second)
		if err := auth.EndClient(t.Context(), w.facts, "rms", w.clock.now()); err != nil {
			t.Error(err)
		}
		w.clock.add(3 * time.Second)
	}
	late := w.token(t, "system/Patient.rs")
	if believed(t, w.verifier, t.Context(), late) {
		t.Error("a token that was asked for before the ending is believed after it")
	}
	w.clock.add(time.Second)
	if !believed(t, w.verifier, t.Context(), w.token(t, "system/Patient.rs")) {
		t.Error("a token of after the ending is not believed")
	}
}

func TestARevokedTokenDoesNotOutliveItsNoteWhereAGatewayStoodStill(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, "system/Patient.rs")
	p, err := w.verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Revoke(t.Context(), w.facts, issuerID, p.TokenID, w.clock.now().Add(5*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if believed(t, w.verifier, t.Context(), token) {
		t.Fatal("a revoked token is believed")
	}
	w.facts.late = func() { w.clock.add(time.Hour) }
	if believed(t, w.verifier, t.Context(), token) {
		t.Error("a revoked token is believed when its note is gone")
	}
}
