package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/epoch"
)

// envMongo names the deployment whose store is measured beside the embedded one.
const envMongo = "HANDOFF_TEST_MONGO_URI"

// A storePace is how much both stores are given to do.
type storePace struct {
	sizes   []int // resources of the corpus
	rounds  int
	window  time.Duration // of one operation, in one round, on one store
	clients []int
}

var (
	fullStores  = storePace{sizes: []int{20_000, 100_000}, rounds: 3, window: 350 * time.Millisecond, clients: []int{1, 8}}
	shortStores = storePace{sizes: []int{400, 1_200}, rounds: 1, window: 15 * time.Millisecond, clients: []int{1, 8}}
)

const (
	unitSize  = 100  // resources of a unit in a bulk insert
	stretch   = 2000 // resources that one store takes before it is the other's turn
	comparedN = 300  // resources up to which the stores' pages are compared
)

// measureStores measures the embedded store and, where there is one, MongoDB's in
// turn.
func measureStores(ctx context.Context, b *bench) (err error) {
	p := fullStores
	if b.short {
		p = shortStores
	}
	if len(b.sizes) > 0 {
		p.sizes = b.sizes
	}
	m := &storesRun{pace: p, log: b.log, took: map[timing][]number{}, done: map[timing]int{}}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.open(ctx, b); err != nil {
		return err
	}
	for _, size := range p.sizes {
		if err := m.fill(ctx, size); err != nil {
			return fmt.Errorf("fill to %d: %w", size, err)
		}
		if err := m.compare(ctx); err != nil {
			return err
		}
		if err := m.time(ctx); err != nil {
			return err
		}
	}
	m.tables(&b.report)
	return nil
}

// A timing names one figure of the tables.
type timing struct {
	operation string
	site      string
	size      int
	clients   int
}

// A storesRun is one run over all stores.
type storesRun struct {
	pace   storePace
	log    io.Writer
	sites  []*site
	kind   string              // what the MongoDB deployment is; "" without one
	took   map[timing][]number // ms of a call by one client; calls a second by several
	done   map[timing]int      // calls
	loads  []string
	filled int
}

func (m *storesRun) open(ctx context.Context, b *bench) error {
	addresses := []struct{ name, at string }{{"SQLite", filepath.Join(b.dir, "stores.db")}}
	if uri := os.Getenv(envMongo); uri != "" {
		at, err := benchDatabase(uri)
		if err != nil {
			return err
		}
		addresses = append(addresses, struct{ name, at string }{"MongoDB", at})
	} else {
		fmt.Fprintf(b.log, "bench: %s IS NOT SET: THE MONGODB STORE IS NOT MEASURED\n", envMongo)
	}
	for _, a := range addresses {
		s := &site{name: a.name, address: a.at}
		var err error
		if s.db, err = backend.Open(ctx, a.at, backend.Options{Now: s.now}); err != nil {
			return err
		}
		s.cache = epoch.New(s.db, 0, nil)
		m.sites = append(m.sites, s)
		if backend.IsMongo(a.at) {
			if m.kind, err = serverKind(ctx, s.db); err != nil {
				return err
			}
			fmt.Fprintf(b.log, "bench: the MongoDB store is on %s\n", m.kind)
		}
	}
	return nil
}

func (m *storesRun) close() error {
	var errs []error
	for _, s := range m.sites {
		errs = append(errs, s.db.Close())
		if backend.IsMongo(s.address) {
			errs = append(errs, removeDatabase(s.address))
		}
	}
	return errors.Join(errs...)
}

