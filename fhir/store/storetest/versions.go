package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

var versionTests = []test{
	{"what was written is read again", readsBack},
	{"a resource that never was is not found", neverWas},
	{"the head must be what the writer expects", expectations},
	{"a deletion is a version", deletes},
	{"history goes back from the newest", history},
	{"LastUpdated never goes back", clockSetBack},
	{"eight writers: every acknowledgement is one version", compareAndSetRace},
	{"one of many creates on one claim wins", claimRace},
	{"a claim goes with the newest version", claims},
	{"expunge leaves nothing", expunge},
	{"an unchanged write still makes a version", unchanged},
	{"wrong writes are refused", wrongWrites},
	{"a request that is over does nothing", cancelled},
	{"everything is there after reopening", reopening},
	{"a closed store says so", closedStore},
}

func readsBack(t *testing.T, e *env) {
	w := store.Write{Record: store.Record{
		Key: patient("p1"), Raw: []byte(`{"resourceType":"Patient","id":"p1"}`), Origin: origin(),
		Labels: []string{"http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R", "x|y|z", ""}, LabelSet: "2026-03",
		Index: []string{"family|smith", "birthdate|1980-02-03", "family|smith", "empty|", "pipe|a|b"},
	}, Expect: store.Absent}
	wrote := e.write(t, w)
	want := w.Record
	want.Version, want.LastUpdated = 1, e.clock.now()
	want.Index = []string{"birthdate|1980-02-03", "empty|", "family|smith", "pipe|a|b"}
	for name, got := range map[string]*store.Record{"Write": wrote, "Read": e.read(t, w.Key)} {
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	want.Index = nil
	got, err := e.Store.ReadVersion(e.ctx, w.Key, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("ReadVersion (-want +got):\n%s", diff)
	}
	if got.LastUpdated.Location() != time.UTC {
		t.Errorf("LastUpdated is in %s, want UTC", got.LastUpdated.Location())
	}
}

func neverWas(t *testing.T, e *env) {
	k := patient("nobody")
	_, err := e.Store.Read(e.ctx, k)
	wantError(t, err, store.ErrNotFound, "Read")
	_, err = e.Store.ReadVersion(e.ctx, k, 1)
	wantError(t, err, store.ErrNotFound, "ReadVersion")
	_, err = e.Store.History(e.ctx, k, 0, 10)
	wantError(t, err, store.ErrNotFound, "History")
	_, err = e.Store.Write(e.ctx, deletion(k, store.AnyVersion))
	wantError(t, err, store.ErrNotFound, "deletion")
	_, err = e.Store.Write(e.ctx, put(k, 3, 0))
	wantError(t, err, store.ErrConflict, "update")
	wantError(t, e.Store.Expunge(e.ctx, k), store.ErrNotFound, "Expunge")
	e.write(t, put(k, store.Absent, 0))
	for _, version := range []int64{math.MinInt64, -2, -1, 0, 2, math.MaxInt64} {
		_, err = e.Store.ReadVersion(e.ctx, k, version)
		wantError(t, err, store.ErrNotFound, fmt.Sprintf("ReadVersion %d", version))
	}
}

func expectations(t *testing.T, e *env) {
	k := patient("p1")
	steps := []struct {
		w       store.Write
		version int64 // 0: refused
	}{
		{put(k, 1, 0), 0},
		{put(k, store.Absent, 1), 1},
		{put(k, store.Absent, 2), 0},
		{put(k, 2, 2), 0},
		{put(k, 1, 2), 2},
		{put(k, 1, 3), 0},
		{put(k, store.AnyVersion, 3), 3},
		{deletion(k, 2), 0},
		{deletion(k, 3), 4},
		{put(k, 3, 5), 0},
		{put(k, store.Absent, 5), 5},
		{deletion(k, store.AnyVersion), 6},
		{put(k, 6, 7), 7},
	}
	for i, s := range steps {
		rec, err := e.Store.Write(e.ctx, s.w)
		if s.version == 0 {
			wantError(t, err, store.ErrConflict, fmt.Sprintf("step %d", i))
			var ve *store.VersionError
			if !errors.As(err, &ve) || ve.Key != k {
				t.Errorf("step %d: error %v does not name the resource", i, err)
			}
			continue
		}
		if err != nil || rec.Version != s.version {
			t.Fatalf("step %d: got %v, %v, want version %d", i, rec, err, s.version)
		}
	}
}

func deletes(t *testing.T, e *env) {
	k := patient("p1")
	e.write(t, put(k, store.Absent, 1, "family|smith"))
	e.write(t, deletion(k, 1))
	rec := e.read(t, k)
	if !rec.Deleted || rec.Raw != nil || rec.Version != 2 || len(rec.Index) != 0 {
		t.Errorf("got %+v, want a deletion at version 2", rec)
	}
	if ids := e.all(t, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 10}); len(ids) != 0 {
		t.Errorf("a deleted resource is found: %v", ids)
	}
	first, err := e.Store.ReadVersion(e.ctx, k, 1)
	if err != nil || string(first.Raw) != string(body(k, 1)) {
		t.Errorf("version 1 after the deletion: %+v, %v", first, err)
	}
}

