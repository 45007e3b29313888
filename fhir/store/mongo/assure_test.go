package mongo

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A writer has prepared a resource that was not there and is halted; another process
// makes the same and expunges it, and with it what was prepared. The writer's resource,
// which comes after, has its content all the same.
func TestACreateOutlivesAnExpungeMeanwhile(t *testing.T) {
	s := newScene(t, 2)
	for _, x := range []struct {
		name, point string
		write       func(*scene) []store.Write
	}{
		{"a write", "version", func(s *scene) []store.Write { return []store.Write{s.change("a", "late")} }},
		{"a write that takes a claim", "version", func(s *scene) []store.Write { return []store.Write{s.change("a", "late", "c")} }},
		{"a unit", "versions", func(s *scene) []store.Write {
			return []store.Write{s.change("a", "late"), s.change("b", "late")}
		}},
	} {
		s.run(x.name, func(s *scene) {
			halted := s.haltAt(x.point, func() {
				s.apply(s.dbs[1], s.change("a", "between"))
				s.expunge("a")
			})
			s.apply(s.dbs[0], x.write(s)...)
			if !*halted {
				t.Fatalf("no step is called %q", x.point)
			}
			rec, err := s.dbs[1].Read(context.Background(), s.key("a"))
			if err != nil || rec.Version != 1 || string(rec.Raw) != string(s.change("a", "late").Raw) {
				t.Errorf("read %+v, %v", rec, err)
			}
		})
	}
}

// What is written again of a resource that has been expunged by then is removed again.
func TestAnExpungeLeavesNothingOfACreateMeanwhile(t *testing.T) {
	s := newScene(t, 2)
	for name, late := range map[string]time.Duration{"at once": 0, "halted for long": orphanAge} {
		s.run(name, func(s *scene) { s.expungedWhenVisible(late) })
	}
}

func (s *scene) expungedWhenVisible(late time.Duration) {
	s.Helper()
	halted := s.haltAt("visible", func() { s.expunge("a") })
	s.dbs[0].late = late
	defer func() { s.dbs[0].late = 0 }()
	s.apply(s.dbs[0], s.change("a", "gone"))
	if _, err := s.dbs[1].Read(context.Background(), s.key("a")); !*halted || !errors.Is(err, store.ErrNotFound) {
		s.Errorf("halted %v, read: %v", *halted, err)
	}
	if n, err := s.dbs[1].coll(versions).CountDocuments(context.Background(), bson.M{"k": keyOf(s.key("a"))}); err != nil || n != 0 {
		s.Errorf("%d versions are left, %v", n, err)
	}
}

// haltAt has the first process do something at the next step of that name.
func (s *scene) haltAt(point string, f func()) *bool {
	halted := new(bool)
	s.dbs[0].onStep = func(p string) error {
		if p == point && !*halted {
			*halted = true
			f()
		}
		return nil
	}
	s.Cleanup(func() { s.dbs[0].onStep = nil })
	return halted
}

func (s *scene) expunge(id string) {
	s.Helper()
	if err := s.dbs[1].Expunge(context.Background(), s.key(id)); err != nil {
		s.Fatal(err)
	}
}

// A writer whose resource was expunged meanwhile has written its version again, and dies
// before it takes that back: nobody takes it for one that was acknowledged.
func TestWhatIsWrittenAgainIsNoWitness(t *testing.T) {
	s := newScene(t, 2)
	for name, late := range map[string]time.Duration{"at once": 0, "halted for long": orphanAge} {
		s.run(name, func(s *scene) {
			s.dbs[0].late = late
			s.dbs[0].onStep = func(p string) error {
				switch p {
				case "visible":
					s.expunge("a")
				case "written again":
					return errors.New(p)
				}
				return nil
			}
			_, err := s.dbs[0].Apply(context.Background(), []store.Write{s.change("a", "gone")})
			s.dbs[0].onStep, s.dbs[0].late = nil, 0
			if !errors.Is(err, errDied) {
				t.Fatalf("it does not die: %v", err)
			}
			if n := s.remains(versions, "Patient/"+s.prefix, nil); n != 1 {
				t.Fatalf("%d versions are written again", n)
			}
			s.sweep(s.dbs[1])
			s.repair()
			s.emptied()
		})
	}
}
