package identity

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/identity/identitytest"
)

func TestMergedPatientsAreOnePersonUntilTheyAreParted(t *testing.T) {
	ctx := context.Background()
	one := func(w *Links) bool {
		c, err := w.For(ctx, "Patient/l")
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(c.Own, "Patient/s")
	}
	type step struct {
		do   func(w *Links) (kept bool, err error)
		one  bool
		kept bool
	}
	merge := func(joined bool) func(w *Links) (bool, error) {
		return func(w *Links) (bool, error) {
			return w.Merge(ctx, "Patient/s", "Patient/l", joined, "merged by x")
		}
	}
	propose := func(method string, state State) func(w *Links) (bool, error) {
		return func(w *Links) (bool, error) {
			link := between("Patient/s", "Patient/l")
			link.Method, link.State = method, state
			_, err := w.settle(ctx, link)
			return false, err
		}
	}
	review := func(decide func(*Links, context.Context, string, string, string, string) error) func(w *Links) (bool, error) {
		return func(w *Links) (bool, error) {
			return false, decide(w, ctx, "Patient/l", "", "s", "mlopez")
		}
	}
	for name, steps := range map[string][]step{
		"merged and parted":              {{merge(true), true, false}, {merge(true), true, false}, {merge(false), false, false}, {merge(true), true, false}},
		"parted before":                  {{merge(false), false, false}, {propose("identifier", Confirmed), false, false}, {merge(true), true, false}},
		"a rule found them first":        {{propose("identifier", Confirmed), true, false}, {merge(true), true, false}, {propose("", Candidate), true, false}, {merge(false), false, false}, {propose("identifier", Confirmed), false, false}},
		"a candidate before":             {{propose("demographics", Candidate), false, false}, {merge(true), true, false}},
		"a reviewer undid the merge":     {{merge(true), true, false}, {review((*Links).Undo), false, false}, {merge(true), false, true}},
		"a reviewer had confirmed it":    {{review((*Links).Confirm), true, false}, {merge(true), true, false}, {merge(false), true, true}},
		"a reviewer undid, then parted":  {{review((*Links).Confirm), true, false}, {review((*Links).Undo), false, false}, {merge(false), false, false}},
		"a rule does not undo the merge": {{merge(true), true, false}, {propose("", Candidate), true, false}},
	} {
		facts := &identitytest.Facts{}
		ids, err := NewIDMap(facts, []byte("a key of thirty-two bytes or more"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w := NewLinks(facts, ids, time.Now)
		for i, s := range steps {
			kept, err := s.do(w)
			if err != nil || kept != s.kept || one(w) != s.one {
				t.Errorf("%s, step %d: kept %v, one person %v, %v", name, i, kept, one(w), err)
			}
		}
	}
}
