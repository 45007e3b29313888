package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

var factTests = []test{
	{"put, get, replace, delete", factLife},
	{"an expired fact is absent everywhere", factExpiry},
	{"one of many puts wins", putRace},
	{"compare-and-set loses nothing", counterRace},
	{"a version never comes again", factVersions},
	{"a fact that others replace meanwhile is removed all the same", deleteRace},
	{"scan by prefix", scans},
	{"several keys in one step", gathers},
	{"wrong facts are refused", wrongFacts},
}

func factLife(t *testing.T, e *env) {
	_, err := e.Facts.Get(e.ctx, "k")
	wantError(t, err, store.ErrNotFound, "Get")
	until := e.clock.now().Add(time.Hour).Add(123 * time.Nanosecond)
	put, err := e.Facts.PutIfAbsent(e.ctx, "k\x00é", []byte("a\x00b"), until)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Facts.Get(e.ctx, "k\x00é")
	if err != nil || !cmp.Equal(got, put) || string(got.Value) != "a\x00b" || !got.Expires.Equal(until) {
		t.Errorf("got %+v, %v, want %+v", got, err, put)
	}
	_, err = e.Facts.PutIfAbsent(e.ctx, "k\x00é", nil, time.Time{})
	wantError(t, err, store.ErrExists, "a second put")
	_, err = e.Facts.CompareAndSet(e.ctx, "k\x00é", put.Version+1, nil, time.Time{})
	wantError(t, err, store.ErrConflict, "another version")
	_, err = e.Facts.CompareAndSet(e.ctx, "nothing", 1, nil, time.Time{})
	wantError(t, err, store.ErrConflict, "no fact")
	set, err := e.Facts.CompareAndSet(e.ctx, "k\x00é", put.Version, nil, time.Time{})
	if err != nil || set.Version == put.Version {
		t.Fatalf("got %+v, %v", set, err)
	}
	got, err = e.Facts.Get(e.ctx, "k\x00é")
	if err != nil || got.Version != set.Version || len(got.Value) != 0 || !got.Expires.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	for range 2 {
		if err := e.Facts.Delete(e.ctx, "k\x00é"); err != nil {
			t.Error(err)
		}
	}
	_, err = e.Facts.Get(e.ctx, "k\x00é")
	wantError(t, err, store.ErrNotFound, "Get after Delete")
}

func factExpiry(t *testing.T, e *env) {
	put := func(key string, d time.Duration) store.Fact {
		f, err := e.Facts.PutIfAbsent(e.ctx, key, []byte("v"), e.clock.now().Add(d))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return f
	}
	short := put("a", time.Minute)
	put("b", time.Hour)
	e.clock.advance(time.Minute - 1)
	if _, err := e.Facts.Get(e.ctx, "a"); err != nil {
		t.Errorf("a moment before: %v", err)
	}
	e.clock.advance(1)
	_, err := e.Facts.Get(e.ctx, "a")
	wantError(t, err, store.ErrNotFound, "Get")
	_, err = e.Facts.CompareAndSet(e.ctx, "a", short.Version, nil, time.Time{})
	wantError(t, err, store.ErrConflict, "CompareAndSet")
	if fs, err := e.Facts.Scan(e.ctx, "", "", 10); err != nil || len(fs) != 1 || fs[0].Key != "b" {
		t.Errorf("Scan: %+v, %v", fs, err)
	}
	put("a", time.Minute)
	e.clock.advance(time.Minute)
	s, ok := e.Facts.(store.Sweeper)
	if !ok {
		t.Skip("expiry is the server's: no Sweeper")
	}
	if n, err := s.Sweep(e.ctx); err != nil || n != 1 {
		t.Errorf("Sweep: %d, %v", n, err)
	}
	if n, err := s.Sweep(e.ctx); err != nil || n != 0 {
		t.Errorf("second Sweep: %d, %v", n, err)
	}
	if _, err := e.Facts.Get(e.ctx, "b"); err != nil {
		t.Errorf("a fact that has not expired was swept: %v", err)
	}
}

