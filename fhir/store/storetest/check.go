package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// A Damage is one way to break a store on purpose.
type Damage struct {
	Name string
	// Do breaks the store that is kept, closed, at an address.
	Do func(t *testing.T, address string)
	// Want are the findings, "kind what".
	Want []string
	// Left are those of Want that cannot be mended.
	Left []string
	// Uncopied says that a copy of the broken store is refused: its lists would leave out
	// what is damaged.
	Uncopied bool
	// Sweep says that a sweep comes before the check: it leaves what is damaged.
	Sweep bool
	// Changed says that the mended store is rightly another than it was.
	Changed bool
}

// RunCheck breaks stores on purpose and wants each damage found, by a check that
// writes nothing, and mended: the store is then what it was.
func RunCheck(t *testing.T, target Target, damages []Damage) {
	t.Run("nothing is found in a whole store", func(t *testing.T) {
		e := newEnv(t, target)
		e.furnish(t)
		if found := e.checkStore(t, e, store.CheckOptions{Young: -1}); len(found) > 0 {
			t.Errorf("found %+v", found)
		}
	})
	t.Run("a repair beside writers finds and loses nothing", func(t *testing.T) { checkBeside(t, newEnv(t, target)) })
	t.Run("after kill -9 a repair leaves what was acknowledged, and nothing else", func(t *testing.T) { checkKilled(t, newEnv(t, target)) })
	for i, d := range damages {
		if testing.Short() && i%5 != 0 {
			continue // one goroutine each: nothing for the race detector
		}
		t.Run(d.Name, func(t *testing.T) { d.run(t, target) })
	}
}

// checkKilled kills writers and has what they left mended.
func checkKilled(t *testing.T, e *env) {
	if testing.Short() {
		t.Skip("kill -9 is not tried in short mode")
	}
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	var acks []string
	for round := range 2 {
		acks = append(acks, killOne(t, e.address, round)...)
		e.clock.advance(time.Since(e.clock.now()) + time.Second) // the child goes by the machine's
		e.open(t)
		e.restsAfterDeath(t)
		for _, repair := range []bool{true, false} {
			for _, f := range e.checkDead(t, repair) {
				if !repair || !f.Mended {
					t.Errorf("repair %v leaves %+v", repair, f)
				}
			}
		}
		e.accountFor(t, acks)
	}
	e.open(t)
}

// restsAfterDeath waits until two checks find the same: a server still does what a dead
// process has sent, and a busy one does it late.
func (e *env) restsAfterDeath(t *testing.T) {
	t.Helper()
	last := []string{"nothing was looked at"}
	for until := time.Now().Add(time.Minute); ; {
		time.Sleep(time.Second)
		found := names(e.checkDead(t, false), false)
		if slices.Equal(found, last) {
			return
		}
		if last = found; time.Now().After(until) {
			t.Fatalf("the store does not come to rest: %v", found)
		}
	}
}

