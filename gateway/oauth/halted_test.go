package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A server stands still before each step of what it does for an app and a person.
// Meanwhile one of them is ended at another gateway, whose clock is behind. What was
// begun before has then nothing that opens anything, wherever the server stood.
func TestNothingThatIsUnderWayOutlivesAnEnd(t *testing.T) {
	ends := map[string]func(*testing.T, *world) error{
		"client": func(t *testing.T, w *world) error {
			return auth.EndClient(t.Context(), w.facts, "app", w.now().Add(-2*time.Minute))
		},
		"person": func(t *testing.T, w *world) error {
			return auth.EndSubject(t.Context(), w.facts, "subject-1", w.now().Add(-2*time.Minute))
		},
	}
	for who, end := range ends {
		for what, do := range map[string]func(*testing.T, *world) (answer, bool){
			"code": func(t *testing.T, w *world) (answer, bool) { return w.stoppedAtApproval(t, end) },
			"token": func(t *testing.T, w *world) (answer, bool) {
				return w.stoppedAt(t, end, exchange("app", w.code(t, request("app", nil)), nil))
			},
			"refresh": func(t *testing.T, w *world) (answer, bool) {
				return w.stoppedAt(t, end, refreshing(w.tokens(t, everything).text("refresh_token"), nil))
			},
		} {
			t.Run(who+"/"+what, func(t *testing.T) {
				for at := 1; ; at++ {
					w := newWorld(t)
					w.haltAt = at
					got, reached := do(t, w)
					if !reached {
						if at < 3 {
							t.Errorf("it has %d steps", at-1)
						}
						return
					}
					if got.Status == 200 && w.good(t, got.text("access_token")) {
						t.Errorf("halted before step %d: the access token is believed", at)
					}
					if token := got.text("refresh_token"); token != "" && w.post(t, refreshing(token, nil)).Status == 200 {
						t.Errorf("halted before step %d: the refresh token is good", at)
					}
				}
			})
		}
	}
}

// halt has the server stand still before the step w.haltAt, while end happens. Before
// it has read a generation nothing was judged by it: what it then does is a new request.
func (w *world) halt(t *testing.T, end func(*testing.T, *world) error, given func(key string) bool) (reached *bool) {
	reached = new(bool)
	begun := given == nil
	w.steps.From(func(step int, key string) {
		if begun && step >= w.haltAt && !*reached {
			*reached = true
			if err := end(t, w); err != nil {
				t.Error(err)
			}
		}
		begun = begun || given(key)
	})
	return reached
}

func (w *world) stoppedAt(t *testing.T, end func(*testing.T, *world) error, v url.Values) (answer, bool) {
	t.Helper()
	reached := w.halt(t, end, nil)
	defer w.steps.From(nil)
	a := w.post(t, v)
	w.steps.From(nil)
	return a, *reached
}

func (w *world) stoppedAtApproval(t *testing.T, end func(*testing.T, *world) error) (answer, bool) {
	t.Helper()
	id := w.waiting(t, request("app", map[string]string{"scope": everything}))
	r := must(w.server.Request(t.Context(), id))(t)
	reached := w.halt(t, end, func(key string) bool { return strings.HasPrefix(key, "auth/ended/") })
	to := must(w.server.Approve(t.Context(), id, w.decision(r.Scope)))(t)
	w.steps.From(nil)
	return w.post(t, exchange("app", must(url.Parse(to))(t).Query().Get("code"), nil)), *reached
}

