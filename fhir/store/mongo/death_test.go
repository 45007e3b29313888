package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

const (
	pointsOfSwing = "version visible dropped"
	pointsOfSolo  = "version intent claims visible dropped"
	pointsOfUnit  = "versions claims intents visible rolled dropped closed"
	// Of what makes a resource: standing and vouched come beside what tidies up.
	pointsOfCreate     = "version visible standing vouched dropped"
	pointsOfSoloCreate = "version intent claims visible standing vouched dropped"
	pointsOfMixedUnit  = "versions claims intents visible standing vouched rolled dropped closed"
)

// deaths are writes that die, on what stands from before: a at version 2 with claims
// x and y, b at version 1 with claim z, c not there. From the point visible on they
// are done.
var deaths = []struct {
	name    string
	writes  func(s *scene) []store.Write
	points  string
	holders map[string]string // once it is done
}{
	{
		"an update", func(s *scene) []store.Write { return []store.Write{s.change("a", "dead", "x", "y")} },
		pointsOfSwing, map[string]string{"x": "a", "y": "a", "z": "b"},
	},
	{
		"a create", func(s *scene) []store.Write { return []store.Write{s.change("c", "dead")} },
		pointsOfCreate, map[string]string{"x": "a", "y": "a", "z": "b"},
	},
	{
		"a deletion", func(s *scene) []store.Write { return []store.Write{s.deletion("a")} },
		pointsOfSwing, map[string]string{"z": "b"},
	},
	{
		"an update that gives up a claim", func(s *scene) []store.Write { return []store.Write{s.change("a", "dead", "x")} },
		pointsOfSwing, map[string]string{"x": "a", "z": "b"},
	},
	{
		"an update that takes a claim", func(s *scene) []store.Write { return []store.Write{s.change("a", "dead", "w", "y")} },
		pointsOfSolo, map[string]string{"w": "a", "y": "a", "z": "b"},
	},
	{
		"a create that takes claims", func(s *scene) []store.Write { return []store.Write{s.change("c", "dead", "v", "w")} },
		pointsOfSoloCreate, map[string]string{"v": "c", "w": "c", "x": "a", "y": "a", "z": "b"},
	},
	{
		"a unit that creates, updates and deletes", func(s *scene) []store.Write {
			return []store.Write{s.change("c", "dead", "w"), s.change("a", "dead", "z", "y"), s.deletion("b")}
		},
		pointsOfMixedUnit, map[string]string{"w": "c", "z": "a", "y": "a"},
	},
	{
		"a unit that swaps claims", func(s *scene) []store.Write {
			return []store.Write{s.change("a", "dead", "z"), s.change("b", "dead", "x", "y")}
		},
		pointsOfUnit, map[string]string{"z": "a", "x": "b", "y": "b"},
	},
}

// A writer dies at each point of what it does. All of it is there or nothing, also
// for those who meet it before any sweep; others get on; claims are as the heads say;
// and nothing is left of it in the end.
func TestWritersThatDie(t *testing.T) {
	s := newScene(t, 2)
	for _, d := range deaths {
		points := strings.Fields(d.points)
		for _, point := range points {
			for name, then := range map[string]func(*scene, *DB, map[string]int64, map[string]string) map[string]string{
				"others write": func(_ *scene, _ *DB, _ map[string]int64, holders map[string]string) map[string]string { return holders },
				"a sweep":      sweepAfterDeath,
				"an expunge":   expungeAfterDeath,
			} {
				s.run(d.name+"/"+point+"/"+name, func(s *scene) {
					s.apply(s.dbs[0], s.change("a", "first", "x"))
					s.apply(s.dbs[0], s.change("a", "second", "x", "y"), s.change("b", "second", "z"))
					want, holders := map[string]int64{"a": 2, "b": 1, "c": 0}, map[string]string{"x": "a", "y": "a", "z": "b"}
					ws := d.writes(s)
					s.die(point, ws)
					if after(points, point, "visible") {
						for _, w := range ws {
							want[strings.TrimPrefix(w.ID, s.prefix)]++
							s.stands[w.ID] = !w.Deleted
						}
						holders = d.holders
					}
					s.versions(s.dbs[1], want)
					holders = then(s, s.dbs[1], want, holders)
					s.goOn(s.dbs[1], want, holders)
				})
			}
		}
	}
}