// fill brings the corpus to a size, one stretch after the other into each store.
func (m *storesRun) fill(ctx context.Context, size int) error {
	took := make([][]number, len(m.sites))
	for from := m.filled; from < size; from += stretch {
		to := min(from+stretch, size)
		units, err := unitsOf(from, to)
		if err != nil {
			return err
		}
		stamps := make([]int64, len(units))
		for k, s := range m.sites {
			began := time.Now()
			for i, u := range units {
				if k == 0 {
					stamps[i] = time.Now().UnixMilli()
				}
				s.stamp.Store(stamps[i])
				if _, err := s.db.Apply(ctx, u); err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
			}
			s.stamp.Store(0)
			took[k] = append(took[k], number(to-from)/number(time.Since(began).Seconds()))
		}
	}
	q, err := newQuestions(size)
	if err != nil {
		return err
	}
	for k, s := range m.sites {
		s.size, s.asks = size, q
		// The last stretches are those into a store of this size.
		c := timing{bulkInsert, s.name, size, 1}
		m.took[c] = took[k][max(0, len(took[k])-5):]
		m.done[c] = len(m.took[c]) * min(stretch, size-m.filled)
		if err := s.hold(ctx, slices.Max(m.pace.clients)); err != nil {
			return err
		}
	}
	m.filled = size
	return nil
}

const bulkInsert = "units of 100"

func unitsOf(from, to int) ([][]store.Write, error) {
	var out [][]store.Write
	for i := from; i < to; i++ {
		if (i-from)%unitSize == 0 {
			out = append(out, nil)
		}
		w, err := writeOf(corpusResource(i), store.Absent)
		if err != nil {
			return nil, err
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out, nil
}

// compare asks every store the same and holds ids, order and instants against each
// other and against what is known.
func (m *storesRun) compare(ctx context.Context) error {
	for _, kind := range m.sites[0].asks.all() {
		for _, q := range kind[:min(len(kind), 8)] {
			var want []string
			for i, s := range m.sites {
				n, err := s.db.Count(ctx, q.plan)
				if err == nil && n != q.hits {
					err = fmt.Errorf("WRONG ANSWER of %s: %s has %d hits instead of %d", s.name, q.what, n, q.hits)
				}
				if err == nil {
					err = q.check(ctx, s.db)
				}
				if err != nil {
					return err
				}
				got, err := q.walk(ctx, s.db, comparedN)
				if err != nil {
					return err
				}
				if i > 0 && !slices.Equal(want, got) {
					return fmt.Errorf("THE STORES DIFFER on %s: %s has %s, %s has %s", q.what, m.sites[0].name, clipped(want), s.name, clipped(got))
				}
				want = got
			}
		}
	}
	return nil
}

func clipped(s []string) string { return string(clip([]byte(strings.Join(s, ", ")))) }

// time runs every operation on every store in turn, round after round.
func (m *storesRun) time(ctx context.Context) error {
	began := firstLine("/proc/loadavg")
	for _, clients := range m.pace.clients {
		for range m.pace.rounds {
			for _, op := range operations() {
				for _, s := range m.sites {
					c := timing{op.name, s.name, s.size, clients}
					n, v, err := drive1(ctx, op, s, clients, m.pace.window, m.done[c])
					if err != nil {
						return fmt.Errorf("%s, %s, %d resources, %d clients: %w", op.name, s.name, s.size, clients, err)
					}
					m.took[c], m.done[c] = append(m.took[c], v), m.done[c]+n
				}
			}
		}
	}
	m.loads = append(m.loads, fmt.Sprintf("with %s resources %s before and %s after", number(m.filled).text(0), loadOf(began), loadOf(firstLine("/proc/loadavg"))))
	return nil
}

func loadOf(line string) string {
	f := strings.Fields(line)
	return strings.Join(f[:min(1, len(f))], " ")
}

// drive1 lets clients call an operation for a time. With one client it gives the
// median milliseconds of a call, with several the calls of all in a second.
func drive1(ctx context.Context, op operation, s *site, clients int, window time.Duration, from int) (int, number, error) {
	took, errs := make([][]time.Duration, clients), make([]error, clients)
	var group sync.WaitGroup
	began := time.Now()
	for c := range clients {
		group.Go(func() {
			for k := from; ; k++ {
				start := time.Now()
				if err := op.do(ctx, s, c, k); err != nil {
					errs[c] = err
					return
				}
				if took[c] = append(took[c], time.Since(start)); time.Since(began) >= window || ctx.Err() != nil {
					return
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return 0, 0, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	if clients == 1 {
		return len(all), number(all[len(all)/2].Nanoseconds()) / 1e6, nil
	}
	return len(all), number(len(all)) / number(elapsed.Seconds()), nil
}
