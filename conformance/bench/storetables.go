package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
)

// benchDatabase names a database of a deployment that nobody else uses.
func benchDatabase(uri string) (string, error) {
	return backend.InDatabase(uri, "handoff_bench_"+strings.ToLower(rand.Text()[:12]))
}

func removeDatabase(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return backend.Remove(ctx, address, backend.Options{})
}

// serverKind says what a MongoDB deployment is.
func serverKind(ctx context.Context, db backend.Backend) (string, error) {
	d, ok := db.(interface {
		Deployment(context.Context) (string, error)
	})
	if !ok {
		return "", fmt.Errorf("a store of type %T cannot say on what it runs", db)
	}
	return d.Deployment(ctx)
}

// tables writes what was found: bulk inserts, then one table for each number of
// clients.
func (m *storesRun) tables(r *report) {
	t := r.section("Stores, bulk insert by one writer: resources a second", "how", m.columns(0)...)
	t.add(bulkInsert, m.values(bulkInsert, 1)...)
	m.origin(t)
	for _, clients := range m.pace.clients {
		title, decimals := "Stores, 1 client: ms an operation", 2
		if clients > 1 {
			title, decimals = fmt.Sprintf("Stores, %d clients: operations a second", clients), 0
		}
		t = r.section(title, "operation", m.columns(decimals)...)
		for _, op := range operations() {
			t.add(op.name, m.values(op.name, clients)...)
		}
		m.origin(t)
	}
	t.note("n is calls in all; medians of %d rounds (bulk insert: %d), in which all stores ran in turn; “growth” is what an operation costs with %s resources beside %s, in the same round. Load average: %s.",
		m.pace.rounds, timedStretches, number(m.pace.sizes[len(m.pace.sizes)-1]).text(0), number(m.pace.sizes[0]).text(0), m.load)
	t.note("%s", m.looked())
	t.note("Resources have about 1.2 kB; half of them are Patients, the others Encounters and Consents. Every answer is checked, and before anything is timed both stores are asked the same: ids, order, instants, totals. Every write is durable when it is acknowledged.")
}

// looked says how much of the growth is the corpus's own: a larger one has more
// resources that satisfy the narrowest condition of a search, and each has to be
// looked at.
func (m *storesRun) looked() string {
	var parts []string
	for _, size := range m.pace.sizes {
		q := m.peers(size)[0].asks
		parts = append(parts, fmt.Sprintf("of %s resources %d persons were born about the month that is asked for, %d live in the city, %d are counted", number(size).text(0), q.born, q.live, q.count[0].hits))
	}
	return "What satisfies the narrowest condition, in the middle: " + strings.Join(parts, "; ") + "."
}

func (m *storesRun) columns(decimals int) []column {
	columns := []column{{"n", 0}}
	for _, kind := range m.kinds {
		for _, size := range m.pace.sizes {
			columns = append(columns, column{kind + " " + number(size).text(0), decimals})
		}
		columns = append(columns, column{"growth", 2})
	}
	if len(m.kinds) > 1 {
		columns = append(columns, column{"MongoDB / SQLite", 2})
	}
	return columns
}

// values is one line: for every kind its figures and how much more an operation costs
// in the largest store than in the smallest, at last the second kind against the
// first. Ratios are taken round by round.
func (m *storesRun) values(name string, clients int) []number {
	sizes := m.pace.sizes
	smallest, largest := sizes[0], sizes[len(sizes)-1]
	dearer := ratio
	if clients > 1 || name == bulkInsert { // what is a rate
		dearer = func(a, b number) number { return ratio(b, a) }
	}
	took := func(kind string, size int) []number { return m.took[timing{name, kind, size, clients}] }
	n := 0
	var out []number
	for _, kind := range m.kinds {
		for _, size := range sizes {
			n += m.done[timing{name, kind, size, clients}]
			out = append(out, median(took(kind, size)))
		}
		out = append(out, median(pairwise(took(kind, largest), took(kind, smallest), dearer)))
	}
	if len(m.kinds) > 1 {
		out = append(out, median(pairwise(took(m.kinds[1], largest), took(m.kinds[0], largest), dearer)))
	}
	return append([]number{number(n)}, out...)
}

// origin says where the figures of the MongoDB store come from.
func (m *storesRun) origin(t *table) {
	if m.runs == "" {
		t.note("The MongoDB store was NOT measured: %s names no deployment.", envMongo)
		return
	}
	t.note("Columns “MongoDB” were measured on %s, on the same machine and its cores. The last column is what an operation costs there beside SQLite, at the larger size.", m.runs)
}