// die has the first process die at a point.
func (s *scene) die(point string, ws []store.Write) {
	s.Helper()
	s.dbs[0].onStep = func(p string) error {
		if p == point {
			return errors.New(p)
		}
		return nil
	}
	if _, err := s.dbs[0].Apply(s.Context(), ws); !errors.Is(err, errDied) {
		s.Errorf("it does not die: %v", err)
	}
	s.dbs[0].onStep = nil
}

func sweepAfterDeath(s *scene, db *DB, want map[string]int64, holders map[string]string) map[string]string {
	s.sweep(db)
	s.whole()
	s.versions(db, want)
	return holders
}

func expungeAfterDeath(s *scene, db *DB, want map[string]int64, _ map[string]string) map[string]string {
	for id, v := range want {
		err := db.Expunge(s.Context(), s.key(id))
		if (err != nil) != (v == 0) || err != nil && !errors.Is(err, store.ErrNotFound) {
			s.Errorf("expunge of %s, which is at version %d: %v", id, v, err)
		}
		want[id] = 0
	}
	clear(s.stands)
	s.versions(db, want)
	return nil
}

// goOn has others take every claim that is free and write over everything.
func (s *scene) goOn(db *DB, want map[string]int64, holders map[string]string) {
	s.Helper()
	s.holders(db, "vwxyz", holders, want)
	for id := range want {
		if strings.HasPrefix(id, "taker") {
			delete(want, id) // whole looks at these
			continue
		}
		s.apply(db, s.change(id, "last"))
		want[id]++
		s.traces(db, id)
	}
	s.sweep(db)
	s.whole()
	s.versions(db, want)
}

// traces looks for what the dead writer wrote of a resource: it is in its history if
// the write was done, and only then.
func (s *scene) traces(db *DB, id string) {
	s.Helper()
	recs, err := db.History(s.Context(), s.key(id), 0, 99)
	if err != nil {
		s.Error(err)
		return
	}
	for _, rec := range recs {
		one, err := db.ReadVersion(s.Context(), s.key(id), rec.Version)
		if err != nil || string(one.Raw) != string(rec.Raw) {
			s.Errorf("version %d of %s: %v, %v, want %s", rec.Version, id, one, err, rec.Raw)
		}
	}
	dead := slices.ContainsFunc(recs, func(rec *store.Record) bool { return strings.Contains(string(rec.Raw), `"dead"`) })
	if dead != s.stands[s.prefix+id] {
		s.Errorf("what the dead writer wrote of %s is in its history: %t", id, dead)
	}
	if !strings.Contains(string(recs[0].Raw), `"last"`) {
		s.Errorf("the newest version of %s is %s", id, recs[0].Raw)
	}
}

// An expunge dies at each of its points: the resource is gone at once; who expunges
// again, writes or sweeps finishes the work, and what is written then stays.
func TestExpungesThatDie(t *testing.T) {
	s := newScene(t, 2)
	for _, point := range []string{"expunging", "versions expunged", "claims expunged"} {
		for name, then := range map[string]func(s *scene){
			"another expunge": func(s *scene) {
				if err := s.dbs[1].Expunge(s.Context(), s.key("a")); err != nil {
					s.Error(err)
				}
				s.emptied()
			},
			"others write": func(*scene) {},
			"a sweep": func(s *scene) {
				s.sweep(s.dbs[1])
				s.emptied()
				if n := s.remains(heads, "Patient/"+s.prefix, nil); n != 0 {
					s.Errorf("%d heads remain", n)
				}
			},
		} {
			s.run(point+"/"+name, func(s *scene) {
				s.apply(s.dbs[0], s.change("a", "first", "x"))
				s.apply(s.dbs[0], s.change("a", "second", "x", "y"))
				s.sweep(s.dbs[1]) // it has asked about these versions
				s.dbs[0].onStep = func(p string) error {
					if p == point {
						return errors.New(p)
					}
					return nil
				}
				err := s.dbs[0].Expunge(s.Context(), s.key("a"))
				s.dbs[0].onStep = nil
				if !errors.Is(err, errDied) {
					s.Fatalf("it does not die: %v", err)
				}
				want := map[string]int64{"a": 0}
				s.versions(s.dbs[1], want)
				then(s)
				s.versions(s.dbs[1], want)
				s.goOn(s.dbs[1], want, nil)
			})
		}
	}
}

