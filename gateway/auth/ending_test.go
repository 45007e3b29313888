package auth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// personal makes an access token for a person of client rms-app.
func (w *world) personal(t testing.TB, change func(*auth.Authorization)) string {
	t.Helper()
	return w.personalOf(t, w.facts, change)
}

// personalOf is personal where the endings are kept elsewhere.
func (w *world) personalOf(t testing.TB, endings store.Facts, change func(*auth.Authorization)) string {
	t.Helper()
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	a := auth.Authorization{
		ID: "family", Client: "app", Subject: "person", Session: "sitting", SignedIn: w.clock.now(),
		Said: auth.Asserted{
			UserID: "badge#7", UserName: "R. Diaz", Organization: "Organization/riverton-pd",
			Purposes: []string{"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use#CRISIS"},
		},
		Scope: "launch user/Patient.rs openid",
	}
	if change != nil {
		change(&a)
	}
	if a.Generation, err = auth.ReadGeneration(t.Context(), endings, a.Client, a.Subject); err != nil {
		t.Fatal(err)
	}
	got, err := auth.AccessTokens{Issuer: issuerID, Audience: fhirBase, Key: key, Now: w.clock.now}.ForPerson(&a, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return got.Token
}

// withApp adds an app to the clients of a world.
func withApp(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	app := w.clients[0]
	app.ID, app.JWKS, app.Public = "app", nil, true
	app.Grants = []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}
	app.RedirectURIs = []string{"https://app.example/back"}
	app.Providers = []string{"idp"}
	app.Scopes = smart.ParseGranted("user/Patient.rs patient/Observation.rs")
	app.ContextScopes = []string{"launch", "openid", "fhirUser"}
	w.clients = append(w.clients, app)
	if err := w.registry.Replace(w.clients); err != nil {
		t.Fatal(err)
	}
	return w
}

func believed(t testing.TB, v *auth.Verifier, ctx context.Context, token string) bool {
	t.Helper()
	_, err := v.Verify(ctx, token)
	if err == nil {
		return true
	}
	if r := (*auth.Refusal)(nil); !errors.As(err, &r) || r.Code != "invalid_token" {
		t.Fatalf("not refused as a token: %v", err)
	}
	return false
}

func TestWhatIsEndedIsRefusedAtOnce(t *testing.T) {
	ctx := context.Background()
	until := func(w *world) time.Time { return w.clock.now().Add(time.Hour) }
	for _, tt := range []struct {
		note  string
		end   func(*world) error
		token bool // the client's own token survives
		one   bool // the person's does
		other bool // that of another sign-in of another person at the same app does
	}{
		{"a family", func(w *world) error { return auth.EndAuthorization(ctx, w.facts, "family", until(w)) }, true, false, true},
		{"another family", func(w *world) error { return auth.EndAuthorization(ctx, w.facts, "famil", until(w)) }, true, true, true},
		{"a sign-in", func(w *world) error { return auth.EndSession(ctx, w.facts, "sitting", until(w)) }, true, false, true},
		{"a person", func(w *world) error { return auth.EndSubject(ctx, w.facts, "person", w.clock.now()) }, true, false, true},
		{"a person, by a clock that is behind", func(w *world) error { return auth.EndSubject(ctx, w.facts, "person", w.clock.now().Add(-time.Hour)) }, true, false, true},
		{"another person", func(w *world) error { return auth.EndSubject(ctx, w.facts, "perso", w.clock.now()) }, true, true, true},
		{"a session of a person's name", func(w *world) error { return auth.EndSession(ctx, w.facts, "person", until(w)) }, true, true, true},
		{"the app", func(w *world) error { return auth.EndClient(ctx, w.facts, "app", w.clock.now()) }, true, false, false},
		{"the service", func(w *world) error { return auth.EndClient(ctx, w.facts, "rms", w.clock.now()) }, false, true, true},
	} {
		t.Run(tt.note, func(t *testing.T) {
			w := withApp(t)
			own := w.token(t, "system/Patient.rs")
			one := w.personal(t, nil)
			other := w.personal(t, func(a *auth.Authorization) { a.ID, a.Subject, a.Session = "f2", "p2", "s2" })
			for _, x := range []string{own, one, other} {
				if !believed(t, w.verifier, ctx, x) {
					t.Fatal("not believed before")
				}
			}
			for range 2 { // twice is no error
				if err := tt.end(w); err != nil {
					t.Fatal(err)
				}
			}
			for note, x := range map[string]struct {
				token string
				want  bool
			}{"own": {own, tt.token}, "person": {one, tt.one}, "other": {other, tt.other}} {
				for range 2 {
					if got := believed(t, w.verifier, ctx, x.token); got != x.want {
						t.Errorf("%s: believed %v", note, got)
					}
				}
			}
			// What is given afterwards counts again, also in the same second.
			if !believed(t, w.verifier, ctx, w.token(t, "system/Patient.rs")) {
				t.Error("a new token of the service is refused")
			}
			if !believed(t, w.verifier, ctx, w.personal(t, func(a *auth.Authorization) { a.ID, a.Session = "f3", "s3" })) {
				t.Error("a new token of the person is refused")
			}
		})
	}
}

