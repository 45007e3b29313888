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
	t := r.table("Stores, bulk insert by one writer: resources a second", "how", m.columns(0)...)
	t.add(bulkInsert, m.values(bulkInsert, 1)...)
	m.origin(t)
	for _, clients := range m.pace.clients {
		title, decimals := "Stores, 1 client: ms an operation", 2
		if clients > 1 {
			title, decimals = fmt.Sprintf("Stores, %d clients: operations a second", clients), 0
		}
		t = r.table(title, "operation", m.columns(decimals)...)
		for _, op := range operations() {
			t.add(op.name, m.values(op.name, clients)...)
		}
		m.origin(t)
	}
	t.note("n is calls in all; medians of %d rounds, in which the stores ran in turn; “growth” is what an operation costs with %s resources beside %s. Load average: %s.",
		m.pace.rounds, number(m.pace.sizes[len(m.pace.sizes)-1]).text(0), number(m.pace.sizes[0]).text(0), strings.Join(m.loads, "; "))
	t.note("Resources have about 1.2 kB; half of them are Patients, the others Encounters and Consents. Every answer is checked, and before anything is timed both stores are asked the same: ids, order, instants, totals. Every write is durable when it is acknowledged.")
}

func (m *storesRun) columns(decimals int) []column {
	columns := []column{{"n", 0}}
	for _, s := range m.sites {
		for _, size := range m.pace.sizes {
			columns = append(columns, column{s.name + " " + number(size).text(0), decimals})
		}
		columns = append(columns, column{"growth", 2})
	}
	if len(m.sites) > 1 {
		columns = append(columns, column{"MongoDB / SQLite", 2})
	}
	return columns
}

// values is one line: for every store its figures and how much more an operation
// costs in the larger one, at last the second store against the first.
func (m *storesRun) values(name string, clients int) []number {
	n := 0
	var out, last []number
	asRate := clients > 1 || name == bulkInsert
	for _, s := range m.sites {
		var first, end number
		for i, size := range m.pace.sizes {
			c := timing{name, s.name, size, clients}
			v := median(m.took[c])
			n += m.done[c]
			out = append(out, v)
			if i == 0 {
				first = v
			}
			end = v
		}
		grown := ratio(end, first)
		if asRate {
			grown = ratio(first, end)
		}
		out, last = append(out, grown), append(last, end)
	}
	if len(last) > 1 {
		times := ratio(last[1], last[0])
		if asRate {
			times = ratio(last[0], last[1])
		}
		out = append(out, times)
	}
	return append([]number{number(n)}, out...)
}

// origin says where the figures of the MongoDB store come from.
func (m *storesRun) origin(t *table) {
	if m.kind == "" {
		t.note("The MongoDB store was NOT measured: %s names no deployment.", envMongo)
		return
	}
	t.note("Columns “MongoDB” were measured on %s, on the same machine and its cores. The last column is what an operation costs there beside SQLite, at the larger size.", m.kind)
}
