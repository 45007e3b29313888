package mongo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// What a server does late, after it was asked again and somebody else has gone on,
// undoes nothing that is newer.
func TestWhatTheServerDoesLateUndoesNothing(t *testing.T) {
	straight := freshURI(t)
	d := newDelayer(t, primaryOf(t, straight))
	clock := &ticker{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	o := Options{Now: clock.now, SweepEvery: -1}
	s := &scene{T: t, dbs: []*DB{openAt(t, straight, o), openAt(t, through(t, straight, d.address), o)}, clock: clock, stands: map[string]bool{}}
	for _, tt := range []struct {
		name string
		held string
		most int
		do   func(l late) // by the process behind the proxy; then what another does
		want func(l late)
	}{
		{"a removal of a fact, and the fact is put anew", "update fact", 1, func(l late) {
			l.put("old")
			l.ok(l.slow.Delete(l.ctx, l.name))
			l.put("newer")
		}, func(l late) { l.fact("newer") }},
		{"a removal that is given up, and the fact is replaced", "update fact", 0, func(l late) {
			f := l.put("old")
			l.slow.trying = 50 * time.Millisecond
			if err := l.slow.Delete(l.ctx, l.name); !errors.Is(err, store.ErrAway) {
				l.Errorf("a removal of which nobody knows what became of it: %v", err)
			}
			l.slow.trying = 0
			_, err := l.quick.CompareAndSet(l.ctx, l.name, f.Version, []byte("newer"), time.Time{})
			l.ok(err)
		}, func(l late) { l.fact("newer") }},
		{"a put of a fact, and the fact is removed", "insert fact", 1, func(l late) {
			_, err := l.slow.PutIfAbsent(l.ctx, l.name, []byte("old"), time.Time{})
			l.ok(err)
			l.ok(l.quick.Delete(l.ctx, l.name))
		}, func(l late) { l.fact("") }},
		{"a sweep of expired facts, and one is put anew", "delete fact", 1, func(l late) {
			_, err := l.quick.PutIfAbsent(l.ctx, l.name, []byte("old"), clock.now().Add(time.Second))
			l.ok(err)
			clock.advance(time.Hour)
			_, err = l.slow.Sweep(l.ctx)
			l.ok(err)
			_, err = l.quick.PutIfAbsent(l.ctx, l.name, []byte("newer"), clock.now().Add(time.Second))
			l.ok(err)
		}, func(l late) { l.fact("newer") }},
		{"a claim is given up, and taken again by the same", "delete claim", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1", l.name))
			l.apply(l.slow, l.change(l.name, "2"))
			l.apply(l.quick, l.change(l.name, "3", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 3}) }},
		{"a version of a writer that is halted, and that goes on", "delete version", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1"))
			l.quick.late = orphanAge
			finish := l.halt("version", []store.Write{l.change(l.name, "2")})
			clock.advance(2 * orphanAge)
			_, err := l.slow.Sweep(l.ctx)
			l.ok(err)
			l.ok(finish())
			l.quick.late = 0
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 2}) }},
		{"a sweep of heads of nothing, and the resource is made anew", "delete head", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1", l.name))
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
			clock.advance(2 * goneKept)
			_, err := l.slow.Sweep(l.ctx)
			l.ok(err)
			l.apply(l.quick, l.change(l.name, "2", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
		{"an expunge, and the resource is made anew", "update head", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1", l.name))
			l.ok(l.slow.Expunge(l.ctx, l.key(l.name)))
			l.apply(l.quick, l.change(l.name, "2", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
		{"versions of an expunge, and the resource is made anew", "delete version", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1"))
			l.ok(l.slow.Expunge(l.ctx, l.key(l.name)))
			l.apply(l.quick, l.change(l.name, "2"))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
		{"a head, and the resource is expunged", "insert head", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1"))
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, lateNothing},
		{"a head, and the resource is expunged, made anew and expunged", "insert head", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1"))
			for range 2 {
				l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
				l.apply(l.quick, l.change(l.name, "2", l.name))
			}
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, lateNothing},
		{"heads of a unit, and one is expunged", "insert head", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1", l.name), l.change("beside-"+l.name, "1"))
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 0, "beside-" + l.name: 1}) }},
		{"the head of a create that is refused", "insert head", 1, func(l late) {
			l.apply(l.quick, l.change("holder", "1", l.name))
			l.refused(l.change(l.name, "1", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 0}) }},
		{"the intent of an update that is refused", "update head", 1, func(l late) {
			l.apply(l.quick, l.change("holder", "1", l.name))
			l.apply(l.quick, l.change(l.name, "1"))
			l.refused(l.change(l.name, "2", l.name))
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 1}) }},
		{"a create, after a unit in its way was taken back", "insert head", 1, lateBetween,
			func(l late) { l.versions(l.quick, map[string]int64{l.name: 2, "beside-" + l.name: 1}) }},
		{"an update, after a unit in its way was taken back", "update head", 1, func(l late) {
			l.apply(l.quick, l.change(l.name, "1"))
			lateBetween(l)
		}, func(l late) { l.versions(l.quick, map[string]int64{l.name: 3, "beside-" + l.name: 1}) }},
		{"a version, and the resource is expunged when it is old", "insert version", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1"))
			l.sweep(l.quick)
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, lateSwept},
		{"the word that a head stands, and the resource is expunged", "update version", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1"))
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, lateSwept},
		{"a claim, and the resource is expunged when it is old", "insert claim", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1", l.name))
			l.sweep(l.quick)
			l.ok(l.quick.Expunge(l.ctx, l.key(l.name)))
		}, lateSwept},
		{"a unit, after it was carried out and forgotten", "insert unit", 1, func(l late) {
			l.apply(l.slow, l.change(l.name, "1", l.name), l.change("beside-"+l.name, "1"))
			l.sweep(l.quick)
		}, func(l late) {
			l.sweep(l.quick)
			l.versions(l.quick, map[string]int64{l.name: 1, "beside-" + l.name: 1})
		}},
	} {
		s.run(tt.name, func(s *scene) {
			l := late{scene: s, d: d, ctx: context.Background(), quick: s.dbs[0], slow: s.dbs[1], name: newNonce()[:8]}
			d.holdBack(tt.held, tt.most)
			tt.do(l)
			if n := d.release(s.T); n == 0 {
				s.Fatal("nothing was held back")
			}
			tt.want(l)
			s.whole()
		})
	}
}