// A second, shorter or earlier ending takes nothing back.
func TestEndingsOnlyGrow(t *testing.T) {
	ctx := context.Background()
	w := withApp(t)
	start := w.clock.now()
	token := w.personal(t, nil)
	for _, until := range []time.Duration{time.Minute, time.Hour, time.Second} {
		if err := auth.EndAuthorization(ctx, w.facts, "family", start.Add(until)); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.add(50 * time.Minute)
	if believed(t, w.verifier, ctx, token) {
		t.Error("the longest ending has not counted")
	}
	later := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, nil)}.String() // without a generation
	for _, at := range []time.Time{start, w.clock.now(), start} {
		if err := auth.EndClient(ctx, w.facts, "rms", at); err != nil {
			t.Fatal(err)
		}
	}
	if believed(t, w.verifier, ctx, later) {
		t.Error("the latest instant has not counted")
	}
	for note, err := range map[string]error{
		"authorization": auth.EndAuthorization(ctx, w.facts, "", start.Add(time.Hour)), "session": auth.EndSession(ctx, w.facts, "", start.Add(time.Hour)),
		"client": auth.EndClient(ctx, w.facts, "", start), "person": auth.EndSubject(ctx, w.facts, "", start),
	} {
		if err == nil {
			t.Errorf("%s: the end of nobody was taken", note)
		}
	}
	w.facts.fail = errors.New("store down")
	if err := auth.EndClient(ctx, w.facts, "app", start); err == nil {
		t.Error("ended without a store")
	}
	if _, err := auth.FamilyEnded(ctx, w.facts, &auth.Authorization{ID: "family"}, start); err == nil {
		t.Error("answered without a store")
	}
}

// An authorization ends in four ways. One that has no generation is judged by when it
// began.
func TestAFamilyEndsInFourWays(t *testing.T) {
	ctx := context.Background()
	for note, tt := range map[string]struct {
		end           func(*world) error
		given, former bool // is over what has a generation, and what has none and began then
		later         bool // what has none and began a second later
	}{
		"nothing":         {func(*world) error { return nil }, false, false, false},
		"itself":          {func(w *world) error { return auth.EndAuthorization(ctx, w.facts, "family", w.clock.now()) }, true, true, true},
		"another":         {func(w *world) error { return auth.EndAuthorization(ctx, w.facts, "sitting", w.clock.now()) }, false, false, false},
		"sign-in":         {func(w *world) error { return auth.EndSession(ctx, w.facts, "sitting", w.clock.now()) }, true, true, true},
		"person":          {func(w *world) error { return auth.EndSubject(ctx, w.facts, "person", w.clock.now()) }, true, true, false},
		"client":          {func(w *world) error { return auth.EndClient(ctx, w.facts, "app", w.clock.now()) }, true, true, false},
		"client, behind":  {func(w *world) error { return auth.EndClient(ctx, w.facts, "app", w.clock.now().Add(-time.Hour)) }, true, false, false},
		"another client":  {func(w *world) error { return auth.EndClient(ctx, w.facts, "person", w.clock.now()) }, false, false, false},
		"another subject": {func(w *world) error { return auth.EndSubject(ctx, w.facts, "app", w.clock.now()) }, false, false, false},
	} {
		t.Run(note, func(t *testing.T) {
			w := withApp(t)
			now := w.clock.now()
			given := auth.Authorization{ID: "family", Client: "app", Subject: "person", Session: "sitting"}
			former := given
			var err error
			if given.Generation, err = auth.ReadGeneration(ctx, w.facts, "app", "person"); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(w); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				of    *auth.Authorization
				began time.Time
				want  bool
			}{{&given, now.Add(time.Hour), tt.given}, {&former, now, tt.former}, {&former, now.Add(time.Second), tt.later}} {
				if is, err := auth.FamilyEnded(ctx, w.facts, c.of, c.began); err != nil || is != c.want {
					t.Errorf("generation %q, began %v later: ended %v, %v", c.of.Generation, c.began.Sub(now), is, err)
				}
			}
			given.Generation = "x"
			if _, err := auth.FamilyEnded(ctx, w.facts, &given, now); err == nil {
				t.Error("answered for a damaged generation")
			}
		})
	}
}

