package mongo

import (
	"errors"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// overtaken has the second process write a unit. Before it puts its intents for the
// first time, between happens. It gives how many attempts that took.
func (s *scene) overtaken(between func(), ws ...store.Write) (attempts int, err error) {
	s.Helper()
	s.dbs[1].onStep = func(p string) error {
		if p == "claims" {
			if attempts++; attempts == 1 {
				between()
			}
		}
		return nil
	}
	_, err = s.dbs[1].Apply(s.Context(), ws)
	s.dbs[1].onStep = nil
	return attempts, err
}

// Members of a unit become others between its look at them and its intents. It makes
// anew what has to be, and does not begin again as a whole.
func TestAUnitThatIsOvertaken(t *testing.T) {
	s := newScene(t, 2)
	for _, tt := range []struct {
		name     string
		between  func(s *scene) (finish func() error)
		attempts int
		want     map[string]int64
	}{
		{"by updates, an expunge and a create", func(s *scene) func() error {
			s.apply(s.dbs[0], s.change("a", "other", "x"))
			if err := s.dbs[0].Expunge(s.Context(), s.key("c")); err != nil {
				s.Error(err)
			}
			s.apply(s.dbs[0], s.change("d", "other"))
			return nil
		}, 1, map[string]int64{"a": 3, "b": 2, "c": 1, "d": 2}},
		{"by a deletion", func(s *scene) func() error {
			s.apply(s.dbs[0], s.deletion("b"))
			return nil
		}, 1, map[string]int64{"a": 2, "b": 3, "c": 2, "d": 1}},
		{"by a unit", func(s *scene) func() error {
			s.apply(s.dbs[0], s.change("a", "other", "x"), s.change("b", "other"))
			return nil
		}, 1, map[string]int64{"a": 3, "b": 3, "c": 2, "d": 1}},
		{"by a unit that its writer has not carried out", func(s *scene) func() error {
			s.die("visible", []store.Write{s.change("a", "other", "x"), s.change("b", "other")})
			return nil
		}, 1, map[string]int64{"a": 3, "b": 3, "c": 2, "d": 1}},
		{"by one that is halted with a claim", func(s *scene) func() error {
			return s.halt("claims", []store.Write{s.change("b", "other", "y")})
		}, 1, map[string]int64{"a": 2, "b": 3, "c": 2, "d": 1}},
		{"by one who gives up a claim", func(s *scene) func() error {
			s.apply(s.dbs[0], s.change("a", "other"))
			return nil
		}, 2, map[string]int64{"a": 3, "b": 2, "c": 2, "d": 1}},
		{"by who does not wait for it any more", func(s *scene) func() error {
			s.apply(s.dbs[0], s.change("a", "other", "x"))
			var open []unitDoc
			if err := s.dbs[0].findAll(s.Context(), units, map[string]any{"o": true}, nil, &open); err != nil || len(open) != 1 {
				s.Errorf("open units: %v, %v", open, err)
			}
			if err := s.dbs[0].abortUnit(s.Context(), open[0].ID, ""); err != nil {
				s.Error(err)
			}
			return nil
		}, 2, map[string]int64{"a": 3, "b": 2, "c": 2, "d": 1}},
	} {
		s.run(tt.name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first", "x"))
			s.apply(s.dbs[0], s.change("b", "first"), s.change("c", "first"))
			var finish func() error
			attempts, err := s.overtaken(func() { finish = tt.between(s) },
				s.change("d", "unit"), s.change("b", "unit"), s.change("a", "unit", "x"), s.change("c", "unit"))
			if err != nil || attempts != tt.attempts {
				t.Errorf("%d attempts, want %d, %v", attempts, tt.attempts, err)
			}
			if finish != nil {
				if err := finish(); err != nil {
					t.Errorf("who was in its way: %v", err)
				}
			}
			s.versions(s.dbs[0], tt.want)
			s.holders(s.dbs[0], "x", map[string]string{"x": "a"}, map[string]int64{})
			s.sweep(s.dbs[0])
			s.whole()
		})
	}
}

// What a unit expects is asked again of what has come meanwhile.
func TestAnOvertakenUnitThatExpectsAVersion(t *testing.T) {
	s := newScene(t, 2)
	s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
	b := s.change("b", "unit")
	b.Expect = 1
	_, err := s.overtaken(func() { s.apply(s.dbs[0], s.change("b", "other")) }, s.change("a", "unit", "x"), b)
	var we *store.WriteError
	var ve *store.VersionError
	if !errors.As(err, &we) || we.Index != 1 || !errors.As(err, &ve) || ve.Have != 2 {
		t.Errorf("got %v, want that the second write finds version 2", err)
	}
	s.versions(s.dbs[0], map[string]int64{"a": 1, "b": 2})
	s.whole()
}

// Two units want the same heads. The one that had to begin again before does not do so
// for the other, though that one has its intents already.
func TestWhoHadToBeginAgainGoesFirst(t *testing.T) {
	s := newScene(t, 2)
	s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"), s.change("c", "first"))
	var finish func() error
	attempts := 0
	s.dbs[1].patience = time.Hour // it does not get on by waiting
	s.dbs[1].onStep = func(p string) error {
		switch p {
		case "claims":
			if attempts++; attempts == 2 {
				finish = s.halt("intents", []store.Write{s.change("a", "other"), s.change("b", "other")})
			}
		case "intents":
			h, err := s.dbs[0].headOf(s.Context(), keyOf(s.key("a")))
			if err == nil && attempts == 1 {
				err = s.dbs[0].abortUnit(s.Context(), h.Intent.Unit, "")
			}
			return err
		}
		return nil
	}
	s.apply(s.dbs[1], s.change("c", "unit"), s.change("b", "unit"), s.change("a", "unit"))
	s.dbs[1].onStep = nil
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
	if err := finish(); err != nil {
		t.Error(err)
	}
	s.versions(s.dbs[0], map[string]int64{"a": 3, "b": 3, "c": 2})
	s.sweep(s.dbs[0])
	s.whole()
}

func TestOutranks(t *testing.T) {
	for _, tt := range []struct {
		lost  int
		unit  string
		its   int
		other string
		want  bool
	}{
		{1, "b", 0, "a", true}, {0, "a", 1, "b", false}, {2, "a", 2, "b", true}, {2, "b", 2, "a", false},
	} {
		if got := outranks(tt.lost, tt.unit, tt.its, tt.other); got != tt.want || outranks(tt.its, tt.other, tt.lost, tt.unit) == got {
			t.Errorf("%+v: %t, and the other way round", tt, got)
		}
	}
}

// Who meets a unit that had to begin again waits longer for it, but not for ever.
func TestPatienceWithAUnitThatHadToBeginAgain(t *testing.T) {
	s := newScene(t, 1)
	db := s.dbs[0]
	for lost, times := range map[int]time.Duration{0: 1, 1: 2, 1 << 30: 1 + patienceMore} {
		id := newNonce()
		if err := db.beginUnit(t.Context(), id, lost, nil); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		status, err := db.await(t.Context(), id, "")
		took := time.Since(begun)
		if err != nil || status != aborted || took < times*db.patience || took > times*db.patience+time.Minute /* a busy machine's; the last would be years */ {
			t.Errorf("after %d attempts: %q, %v, in %v", lost, status, err, took)
		}
	}
}
