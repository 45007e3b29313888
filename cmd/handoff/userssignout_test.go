package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/registration"
)

// A clinician is signed in and has let an app in. An administrator signs them out from
// the command line, by another handle on the store: the app's tokens and the browser's
// sign-in are over at once, and nothing new comes of them; who signs in again goes on.
func TestAPersonIsSignedOutBesideARunningGateway(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out screen
	dir := filepath.Join(t.TempDir(), "demo")
	d, done := startDemo(ctx, t, dir, &out)
	users := func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := runLine("", append(append([]string{"users"}, args...), "--config", filepath.Join(dir, "handoff.yaml"))...)
		if code != want {
			t.Errorf("%v: exit %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
		return stdout + stderr
	}
	who := d.users[1]
	if got := users(1, "sign-out", who.provider, who.id, "--by", "mlopez"); !strings.Contains(got, "signed-in' shows") {
		t.Errorf("nobody is signed in: %s", got)
	}
	w := newWalker(t)
	w.stop = d.app.redirect("lakeside-app")
	// open goes as far as the app's tokens; signIn says that the person has to.
	open := func(signIn bool) (patient string, tokens map[string]any) {
		t.Helper()
		verifier := rand.Text() + rand.Text()
		w.open(chartAppAsks(d, verifier))
		if asks := strings.Contains(w.page, `name="password"`); asks != signIn {
			t.Fatalf("a sign-in is asked for: %v\n%s", asks, w.page)
		}
		if signIn {
			w.signIn(who)
		}
		w.fill("/oauth/launch/patient", "identifier", "R100001")
		patient = w.pick("patient")
		w.fill("/oauth/launch/patient", "patient", patient)
		w.fill("/oauth/launch/decision", "decision", "allow", "scope", "0", "scope", "1", "scope", "2", "scope", "3", "scope", "4", "scope", "5")
		status, tokens := chartAppToken(t, d, url.Values{
			"grant_type": {"authorization_code"}, "code": {w.at.Query().Get("code")}, "redirect_uri": {w.stop}, "code_verifier": {verifier},
		})
		if status != http.StatusOK || readAs(t, d, tokens["access_token"], patient) != http.StatusOK {
			t.Fatalf("%d %v", status, tokens)
		}
		return patient, tokens
	}
	patient, first := open(true)
	open(false) // still signed in
	list := users(0, "signed-in")
	for _, want := range []string{who.provider, who.id, "Jo Marsh", "lakeside-app"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q:\n%s", want, list)
		}
	}
	if got := users(0, "signed-in", "--format", "json"); !strings.Contains(got, `"apps":["lakeside-app"]`) || !strings.Contains(got, `"signIns":1`) {
		t.Errorf("%s", got)
	}
	users(2, "sign-out", who.provider, who.id)
	users(2, "sign-out", who.provider)
	users(1, "sign-out", "another", who.id, "--by", "mlopez")
	users(1, "sign-out", who.provider, "nobody", "--by", "mlopez")
	if got := readAs(t, d, first["access_token"], patient); got != http.StatusOK {
		t.Fatalf("what was refused has ended a token: %d", got)
	}
	if got := users(0, "sign-out", who.provider, who.id, "--by", "mlopez", "--reason", "laptop stolen"); !strings.Contains(got, "Jo Marsh") || !strings.Contains(got, "sign-ins 1, apps 1") {
		t.Errorf("%s", got)
	}
	if got := readAs(t, d, first["access_token"], patient); got != http.StatusUnauthorized {
		t.Errorf("an access token of before: %d", got)
	}
	if status, answer := chartAppToken(t, d, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(first["refresh_token"])}}); status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("a refresh token of before: %d %v", status, answer)
	}
	if got := users(0, "signed-in"); !strings.Contains(got, "nobody is signed in") {
		t.Errorf("%s", got)
	}
	if got := users(0, "sign-out", who.provider, who.id, "--by", "mlopez"); !strings.Contains(got, "sign-ins 0, apps 0") {
		t.Errorf("once more: %s", got)
	}
	open(true) // the browser's sign-in is over too; a new one counts
	if err := registration.RecordNotes(ctx, d.gateway.store, d.gateway.trail); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	trail := trailText(t, filepath.Join(dir, "audit"))
	if !strings.Contains(trail, `"interaction":"sign-out"`) || !strings.Contains(trail, "mlopez") || !strings.Contains(trail, "laptop+stolen") {
		t.Error("it is not on record")
	}
}