// A token that would live on after the notes of endings have gone, or that does
// not say when it was issued, is not believed.
func TestATokenOutlivesNoEnding(t *testing.T) {
	w := newWorld(t)
	for note, over := range map[string]map[string]any{
		"no iat":         {"iat": nil},
		"a day and more": {"exp": w.in(24*time.Hour + time.Second)},
		"iat long ago":   {"iat": w.in(-25 * time.Hour)},
	} {
		token := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, over)}.String()
		if believed(t, w.verifier, context.Background(), token) {
			t.Errorf("%s: believed", note)
		}
	}
}

// nodes are two gateways' views of one database, each with its own memory.
func node(t testing.TB, w *world, path string) (*epoch.Cache, *auth.Verifier) {
	t.Helper()
	return nodeOn(t, w, backendtest.At(t, path, backend.Options{Now: w.clock.now}))
}

func nodeOn(t testing.TB, w *world, db backend.Backend) (*epoch.Cache, *auth.Verifier) {
	t.Helper()
	cache := epoch.New(db, 0, w.clock.now)
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	own, err := auth.OwnIssuer(issuerID, fhirBase, key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: w.registry, Facts: cache, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return cache, v
}

// request is the context of a new request, as the pipeline makes it.
func request(t testing.TB, c *epoch.Cache) context.Context {
	t.Helper()
	ctx, err := c.Pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestAnEndingIsSeenAtOnceOnAnotherNode(t *testing.T) {
	w := withApp(t)
	path := backendtest.Address(t)
	here, mine := node(t, w, path)
	there, theirs := node(t, w, path)
	for i := range 20 {
		family, sitting, person := fmt.Sprint("f", i), fmt.Sprint("s", i), fmt.Sprint("p", i)
		token := w.personalOf(t, here, func(a *auth.Authorization) { a.ID, a.Session, a.Subject = family, sitting, person })
		for range 2 { // the second time from memory
			if !believed(t, mine, request(t, here), token) || !believed(t, theirs, request(t, there), token) {
				t.Fatal("not believed before")
			}
		}
		var err error
		switch until := w.clock.now().Add(time.Hour); i % 4 {
		case 0:
			err = auth.EndAuthorization(request(t, here), here, family, until)
		case 1:
			err = auth.EndSession(request(t, here), here, sitting, until)
		case 2:
			err = auth.EndSubject(request(t, here), here, person, w.clock.now())
		case 3:
			err = auth.EndClient(request(t, here), here, "app", w.clock.now())
		}
		if err != nil {
			t.Fatal(err)
		}
		if believed(t, theirs, request(t, there), token) {
			t.Fatalf("round %d: believed on the other node", i)
		}
		if believed(t, mine, request(t, here), token) {
			t.Fatalf("round %d: believed on the node that ended it", i)
		}
	}
}

const (
	envDatabase = "HANDOFF_TEST_ENDING_DATABASE"
	envFamily   = "HANDOFF_TEST_ENDING_FAMILY"
	envUntil    = "HANDOFF_TEST_ENDING_UNTIL"
)

// TestEndInAnotherProcess is the other process of the next test.
func TestEndInAnotherProcess(t *testing.T) {
	path := os.Getenv(envDatabase)
	if path == "" {
		return // not started by the test below
	}
	until, err := time.Parse(time.RFC3339, os.Getenv(envUntil))
	if err != nil {
		t.Fatal(err)
	}
	db := backendtest.At(t, path, backend.Options{Now: func() time.Time { return until.Add(-time.Hour) }})
	if err := auth.EndAuthorization(t.Context(), db, os.Getenv(envFamily), until); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnEndingOfAnotherProcessIsSeenAtOnce(t *testing.T) {
	w := withApp(t)
	path := backendtest.Address(t)
	here, mine := node(t, w, path)
	token := w.personal(t, nil)
	for range 2 {
		if !believed(t, mine, request(t, here), token) {
			t.Fatal("not believed before")
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEndInAnotherProcess$") //nolint:gosec // this very test
	cmd.Env = append(os.Environ(), envDatabase+"="+path, envFamily+"=family", envUntil+"="+w.clock.now().Add(time.Hour).Format(time.RFC3339))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if believed(t, mine, request(t, here), token) {
		t.Error("believed after another process ended it")
	}
}
