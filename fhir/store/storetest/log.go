package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

var logTests = []test{
	{"entries come back in order", appends},
	{"sequences have no gaps under concurrent appends", appendRace},
	{"a position never goes back", positions},
	{"wrong appends are refused", wrongAppends},
}

func appends(t *testing.T, e *env) {
	if es, err := e.Log.ReadFrom(e.ctx, "none", 0, 5); err != nil || len(es) != 0 {
		t.Errorf("a stream that never was: %v, %v", es, err)
	}
	for i, want := range []uint64{1, 3} {
		got, err := e.Log.Append(e.ctx, "raw", fmt.Appendf(nil, "%d a\x00", i), []byte{})
		if err != nil || got != want {
			t.Fatalf("first is %d, %v, want %d", got, err, want)
		}
	}
	if got, err := e.Log.Append(e.ctx, "other", []byte("x")); err != nil || got != 1 {
		t.Errorf("another stream begins at %d, %v", got, err)
	}
	for _, tt := range []struct {
		from  uint64
		limit int
		want  []uint64
	}{{0, 10, []uint64{1, 2, 3, 4}}, {1, 2, []uint64{1, 2}}, {3, 9, []uint64{3, 4}}, {5, 9, nil}, {1 << 63, 9, nil}} {
		es, err := e.Log.ReadFrom(e.ctx, "raw", tt.from, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, x := range es {
			got = append(got, x.Seq)
			want := ""
			if x.Seq%2 == 1 {
				want = fmt.Sprintf("%d a\x00", (x.Seq-1)/2)
			}
			if string(x.Data) != want || !x.At.Equal(e.clock.now()) {
				t.Errorf("entry %+v", x)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt, diff)
		}
	}
}

func appendRace(t *testing.T, e *env) {
	const writers, rounds, each = 8, 25, 3
	var mu sync.Mutex
	owner := map[uint64]string{}
	together(writers, func(w int) {
		for r := range rounds {
			text := fmt.Sprintf("%d/%d", w, r)
			first, err := e.Log.Append(e.ctx, "s", []byte(text), []byte(text), []byte(text))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			for i := range uint64(each) {
				owner[first+i] = text
			}
			mu.Unlock()
			if r%5 == 0 { // a write that fails must not use a number up
				_, _ = e.Store.Write(e.ctx, put(patient("x"), 99, 0))
			}
		}
	})
	es, err := e.Log.ReadFrom(e.ctx, "s", 1, writers*rounds*each+1)
	if err != nil || len(es) != writers*rounds*each {
		t.Fatalf("%d entries, %v", len(es), err)
	}
	for i, x := range es {
		if x.Seq != uint64(i+1) || string(x.Data) != owner[x.Seq] {
			t.Fatalf("entry %d is %d %q, acknowledged was %q", i+1, x.Seq, x.Data, owner[x.Seq])
		}
	}
}

func positions(t *testing.T, e *env) {
	for _, step := range []struct{ set, want uint64 }{{0, 0}, {5, 5}, {3, 5}, {7, 7}} {
		if err := e.Log.Checkpoint(e.ctx, "s", "r", step.set); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Log.Position(e.ctx, "s", "r"); err != nil || got != step.want {
			t.Errorf("after %d: %d, %v, want %d", step.set, got, err, step.want)
		}
	}
	for _, other := range [][2]string{{"s", "q"}, {"q", "r"}} {
		if got, err := e.Log.Position(e.ctx, other[0], other[1]); err != nil || got != 0 {
			t.Errorf("%v: %d, %v", other, got, err)
		}
	}
}

func wrongAppends(t *testing.T, e *env) {
	_, err := e.Log.Append(e.ctx, "s")
	wantError(t, err, store.ErrInvalid, "nothing")
	_, err = e.Log.Append(e.ctx, "", []byte("x"))
	wantError(t, err, store.ErrInvalid, "no stream")
	_, err = e.Log.ReadFrom(e.ctx, "s", 1, 0)
	wantError(t, err, store.ErrInvalid, "no limit")
}
