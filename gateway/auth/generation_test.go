package auth_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway/auth"
)

// Two gateways of one store, whose clocks differ: one gives tokens, the other notes the
// end of their client or their person, whenever it thinks that this is.
func TestAnEndKnowsNoClock(t *testing.T) {
	ctx := context.Background()
	for _, apart := range []time.Duration{0, 3 * time.Millisecond, time.Second, -time.Second, 2 * time.Minute, -2 * time.Minute} {
		w := withApp(t)
		own, person := w.token(t, "system/Patient.rs"), w.personal(t, nil)
		for _, end := range []error{
			auth.EndClient(ctx, w.facts, "rms", w.clock.now().Add(-apart)), auth.EndSubject(ctx, w.facts, "person", w.clock.now().Add(-apart)),
		} {
			if end != nil {
				t.Fatal(end)
			}
		}
		for range 2 { // the second time from memory
			if believed(t, w.verifier, ctx, own) {
				t.Errorf("%v apart: the client's own token outlives its end", apart)
			}
			if believed(t, w.verifier, ctx, person) {
				t.Errorf("%v apart: the person's token outlives the person's end", apart)
			}
		}
		if !believed(t, w.verifier, ctx, w.token(t, "system/Patient.rs")) || !believed(t, w.verifier, ctx, w.personal(t, nil)) {
			t.Errorf("%v apart: a token of after the end is not believed", apart)
		}
	}
}

// A gateway stands still before each step of a token request. Meanwhile the client's
// key is replaced at another, whose clock is behind. No token that was given for the old
// key opens anything afterwards, wherever it stood.
func TestATokenThatIsUnderWayEndsWhereverItsGatewayStoodStill(t *testing.T) {
	given := 0
	for at := 1; ; at++ {
		w := newWorld(t)
		reached := false
		request := form(w.good(), nil)
		w.steps.From(func(step int, _ string) {
			if step != at {
				return
			}
			reached = true
			w.replace(t, func(c *auth.Client) { c.JWKS = jwks(keys()["other"]) })
			if err := auth.EndClient(t.Context(), w.facts, "rms", w.clock.now().Add(-2*time.Minute)); err != nil {
				t.Error(err)
			}
		})
		a := w.post(t, request)
		if !reached {
			if at < 3 || given == 0 {
				t.Errorf("a request has %d steps, %d tokens were given", at-1, given)
			}
			return
		}
		if a.Code != 200 {
			continue
		}
		given++
		if believed(t, w.verifier, t.Context(), a.JSON.Token) {
			t.Errorf("halted before step %d: a token for the old key is believed", at)
		}
	}
}

// The gateway's own tokens say in which generation they were given, or are not made.
func TestTokensSayTheirGeneration(t *testing.T) {
	w := withApp(t)
	key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.EndClient(t.Context(), w.facts, "app", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	mark, err := auth.ReadGeneration(t.Context(), w.facts, "app", "")
	if err != nil {
		t.Fatal(err)
	}
	tokens := auth.AccessTokens{Issuer: issuerID, Audience: fhirBase, Key: key, Now: w.clock.now}
	for generation, want := range map[string]bool{
		"": false, "0": false, mark: false, "0.": false, ".0": false, "0.0.0": false, "0.x": false, mark[1:] + ".0": false, mark + "A.0": false,
		strings.Repeat("*", len(mark)) + ".0": false, "0.0": true, mark + ".0": true, "0." + mark: true,
	} {
		a := auth.Authorization{
			ID: "family", Client: "app", Subject: "person", Scope: "user/Patient.rs", Generation: generation, SignedIn: w.clock.now(),
			Said: auth.Asserted{UserID: "badge#7", UserName: "R. Diaz", Organization: "Organization/riverton-pd", Purposes: []string{"CRISIS"}},
		}
		if _, err := tokens.ForPerson(&a, time.Hour); (err == nil) != want {
			t.Errorf("%q: %v", generation, err)
		}
	}
}

// A claim that is there counts, and must be well formed; a token of an older release,
// which has none, is judged by its time.
func TestGenerationsInTokens(t *testing.T) {
	w := newWorld(t)
	if err := auth.EndClient(t.Context(), w.facts, "rms", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	mark, err := auth.ReadGeneration(t.Context(), w.facts, "rms", "")
	if err != nil {
		t.Fatal(err)
	}
	former := w.in(0)
	w.clock.add(time.Second)
	for note, tt := range map[string]struct {
		claims map[string]any
		want   bool
	}{
		"in force":                {map[string]any{"generation": mark}, true},
		"in force, issued before": {map[string]any{"generation": mark, "iat": former}, true},
		"of before":               {map[string]any{"generation": "0"}, false},
		"another":                 {map[string]any{"generation": mark[1:] + "A"}, false},
		"none":                    {nil, true},
		"none, of before":         {map[string]any{"iat": former}, false},
		"empty":                   {map[string]any{"generation": ""}, false},
		"a number":                {map[string]any{"generation": 0}, false},
		"a list":                  {map[string]any{"generation": []string{mark}}, false},
		"a person's":              {map[string]any{"generation": mark + ".0"}, false},
		"too short":               {map[string]any{"generation": mark[1:]}, false},
		"padded":                  {map[string]any{"generation": mark + "=="}, false},
		"null":                    {map[string]any{"generation": jsonNull{}}, false},
	} {
		token := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, tt.claims)}.String()
		if got := believed(t, w.verifier, t.Context(), token); got != tt.want {
			t.Errorf("%s: believed %v", note, got)
		}
	}
}

