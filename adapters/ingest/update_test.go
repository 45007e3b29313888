package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
)

func updates(t testing.TB) (*ingest.Pipeline, backend.Backend) {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	return updatesInto(t, db), db
}

func updatesInto(t testing.TB, db backend.Backend) *ingest.Pipeline {
	t.Helper()
	m, err := mappings.Load(os.DirFS("../../mappings/testdata"), "update.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	return &ingest.Pipeline{Format: f, Mapper: m, Store: db, Facts: db, Log: db, SiteKey: siteKey,
		Options: adapters.Options{Profile: &mappings.Profile{Mapping: "x"}, Kinds: m.Kinds()},
		Origin:  resource.Origin{System: "hospital", Custodian: "Organization/hospital"},
		Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{}}
}

// messages are those of the tests of slots.
func messages(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../mappings/testdata/update.hl7")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n\n")
}

func stored(t testing.TB, db store.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, typ := range []string{"Patient", "Encounter"} {
		for _, r := range find(t, db, typ) {
			rec, err := db.Read(context.Background(), r.Key)
			if err != nil {
				t.Fatal(err)
			}
			out[r.Key.String()] = string(rec.Raw)
		}
	}
	return out
}

func TestUpdatesComeToTheSameInEveryOrder(t *testing.T) {
	msgs := messages(t)
	p, db := updates(t)
	r := run(t, p, strings.Join(msgs, "\n"))
	want := stored(t, db)
	if len(want) != 3 || r.Created != 3 || r.Updated < 5 || r.Rejects != 0 {
		t.Fatalf("%+v: %v", *r, want)
	}
	for _, s := range []string{`"status":"cancelled"`, `"status":"in-progress"`, "WARD-C", `"value":"555-3"`, `"code":"R"`} {
		if !strings.Contains(fmt.Sprint(want), s) {
			t.Errorf("%s is missing in %v", s, want)
		}
	}
	if r := run(t, p, strings.Join(msgs, "\n")); r.Duplicates != len(msgs) {
		t.Errorf("replayed: %+v", *r)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for range 12 {
		order := slices.Clone(msgs)
		for range rng.IntN(4) {
			order = append(order, msgs[rng.IntN(len(msgs))])
		}
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		p, db := updates(t)
		cut := 1 + rng.IntN(len(order)-1) // in two runs
		run(t, p, strings.Join(order[:cut], "\n")+"\n")
		run(t, updatesInto(t, db), strings.Join(order[cut:], "\n"))
		if got := stored(t, db); !maps.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}

// The mapping of hospitals that is built in, with its shared places and Consents.
func TestADTComesToTheSameInEveryOrder(t *testing.T) {
	m := builtIn(t, "ehr/hl7v2/adt.map.yaml")
	all := func(order []string) map[string]string {
		p, db := updates(t)
		p.Mapper, p.Options.Kinds, p.Validator = m, m.Kinds(), ingest.R4{}
		if r := run(t, p, strings.Join(order, "\n")); r.Rejects > 0 {
			t.Fatalf("%+v", *r)
		}
		out := stored(t, db)
		for _, r := range find(t, db, "Consent") {
			out[r.Key.String()] = string(r.Raw)
		}
		return out
	}
	msgs := messages(t)
	want := all(msgs)
	if len(want) < 4 {
		t.Fatalf("%v", want)
	}
	rng := rand.New(rand.NewPCG(9, 10))
	for range 5 {
		order := append(slices.Clone(msgs), msgs[rng.IntN(len(msgs))])
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		if got := all(order); !maps.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}

func TestWhatBecomesOfAnUpdate(t *testing.T) {
	msgs := messages(t)
	for _, c := range []struct {
		order []int
		want  string
	}{
		{[]int{1, 2, 3}, "1 2 0 0"},
		{[]int{1, 1}, "1 0 1 0"},
		{[]int{1, 2, 1, 2}, "1 1 2 0"},
		{[]int{4, 1}, "1 1 0 0"},
		{[]int{1, 5, 2}, "1 1 1 1"},
		{[]int{1, 6}, "2 0 0 0"},
	} {
		var in []string
		for _, i := range c.order {
			in = append(in, msgs[i-1])
		}
		p, _ := updates(t)
		r := run(t, p, strings.Join(in, "\n"))
		if got := fmt.Sprint(r.Created, r.Updated, r.Duplicates, r.Superseded); got != c.want {
			t.Errorf("%v: got %s, want %s", c.order, got, c.want)
		}
	}
}

// What an expunged visit said of a person goes; what the others said comes back.
func TestAnExpungedVisitTakesItsPartOfThePerson(t *testing.T) {
	msgs := messages(t)
	of := func(keep func(string) bool) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(msgs), func(m string) bool { return !keep(m) }), "\n") + "\n"
	}
	p, db := updates(t)
	run(t, p, of(func(m string) bool {
		return !strings.Contains(m, "||V1") && !strings.Contains(m, "|V1|") && !strings.Contains(m, "|V1")
	}))
	want := stored(t, db)
	if len(want) != 2 {
		t.Fatalf("%v", want)
	}
	p, db = updates(t)
	run(t, p, of(func(string) bool { return true }))
	gone := "MSH|^~\\&|A|HOSP|||20250301||ADT^A23|99|P|2.5\nPID|1||P1\nPV1|1|I|||||||||||||||||V1\n"
	if r := run(t, p, gone); r.Updated != 1 || r.Expunged != 1 {
		t.Fatalf("%+v", *r)
	}
	if got := stored(t, db); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for _, kind := range []string{"rec", "res"} { // no slot of it stays
		facts, err := db.Scan(context.Background(), "ingest/hospital/"+kind+"/", "", 100)
		if err != nil || len(facts) == 0 {
			t.Fatal(err, len(facts))
		}
		for _, f := range facts {
			if strings.Contains(string(f.Value), "Jane") || strings.Contains(string(f.Value), "WARD") {
				t.Errorf("%s: %s", f.Key, f.Value)
			}
		}
	}
	if r := run(t, p, of(func(string) bool { return true })); r.Created+r.Updated != 0 {
		t.Errorf("it came back: %+v", *r)
	}
	gone = strings.ReplaceAll(gone, "|V1", "|V2")
	run(t, p, gone)
	run(t, p, strings.Replace(gone, "|||||||||||||||||V2", "", 1))
	if got := stored(t, db); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

// Two processes tell of one person at once.
func TestUpdatesOfTwoProcesses(t *testing.T) {
	msgs := messages(t)
	p, db := updates(t)
	run(t, p, strings.Join(msgs, "\n"))
	want := stored(t, db)
	for round := range 6 {
		_, db := updates(t)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			p := updatesInto(t, db)
			part := []string{}
			for k, m := range msgs {
				if k%3 == (i+round)%3 || k == round {
					part = append(part, m)
				}
			}
			wg.Go(func() {
				_, errs[i] = p.Run(context.Background(), adapters.Input{Name: fmt.Sprint("part", i), Reader: strings.NewReader(strings.Join(part, "\n"))})
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, db); !maps.Equal(got, want) {
			t.Fatalf("round %d: got %v\nwant %v", round, got, want)
		}
	}
}

// A run that is killed between its writes goes on to the same end.
func TestAnInterruptedUpdateIsFinished(t *testing.T) {
	msgs := messages(t)
	p, db := updates(t)
	run(t, p, strings.Join(msgs, "\n"))
	want := stored(t, db)
	step := 1
	if testing.Short() {
		step = 5
	}
	for after := 0; after < 40; after += step {
		_, db := updates(t)
		p := updatesInto(t, db)
		p.Facts = &failing{Facts: db, left: after}
		_, err := p.Run(context.Background(), adapters.Input{Name: "export.csv", Reader: strings.NewReader(strings.Join(msgs, "\n"))})
		if err == nil && after < 20 {
			t.Fatalf("%d writes were enough", after)
		}
		run(t, updatesInto(t, db), strings.Join(msgs, "\n"))
		if got := stored(t, db); !maps.Equal(got, want) {
			t.Fatalf("after %d facts: got %v\nwant %v", after, got, want)
		}
	}
}

// failing facts take so many writes and then no more.
type failing struct {
	store.Facts
	mu   sync.Mutex
	left int
}

var errKilled = errors.New("killed")

func (f *failing) spend() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left < 0 {
		return errKilled
	}
	return nil
}

func (f *failing) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.spend(); err != nil {
		return store.Fact{}, err
	}
	return f.Facts.PutIfAbsent(ctx, key, value, expires)
}

func (f *failing) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.spend(); err != nil {
		return store.Fact{}, err
	}
	return f.Facts.CompareAndSet(ctx, key, version, value, expires)
}