func putRace(t *testing.T, e *env) {
	for round := range 20 {
		var wins atomic.Int64
		key := fmt.Sprintf("jti/%d", round)
		if round%2 == 1 { // one that has expired is no hindrance, but to one only
			if _, err := e.Facts.PutIfAbsent(e.ctx, key, nil, e.clock.now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			e.clock.advance(time.Second)
		}
		together(8, func(int) {
			_, err := e.Facts.PutIfAbsent(e.ctx, key, nil, e.clock.now().Add(time.Minute))
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, store.ErrExists):
				t.Error(err)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d puts won", wins.Load())
		}
	}
}

func counterRace(t *testing.T, e *env) {
	if _, err := e.Facts.PutIfAbsent(e.ctx, "n", []byte{0, 0}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	const each = 25
	together(8, func(int) {
		for done := 0; done < each; {
			f, err := e.Facts.Get(e.ctx, "n")
			if err != nil {
				t.Error(err)
				return
			}
			n := int(f.Value[0])<<8 + int(f.Value[1]) + 1
			_, err = e.Facts.CompareAndSet(e.ctx, "n", f.Version, []byte{byte(n >> 8), byte(n)}, time.Time{})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
				return
			}
		}
	})
	f, err := e.Facts.Get(e.ctx, "n")
	if err != nil || int(f.Value[0])<<8+int(f.Value[1]) != 8*each {
		t.Errorf("got %v, %v, want %d", f.Value, err, 8*each)
	}
}

func factVersions(t *testing.T, e *env) {
	seen := map[int64]bool{}
	for range 5 {
		f, err := e.Facts.PutIfAbsent(e.ctx, "k", nil, e.clock.now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if seen[f.Version] {
			t.Fatalf("version %d comes again", f.Version)
		}
		seen[f.Version] = true
		if err := e.Facts.Delete(e.ctx, "k"); err != nil {
			t.Fatal(err)
		}
		e.reopen(t)
	}
}

// deleteRace removes facts that others keep replacing: nobody brings one back.
func deleteRace(t *testing.T, e *env) {
	for round := range 10 {
		key := fmt.Sprintf("session/%d", round)
		if _, err := e.Facts.PutIfAbsent(e.ctx, key, []byte("v"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		together(3, func(i int) {
			if i == 0 {
				if err := e.Facts.Delete(e.ctx, key); err != nil {
					t.Error(err)
				}
				return
			}
			for {
				f, err := e.Facts.Get(e.ctx, key)
				if errors.Is(err, store.ErrNotFound) {
					return
				}
				if err == nil {
					_, err = e.Facts.CompareAndSet(e.ctx, key, f.Version, []byte("w"), time.Time{})
				}
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
		_, err := e.Facts.Get(e.ctx, key)
		wantError(t, err, store.ErrNotFound, "a removed fact")
		if _, err := e.Facts.PutIfAbsent(e.ctx, key, nil, time.Time{}); err != nil {
			t.Errorf("a fact is put again: %v", err)
		}
	}
}

func scans(t *testing.T, e *env) {
	for _, k := range []string{"a", "a/1", "a/2", "a/3", "a0", "b/1", "a/\xff"} {
		if _, err := e.Facts.PutIfAbsent(e.ctx, k, []byte(k), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"a/", "", 10, []string{"a/1", "a/2", "a/3", "a/\xff"}},
		{"a/", "", 2, []string{"a/1", "a/2"}},
		{"a/", "a/2", 2, []string{"a/3", "a/\xff"}},
		{"a/", "a/\xff", 2, nil},
		{"", "a/\xff", 10, []string{"a0", "b/1"}},
		{"c", "", 10, nil},
	} {
		fs, err := e.Facts.Scan(e.ctx, tt.prefix, tt.after, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fs {
			got = append(got, f.Key)
			if string(f.Value) != f.Key {
				t.Errorf("fact %q has the value %q", f.Key, f.Value)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt, diff)
		}
	}
}

// gathers wants Gather to give what Gets would give one by one.
func gathers(t *testing.T, e *env) {
	var keys []string
	for i := range 20 {
		key := fmt.Sprint("g", i)
		keys = append(keys, key)
		if i%3 == 0 {
			continue // is not there
		}
		expires := time.Time{}
		if i%3 == 1 {
			expires = e.clock.now().Add(time.Duration(i) * time.Minute)
		}
		if _, err := e.Facts.PutIfAbsent(e.ctx, key, []byte(key), expires); err != nil {
			t.Fatal(err)
		}
	}
	for _, passed := range []time.Duration{0, 10 * time.Minute, time.Hour} {
		e.clock.advance(passed)
		for _, n := range []int{0, 1, 2, 5, 8, 9, 16, 20} {
			got, err := store.Gather(e.ctx, e.Facts, slices.Concat(keys[:n], keys[n/2:n])) // each comes once
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(got, func(a, b store.Fact) int { return strings.Compare(a.Key, b.Key) })
			var want []store.Fact
			for _, key := range keys[:n] {
				if f, err := e.Facts.Get(e.ctx, key); err == nil {
					want = append(want, f)
				} else {
					wantError(t, err, store.ErrNotFound, key)
				}
			}
			slices.SortFunc(want, func(a, b store.Fact) int { return strings.Compare(a.Key, b.Key) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d keys after %v (-want +got):\n%s", n, passed, diff)
			}
		}
	}
}

func wrongFacts(t *testing.T, e *env) {
	_, err := e.Facts.PutIfAbsent(e.ctx, "k", nil, e.clock.now())
	wantError(t, err, store.ErrInvalid, "an expiry that is now")
	_, err = e.Facts.PutIfAbsent(e.ctx, "k", nil, e.clock.now().Add(-time.Hour))
	wantError(t, err, store.ErrInvalid, "an expiry that has passed")
	_, err = e.Facts.PutIfAbsent(e.ctx, "", nil, time.Time{})
	wantError(t, err, store.ErrInvalid, "no key")
	_, err = e.Facts.Scan(e.ctx, "", "", 0)
	wantError(t, err, store.ErrInvalid, "no limit")
	_, err = e.Facts.Get(e.ctx, "k")
	wantError(t, err, store.ErrNotFound, "a refused fact")
}
