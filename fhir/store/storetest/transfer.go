package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// RunTransfer runs the suite of moving what one implementation holds to another,
// which may be the same one.
func RunTransfer(t *testing.T, from, to Target) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, from, to *env)
	}{
		{"a copy holds the same, and goes on from there", copyIsTheSame},
		{"there and back again", thereAndBack},
		{"a copy that is cut off anywhere goes on", copyGoesOn},
		{"a destination of something else is refused", occupied},
		{"a store that is in use is refused", inUse},
		{"an unfinished copy is no store yet", unfinished},
		{"what differs is found", differences},
		{"a source that changes meanwhile is noticed", changing},
		{"what expires meanwhile is no difference", expiring},
		{"nothing is put over something else", overSomething},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, newEnv(t, from), newEnv(t, to)) })
	}
}

// side is the store as one side of a copy.
func (e *env) side(t *testing.T, name string) transfer.Side {
	t.Helper()
	s, ok := e.Store.(transfer.Store)
	if !ok {
		t.Fatalf("%T cannot be copied", e.Store)
	}
	return transfer.Side{Store: s, Name: name}
}

func (e *env) fact(t *testing.T, key, value string, expires time.Time) store.Fact {
	t.Helper()
	f, err := e.Facts.PutIfAbsent(e.ctx, key, []byte(value), expires)
	if err != nil {
		t.Fatalf("fact %q: %v", key, err)
	}
	return f
}

func (e *env) append(t *testing.T, stream string, data ...string) {
	t.Helper()
	var all [][]byte
	for _, d := range data {
		all = append(all, []byte(d))
	}
	if _, err := e.Log.Append(e.ctx, stream, all...); err != nil {
		t.Fatalf("append to %q: %v", stream, err)
	}
}