// late is one case: quick goes straight to the server, slow through the proxy.
type late struct {
	*scene
	d           *delayer
	ctx         context.Context
	quick, slow *DB
	name        string // of a fact, a resource and a claim that nobody else has
}

func (l late) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l late) put(value string) store.Fact {
	l.Helper()
	f, err := l.quick.PutIfAbsent(l.ctx, l.name, []byte(value), time.Time{})
	l.ok(err)
	return f
}

// refused has slow try what another's claim forbids.
func (l late) refused(w store.Write) {
	l.Helper()
	if _, err := l.slow.Write(l.ctx, w); !errors.Is(err, store.ErrExists) {
		l.Errorf("%s gets a claim that another holds: %v", w.ID, err)
	}
}

// lateBetween has slow write its resource while a unit of quick, halted before it is
// decided, stands in the way. Slow's first try is held back; it waits for the unit, takes
// it back, and before it writes anew the server does the first try. Then quick goes on.
func lateBetween(l late) {
	var finish func() error
	tries := 0
	l.slow.patience = 20 * time.Millisecond
	l.slow.onStep = func(p string) error {
		if p != "version" {
			return nil
		}
		switch tries++; tries {
		case 1:
			finish = l.halt("intents", []store.Write{l.change(l.name, "quick"), l.change("beside-"+l.name, "quick")})
		case 2:
			l.d.release(l.T)
		}
		return nil
	}
	l.apply(l.slow, l.change(l.name, "slow"))
	l.slow.onStep, l.slow.patience = nil, 0
	if tries != 2 {
		l.Errorf("it was written in %d tries, want 2", tries)
	}
	l.ok(finish())
}

// lateNothing wants a resource that was expunged to stay so.
func lateNothing(l late) { l.versions(l.quick, map[string]int64{l.name: 0}) }

// lateSwept wants nothing to be left of it some time later.
func lateSwept(l late) {
	lateNothing(l)
	l.sweep(l.quick)
	l.emptied()
}

// fact wants the fact to be there with a value, "" for not at all.
func (l late) fact(value string) {
	l.Helper()
	f, err := l.quick.Get(l.ctx, l.name)
	if value == "" && !errors.Is(err, store.ErrNotFound) || value != "" && (err != nil || string(f.Value) != value) {
		l.Errorf("there is %q, %v, want %q", f.Value, err, value)
	}
}

// A removal whose answer is lost is asked for again in the same words, which name the
// version that was seen, and never by the key alone.
func TestARemovalNamesTheVersionThatItSaw(t *testing.T) {
	var mu sync.Mutex
	var asked []bson.D
	doc := newFact("k", []byte("v"), 7, time.Time{})
	server := &wireServer{hello: standalone(is("isWritablePrimary"))}
	server.answer = func(command string, m bson.D) any {
		mu.Lock()
		defer mu.Unlock()
		switch command {
		case "find":
			return found(doc)
		case "update":
			asked = append(asked, m)
			if len(asked) < 3 {
				return nil // the connection is cut
			}
			return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "nModified", Value: 1}}
		case "findAndModify":
			return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: numberDoc{ID: epochs.name, Last: 9}}}
		}
		return failed(59, "CommandNotFound", "no such command: "+command)
	}
	db := onPaper(t, server)
	if err := db.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(server.commands(), "delete") {
		t.Errorf("it deletes: %v", server.commands())
	}
	for _, m := range asked {
		updates, _ := lookup(m, "updates").(bson.A)
		if len(updates) != 1 {
			t.Fatalf("%d updates in %v", len(updates), m)
		}
		q, _ := lookup(updates[0].(bson.D), "q").(bson.D)
		if lookup(q, "_id") != "k" || lookup(q, "v") != int64(7) {
			t.Errorf("it asks for %v", q)
		}
	}
	if len(asked) < 3 {
		t.Errorf("it was asked %d times", len(asked))
	}
}
