package storetest

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

func occupied(t *testing.T, from, to *env) {
	from.write(t, put(patient("p"), store.Absent, 1))
	run := func(from, to *env) error {
		_, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
		return err
	}
	to.write(t, put(patient("p"), store.Absent, 1))
	wantError(t, run(from, to), transfer.ErrOccupied, "a destination with a resource")
	for name, fill := range map[string]func(*env) error{
		"a fact": func(e *env) error { _, err := e.Facts.PutIfAbsent(e.ctx, "k", nil, time.Time{}); return err },
		"a deleted resource": func(e *env) error {
			e.write(t, put(patient("p"), store.Absent, 1))
			_, err := e.Store.Write(e.ctx, deletion(patient("p"), 1))
			return err
		},
		"a stream": func(e *env) error { _, err := e.Log.Append(e.ctx, "s", nil); return err },
	} {
		other := newEnv(t, to.target)
		if err := fill(other); err != nil {
			t.Fatal(err)
		}
		wantError(t, run(from, other), transfer.ErrOccupied, "a destination with "+name)
	}
	mine := newEnv(t, to.target)
	move(t, from, mine)
	third := newEnv(t, from.target)
	third.write(t, put(patient("q"), store.Absent, 1))
	wantError(t, run(third, mine), transfer.ErrOccupied, "the copy of another store")
	wantError(t, run(from, from), store.ErrInvalid, "one store as both sides")
}

func inUse(t *testing.T, from, to *env) {
	from.write(t, put(patient("p"), store.Absent, 1))
	for _, busy := range []*env{from, to} {
		lease, err := presence.Announce(busy.ctx, busy.Facts, busy.clock.now, "serve")
		if err != nil {
			t.Fatal(err)
		}
		_, err = transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
		wantError(t, err, transfer.ErrInUse, "a store in use")
		if err := lease.End(); err != nil {
			t.Fatal(err)
		}
	}
	// A process that was killed cannot take its fact away.
	dead, err := presence.Announce(from.ctx, from.Facts, from.clock.now, "serve")
	if err != nil {
		t.Fatal(err)
	}
	from.clock.advance(time.Minute)
	move(t, from, to)
	_ = dead.End() // whether it is still there does not matter
}

// announced has a copy tell both stores that it is there, until it has ended.
func announced(t *testing.T, from, to *env) {
	from.write(t, put(patient("p"), store.Absent, 1))
	to.clock.at = from.clock.at
	for _, live := range []bool{true, false} {
		looked := false
		look := func(transfer.Progress) {
			if looked {
				return
			}
			looked = true
			for e, want := range map[*env]presence.Use{from: {Reads: true, Alone: !live}, to: {Alone: true}} {
				hs, err := presence.Present(e.ctx, e.Facts)
				if err != nil || len(hs) != 1 || hs[0].Use != want || hs[0].What != "store copy" {
					t.Errorf("live %v: present are %v, %v, want %+v", live, hs, err, want)
				}
			}
			for _, l := range []bool{true, false} {
				_, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: l})
				wantError(t, err, transfer.ErrInUse, "a second copy to the same destination")
			}
			third := newEnv(t, to.target)
			third.clock.at = from.clock.at
			if live {
				copyLive(t, from, third) // of the same source
			}
			for _, l := range []bool{true, false} {
				if live && l {
					continue
				}
				_, err := transfer.Run(from.ctx, from.side(t, "the source"), third.side(t, "a third"), transfer.Options{Live: l})
				wantError(t, err, transfer.ErrInUse, "a copy of a source that is being copied")
			}
		}
		r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: live, Progress: look})
		if err != nil || !looked {
			t.Fatalf("live %v: %v, looked %v", live, err, looked)
		}
		if !live {
			wantSame(t, r.Comparison)
		}
		for _, e := range []*env{from, to} {
			if hs, err := presence.Present(e.ctx, e.Facts); err != nil || len(hs) > 0 {
				t.Errorf("live %v: afterwards %v, %v", live, hs, err)
			}
		}
	}
}

