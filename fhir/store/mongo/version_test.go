package mongo

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A reader that has read a head, and is so slow that the unit has been closed and
// removed before it asks for it, sees what the unit wrote; of a unit that came to
// nothing it does not.
func TestResolveSlowly(t *testing.T) {
	s := newScene(t, 2)
	for name, done := range map[string]bool{"committed": true, "aborted": false} {
		s.run(name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
			finish := s.halt("intents", []store.Write{s.change("a", "second"), s.change("b", "second")})
			h, err := s.dbs[1].headOf(t.Context(), keyOf(s.key("a")))
			if err != nil || h == nil || h.Intent == nil {
				t.Fatalf("no intent: %+v, %v", h, err)
			}
			want := int64(1)
			if done {
				if err := finish(); err != nil {
					t.Fatal(err)
				}
				want = 2
			}
			s.sweep(s.dbs[1])
			s.clock.advance(2 * unitKept)
			s.sweep(s.dbs[1])
			if n, err := s.dbs[1].coll(units).CountDocuments(t.Context(), bson.M{"_id": h.Intent.Unit}); n != 0 || err != nil {
				t.Fatalf("the unit is still there: %d, %v", n, err)
			}
			if err := s.dbs[1].resolve(t.Context(), []*headDoc{h}); err != nil || h.State.Version != want || h.Intent != nil {
				t.Errorf("got %+v, %v, want version %d", h, err, want)
			}
			if !done {
				if err := finish(); err != nil { // it begins again
					t.Error(err)
				}
			}
			s.versions(s.dbs[1], map[string]int64{"a": 2, "b": 2})
		})
	}
}

// An answer that is lost for good is said to be so, and whichever it was, it is all
// there or nothing.
func TestOutcomeUnknown(t *testing.T) {
	s := newScene(t, 2)
	for name, ws := range map[string]func(*scene) []store.Write{
		"write a head":  func(s *scene) []store.Write { return []store.Write{s.change("a", "second")} },
		"write a head ": func(s *scene) []store.Write { return []store.Write{s.change("a", "second", "x")} },
		"commit a unit": func(s *scene) []store.Write {
			return []store.Write{s.change("b", "second", "x"), s.change("a", "second")}
		},
	} {
		for _, done := range []bool{false, true} {
			s.run(name, func(s *scene) {
				s.apply(s.dbs[0], s.change("a", "first"), s.change("b", "first"))
				s.dbs[0].onCall = func(what string, after bool) error {
					if what == strings.TrimSpace(name) && after == done {
						return errors.New("lost for good")
					}
					return nil
				}
				_, err := s.dbs[0].Apply(t.Context(), ws(s))
				s.dbs[0].onCall = nil
				var open *unknownError
				if !errors.As(err, &open) || !strings.Contains(err.Error(), "not known whether it was written") {
					t.Errorf("got %v", err)
				}
				want := map[string]int64{"a": 1, "b": 1}
				if done {
					for _, w := range ws(s) {
						want[strings.TrimPrefix(w.ID, s.prefix)]++
					}
				}
				s.versions(s.dbs[1], want)
				s.sweep(s.dbs[1])
				s.versions(s.dbs[1], want)
				s.whole()
			})
		}
	}
}

// Claims may be long and of any bytes.
func TestClaimsOfAnyKind(t *testing.T) {
	s := newScene(t, 1)
	long := strings.Repeat("é", 4*longClaim)
	all := []string{long, long + "1", long + "2", "\x00", "\xff\xfe", "a/b|c", strings.Repeat("x", longClaim), strings.Repeat("x", longClaim+1)}
	s.apply(s.dbs[0], s.change("a", "first", all...))
	for _, c := range all {
		_, err := s.dbs[0].Write(t.Context(), s.change("b", "first", c))
		var ce *store.ClaimError
		if !errors.As(err, &ce) || ce.Claim != s.prefix+c || ce.Holder != s.key("a") {
			t.Errorf("claim %.20q: got %v", c, err)
		}
	}
	if _, err := s.dbs[0].Write(t.Context(), s.change("b", "first", long+"3")); err != nil {
		t.Error(err)
	}
	s.apply(s.dbs[0], s.change("a", "second", all[1:]...))
	if _, err := s.dbs[0].Write(t.Context(), s.change("b", "second", long)); err != nil {
		t.Errorf("a claim that was given up: %v", err)
	}
	s.whole()
}

