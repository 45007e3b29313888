package storetest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
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
		{"a copy says that it is there", announced},
		{"a copy that was killed keeps nobody waiting", killedCopy},
		{"an unfinished copy is no store yet", unfinished},
		{"what differs is found", differences},
		{"a source that changes meanwhile is noticed", changing},
		{"what expires meanwhile is no difference", expiring},
		{"nothing is put over something else", overSomething},
		{"a copy of a source in use is brought up to date", broughtUpToDate},
		{"an update that is cut off anywhere goes on", updateGoesOn},
		{"a copy beside writers, then one without", besideWriters},
		{"a resource whose history is another is made anew", otherHistory},
		{"a source that was set back is noticed", setBack},
		{"what was verified ahead is not read again", verifiedAhead},
		{"what has become another since is found", aheadFinds},
		{"a run ahead that is cut off goes on", aheadGoesOn},
		{"a finished copy is not brought up to date", finishedStays},
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