// furnish fills a store with one of everything that is hard to carry over. gone is
// the version of a fact that is there no longer.
func (e *env) furnish(t *testing.T) (gone int64) {
	t.Helper()
	full := withClaims(put(patient("full"), store.Absent, 1, "name|smith", "v|a\x00b", "v|\xff\xfe", "v|é", "v|", "a-b|x", "a|y"), "c/1", "c/\xff")
	full.Origin, full.Labels, full.LabelSet = origin(), []string{"s|ETH", "s|R"}, "labels 7"
	e.write(t, full)
	for n := 2; n <= 7; n++ {
		e.clock.advance(1234 * time.Millisecond)
		next := full
		next.Expect, next.Raw = store.AnyVersion, body(full.Key, n)
		e.write(t, next)
	}
	e.write(t, withClaims(put(patient("gone"), store.Absent, 1, "name|gone"), "c/2"))
	e.clock.advance(time.Second)
	e.write(t, deletion(patient("gone"), 1))
	e.write(t, withClaims(put(patient("again"), store.Absent, 1, "name|again"), "c/2"))
	e.write(t, deletion(patient("again"), 1))
	e.write(t, put(patient("again"), store.Absent, 3, "name|again"))
	e.write(t, put(patient("expunged"), store.Absent, 1, "name|expunged"))
	if err := e.Store.Expunge(e.ctx, patient("expunged")); err != nil {
		t.Fatal(err)
	}
	last := withClaims(full, "c/1") // gives the other one up
	last.Expect, last.Raw = 7, body(full.Key, 8)
	if _, err := e.Store.Apply(e.ctx, []store.Write{
		withClaims(put(store.Key{Type: "Consent", ID: "A-1.b"}, store.Absent, 1, "status|active"), "c/2", "c/3"), last,
	}); err != nil {
		t.Fatal(err)
	}
	big := put(patient("large"), store.Absent, 1, "name|large")
	for n := range 3 {
		big.Raw, big.Expect = bytes.Repeat([]byte{'a' + byte(n), 0xc3, 0xa9, 0}, 700_000), store.AnyVersion
		e.write(t, big)
	}
	for i := range 30 {
		e.write(t, put(store.Key{Type: "Observation", ID: fmt.Sprintf("o%02d", i)}, store.Absent, i, fmt.Sprintf("n|%02d", i)))
	}
	e.fact(t, "forever", "v", time.Time{})
	e.fact(t, "k\x00\xff", "a\x00b", e.clock.now().Add(time.Hour+123))
	e.fact(t, "empty", "", time.Time{})
	e.fact(t, "short", "x", e.clock.now().Add(time.Second))
	f := e.fact(t, "deleted", "x", time.Time{})
	if err := e.Facts.Delete(e.ctx, "deleted"); err != nil {
		t.Fatal(err)
	}
	e.clock.advance(time.Second) // short has expired
	e.append(t, "raw/a", "one", "two\x00", "")
	e.clock.advance(time.Nanosecond * 77)
	e.append(t, "raw/a", "three")
	e.append(t, "raw/\xff", string(bytes.Repeat([]byte("x"), 3<<20)), "y", string(bytes.Repeat([]byte("z"), 3<<20)))
	for reader, seq := range map[string]uint64{"r": 3, "r\x00\xfe": 1} {
		if err := e.Log.Checkpoint(e.ctx, "raw/a", reader, seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Log.Checkpoint(e.ctx, "no entries", "r", 9); err != nil {
		t.Fatal(err)
	}
	return f.Version
}

// move copies and wants both sides to be the same.
func move(t *testing.T, from, to *env) transfer.Report {
	t.Helper()
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, r.Comparison)
	return r
}

func wantSame(t *testing.T, c *transfer.Comparison) {
	t.Helper()
	for _, d := range c.Differences {
		t.Errorf("%s %s: %s", d.Kind, d.What, d.How)
	}
	if !c.Same() || !cmp.Equal(c.Source, c.Destination) {
		t.Fatalf("%d differences: %v, %v", c.Differing, c.Source, c.Destination)
	}
}

func copyIsTheSame(t *testing.T, from, to *env) {
	gone := from.furnish(t)
	to.clock.at = from.clock.at
	r := move(t, from, to)
	got := map[string]int64{}
	for kind, tally := range r.Comparison.Destination {
		got[kind] = tally.Count
	}
	want := map[string]int64{
		transfer.KindResources: 35, transfer.KindVersions: 8 + 2 + 3 + 1 + 3 + 30, transfer.KindFacts: 3, transfer.KindEntries: 7, transfer.KindPositions: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if r.Copied.Resources != 35 || r.Copied.Facts != 3 || r.Copied.Entries != 7 || r.Copied.Streams != 3 || r.Resumed {
		t.Errorf("the report says %+v", r)
	}
	to.reopen(t)
	for _, k := range []store.Key{patient("full"), patient("gone"), patient("again"), patient("large"), {Type: "Consent", ID: "A-1.b"}} {
		if diff := cmp.Diff(byName(from.read(t, k)), byName(to.read(t, k)), asBytes); diff != "" {
			t.Errorf("%s (-source +destination):\n%.500s", k, diff)
		}
		a, errA := from.Store.History(from.ctx, k, 0, 100)
		b, errB := to.Store.History(to.ctx, k, 0, 100)
		if !cmp.Equal(a, b, asBytes) || errA != nil || errB != nil {
			t.Errorf("history of %s: %v, %v: %.500s", k, errA, errB, cmp.Diff(a, b, asBytes))
		}
	}
	_, err := to.Store.Read(to.ctx, patient("expunged"))
	wantError(t, err, store.ErrNotFound, "an expunged resource")
	copyGoesOnFromThere(t, from, to, gone)
}

// asBytes compares large contents at once.
var asBytes = cmp.Comparer(bytes.Equal)

// byName gives a record its index in one order.
func byName(rec *store.Record) *store.Record {
	rec.Index = slices.Sorted(slices.Values(rec.Index))
	return rec
}

// copyGoesOnFromThere uses the copy as the gateway would.
func copyGoesOnFromThere(t *testing.T, from, to *env, gone int64) {
	plan := store.Plan{Type: "Observation", Where: store.Expr{Op: store.Range, Param: "n", Low: "05", High: "25"}, Sort: []store.SortKey{{Param: "n", Descending: true}}, Limit: 7}
	if diff := cmp.Diff(from.all(t, plan), to.all(t, plan)); diff != "" {
		t.Errorf("a search (-source +destination):\n%s", diff)
	}
	if ids := to.all(t, store.Plan{Type: "Patient", Where: equal("name", "gone"), Limit: 7}); len(ids) != 0 {
		t.Errorf("a deleted resource is found: %v", ids)
	}
	_, err := to.Store.Write(to.ctx, withClaims(put(patient("new"), store.Absent, 1), "c/3"))
	var ce *store.ClaimError
	if !errors.As(err, &ce) || ce.Holder.ID != "A-1.b" {
		t.Errorf("a claim that is held: %v", err)
	}
	to.write(t, withClaims(put(patient("new"), store.Absent, 1), "c/\xff")) // given up by full
	if rec := to.write(t, put(patient("full"), 8, 9, "name|jones")); rec.Version != 9 {
		t.Errorf("the next version is %d", rec.Version)
	}
	if h, err := to.Store.History(to.ctx, patient("full"), 0, 100); err != nil || len(h) != 9 {
		t.Errorf("%d versions, %v", len(h), err)
	}
	f, err := to.Facts.PutIfAbsent(to.ctx, "deleted", nil, time.Time{})
	if err != nil || f.Version <= gone {
		t.Errorf("a fact's version comes again: %d after %d, %v", f.Version, gone, err)
	}
	old, err := to.Facts.Get(to.ctx, "forever")
	if err == nil {
		_, err = to.Facts.CompareAndSet(to.ctx, "forever", old.Version, []byte("w"), time.Time{})
	}
	if err != nil {
		t.Errorf("a fact cannot be replaced: %v", err)
	}
	if seq, err := to.Log.Append(to.ctx, "raw/a", []byte("five")); err != nil || seq != 5 {
		t.Errorf("the next entry is %d, %v", seq, err)
	}
	if seq, err := to.Log.Position(to.ctx, "raw/a", "r"); err != nil || seq != 3 {
		t.Errorf("position %d, %v", seq, err)
	}
}

func thereAndBack(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	there := move(t, from, to)
	home := newEnv(t, from.target)
	home.clock.at = from.clock.at
	back := move(t, to, home)
	if diff := cmp.Diff(there.Comparison.Source, back.Comparison.Destination); diff != "" {
		t.Errorf("(-there +back):\n%s", diff)
	}
	c, err := transfer.Compare(from.ctx, from.side(t, "the first"), home.side(t, "the last"), transfer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, c)
	if r := move(t, to, home); r.Copied != (transfer.Counts{}) || !r.Resumed {
		t.Errorf("a finished copy is copied again: %+v", r)
	}
}

// A cut destination fails for good after some calls: before it has done the last
// one, or after.
type cutStore struct {
	transfer.Store
	left  *int
	after bool
	calls *int
}

var errCut = errors.New("cut off")

func (c cutStore) cut(do func() error) error {
	*c.left--
	if *c.left < 0 || *c.left == 0 && !c.after {
		return errCut
	}
	*c.calls++
	if err := do(); err != nil {
		return err
	}
	if *c.left == 0 {
		return errCut
	}
	return nil
}

func (c cutStore) Restore(ctx context.Context, rs []*store.Archived) error {
	return c.cut(func() error { return c.Store.Restore(ctx, rs) })
}

func (c cutStore) RestoreFacts(ctx context.Context, fs []store.Fact) error {
	return c.cut(func() error { return c.Store.RestoreFacts(ctx, fs) })
}

func (c cutStore) RestoreEntries(ctx context.Context, stream string, es []store.Entry) error {
	return c.cut(func() error { return c.Store.RestoreEntries(ctx, stream, es) })
}

func (c cutStore) RestorePositions(ctx context.Context, s store.Stream) error {
	return c.cut(func() error { return c.Store.RestorePositions(ctx, s) })
}

func (c cutStore) RaiseFactVersion(ctx context.Context, v int64) error {
	return c.cut(func() error { return c.Store.RaiseFactVersion(ctx, v) })
}

func (c cutStore) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (f store.Fact, err error) {
	err = c.cut(func() error {
		f, err = c.Store.CompareAndSet(ctx, key, version, value, expires)
		return err
	})
	return f, err
}

// copyGoesOn cuts a copy off every few calls, in turn before and after the last one,
// so that it is cut at every point; it must come to its end all the same.
func copyGoesOn(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	for i := range 700 { // several pieces
		from.write(t, put(store.Key{Type: "Task", ID: fmt.Sprintf("t%03d", i)}, store.Absent, i, "n|1"))
	}
	calls, runs := 0, 0
	for ; ; runs++ {
		if runs > 200 {
			t.Fatal("it does not come to an end")
		}
		left := 3 + runs%2
		side := to.side(t, "the destination")
		side.Store = cutStore{side.Store, &left, runs%3 == 0, &calls}
		r, err := transfer.Run(from.ctx, from.side(t, "the source"), side, transfer.Options{})
		if err == nil {
			wantSame(t, r.Comparison)
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "an unfinished copy")
	}
	t.Logf("%d runs, %d calls", runs, calls)
	if runs < 5 || calls > 6*runs {
		t.Errorf("%d calls in %d runs", calls, runs)
	}
	if err := transfer.Ready(to.ctx, to.Facts); err != nil {
		t.Errorf("a finished copy: %v", err)
	}
}

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

func unfinished(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	left, calls := 2, 0
	side := to.side(t, "the destination")
	side.Store = cutStore{side.Store, &left, true, &calls}
	_, err := transfer.Run(from.ctx, from.side(t, "the source"), side, transfer.Options{})
	wantError(t, err, errCut, "a cut copy")
	third := newEnv(t, from.target)
	_, err = transfer.Run(from.ctx, to.side(t, "the half"), third.side(t, "a third"), transfer.Options{})
	wantError(t, err, transfer.ErrUnfinished, "an unfinished copy as a source")
	r := move(t, from, to)
	if !r.Resumed {
		t.Error("it does not say that it went on")
	}
}

func differences(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	move(t, from, to)
	to.write(t, put(patient("full"), 8, 9, "name|smith"))
	to.write(t, put(patient("extra"), store.Absent, 1))
	if err := to.Store.Expunge(to.ctx, store.Key{Type: "Observation", ID: "o07"}); err != nil {
		t.Fatal(err)
	}
	if err := to.Facts.Delete(to.ctx, "forever"); err != nil {
		t.Fatal(err)
	}
	to.append(t, "raw/a", "more")
	if err := to.Log.Checkpoint(to.ctx, "raw/a", "r", 5); err != nil {
		t.Fatal(err)
	}
	c, err := transfer.Compare(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []transfer.Difference{
		{Kind: "versions", What: "Observation/o07/_history/1", How: transfer.OnlySource},
		{Kind: "resources", What: "Observation/o07", How: transfer.OnlySource},
		{Kind: "versions", What: "Patient/extra/_history/1", How: transfer.OnlyDestination},
		{Kind: "resources", What: "Patient/extra", How: transfer.OnlyDestination},
		{Kind: "versions", What: "Patient/full/_history/9", How: transfer.OnlyDestination},
		{Kind: "resources", What: "Patient/full", How: transfer.Other},
		{Kind: "facts", What: `"forever"`, How: transfer.OnlySource},
		{Kind: "entries", What: `"raw/a" entry 5`, How: transfer.OnlyDestination},
		{Kind: "positions", What: `"raw/a"`, How: transfer.Other},
	}
	if diff := cmp.Diff(want, c.Differences); diff != "" || c.Same() || c.Differing != int64(len(want)) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func changing(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	wrote := false
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Progress: func(p transfer.Progress) {
		if p.Done > 10 && !wrote {
			wrote = true
			from.write(t, put(patient("zz-late"), store.Absent, 1))
		}
	}})
	if !wrote {
		t.Fatal("no progress was told")
	}
	if err == nil && r.Comparison.Same() || err != nil && !errors.Is(err, transfer.ErrChanged) {
		t.Errorf("got %v", err)
	}
	wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "a copy of a source that moved")
}

func expiring(t *testing.T, from, to *env) {
	from.fact(t, "soon", "x", from.clock.now().Add(time.Minute))
	from.fact(t, "stays", "x", from.clock.now().Add(time.Hour))
	to.clock.at = from.clock.at.Add(2 * time.Minute) // ahead: for the destination it has expired
	r := move(t, from, to)
	if r.Comparison.Destination[transfer.KindFacts].Count != 1 {
		t.Errorf("%+v", r.Comparison.Destination)
	}
}

func overSomething(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	var all []*store.Archived
	err := from.side(t, "").Archive(from.ctx, []store.Key{patient("full"), patient("gone")}, func(a *store.Archived) error { all = append(all, a); return nil })
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
		"a claim of another": func(a *store.Archived) {
			r := *a.Versions[0]
			r.ID, a.Key.ID = "thief", "thief"
			r.LastUpdated = r.LastUpdated.Add(time.Hour)
			a.Versions = []*store.Record{&r}
		},
	} {
		if err := dst.Restore(to.ctx, change(edit)); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	gap := change(func(a *store.Archived) { r := *a.Versions[7]; r.Version = 10; a.Versions = []*store.Record{&r} })
	wantError(t, dst.Restore(to.ctx, gap), store.ErrInvalid, "a gap of versions")
	f := to.fact(t, "k", "v", time.Time{})
	f.Value = []byte("w")
	wantError(t, dst.RestoreFacts(to.ctx, []store.Fact{f}), store.ErrConflict, "another fact")
	to.append(t, "s", "one", "two")
	e := store.Entry{Seq: 2, At: to.clock.now(), Data: []byte("three")}
	wantError(t, dst.RestoreEntries(to.ctx, "s", []store.Entry{e}), store.ErrConflict, "another entry")
	e.Seq = 4
	wantError(t, dst.RestoreEntries(to.ctx, "s", []store.Entry{e}), store.ErrInvalid, "a gap of entries")
	if err := to.Log.Checkpoint(to.ctx, "s", "r", 2); err != nil {
		t.Fatal(err)
	}
	wantError(t, dst.RestorePositions(to.ctx, store.Stream{Name: "s", Positions: map[string]uint64{"r": 1}}), store.ErrConflict, "a position that goes back")
	wantError(t, dst.Archive(to.ctx, []store.Key{patient("nobody")}, func(*store.Archived) error { return nil }), store.ErrNotFound, "what is not there")
}