type jsonNull struct{}

func (jsonNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Every end is another generation, also of several at once; each of them is noted.
func TestEveryEndIsAnotherGeneration(t *testing.T) {
	w := newWorld(t)
	db := backendtest.Open(t, backend.Options{Now: w.clock.now})
	var seen []string
	read := func() string {
		t.Helper()
		g, err := auth.ReadGeneration(t.Context(), db, "rms", "")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	seen = append(seen, read())
	for _, ends := range []int{1, 1, 24, 1} {
		var all sync.WaitGroup
		errs := make([]error, ends)
		for i := range ends {
			all.Go(func() {
				errs[i] = auth.EndClient(t.Context(), db, "rms", w.clock.now().Add(time.Duration(i%2)*-time.Hour))
			})
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if g := read(); slices.Contains(seen, g) {
			t.Errorf("generation %s comes again", g)
		} else {
			seen = append(seen, g)
		}
	}
	// The latest instant stands, for what has no generation.
	former := &auth.Authorization{Client: "rms"}
	if is, err := auth.FamilyEnded(t.Context(), db, former, w.clock.now()); err != nil || !is {
		t.Errorf("ended %v, %v", is, err)
	}
	w.clock.add(auth.MaxFamilyLife + time.Hour)
	if g := read(); g != seen[0] {
		t.Errorf("generation %s after its note has gone", g)
	}
}

// Notes of an older release hold an instant alone.
func TestNotesOfAnOlderRelease(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	before := w.token(t, "system/Patient.rs")
	version := int64(100)
	put := func(at time.Time, bytes int) {
		w.facts.mu.Lock()
		defer w.facts.mu.Unlock()
		version++
		key := auth.FactOfClientEnd("rms")
		w.facts.m[key] = store.Fact{
			Key: key, Version: version, Expires: at.Add(auth.MaxFamilyLife),
			Value: binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))[:bytes],
		}
	}
	put(w.clock.now(), 8)
	former := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(w, nil)}.String()
	given := w.token(t, "system/Patient.rs")
	for note, c := range map[string]struct {
		token string
		want  bool
	}{"given before": {before, false}, "given under it": {given, true}, "of an older release": {former, false}} {
		if got := believed(t, w.verifier, ctx, c.token); got != c.want {
			t.Errorf("%s: believed %v", note, got)
		}
	}
	w.clock.add(time.Second)
	put(w.clock.now(), 8) // an older gateway of the store ends it again
	if believed(t, w.verifier, ctx, given) {
		t.Error("a token outlives an end that an older release noted")
	}
	given = w.token(t, "system/Patient.rs")
	if err := auth.EndClient(ctx, w.facts, "rms", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	if believed(t, w.verifier, ctx, given) {
		t.Error("a token outlives an end over the note of an older release")
	}
	put(w.clock.now(), 7)
	if _, err := w.verifier.Verify(ctx, given); err == nil || auth.Reason(err) == "client-ended" {
		t.Errorf("a damaged note: %v", err)
	} else if !strings.Contains(err.Error(), "update all gateways of a store together") || !strings.Contains(err.Error(), auth.FactOfClientEnd("rms")) {
		t.Errorf("it does not say what to do, or about what: %v", err)
	}
	if err := auth.EndClient(ctx, w.facts, "rms", w.clock.now()); err != nil {
		t.Errorf("ending over a damaged note: %v", err)
	}
	if !believed(t, w.verifier, ctx, w.token(t, "system/Patient.rs")) {
		t.Error("a token of after the damage is not believed")
	}
}

// What was ended is ended in a copy of the store, and what was given counts there.
func TestGenerationsGoWithACopyOfTheStore(t *testing.T) {
	w := withApp(t)
	from, to := backendtest.Open(t, backend.Options{Now: w.clock.now}), backendtest.Open(t, backend.Options{Now: w.clock.now})
	before := w.personalOf(t, from, nil)
	if err := auth.EndSubject(t.Context(), from, "person", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	after := w.personalOf(t, from, nil)
	if _, err := transfer.Run(t.Context(), transfer.Side{Store: from, Name: "from"}, transfer.Side{Store: to, Name: "to"}, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	cache, v := nodeOn(t, w, to)
	if believed(t, v, request(t, cache), before) {
		t.Error("what was ended counts in the copy")
	}
	if !believed(t, v, request(t, cache), after) {
		t.Error("what was given after the end does not count in the copy")
	}
}
