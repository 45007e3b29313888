package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// populate writes n patients, of whom `family` Ramirez are few and the birth
// dates of a decade are many.
func populate(tb testing.TB, n int) *DB {
	tb.Helper()
	db, err := Open(context.Background(), tb.TempDir()+"/handoff.db", Options{SweepEvery: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	pad := strings.Repeat("x", 1200)
	var unit []store.Write
	for i := range n {
		k := store.Key{Type: "Patient", ID: fmt.Sprintf("p%06d", i)}
		family := fmt.Sprintf("f%03d", i%997)
		birth := time.Date(1940, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, (i*7919)%25000).Format(time.DateOnly)
		unit = append(unit, store.Write{
			Record: store.Record{Key: k, Raw: fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"pad":%q}`, k.ID, pad), Index: []string{
				"family|" + family, "birthdate|" + birth, "identifier|urn:x|" + k.ID, "gender|" + []string{"male", "female"}[i%2],
				"given|g" + fmt.Sprint(i%101), "active|true",
			}},
		})
		if len(unit) == 500 || i == n-1 {
			if _, err := db.Apply(context.Background(), unit); err != nil {
				tb.Fatal(err)
			}
			unit = unit[:0]
		}
	}
	return db
}

func eq(param, value string) store.Expr {
	return store.Expr{Op: store.Equal, Param: param, Value: value}
}

func familyAndBirth() store.Expr {
	return store.Expr{Op: store.And, Args: []store.Expr{
		{Op: store.Range, Param: "birthdate", Low: "1960", High: "1974"},
		{Op: store.Prefix, Param: "family", Value: "f12"},
	}}
}

func TestASearchStartsFromTheMostSelectiveCondition(t *testing.T) {
	db := populate(t, 6000)
	for _, tt := range []struct {
		name  string
		where store.Expr
		from  string // value that the driver's first part is bound to; "": no driver
		size  int    // at most
	}{
		{"prefix and a wide range", familyAndBirth(), "f12", 100},
		{"token and gender", store.Expr{Op: store.And, Args: []store.Expr{eq("gender", "male"), eq("identifier", "urn:x|p000010")}}, "urn:x|p000010", 1},
		{"id and gender", store.Expr{Op: store.And, Args: []store.Expr{eq("gender", "male"), eq(store.ParamID, "p000010")}}, "p000010", 1},
		{"in an Or, each branch its best", store.Expr{Op: store.Or, Args: []store.Expr{familyAndBirth(), eq("family", "f001")}}, "f12", 100},
		{"not", store.Expr{Op: store.Not, Args: []store.Expr{eq("gender", "male")}}, "", 0},
		{"not beside a token", store.Expr{Op: store.And, Args: []store.Expr{{Op: store.Not, Args: []store.Expr{eq("gender", "male")}}, eq("family", "f001")}}, "f001", 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := driverOf(t, db, tt.where)
			if tt.from == "" {
				if d != nil {
					t.Errorf("it starts from %v", d.parts)
				}
				return
			}
			if d == nil || d.size > tt.size {
				t.Fatalf("it starts from %+v, want at most %d candidates", d, tt.size)
			}
			first := d.parts[0].args[1]
			if got := fmt.Sprintf("%s", first); got != tt.from {
				t.Errorf("it starts from %q, want %q", got, tt.from)
			}
		})
	}
}

func driverOf(t *testing.T, db *DB, where store.Expr) *driver {
	t.Helper()
	var d *driver
	err := db.snapshot(t.Context(), func(s *session) error {
		p := &planner{db: db, s: s, ctx: t.Context(), typ: "Patient"}
		n, err := p.plan(where)
		if err == nil {
			d, err = p.choose(n, nil)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What has more candidates than a walk over the type would look at is not counted any
// further, and of a condition without an alternative nothing is.
func TestNoMoreIsCountedThanDecides(t *testing.T) {
	db := populate(t, 6000)
	err := db.snapshot(t.Context(), func(s *session) error {
		p := &planner{db: db, s: s, ctx: t.Context(), typ: "Patient"}
		n, err := p.plan(eq("gender", "male"))
		if err != nil {
			return err
		}
		d, err := p.choose(n, p.enough(20))
		if err != nil {
			return err
		}
		if d.size != caps[1] {
			t.Errorf("%d candidates were counted, %d decide", d.size, caps[1])
		}
		if scan, err := p.scanIsBetter(d, 20); !scan || err != nil {
			t.Errorf("half of all are sorted instead of walked: %v", err)
		}
		if d, err = p.choose(n, nil); err == nil && d.size != 3000 {
			t.Errorf("%d candidates instead of 3000", d.size)
		}
		if err == nil {
			d, err = p.cheapest(n)
		}
		if err == nil && d.size != 0 {
			t.Errorf("%d candidates were counted for a count", d.size)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Entries tell what is found; a head is read only of that, and in the order of a
// parameter only of what may stand on the page.
func TestHeadsAreReadOfWhatIsFound(t *testing.T) {
	db := populate(t, 2000)
	both := store.Expr{Op: store.And, Args: []store.Expr{eq("family", "f001"), eq("gender", "female")}}
	for _, by := range [][]store.SortKey{nil, {{Param: "birthdate"}}} {
		q := queriesOf(t, db, store.Plan{Type: "Patient", Where: both, Sort: by, Limit: 20}, true)[0]
		head, probe := strings.Index(q.sql, "head h"), strings.LastIndex(q.sql, "entry_of")
		if head < 0 || probe < 0 || probe > head {
			t.Errorf("sorted by %v, entries are looked up of heads: %s", by, q.sql)
		}
	}
}

func TestTheReaderUsedLastIsLentFirst(t *testing.T) {
	p := newPool(3)
	all := []*session{{}, {}, {}}
	for _, s := range all {
		p.give(s)
	}
	lend := func() *session { <-p.free; return p.take() }
	a, b := lend(), lend()
	p.give(a)
	p.give(b)
	if got := lend(); got != b {
		t.Error("another reader than the one that came back last")
	}
}

// No query may read a whole table: SQLite's own plan says how it goes about it.
func TestQueriesUseTheirIndexes(t *testing.T) {
	db := populate(t, 500)
	sort := func(param string) []store.SortKey { return []store.SortKey{{Param: param}} }
	for _, where := range []store.Expr{
		{Op: store.All}, familyAndBirth(), eq("family", "f001"), {Op: store.Not, Args: []store.Expr{eq("gender", "male")}},
	} {
		for _, by := range [][]store.SortKey{nil, sort("birthdate"), sort(store.ParamID), sort(store.ParamLastUpdated)} {
			for _, driven := range []bool{false, true} {
				for _, q := range queriesOf(t, db, store.Plan{Type: "Patient", Where: where, Sort: by, Limit: 20}, driven) {
					explainQuery(t, db, q)
				}
			}
		}
	}
}

func queriesOf(t *testing.T, db *DB, p store.Plan, driven bool) []clause {
	t.Helper()
	var out []clause
	err := db.snapshot(t.Context(), func(s *session) error {
		pl := &planner{db: db, s: s, ctx: t.Context(), typ: p.Type}
		where, err := pl.plan(p.Where)
		if err != nil {
			return err
		}
		orders, err := pl.orders(p)
		if err != nil {
			return err
		}
		r := &pager{planner: pl, plan: p, where: where, orders: orders}
		d, err := pl.choose(where, nil)
		switch {
		case err != nil:
			return err
		case driven && d != nil:
			out = append(out, r.sorted(d, 20), countQuery("Patient", where, d))
		case orders[0].column != "":
			out = append(out, r.walkHeads(20))
		default:
			out = append(out, r.walkValues(20), r.walkWithout(20))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func explainQuery(t *testing.T, db *DB, q clause) {
	t.Helper()
	err := db.read(t.Context(), func(s *session) error {
		return s.each(t.Context(), "EXPLAIN QUERY PLAN "+q.sql, q.args, func(scan func(...any) error) error {
			var (
				id, parent, unused int
				detail             string
			)
			if err := scan(&id, &parent, &unused, &detail); err != nil {
				return err
			}
			ours := slices.Contains([]string{"SCAN c", "SCAN d", "SCAN s", "SCAN t", "SCAN q"}, detail) // tables of the query itself
			if strings.HasPrefix(detail, "SCAN") && !ours && !strings.HasPrefix(detail, "SCAN (subquery") && detail != "SCAN CONSTANT ROW" {
				t.Errorf("%s\nfor %s", detail, q.sql)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatalf("%v\nfor %s", err, q.sql)
	}
}

func BenchmarkStore(b *testing.B) {
	db := populate(b, 20000)
	ctx := context.Background()
	run := func(name string, f func(i int) error) {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := f(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	search := func(want int, p store.Plan) func(int) error {
		p.Type, p.Limit = "Patient", 20
		return func(int) error {
			page, err := db.Search(ctx, p)
			if err == nil && len(page.Records) < want {
				err = fmt.Errorf("%d records", len(page.Records))
			}
			return err
		}
	}
	key := func(i int) store.Key { return store.Key{Type: "Patient", ID: fmt.Sprintf("p%06d", i%20000)} }
	run("read", func(i int) error { _, err := db.Read(ctx, key(i)); return err })
	run("search token", search(1, store.Plan{Where: eq("identifier", "urn:x|p000777")}))
	run("search family and birthdate", search(1, store.Plan{Where: familyAndBirth()}))
	run("search newest", search(20, store.Plan{Where: store.Expr{Op: store.All}}))
	run("search newest of half", search(20, store.Plan{Where: eq("gender", "male")}))
	run("search by birthdate", search(20, store.Plan{Where: eq("gender", "male"), Sort: []store.SortKey{{Param: "birthdate"}}}))
	run("count half", func(int) error {
		_, err := db.Count(ctx, store.Plan{Type: "Patient", Where: eq("gender", "male")})
		return err
	})
	w := func(i int) store.Write {
		k := key(i)
		return store.Write{Record: store.Record{Key: k, Raw: []byte(`{}`), Index: []string{"family|f1", "gender|male", "active|true"}}, Expect: store.AnyVersion}
	}
	run("update", func(i int) error { _, err := db.Write(ctx, w(i)); return err })
	run("put a fact", func(i int) error {
		_, err := db.PutIfAbsent(ctx, fmt.Sprintf("%d/%d", b.N, i)+fmt.Sprint(time.Now().UnixNano()), nil, time.Time{})
		return err
	})
	for _, writers := range []int{8, 64} {
		b.Run(fmt.Sprintf("update by %d", writers), func(b *testing.B) {
			b.SetParallelism(writers)
			var n typeSize
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := db.Write(ctx, w(int(n.count.Add(1)))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
