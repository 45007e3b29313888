package sqlite

import (
	"context"

	"github.com/handoff-health/handoff/fhir/store"
)

// Search returns one page of live heads.
func (db *DB) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	if err := checkPlan(p); err != nil {
		return store.Page{}, err
	}
	after, err := decodeCursor(p)
	if err != nil {
		return store.Page{}, err
	}
	var page store.Page
	err = db.snapshot(ctx, func(s *session) error {
		pl := &planner{db: db, s: s, ctx: ctx, typ: p.Type}
		where, err := pl.plan(p.Where, 0)
		if err != nil || where.kind == never {
			return err
		}
		orders, err := pl.orders(p)
		if err != nil {
			return err
		}
		d, err := pl.choose(where)
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
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// Count returns how many live heads satisfy the plan's condition.
func (db *DB) Count(ctx context.Context, p store.Plan) (int, error) {
	p.Limit, p.Sort = 1, nil
	if err := checkPlan(p); err != nil {
		return 0, err
	}
	var n int
	err := db.snapshot(ctx, func(s *session) error {
		pl := &planner{db: db, s: s, ctx: ctx, typ: p.Type}
		where, err := pl.plan(p.Where, 0)
		if err != nil || where.kind == never {
			return err
		}
		d, err := pl.choose(where)
		if err != nil {
			return err
		}
		c := countQuery(p.Type, where, d)
		_, err = s.one(ctx, c.sql, c.args, &n)
		return err
	})
	return n, err
}

func countQuery(typ string, where *node, d *driver) clause {
	if d == nil {
		c := where.condition()
		return clause{
			"SELECT count(*) FROM head h INDEXED BY head_newest WHERE h.type = ? AND h.deleted = 0 AND (" + c.sql + ")",
			append([]any{typ}, c.args...),
		}
	}
	table, rest := d.table(), d.rest(where)
	if rest.kind == all && d.distinct() {
		return clause{"SELECT count(*) FROM (" + d.parts[0].sql + ")", d.parts[0].args}
	}
	c := rest.condition()
	from := "d h" // entries are those of live heads of the type: head need not be asked
	if rest.touchesHead() {
		from = "d CROSS JOIN head h ON h.rid = d.rid"
	}
	return clause{table.sql + "SELECT count(*) FROM " + from + " WHERE " + c.sql, append(table.args, c.args...)}
}