// killedCopy has the word of a copy that was killed keep nobody waiting, where it can be
// known that it was; elsewhere for a minute.
func killedCopy(t *testing.T, from, to *env) {
	from.write(t, put(patient("p"), store.Absent, 1))
	to.clock.at = from.clock.at
	copyLive(t, from, to)
	l, err := presence.AnnounceUse(to.ctx, to.Facts, to.clock.now, "store copy", presence.Use{Alone: true}, func(renew func()) { renew() })
	if err != nil {
		t.Fatal(err)
	}
	mine, err := to.Facts.Scan(to.ctx, presence.Prefix, "", 2)
	if err != nil || len(mine) != 1 {
		t.Fatal(mine, err)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	leave := func(e *env, change func(*presence.Holder)) {
		t.Helper()
		var h presence.Holder
		if err := json.Unmarshal(mine[0].Value, &h); err != nil {
			t.Fatal(err)
		}
		change(&h)
		value, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Facts.PutIfAbsent(e.ctx, presence.Prefix+t.Name(), value, e.clock.now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	leave(to, func(h *presence.Holder) { h.Host, h.Kernel = "another", "another" })
	_, err = transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	wantError(t, err, transfer.ErrInUse, "a copy on another machine")
	from.clock.advance(time.Minute)
	to.clock.advance(time.Minute)
	if runtime.GOOS == "linux" {
		for _, e := range []*env{from, to} { // a process of that number that was another
			leave(e, func(h *presence.Holder) { h.Started = "1" })
		}
	}
	move(t, from, to)
}

func overSomething(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	var all []*store.Archived
	err := from.side(t, "").Archive(from.ctx, []store.Since{{Key: patient("full")}, {Key: patient("gone")}}, func(a *store.Archived) error { all = append(all, a); return nil })
	if err != nil || len(all) != 2 {
		t.Fatalf("%d, %v", len(all), err)
	}
	dst := to.side(t, "")
	for range 2 { // what is put twice is there once
		if err := dst.Restore(to.ctx, all); err != nil {
			t.Fatal(err)
		}
	}
	change := func(edit func(*store.Archived)) []*store.Archived {
		a := *all[0]
		a.Versions = slices.Clone(a.Versions)
		edit(&a)
		return []*store.Archived{&a}
	}
	for name, edit := range map[string]func(*store.Archived){
		"other content": func(a *store.Archived) { r := *a.Versions[2]; r.Raw = []byte("{}"); a.Versions[2] = &r },
		"other labels":  func(a *store.Archived) { r := *a.Versions[2]; r.Labels = nil; a.Versions[2] = &r },
		"an older end":  func(a *store.Archived) { a.Versions = a.Versions[:5] },
	} {
		wantError(t, dst.Restore(to.ctx, change(edit)), store.ErrConflict, name)
	}
	gap := change(func(a *store.Archived) { r := *a.Versions[7]; r.Version = 10; a.Versions = []*store.Record{&r} })
	wantError(t, dst.Restore(to.ctx, gap), store.ErrInvalid, "a gap of versions")
	to.append(t, "s", "one", "two")
	e := store.Entry{Seq: 2, At: to.clock.now(), Data: []byte("three")}
	wantError(t, dst.RestoreEntries(to.ctx, "s", []store.Entry{e}), store.ErrConflict, "another entry")
	e.Seq = 4
	wantError(t, dst.RestoreEntries(to.ctx, "s", []store.Entry{e}), store.ErrInvalid, "a gap of entries")
	if err := to.Log.Checkpoint(to.ctx, "s", "r", 2); err != nil {
		t.Fatal(err)
	}
	wantError(t, dst.RestorePositions(to.ctx, store.Stream{Name: "s", Positions: map[string]uint64{"r": 1}}), store.ErrConflict, "a position that goes back")
	wantError(t, dst.Archive(to.ctx, []store.Since{{Key: patient("nobody")}}, func(*store.Archived) error { return nil }), store.ErrNotFound, "what is not there")
	wantError(t, dst.Archive(to.ctx, []store.Since{{Key: patient("full"), Version: 9}}, func(*store.Archived) error { return nil }), store.ErrNotFound, "a version that is not there")
}