// checkDead checks what killed writers have left.
func (e *env) checkDead(t *testing.T, repair bool) (out []store.Finding) {
	t.Helper()
	err := e.Store.(store.Checker).CheckStore(e.ctx, store.CheckOptions{Repair: repair, Young: -1}, func(f store.Finding) { out = append(out, f) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkBeside repairs again and again while others write, delete, expunge and append.
func checkBeside(t *testing.T, e *env) {
	until, stop := time.Now().Add(2*time.Second), atomic.Bool{}
	var acked sync.Map
	index := func(rec *store.Record) ([]string, error) { return []string{"n|" + number(rec.Raw)}, nil }
	together(5, func(w int) {
		if w == 0 {
			defer stop.Store(true)
			for rounds := 0; rounds < 2 || time.Now().Before(until); rounds++ {
				err := e.Store.(store.Checker).CheckStore(e.ctx, store.CheckOptions{Repair: true, Entries: index}, func(f store.Finding) {
					if !f.Young {
						t.Errorf("found %+v", f)
					}
				})
				if err != nil || t.Failed() {
					t.Errorf("check: %v", err)
					return
				}
			}
			return
		}
		for n := 0; !stop.Load() && !t.Failed(); n++ {
			if err := e.besideStep(w, n, &acked); err != nil {
				t.Errorf("writer %d, step %d: %v", w, n, err)
			}
		}
	})
	acks := 0
	acked.Range(func(k, want any) bool {
		acks++
		rec, err := e.Store.Read(e.ctx, k.(store.Key))
		if err != nil || rec.Version != want.(int64) {
			t.Errorf("%s was acknowledged at version %v: %+v, %v", k, want, rec, err)
		}
		return true
	})
	t.Logf("%d resources", acks)
	if left := e.checkStore(t, e, store.CheckOptions{}); len(left) > 0 {
		t.Errorf("found afterwards %+v", left)
	}
}

// besideStep does one of the things that a gateway does.
func (e *env) besideStep(w, n int, acked *sync.Map) error {
	k := patient(fmt.Sprintf("w%d-%d", w, n%40))
	write := func(k store.Key) store.Write {
		return withClaims(put(k, store.AnyVersion, n, fmt.Sprintf("n|%d", n)), "claim "+k.ID)
	}
	keep := func(recs ...*store.Record) {
		for _, rec := range recs {
			acked.Store(rec.Key, rec.Version)
		}
	}
	switch n % 7 {
	case 0, 1, 2:
		rec, err := e.Store.Write(e.ctx, write(k))
		if err == nil {
			keep(rec)
		}
		return err
	case 3:
		recs, err := e.Store.Apply(e.ctx, []store.Write{write(k), write(patient(k.ID + "-b"))})
		keep(recs...)
		return err
	case 4:
		if _, err := e.Log.Append(e.ctx, fmt.Sprintf("s%d", w), []byte("a"), []byte("b")); err != nil {
			return err
		}
		_, err := e.Facts.PutIfAbsent(e.ctx, fmt.Sprintf("f%d-%d", w, n), nil, time.Time{})
		return err
	case 5:
		rec, err := e.Store.Write(e.ctx, deletion(k, store.AnyVersion))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			keep(rec)
		}
		return err
	}
	k = patient(fmt.Sprintf("w%d-%d", w, (n-6)%40))
	err := e.Store.Expunge(e.ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	acked.Delete(k)
	return err
}

func (d *Damage) run(t *testing.T, target Target) {
	twin, e := newEnv(t, target), newEnv(t, target)
	twin.furnish(t)
	e.furnish(t)
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	d.Do(t, e.address)
	e.open(t)
	if d.Sweep {
		if _, err := e.Facts.(store.Sweeper).Sweep(e.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if d.Uncopied {
		e.copyRefused(t)
	}
	slices.Sort(d.Want)
	slices.Sort(d.Left)
	for _, round := range []string{"the first check", "a second one, after one that writes nothing"} {
		if diff := cmp.Diff(d.Want, names(e.checkStore(t, twin, store.CheckOptions{Young: -1}), false)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", round, diff)
		}
	}
	repair := e.checkStore(t, twin, store.CheckOptions{Young: -1, Repair: true})
	if diff := cmp.Diff(d.Left, names(repair, true)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(d.Left, names(e.checkStore(t, twin, store.CheckOptions{Young: -1}), false)); diff != "" {
		t.Errorf("found after the repair (-want +got):\n%s", diff)
	}
	if len(d.Left) == 0 && !d.Changed {
		c, err := transfer.Compare(e.ctx, twin.side(t, "the twin"), e.side(t, "the mended store"), transfer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, c)
	}
	// The store can be used.
	e.write(t, put(patient("after"), store.Absent, 1, "name|after"))
	if ids := e.all(t, store.Plan{Type: "Patient", Where: equal("name", "after"), Limit: 5}); len(ids) != 1 {
		t.Errorf("found %v", ids)
	}
}

// copyRefused wants no copy of a store to begin, nor a comparison to call it the same.
func (e *env) copyRefused(t *testing.T) {
	t.Helper()
	to := newEnv(t, e.target)
	a, b := e.side(t, "the broken store"), to.side(t, "its copy")
	for _, live := range []bool{false, true} {
		_, err := transfer.Run(e.ctx, a, b, transfer.Options{Live: live})
		wantError(t, err, store.ErrDamaged, "a copy")
	}
	_, err := transfer.Verify(e.ctx, a, b, transfer.Options{})
	wantError(t, err, store.ErrDamaged, "a comparison")
	_, err = transfer.Verify(e.ctx, b, a, transfer.Options{})
	wantError(t, err, store.ErrDamaged, "a comparison with it as the copy")
}

// checkStore has the index of twin for what the content says.
func (e *env) checkStore(t *testing.T, twin *env, o store.CheckOptions) []store.Finding {
	t.Helper()
	o.Entries = func(rec *store.Record) ([]string, error) {
		whole, err := twin.Store.Read(twin.ctx, rec.Key)
		if errors.Is(err, store.ErrNotFound) { // made by what broke the store
			return rec.Index, nil
		}
		if err != nil {
			return nil, err
		}
		return whole.Index, nil
	}
	o.Claims = func(rec *store.Record) []string {
		if slices.Contains(rec.Index, "a-b|x") { // see furnish
			return []string{"c/1"}
		}
		return nil
	}
	o.Name = func(raw []byte) (k store.Key, err error) {
		var x struct{ ResourceType, ID string }
		if err := json.Unmarshal(raw, &x); err != nil {
			return k, err
		}
		return store.Key{Type: x.ResourceType, ID: x.ID}, nil
	}
	var last, total int64
	o.Progress = func(done, of int64) {
		if done < last || done > of {
			t.Errorf("progress goes from %d of %d to %d of %d", last, total, done, of)
		}
		last, total = done, of
	}
	checker, ok := e.Store.(store.Checker)
	if !ok {
		t.Fatalf("%T cannot be checked", e.Store)
	}
	var out []store.Finding
	if err := checker.CheckStore(e.ctx, o, func(f store.Finding) { out = append(out, f) }); err != nil {
		t.Fatalf("check: %v", err)
	}
	for _, f := range out {
		t.Logf("%+v", f)
	}
	return out
}

// names lists findings, or those that were not mended, in order.
func names(fs []store.Finding, unmended bool) []string {
	var out []string
	for _, f := range fs {
		if !unmended || !f.Mended {
			if strings.HasPrefix(f.What, "unit ") {
				f.What = "unit *"
			}
			if rest, ok := strings.CutPrefix(f.What, `version "`); ok && strings.Count(rest, "/") == 3 { // its nonce is random
				f.What = f.What[:strings.LastIndexByte(f.What, '/')+1] + `*"`
			}
			out = append(out, fmt.Sprintf("%s %s", f.Kind, f.What))
		}
	}
	slices.Sort(out)
	return out
}