// What is too large for a document comes back, and leaves nothing when it is expunged
// or when its writer dies.
func TestLargeVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("large resources are not tried in short mode")
	}
	s := newScene(t, 2)
	w := s.change("a", "large")
	w.Raw = bytes.Repeat([]byte("0123456789abcdef"), (maxInline+chunkSize)/16)
	s.apply(s.dbs[0], w)
	s.apply(s.dbs[0], s.change("a", "small"))
	for how, read := range map[string]func() (*store.Record, error){
		"ReadVersion": func() (*store.Record, error) { return s.dbs[1].ReadVersion(t.Context(), w.Key, 1) },
		"History": func() (*store.Record, error) {
			recs, err := s.dbs[1].History(t.Context(), w.Key, 2, 9)
			return recs[0], err
		},
	} {
		if rec, err := read(); err != nil || !bytes.Equal(rec.Raw, w.Raw) {
			t.Errorf("%s: %v", how, err)
		}
	}
	s.die("version", []store.Write{w})
	parts := s.remains(chunks, "v/Patient/"+s.prefix, nil)
	s.sweep(s.dbs[1])
	if n := s.remains(chunks, "v/Patient/"+s.prefix, nil); n == 0 || 2*n != parts {
		t.Errorf("%d parts after the sweep, %d before", n, parts)
	}
	s.whole()
	if err := s.dbs[0].Expunge(t.Context(), w.Key); err != nil {
		t.Fatal(err)
	}
	if n := s.remains(chunks, "v/Patient/"+s.prefix, nil); n != 0 {
		t.Errorf("%d parts are left", n)
	}
}

// A writer that was halted so long that the sweep has taken its version for an orphan
// writes it again.
func TestHaltedForHours(t *testing.T) {
	s := newScene(t, 2)
	s.apply(s.dbs[0], s.change("a", "first"))
	finish := s.halt("version", []store.Write{s.change("a", "second")})
	s.sweep(s.dbs[1])
	if n := s.remains(versions, "Patient/"+s.prefix, nil); n != 1 {
		t.Fatalf("%d versions after the sweep", n)
	}
	s.dbs[0].late = 2 * orphanAge
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	s.dbs[0].late = 0
	s.versions(s.dbs[1], map[string]int64{"a": 2})
	s.whole()
}