// emptied wants nothing to be left of all resources and claims.
func (s *scene) emptied() {
	s.Helper()
	all := "Patient/" + s.prefix
	for what, n := range map[string]int64{
		"heads that say something": s.remains(heads, all, bson.M{"v": bson.M{"$gt": 0}}), "expunges": s.remains(heads, all, bson.M{"e": true}),
		"versions": s.remains(versions, all, nil), "parts": s.remains(chunks, "v/"+all, nil), "claims": s.remains(claims, s.prefix, nil),
	} {
		if n != 0 {
			s.Errorf("%d %s are left", n, what)
		}
	}
}

// A unit was aborted, closed and forgotten before its writer, who was halted, puts its
// intents, and dies: nobody sees them, and the sweep takes them away.
func TestIntentsOfAForgottenUnit(t *testing.T) {
	s := newScene(t, 2)
	s.apply(s.dbs[0], s.change("a", "first"))
	s.dbs[0].onStep = func(p string) error {
		switch p {
		case "claims":
			s.sweep(s.dbs[1])
		case "intents":
			return errors.New(p)
		}
		return nil
	}
	if _, err := s.dbs[0].Apply(t.Context(), []store.Write{s.change("a", "dead", "x"), s.change("c", "dead")}); !errors.Is(err, errDied) {
		t.Fatalf("it does not die: %v", err)
	}
	s.dbs[0].onStep = nil
	want := map[string]int64{"a": 1, "c": 0}
	s.versions(s.dbs[1], want)
	if n := s.remains(heads, "Patient/"+s.prefix, bson.M{"x": bson.M{"$exists": true}}); n != 2 {
		t.Fatalf("%d intents stand", n)
	}
	s.sweep(s.dbs[1])
	s.whole()
	s.versions(s.dbs[1], want)
}

// A unit that takes too long is aborted by who waits for it, while its writer still
// works: the writer notices and begins again, or says that it was too late.
func TestAbortedWhileItsWriterWorks(t *testing.T) {
	s := newScene(t, 2)
	for what, ws := range map[string]func(s *scene, by string) []store.Write{
		"versions claims intents": func(s *scene, by string) []store.Write {
			return []store.Write{s.change("a", by, "x"), s.change("b", by)}
		},
		"version intent claims": func(s *scene, by string) []store.Write { return []store.Write{s.change("a", by, "x")} },
	} {
		for _, point := range strings.Fields(what) {
			for _, expect := range []int64{store.AnyVersion, 1} {
				s.run(fmt.Sprintf("%s of %s/expecting %d", point, what, expect), func(s *scene) {
					s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
					want := map[string]int64{"a": 1, "b": 1}
					slow := ws(s, "slow")
					slow[0].Expect = expect
					finish := s.halt(point, slow)
					s.apply(s.dbs[1], ws(s, "quick")...)
					err := finish()
					for range 2 {
						for _, w := range slow {
							want[strings.TrimPrefix(w.ID, s.prefix)]++
						}
						if expect > 0 {
							break
						}
					}
					var ve *store.VersionError
					if expect < 0 && err != nil || expect > 0 && (!errors.As(err, &ve) || ve.Have != 2) {
						s.Errorf("the slow writer gets %v", err)
					}
					s.versions(s.dbs[1], want)
					s.holders(s.dbs[1], "x", map[string]string{"x": "a"}, maps.Clone(want))
					s.sweep(s.dbs[1])
					s.whole()
				})
			}
		}
	}
}

// halt starts a unit in the first process and returns when it has come to a point,
// where it stays until finish is called.
func (s *scene) halt(point string, ws []store.Write) (finish func() error) {
	reached, goOn, done := make(chan bool), make(chan bool), make(chan error)
	var once sync.Once
	s.dbs[0].onStep = func(p string) error {
		if p == point {
			once.Do(func() { reached <- true; <-goOn })
		}
		return nil
	}
	go func() {
		_, err := s.dbs[0].Apply(context.Background(), ws)
		done <- err
	}()
	<-reached
	return func() error {
		goOn <- true
		err := <-done
		s.dbs[0].onStep = nil
		return err
	}
}
