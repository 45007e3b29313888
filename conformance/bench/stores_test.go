package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// smallRun fills embedded stores with the corpus; wrap changes the second one.
func smallRun(t *testing.T, wrap func(backend.Backend) backend.Backend) *storesRun {
	t.Helper()
	m := &storesRun{pace: storePace{sizes: []int{200}, rounds: 1, window: time.Millisecond, clients: []int{1, 2}}, log: io.Discard, took: map[timing][]number{}, done: map[timing]int{}}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"one", "two"} {
		if err := m.add(context.Background(), name, filepath.Join(t.TempDir(), "bench.db"), 200); err != nil {
			t.Fatal(err)
		}
	}
	if wrap != nil {
		m.sites[1].db = wrap(m.sites[1].db)
	}
	if err := m.fill(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStoresAreMeasuredOnRightAnswers(t *testing.T) {
	m := smallRun(t, nil)
	if err := m.compare(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := m.time(context.Background()); err != nil {
		t.Fatal(err)
	}
	var r report
	m.tables(&r)
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, op := range operations() {
		if strings.Count(b.String(), "| "+op.name+" ") != 2 {
			t.Errorf("%q does not stand in both tables:\n%s", op.name, b.String())
		}
	}
	if !strings.Contains(b.String(), "was NOT measured") {
		t.Error("a run without MongoDB does not say so")
	}
}

// A forgetful store leaves out the last hit of every page; a confused one turns them
// round; a miscounting one counts one too many.
type forgetful struct{ backend.Backend }

func (f forgetful) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	page, err := f.Backend.Search(ctx, p)
	if len(page.Records) > 0 {
		page.Records = page.Records[:len(page.Records)-1]
	}
	return page, err
}

type confused struct{ backend.Backend }

func (f confused) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	page, err := f.Backend.Search(ctx, p)
	if n := len(page.Records); n > 1 {
		page.Records[0], page.Records[n-1] = page.Records[n-1], page.Records[0]
	}
	return page, err
}

type miscounting struct{ backend.Backend }

func (f miscounting) Count(ctx context.Context, p store.Plan) (int, error) {
	n, err := f.Backend.Count(ctx, p)
	return n + 1, err
}

func TestStoresThatDifferAreTold(t *testing.T) {
	for name, wrap := range map[string]func(backend.Backend) backend.Backend{
		"a hit is missing":   func(b backend.Backend) backend.Backend { return forgetful{b} },
		"another order":      func(b backend.Backend) backend.Backend { return confused{b} },
		"another total":      func(b backend.Backend) backend.Backend { return miscounting{b} },
		"nothing is changed": nil,
	} {
		err := smallRun(t, wrap).compare(context.Background())
		if (err == nil) != (wrap == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheCorpusIsTheSameEachTime(t *testing.T) {
	for i := range 40 {
		raw := corpusResource(i)
		if string(raw) != string(corpusResource(i)) {
			t.Errorf("resource %d is made in two ways", i)
		}
		w, err := writeOf(raw, store.Absent)
		if err != nil {
			t.Fatalf("%d: %v: %s", i, err, raw)
		}
		if w.ID != corpusID(i) || len(w.Index) < 4 {
			t.Errorf("resource %d: %s with %d entries", i, w.Key, len(w.Index))
		}
	}
}
