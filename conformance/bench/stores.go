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
	unitSize       = 100  // resources of a unit in a bulk insert
	stretch        = 2000 // resources that one store takes before it is another's turn
	timedStretches = 4
	comparedN      = 300 // resources up to which the stores' pages are compared
)

// measureStores measures the embedded store and, where there is one, MongoDB's: one of
// each size, all in turn, so that what else the machine does meets all alike.
func measureStores(ctx context.Context, b *bench) (err error) {
	m := newStoresRun(b)
	defer func() { err = errors.Join(err, m.close()) }()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return m.open(ctx, b.dir) }, m.fill, m.compare, m.time,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	m.tables(&b.report)
	return nil
}

// newStoresRun makes a run over no store yet.
func newStoresRun(b *bench) *storesRun {
	p := fullStores
	if b.short {
		p = shortStores
	}
	if len(b.sizes) > 0 {
		p.sizes = b.sizes
	}
	return &storesRun{pace: p, log: b.log, took: map[timing][]number{}, done: map[timing]int{}}
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
	pace  storePace
	log   io.Writer
	sites []*site             // kind by kind, each from the smallest
	kinds []string            // names of the sites, each once
	runs  string              // what the MongoDB deployment is; "" without one
	took  map[timing][]number // ms of a call by one client; calls a second by several
	done  map[timing]int      // calls
	load  string              // of the machine while it was measured
}

func (m *storesRun) open(ctx context.Context, dir string) error {
	uri := os.Getenv(envMongo)
	if uri == "" {
		fmt.Fprintf(m.log, "bench: %s IS NOT SET: THE MONGODB STORE IS NOT MEASURED\n", envMongo)
	}
	for _, name := range []string{"SQLite", "MongoDB"} {
		for _, size := range m.pace.sizes {
			at := filepath.Join(dir, fmt.Sprintf("stores-%d.db", size))
			if name == "MongoDB" {
				if uri == "" {
					continue
				}
				var err error
				if at, err = benchDatabase(uri); err != nil {
					return err
				}
			}
			if err := m.add(ctx, name, at, size); err != nil {
				return err
			}
		}
	}
	if uri == "" {
		return nil
	}
	var err error
	m.runs, err = serverKind(ctx, m.sites[len(m.sites)-1].db)
	fmt.Fprintf(m.log, "bench: the MongoDB store is on %s\n", m.runs)
	return err
}

func (m *storesRun) add(ctx context.Context, name, at string, size int) error {
	s := &site{name: name, address: at, size: size}
	var err error
	if s.db, err = backend.Open(ctx, at, backend.Options{Now: s.now}); err != nil {
		return err
	}
	s.cache = epoch.New(s.db, 0, nil)
	if m.sites = append(m.sites, s); !slices.Contains(m.kinds, name) {
		m.kinds = append(m.kinds, name)
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

// peers are the sites of one size.
func (m *storesRun) peers(size int) []*site {
	return slices.DeleteFunc(slices.Clone(m.sites), func(s *site) bool { return s.size != size })
}

// fill brings the corpus into every store. The last stretches are timed, and go into
// all of them in turn.
func (m *storesRun) fill(ctx context.Context) error {
	for _, size := range m.pace.sizes {
		for from := 0; from < lead(size); from += stretch {
			if err := m.stretch(ctx, size, from, min(from+stretch, lead(size)), false); err != nil {
				return err
			}
		}
	}
	for k := range timedStretches {
		for _, size := range m.pace.sizes {
			from := lead(size) + k*stretchOf(size)
			if err := m.stretch(ctx, size, from, from+stretchOf(size), true); err != nil {
				return err
			}
		}
	}
	for _, size := range m.pace.sizes {
		q, err := newQuestions(size)
		if err != nil {
			return err
		}
		for _, s := range m.peers(size) {
			s.asks = q
			if err := s.hold(ctx, slices.Max(m.pace.clients)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lead is how much of a store is filled before the timed stretches.
func lead(size int) int      { return size - timedStretches*stretchOf(size) }
func stretchOf(size int) int { return min(stretch, size/timedStretches/2) }

// stretch writes a part of the corpus into the stores of one size, one after the other.
func (m *storesRun) stretch(ctx context.Context, size, from, to int, timed bool) error {
	units, err := unitsOf(from, to)
	if err != nil {
		return err
	}
	stamps := make([]int64, len(units))
	for k, s := range m.peers(size) {
		began := time.Now()
		for i, u := range units {
			if k == 0 {
				stamps[i] = time.Now().UnixMilli()
			}
			s.stamp.Store(stamps[i])
			if _, err := s.db.Apply(ctx, u); err != nil {
				return fmt.Errorf("fill %s to %d: %w", s.name, size, err)
			}
		}
		s.stamp.Store(0)
		if c := (timing{bulkInsert, s.name, size, 1}); timed {
			m.took[c] = append(m.took[c], number(to-from)/number(time.Since(began).Seconds()))
			m.done[c] += to - from
		}
	}
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

// compare asks the stores of one size the same and holds ids, order and instants
// against each other and against what is known.
func (m *storesRun) compare(ctx context.Context) error {
	for _, size := range m.pace.sizes {
		sites := m.peers(size)
		for _, kind := range sites[0].asks.all() {
			for _, q := range kind[:min(len(kind), 8)] {
				if err := compareOne(ctx, sites, q); err != nil {
					return fmt.Errorf("%d resources: %w", size, err)
				}
			}
		}
	}
	return nil
}

func compareOne(ctx context.Context, sites []*site, q asked) error {
	var want []string
	for i, s := range sites {
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
			return fmt.Errorf("THE STORES DIFFER on %s: %s has %s, %s has %s", q.what, sites[0].name, clipped(want), s.name, clipped(got))
		}
		want = got
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
	m.load = fmt.Sprintf("%s before and %s after", loadOf(began), loadOf(firstLine("/proc/loadavg")))
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
