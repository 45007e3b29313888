package answers

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// What is tried. Other seeds, and more, are a matter of time:
//
//	go test ./conformance/answers -seed 7 -plans 20000
var (
	seed  = flag.Uint64("seed", 20261127, "of what is generated")
	plans = flag.Int("plans", 2000, "how many plans are run")
)

// between is after how many plans something is written.
const between = 25

// A world is one corpus in several stores and in the model.
type world struct {
	stores map[string]backend.Backend
	model  *storetest.Model
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{stores: map[string]backend.Backend{}, model: storetest.NewModel(), now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	o := backend.Options{Now: func() time.Time { return w.now }, SweepEvery: -1}
	w.stores["embedded"] = backendtest.At(t, t.TempDir()+"/handoff.db", o)
	if os.Getenv(backendtest.EnvMongo) == "" {
		t.Logf("NOT COMPARED: %s is not set: MongoDB's answers were not tried, only the embedded store's against the model", backendtest.EnvMongo)
	} else {
		w.stores["MongoDB"] = backendtest.At(t, backendtest.MongoAddress(t), o)
	}
	return w
}

// write does a unit in every store and in the model. The records are the same.
func (w *world) write(t *testing.T, g *generator, ws []store.Write) {
	t.Helper()
	// A deletion of what never was is an error, in every store.
	w.now = w.now.Add([]time.Duration{0, time.Second, 2 * time.Second, time.Millisecond, 37 * time.Millisecond, -time.Second}[g.IntN(6)]) // sometimes at the same instant, or by a clock that was set back
	var first []*store.Record
	for _, name := range w.names() {
		recs, err := w.stores[name].Apply(t.Context(), ws)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, rec := range recs {
			if first != nil && (rec.Version != first[i].Version || !rec.LastUpdated.Equal(first[i].LastUpdated)) {
				t.Fatalf("%s: %s is version %d of %v, elsewhere %d of %v", name, rec.Key, rec.Version, rec.LastUpdated, first[i].Version, first[i].LastUpdated)
			}
		}
		first = recs
	}
	for i, rec := range first {
		noted := *rec
		noted.Index = ws[i].Index
		w.model.Put(&noted)
		g.wrote(rec)
	}
}

// fill writes a corpus.
func (w *world) fill(t *testing.T, g *generator, records []store.Record) {
	t.Helper()
	for part := range slices.Chunk(records, 100) {
		var ws []store.Write
		for _, rec := range part {
			ws = append(ws, store.Write{Record: rec})
		}
		w.write(t, g, ws)
	}
	t.Logf("%d resources in %v", len(records), w.names())
}

// expunge takes a resource out of every store and of the model.
func (w *world) expunge(t *testing.T, k store.Key) {
	t.Helper()
	for _, name := range w.names() {
		if err := w.stores[name].Expunge(t.Context(), k); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	w.model.Put(&store.Record{Key: k, Deleted: true})
}

func (w *world) names() []string {
	var out []string
	for name := range w.stores {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestStoresGiveTheSameAnswers(t *testing.T) {
	n, records, w := *plans, corpus(t), newWorld(t)
	if testing.Short() && len(w.stores) == 1 {
		n /= 5 // with a server all are run: it is what this is for
	}
	g := newGenerator(*seed, records)
	w.fill(t, g, records)
	var total tally
	for done := 0; done < n && !t.Failed(); done += between {
		w.write(t, g, g.change())
		batch := make([]store.Plan, between)
		for i := range batch {
			batch[i] = g.plan()
		}
		w.compare(t, batch, &total)
	}
	t.Logf("%d plans with %d answers in %d pages; %d plans find nothing", total.plans, total.rows, total.pages, total.empty)
	if total.empty > total.plans*2/3 || total.pages < total.plans {
		t.Errorf("most plans find nothing: that proves little")
	}
}

type tally struct {
	sync.Mutex
	plans, rows, pages, empty int
}

// compare runs plans, several at once.
func (w *world) compare(t *testing.T, batch []store.Plan, total *tally) {
	t.Helper()
	next := make(chan store.Plan, len(batch))
	for _, p := range batch {
		next <- p
	}
	close(next)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for p := range next {
				pages, rows, err := w.same(t, p)
				if err != nil {
					t.Errorf("%+v: %v", p, err)
					return
				}
				total.Lock()
				total.plans++
				total.pages += pages
				total.rows += rows
				if rows == 0 {
					total.empty++
				}
				total.Unlock()
			}
		})
	}
	wg.Wait()
}

// same runs one plan everywhere, page by page.
func (w *world) same(t *testing.T, p store.Plan) (pages, rows int, err error) {
	want := w.model.Search(p)
	switch pages := p.Limit; {
	case len(want) <= 12 && len(want)%4 == 1:
		p.Limit = 1 // each on a page of its own
	case len(want)%3 == 2:
		p.Limit = max(1, min(200, len(want)/pages)) // the last page may be just full
	default:
		p.Limit = min(200, 1+len(want)/pages) // as many pages as was asked for
	}
	for _, name := range w.names() {
		switch n, err := w.stores[name].Count(t.Context(), p); {
		case err != nil:
			return 0, 0, fmt.Errorf("%s: total: %w", name, err)
		case n != len(want):
			return 0, 0, fmt.Errorf("%s: total %d, want %d", name, n, len(want))
		}
	}
	for from := 0; ; from += p.Limit {
		expect := want[from:min(len(want), from+p.Limit)]
		next, err := w.samePage(t, p, expect, from+p.Limit < len(want))
		if err != nil {
			return 0, 0, fmt.Errorf("page %d: %w", pages+1, err)
		}
		pages++
		if p.After = next; next == "" {
			return pages, len(want), nil
		}
	}
}

// samePage wants one page everywhere: these ids in this order, the same contents, and
// the same place to go on from.
func (w *world) samePage(t *testing.T, p store.Plan, want []string, more bool) (next string, err error) {
	var first *store.Page
	for _, name := range w.names() {
		page, err := w.stores[name].Search(t.Context(), p)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		var ids []string
		for _, rec := range page.Records {
			ids = append(ids, rec.ID)
			if rec.Type != p.Type || rec.Deleted {
				return "", fmt.Errorf("%s: %s, deleted %t", name, rec.Key, rec.Deleted)
			}
			rec.Index = nil
		}
		if len(want) == 0 {
			want = nil
		}
		if diff := cmp.Diff(want, ids); diff != "" {
			return "", fmt.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (page.Next != "") != more {
			return "", fmt.Errorf("%s: more to come is %t, want %t", name, page.Next != "", more)
		}
		if first != nil {
			for i, rec := range page.Records {
				if !sameRecord(rec, first.Records[i]) {
					return "", fmt.Errorf("%s: %s is not what %s holds", name, rec.Key, w.names()[0])
				}
			}
			if page.Next != first.Next {
				return "", fmt.Errorf("%s: its page ends at another place than that of %s", name, w.names()[0])
			}
		}
		first = &page
	}
	return first.Next, nil
}

func sameRecord(a, b *store.Record) bool {
	return a.Key == b.Key && a.Version == b.Version && a.LastUpdated.Equal(b.LastUpdated) && bytes.Equal(a.Raw, b.Raw) &&
		a.Origin == b.Origin && slices.Equal(a.Labels, b.Labels) && a.LabelSet == b.LabelSet
}
