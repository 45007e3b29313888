package mongo

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

func TestAbreast(t *testing.T) {
	for n, parts := range map[int]int{0: 0, 1: 1, 40: 1, 41: 2, 160: 2, 161: 4, 163: 4, 1000: 4} {
		var (
			mu   sync.Mutex
			all  []int
			done []int
			want []int
		)
		for i := range n {
			all, want = append(all, i), append(want, i)
		}
		calls := 0
		err := abreast(all, 40, func(part []int) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			done = append(done, part...)
			if !slices.IsSorted(part) {
				t.Errorf("%d: out of order: %v", n, part)
			}
			if slices.Contains(part, 160) {
				return errDied
			}
			return nil
		})
		slices.Sort(done)
		if diff := cmp.Diff(want, done); diff != "" || calls != parts {
			t.Errorf("%d: %d calls instead of %d (-want +got):\n%s", n, calls, parts, diff)
		}
		if errors.Is(err, errDied) != (n > 160) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// Of a large unit all is there, or nothing: also where one of its heads is another by the
// time when the intents are put, in whichever of the commands.
func TestALargeUnitOfCreatesAndUpdates(t *testing.T) {
	uri := freshURI(t)
	db, other := openAt(t, uri, Options{SweepEvery: -1}), openAt(t, uri, Options{SweepEvery: -1})
	const n = 200
	var first, second []store.Write
	for i := range n {
		first = append(first, tripWrite(fmt.Sprintf("old%03d", i), store.Absent))
		second = append(second, tripWrite(fmt.Sprintf("old%03d", i), store.AnyVersion), tripWrite(fmt.Sprintf("new%03d", i), store.Absent))
	}
	if _, err := db.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	met := false
	db.onStep = func(point string) error {
		if point == "versions" && !met {
			met = true
			_, err := other.Write(t.Context(), tripWrite("old190", 1))
			return err
		}
		return nil
	}
	recs, err := db.Apply(t.Context(), second)
	if err != nil || !met {
		t.Fatalf("met %t, %v", met, err)
	}
	for i, rec := range recs {
		want := int64(1)
		if i%2 == 0 {
			want = 2
		}
		if rec.ID == "old190" {
			want = 3
		}
		read, err := other.Read(t.Context(), rec.Key)
		if rec.Version != want || err != nil || read.Version != want {
			t.Errorf("%s: version %d, read %+v, %v", rec.Key, rec.Version, read, err)
		}
	}
}