// An authorization of an older release has no generation: it is judged by when it
// began, and what it gives has one.
func TestAuthorizationsOfAnOlderRelease(t *testing.T) {
	w := newWorld(t)
	w.inquiries(t)
	first := w.tokens(t, everything)
	w.forgetGeneration(t, w.trail.last(t).Authorization)
	next := w.post(t, refreshing(first.text("refresh_token"), nil))
	if next.Status != 200 || !w.good(t, next.text("access_token")) {
		t.Fatalf("not refreshed: %d %v", next.Status, next.Body)
	}
	if _, claims := claimsOf(t, next.text("access_token")); claims["generation"] != "0.0" {
		t.Errorf("generation %v", claims["generation"])
	}
	if w.ask(t, next.text("refresh_token"))["active"] != true {
		t.Error("the refresh token is told to be dead")
	}
	w.pass(time.Minute)
	if err := auth.EndClient(t.Context(), w.facts, "app", w.now().Add(-2*time.Minute)); err != nil { // by a clock that is far behind
		t.Fatal(err)
	}
	if w.good(t, next.text("access_token")) {
		t.Error("an access token outlives the end of its client")
	}
	if err := auth.EndClient(t.Context(), w.facts, "app", w.now()); err != nil {
		t.Fatal(err)
	}
	if w.ask(t, next.text("refresh_token"))["active"] != false {
		t.Error("the refresh token is told to live")
	}
	if a := w.post(t, refreshing(next.text("refresh_token"), nil)); a.Status == 200 {
		t.Error("refreshed after the end of the client")
	}
}

// forgetGeneration keeps an authorization as an older release did.
func (w *world) forgetGeneration(t *testing.T, id string) {
	t.Helper()
	f := must(w.facts.Get(t.Context(), "oauth/authorization/"+id))(t)
	record := map[string]any{}
	if err := json.Unmarshal(f.Value, &record); err != nil {
		t.Fatal(err)
	}
	a, _ := record["authorization"].(map[string]any)
	if a["Generation"] == nil {
		t.Fatalf("no generation in %s", f.Value)
	}
	delete(a, "Generation")
	raw := must(json.Marshal(record))(t)
	must(w.facts.CompareAndSet(t.Context(), f.Key, f.Version, raw, f.Expires))(t)
}

// A sign-in that is over when the person's answer comes lets no app in.
func TestAnAnswerOfSomebodyWhoSignedOutGivesNoCode(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", nil))
	r := must(w.server.Request(t.Context(), id))(t)
	w.sessions.ended["session-1"] = true
	if to, err := w.server.Approve(t.Context(), id, w.decision(r.Scope)); err == nil {
		t.Errorf("approved: %s", to)
	}
}

// states is where clients are disabled, with a memory.
type states struct{ cache *epoch.Cache }

const stateOfApp = "test/app-is-disabled"

func (s states) Version(ctx context.Context) (int64, error) {
	f, err := s.cache.Get(ctx, stateOfApp)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return f.Version, err
}

func (s states) Load(ctx context.Context) (auth.Changes, error) {
	f, err := s.cache.Get(epoch.Unpinned(ctx), stateOfApp)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return auth.Changes{}, err
	}
	return auth.Changes{Disabled: map[string]bool{"app": string(f.Value) == "yes"}}, nil
}

// A page began before the app was disabled, and remembers that it was not: it must not
// be let in under the generation of afterwards, and have tokens when it is enabled.
func TestAnApprovalIsNotJudgedByWhatThePageRemembers(t *testing.T) {
	var s states
	w := newWorldWith(t, func(db backend.Backend) auth.Source {
		s.cache = epoch.New(db, 0, nil)
		return s
	})
	ctx := t.Context()
	f := must(w.facts.PutIfAbsent(ctx, stateOfApp, []byte("no"), time.Time{}))(t)
	id := w.waiting(t, request("app", nil))
	r := must(w.server.Request(ctx, id))(t)
	began := must(s.cache.Pin(ctx))(t)
	must(w.registry.Client(began, "app"))(t)
	f = must(w.facts.CompareAndSet(ctx, stateOfApp, f.Version, []byte("yes"), time.Time{}))(t)
	if err := auth.EndClient(ctx, w.facts, "app", w.now()); err != nil {
		t.Fatal(err)
	}
	to, err := w.server.Approve(began, id, w.decision(r.Scope))
	must(w.facts.CompareAndSet(ctx, stateOfApp, f.Version, []byte("no"), time.Time{}))(t)
	if err != nil {
		return // it was judged anew
	}
	if a := w.post(t, exchange("app", must(url.Parse(to))(t).Query().Get("code"), nil)); a.Status == 200 {
		t.Error("what was asked for before the app was disabled counts when it is enabled again")
	}
}
