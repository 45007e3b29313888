package mongo

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
)

// meanwhiles are what another process does while a writer is halted, and whether that
// takes so long that what the writer has prepared is old.
var meanwhiles = []struct {
	name string
	long bool
	do   func(s *scene)
}{
	{"it is expunged", false, func(s *scene) { s.expungeAll() }},
	{"it is expunged and made anew", false, func(s *scene) {
		s.expungeAll()
		s.apply(s.dbs[1], s.change("c", "anew", "y"), s.change("a", "anew", "w"))
	}},
	{"it is swept", true, func(s *scene) { s.sweep(s.dbs[1]) }},
	{"it is expunged, forgotten and made anew", true, func(s *scene) {
		s.expungeAll()
		s.sweep(s.dbs[1])
		s.apply(s.dbs[1], s.change("a", "anew", "x"))
	}},
}

func (s *scene) expungeAll() {
	s.Helper()
	for _, id := range []string{"a", "b", "c"} {
		if err := s.dbs[1].Expunge(s.Context(), s.key(id)); err != nil && !errors.Is(err, store.ErrNotFound) {
			s.Error(err)
		}
	}
}

// A writer is halted at each point of what it does, and goes on when others have gone
// far beyond. What it then does, or says that it could not do, leaves a store in which
// everything that is there can be read, and nothing else is left.
func TestHaltedWritersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("writers halted at every point are not tried in short mode")
	}
	s := newScene(t, 2)
	for _, d := range deaths {
		if !slices.Contains([]string{"an update", "a create that takes claims", "a unit that creates, updates and deletes"}, d.name) {
			continue
		}
		for _, point := range strings.Fields(d.points) {
			if after(strings.Fields(d.points), point, "dropped") {
				break // it only closes what it has done
			}
			for _, m := range meanwhiles {
				s.run(d.name+"/"+point+"/"+m.name, func(s *scene) {
					s.apply(s.dbs[0], s.change("a", "first", "x"))
					s.apply(s.dbs[0], s.change("a", "second", "x", "y"), s.change("b", "second", "z"))
					finish := s.halt(point, d.writes(s))
					m.do(s)
					if m.long {
						s.dbs[0].late = 2 * orphanAge
					}
					err := finish()
					s.dbs[0].late = 0
					if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
						s.Errorf("it ends with %v", err)
					}
					s.readable("a", "b", "c")
					s.sweep(s.dbs[1])
					s.whole()
					s.readable("a", "b", "c")
				})
			}
		}
	}
}

// readable wants each of some resources to be not there, or there with its history.
func (s *scene) readable(ids ...string) {
	s.Helper()
	for _, id := range ids {
		rec, err := s.dbs[1].Read(s.Context(), s.key(id))
		switch {
		case err == nil:
			s.history(s.dbs[1], id, rec.Version)
		case !errors.Is(err, store.ErrNotFound):
			s.Errorf("%s: %v", id, err)
		}
	}
}
