package sqlite

import (
	"context"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// Search returns one page of live heads.
func (db *DB) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	if err := plan.Check(p); err != nil {
		return store.Page{}, err
	}
	after, err := plan.ReadCursor(p)
	if err != nil {
		return store.Page{}, err
	}
	var page store.Page
	err = db.bounded(ctx, func(ctx context.Context) error {
		page, err = db.search(ctx, p, after)
		return err
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

func (db *DB) search(ctx context.Context, p store.Plan, after *plan.Cursor) (page store.Page, err error) {
	err = db.snapshot(ctx, func(s *session) error {
		pl := &planner{db: db, s: s, ctx: ctx, typ: p.Type}
		where, err := pl.plan(p.Where)
		if err != nil || where.Kind == plan.Never {
			return err
		}
		orders, err := pl.orders(p)
		if err != nil {
			return err
		}
		var enough func() (int, error)
		if len(orders) == 1 {
			enough = pl.enough(p.Limit)
		}
		d, err := pl.choose(where, enough)
		if err != nil {
			return err
		}
		if d != nil && len(orders) == 1 {
			scan, err := pl.scanIsBetter(d, p.Limit)
			if err != nil {
				return err
			}
			if scan {
				d = nil
			}
		}
		r := &pager{planner: pl, plan: p, where: where, orders: orders, after: after}
		page, err = r.page(d)
		return err
	})
	return page, err
}

// Count returns how many live heads satisfy the plan's condition.
func (db *DB) Count(ctx context.Context, p store.Plan) (int, error) {
	p.Limit, p.Sort = 1, nil
	if err := plan.Check(p); err != nil {
		return 0, err
	}
	var n int
	err := db.bounded(ctx, func(ctx context.Context) (err error) {
		n, err = db.count(ctx, p)
		return err
	})
	return n, err
}

func (db *DB) count(ctx context.Context, p store.Plan) (n int, err error) {
	err = db.snapshot(ctx, func(s *session) error {
		pl := &planner{db: db, s: s, ctx: ctx, typ: p.Type}
		where, err := pl.plan(p.Where)
		if err != nil || where.Kind == plan.Never {
			return err
		}
		d, err := pl.cheapest(where)
		if err != nil {
			return err
		}
		c := countQuery(p.Type, where, d)
		_, err = s.one(ctx, c.sql, c.args, &n)
		return err
	})
	return n, err
}

func countQuery(typ string, where *plan.Node, d *driver) clause {
	if d == nil {
		c := satisfies(where)
		return clause{
			"SELECT count(*) FROM head h INDEXED BY head_newest WHERE h.type = ? AND h.deleted = 0 AND (" + c.sql + ")",
			append([]any{typ}, c.args...),
		}
	}
	if d.distinct() && d.rest(where).Kind == plan.All {
		return clause{"SELECT count(*) FROM (" + d.parts[0].sql + ")", d.parts[0].args}
	}
	table, left := d.table(where)
	if left.Kind == plan.All { // entries are those of live heads of the type: head need not be asked
		return clause{table.sql + "SELECT count(*) FROM d", table.args}
	}
	c := satisfies(left)
	return clause{table.sql + "SELECT count(*) FROM d CROSS JOIN head h ON h.rid = d.rid WHERE " + c.sql, append(table.args, c.args...)}
}
