package storetest

import (
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