// What is not as it was written is damage, and is not given out.
func TestDamage(t *testing.T) {
	s := newScene(t, 1)
	for name, spoil := range map[string]func(s *scene, key string) error{
		"content that was changed": func(s *scene, key string) error {
			_, err := s.dbs[0].coll(versions).UpdateMany(t.Context(), bson.M{"k": key}, bson.M{"$set": bson.M{"raw": []byte("{}")}})
			return err
		},
		"labels that were changed": func(s *scene, key string) error {
			_, err := s.dbs[0].coll(versions).UpdateMany(t.Context(), bson.M{"k": key}, bson.M{"$set": bson.M{"l": []byte(`["s|c"]`)}})
			return err
		},
		"a version that is gone": func(s *scene, key string) error {
			_, err := s.dbs[0].coll(versions).DeleteMany(t.Context(), bson.M{"k": key, "v": int64(2)})
			return err
		},
		"a head that has lost its version": func(s *scene, key string) error {
			_, err := s.dbs[0].coll(heads).UpdateMany(t.Context(), bson.M{"_id": key}, bson.M{"$set": bson.M{"v": int64(0)}})
			return err
		},
		"a version under the name of another": func(s *scene, key string) error {
			var docs []versionDoc
			if err := s.dbs[0].findAll(t.Context(), versions, bson.M{"k": key}, nil, &docs); err != nil {
				return err
			}
			for i, other := range []versionDoc{docs[1], docs[0]} {
				other.ID = docs[i].ID
				if _, err := s.dbs[0].coll(versions).ReplaceOne(t.Context(), bson.M{"_id": other.ID}, other); err != nil {
					return err
				}
			}
			return nil
		},
		"a head that names another version": func(s *scene, key string) error {
			_, err := s.dbs[0].coll(heads).UpdateMany(t.Context(), bson.M{"_id": key}, bson.M{"$set": bson.M{"n": "another"}})
			return err
		},
	} {
		s.run(name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first"))
			s.apply(s.dbs[0], s.change("a", "second"))
			if err := spoil(s, keyOf(s.key("a"))); err != nil {
				t.Fatal(err)
			}
			_, err := s.dbs[0].Read(t.Context(), s.key("a"))
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("Read: %v", err)
			}
			if _, err = s.dbs[0].History(t.Context(), s.key("a"), 0, 9); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("History: %v", err)
			}
			s.clock.advance(time.Minute)
			if err := s.dbs[0].Expunge(t.Context(), s.key("a")); err != nil {
				t.Errorf("what is damaged cannot be expunged: %v", err)
			}
		})
	}
}

// A unit is committed and stands on heads still: what says so is damaged. Readers do not
// take it for one that is not.
func TestDamagedUnits(t *testing.T) {
	s := newScene(t, 2)
	for name, spoil := range map[string]func(h *headDoc) (collection, bson.M, bson.M){
		"its status": func(h *headDoc) (collection, bson.M, bson.M) {
			return units, bson.M{"_id": h.Intent.Unit}, bson.M{"s": "C"}
		},
		"its intent": func(h *headDoc) (collection, bson.M, bson.M) {
			return heads, bson.M{"_id": h.ID}, bson.M{"x": bson.M{"tx": h.Intent.Unit}}
		},
	} {
		s.run(name, func(s *scene) {
			s.apply(s.dbs[0], s.change("a", "first"))
			s.die("visible", []store.Write{s.change("a", "second"), s.change("b", "second")})
			h, err := s.dbs[1].headOf(t.Context(), keyOf(s.key("a")))
			if err != nil || h.Intent == nil {
				t.Fatal(h, err)
			}
			of, which, change := spoil(h)
			if res, err := s.dbs[1].coll(of).UpdateOne(t.Context(), which, bson.M{"$set": change}); err != nil || res.MatchedCount != 1 {
				t.Fatal(res, err)
			}
			if rec, err := s.dbs[1].Read(t.Context(), s.key("a")); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("Read: %+v, %v", rec, err)
			}
		})
	}
}

// A counter that has lost its number does not begin anew.
func TestACounterWithoutANumber(t *testing.T) {
	db := fresh(t)
	if _, err := db.coll(numbers).UpdateOne(t.Context(), bson.M{"_id": epochs.name}, bson.M{"$unset": bson.M{"n": ""}}); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Epoch(t.Context()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Epoch: %d, %v", n, err)
	}
	if n, err := db.bumpEpoch(t.Context()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("it is raised to %d, %v", n, err)
	}
}

func TestDescend(t *testing.T) {
	links := []link{{3, "c", "b"}, {3, "x", "b"}, {4, "y", "x"}, {4, "d", "c"}, {5, "e", "d"}, {5, "z", "y"}}
	for _, tt := range []struct {
		from    string
		version int64
		want    string
	}{
		{"e", 3, "c"}, {"z", 3, "x"}, {"e", 5, "e"}, {"z", 4, "y"}, {"q", 3, ""}, {"e", 2, ""}, {"d", 3, ""},
	} {
		if got := descend(links, tt.from, tt.version); got != tt.want {
			t.Errorf("from %s down to %d: %q, want %q", tt.from, tt.version, got, tt.want)
		}
	}
}