func history(t *testing.T, e *env) {
	k := patient("p1")
	for n := range 7 {
		e.write(t, put(k, int64(n), n+1))
	}
	e.write(t, put(patient("p2"), store.Absent, 1))
	for _, tt := range []struct {
		before int64
		limit  int
		want   []int64
	}{
		{0, 3, []int64{7, 6, 5}},
		{5, 3, []int64{4, 3, 2}},
		{2, 3, []int64{1}},
		{1, 3, nil},
		{99, 100, []int64{7, 6, 5, 4, 3, 2, 1}},
	} {
		recs, err := e.Store.History(e.ctx, k, tt.before, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, rec := range recs {
			got = append(got, rec.Version)
			if want := body(k, int(rec.Version)); string(rec.Raw) != string(want) {
				t.Errorf("version %d is %s, want %s", rec.Version, rec.Raw, want)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("before %d, limit %d (-want +got):\n%s", tt.before, tt.limit, diff)
		}
	}
}

func clockSetBack(t *testing.T, e *env) {
	k := patient("p1")
	first := e.write(t, put(k, store.Absent, 1))
	e.clock.advance(-time.Hour)
	if second := e.write(t, put(k, 1, 2)); second.LastUpdated.Before(first.LastUpdated) {
		t.Errorf("version 2 is of %s, before version 1 of %s", second.LastUpdated, first.LastUpdated)
	}
}

func compareAndSetRace(t *testing.T, e *env) {
	keys := []store.Key{patient("a"), patient("b"), patient("c"), patient("d")}
	for _, k := range keys {
		e.write(t, put(k, store.Absent, 0))
	}
	var acks, conflicts atomic.Int64
	begun := time.Now()
	met := func() bool { return acks.Load() > 0 && conflicts.Load() > 0 }
	together(8, func(w int) {
		for n := 0; time.Since(begun) < time.Second || !met() && time.Since(begun) < time.Minute; n++ {
			k := keys[(n+w)%len(keys)]
			rec, err := e.Store.Read(e.ctx, k)
			if err != nil {
				t.Error(err)
				return
			}
			switch _, err := e.Store.Write(e.ctx, put(k, rec.Version, n, fmt.Sprintf("w|%d", n))); {
			case err == nil:
				acks.Add(1)
			case errors.Is(err, store.ErrConflict):
				conflicts.Add(1)
			default:
				t.Error(err)
				return
			}
		}
	})
	var steps int64
	for _, k := range keys {
		steps += e.read(t, k).Version - 1
	}
	t.Logf("%d acknowledgements, %d conflicts", acks.Load(), conflicts.Load())
	if steps != acks.Load() {
		t.Errorf("%d version steps for %d acknowledgements", steps, acks.Load())
	}
	if !met() {
		t.Error("the writers did not meet")
	}
}

func claimRace(t *testing.T, e *env) {
	const claim = "Patient|identifier|urn:x|1"
	for round := range 20 {
		var wins atomic.Int64
		var holder atomic.Value
		together(8, func(i int) {
			w := put(patient(fmt.Sprintf("r%d-%d", round, i)), store.Absent, i)
			w.Claims = []string{fmt.Sprintf("%s/%d", claim, round)}
			_, err := e.Store.Write(e.ctx, w)
			var ce *store.ClaimError
			switch {
			case err == nil:
				wins.Add(1)
				holder.Store(w.Key)
			case !errors.As(err, &ce) || !errors.Is(err, store.ErrExists):
				t.Error(err)
			case ce.Claim != w.Claims[0] || ce.Holder.Type != "Patient":
				t.Errorf("the error names %+v", ce)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d creates won the claim", wins.Load())
		}
		late := put(patient("late"), store.AnyVersion, 0)
		late.Claims = []string{fmt.Sprintf("%s/%d", claim, round)}
		var ce *store.ClaimError
		if _, err := e.Store.Write(e.ctx, late); !errors.As(err, &ce) || ce.Holder != holder.Load() {
			t.Errorf("got %v, want a claim held by %v", err, holder.Load())
		}
		if _, err := e.Store.Read(e.ctx, late.Key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a refused write left something: %v", err)
		}
	}
}

func claims(t *testing.T, e *env) {
	with := func(w store.Write, claims ...string) store.Write { w.Claims = claims; return w }
	a, b := patient("a"), patient("b")
	e.write(t, with(put(a, store.Absent, 1), "x", "y", "x"))
	e.write(t, with(put(a, 1, 2), "y"))            // gives up x, keeps y
	e.write(t, with(put(b, store.Absent, 1), "x")) // takes x
	_, err := e.Store.Write(e.ctx, with(put(b, 1, 2), "x", "y"))
	wantError(t, err, store.ErrExists, "a claim that is held")
	var ce *store.ClaimError
	_, err = e.Store.Write(e.ctx, with(put(patient("c"), store.Absent, 1), "z", "y", "x"))
	if !errors.As(err, &ce) || ce.Claim != "x" || ce.Holder != b {
		t.Errorf("of claims that are held the error names %v, want the first of them, x", err)
	}
	if v := e.read(t, b).Version; v != 1 {
		t.Errorf("the refused write made version %d", v)
	}
	e.write(t, deletion(a, 2))
	e.write(t, with(put(b, 1, 2), "x", "y")) // the deletion gave up y
	_, err = e.Store.Write(e.ctx, with(put(a, store.Absent, 3), "y"))
	wantError(t, err, store.ErrExists, "a claim taken over")
	if err := e.Store.Expunge(e.ctx, b); err != nil {
		t.Fatal(err)
	}
	e.write(t, with(put(a, store.Absent, 3), "x", "y"))
}

func expunge(t *testing.T, e *env) {
	k := patient("p1")
	w := put(k, store.Absent, 1, "family|smith")
	w.Claims = []string{"c"}
	e.write(t, w)
	e.write(t, put(k, 1, 2, "family|smith"))
	if err := e.Store.Expunge(e.ctx, k); err != nil {
		t.Fatal(err)
	}
	_, err := e.Store.Read(e.ctx, k)
	wantError(t, err, store.ErrNotFound, "Read")
	_, err = e.Store.ReadVersion(e.ctx, k, 1)
	wantError(t, err, store.ErrNotFound, "ReadVersion")
	if n, err := e.Store.Count(e.ctx, store.Plan{Type: "Patient", Where: equal("family", "smith")}); n != 0 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	if rec := e.write(t, put(k, store.Absent, 1)); rec.Version != 1 {
		t.Errorf("made again at version %d", rec.Version)
	}
}

func unchanged(t *testing.T, e *env) {
	k := patient("p1")
	e.write(t, put(k, store.Absent, 1, "family|smith"))
	if rec := e.write(t, put(k, store.AnyVersion, 1, "family|smith")); rec.Version != 2 {
		t.Errorf("version %d, want 2", rec.Version)
	}
}

func wrongWrites(t *testing.T, e *env) {
	ok := put(patient("p1"), store.Absent, 1)
	for name, change := range map[string]func(*store.Write){
		"no type":               func(w *store.Write) { w.Type = "" },
		"no id":                 func(w *store.Write) { w.ID = "" },
		"an id that is none":    func(w *store.Write) { w.ID = "a/b" },
		"no content":            func(w *store.Write) { w.Raw = nil },
		"content of a deletion": func(w *store.Write) { w.Deleted = true },
		"an expectation":        func(w *store.Write) { w.Expect = -2 },
		"an entry without |":    func(w *store.Write) { w.Index = []string{"family"} },
		"an entry of nothing":   func(w *store.Write) { w.Index = []string{"|x"} },
		"an empty claim":        func(w *store.Write) { w.Claims = []string{""} },
	} {
		w := ok
		change(&w)
		_, err := e.Store.Write(e.ctx, w)
		wantError(t, err, store.ErrInvalid, name)
	}
	if n, err := e.Store.Count(e.ctx, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}}); n != 0 || err != nil {
		t.Errorf("%d resources, %v", n, err)
	}
}

func cancelled(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := e.Store.Write(ctx, put(patient("p1"), store.Absent, 1))
	wantError(t, err, context.Canceled, "Write")
	_, err = e.Store.Read(ctx, patient("p1"))
	wantError(t, err, context.Canceled, "Read")
	_, err = e.Store.Read(e.ctx, patient("p1"))
	wantError(t, err, store.ErrNotFound, "Read after a cancelled write")
}

func reopening(t *testing.T, e *env) {
	w := put(patient("p1"), store.Absent, 1, "family|smith")
	w.Claims, w.Origin, w.Labels = []string{"c"}, origin(), []string{"s|c"}
	e.write(t, w)
	want := e.read(t, w.Key)
	fact, err := e.Facts.PutIfAbsent(e.ctx, "f", []byte("v"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Log.Append(e.ctx, "s", []byte("one"), []byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := e.Log.Checkpoint(e.ctx, "s", "r", 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		e.reopen(t)
	}
	if diff := cmp.Diff(want, e.read(t, w.Key)); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
	if ids := e.all(t, store.Plan{Type: "Patient", Where: equal("family", "smith"), Limit: 1}); len(ids) != 1 {
		t.Errorf("index: %v", ids)
	}
	other := put(patient("p2"), store.Absent, 1, "family|jones", "given|x")
	other.Claims = []string{"c"}
	_, err = e.Store.Write(e.ctx, other)
	wantError(t, err, store.ErrExists, "claim")
	if got, err := e.Facts.Get(e.ctx, "f"); err != nil || !cmp.Equal(got, fact) {
		t.Errorf("fact: %+v, %v", got, err)
	}
	if seq, err := e.Log.Append(e.ctx, "s", []byte("three")); err != nil || seq != 3 {
		t.Errorf("log goes on at %d, %v", seq, err)
	}
	if pos, err := e.Log.Position(e.ctx, "s", "r"); err != nil || pos != 1 {
		t.Errorf("position %d, %v", pos, err)
	}
}

func closedStore(t *testing.T, e *env) {
	if err := e.Store.Ping(e.ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Store.Ping(e.ctx); err == nil {
		t.Error("a closed store answers a ping")
	}
	if _, err := e.Store.Read(e.ctx, patient("p1")); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a closed store answers a read: %v", err)
	}
	if _, err := e.Store.Write(e.ctx, put(patient("p1"), store.Absent, 1)); err == nil {
		t.Error("a closed store takes a write")
	}
}
