package sqlite

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// An order is what a search's result is sorted by.
type order struct {
	column     string // of head; "" for a parameter
	pid        int64  // of the parameter; 0: no resource has it
	descending bool
}

func (p *planner) order(plan store.Plan) (order, error) {
	if len(plan.Sort) == 0 {
		return order{column: "updated", descending: true}, nil
	}
	key := plan.Sort[0]
	switch key.Param {
	case store.ParamID:
		return order{column: "id", descending: key.Descending}, nil
	case store.ParamLastUpdated:
		return order{column: "updated", descending: key.Descending}, nil
	}
	pid, _, err := p.db.param(p.ctx, p.s, p.typ, key.Param)
	return order{pid: pid, descending: key.Descending}, err
}

func (o order) direction() (word, beyond, extreme string) {
	if o.descending {
		return "DESC", "<", "max"
	}
	return "ASC", ">", "min"
}

// value is the sort value of h: NULL where it has none.
func (o order) value() clause {
	switch {
	case o.column != "":
		return clause{sql: "h." + o.column}
	case o.pid == 0:
		return clause{sql: "NULL"}
	}
	_, _, extreme := o.direction()
	return clause{"(SELECT " + extreme + "(value) FROM entry INDEXED BY entry_of WHERE rid = h.rid AND pid = ?)", []any{o.pid}}
}

// A pager reads one page.
type pager struct {
	*planner
	plan  store.Plan
	where *node
	order order
	after *cursor
}

// page reads one record more than asked for, to know whether there is a next
// page.
func (r *pager) page(d *driver) (store.Page, error) {
	var (
		queries []func(limit int) clause
		page    store.Page
	)
	switch {
	case d != nil:
		queries = append(queries, func(limit int) clause { return r.sorted(d, limit) })
	case r.order.column != "":
		queries = append(queries, r.walkHeads)
	default:
		if r.order.pid != 0 && (r.after == nil || !r.after.null) {
			queries = append(queries, r.walkValues)
		}
		queries = append(queries, r.walkWithout)
	}
	var last cursor
	for _, q := range queries {
		limit := r.plan.Limit + 1 - len(page.Records)
		if limit <= 0 || page.Next != "" {
			break
		}
		c := q(limit)
		err := r.s.each(r.ctx, c.sql, c.args, func(scan func(...any) error) error {
			var (
				row versionRow
				cur cursor
			)
			if err := scan(append([]any{&cur.id, &cur.value, &cur.null}, row.fields()...)...); err != nil {
				return err
			}
			if len(page.Records) == r.plan.Limit {
				page.Next = last.encode(r.plan)
				return nil
			}
			rec, err := r.db.record(store.Key{Type: r.typ, ID: cur.id}, &row)
			if err != nil {
				return err
			}
			page.Records, last = append(page.Records, rec), cur
			return nil
		})
		if err != nil {
			return store.Page{}, err
		}
	}
	return page, nil
}

// fetch adds the newest versions to a query for (vid, id, k) in order. SQLite
// keeps the order of the outer loop; sorting again would carry every body
// through the sorter.
func fetch(with string, inner clause) clause {
	return clause{
		with + "SELECT q.id, q.k, q.k IS NULL, " + versionColumns + " FROM (" + inner.sql + ") q CROSS JOIN version v ON v.vid = q.vid",
		inner.args,
	}
}

// sorted takes the driver's candidates and sorts what satisfies the plan.
func (r *pager) sorted(d *driver, limit int) clause {
	table, value, cond := d.table(), r.order.value(), d.rest(r.where).condition()
	word, _, _ := r.order.direction()
	after := r.beyond("k", "id")
	inner := clause{
		"SELECT vid, id, k FROM (SELECT h.vid AS vid, h.id AS id, " + value.sql + " AS k FROM d CROSS JOIN head h ON h.rid = d.rid WHERE h.type = ? AND h.deleted = 0 AND (" + cond.sql +
			")) WHERE " + after.sql + " ORDER BY k IS NULL, k " + word + ", id LIMIT ?",
		slices.Concat(table.args, value.args, []any{r.typ}, cond.args, after.args, []any{limit}),
	}
	return fetch(table.sql, inner)
}

// beyond is the condition of coming after the cursor.
func (r *pager) beyond(value, id string) clause {
	if r.after == nil {
		return clause{sql: "1"}
	}
	if r.after.null {
		return clause{value + " IS NULL AND " + id + " > ?", []any{r.after.id}}
	}
	_, op, _ := r.order.direction()
	k := r.after.bind(r.order)
	return clause{"(" + value + " " + op + " ? OR (" + value + " = ? AND " + id + " > ?) OR " + value + " IS NULL)", []any{k, k, r.after.id}}
}

// walkHeads goes through the type in the order of a column's index.
func (r *pager) walkHeads(limit int) clause {
	col, index := "h."+r.order.column, "head_newest"
	if r.order.column == "id" {
		index = "head_key"
	}
	word, op, _ := r.order.direction()
	after := clause{sql: "1"}
	if r.after != nil {
		k := r.after.bind(r.order)
		after = clause{col + " " + op + "= ? AND (" + col + " " + op + " ? OR h.id > ?)", []any{k, k, r.after.id}}
		if r.order.column == "id" {
			after = clause{col + " " + op + " ?", []any{r.after.id}}
		}
	}
	cond := r.where.condition()
	by := col + " " + word
	if r.order.column != "id" {
		by += ", h.id"
	}
	return fetch("", clause{
		"SELECT h.vid AS vid, h.id AS id, " + col + " AS k FROM head h INDEXED BY " + index + " WHERE h.type = ? AND h.deleted = 0 AND " + after.sql +
			" AND (" + cond.sql + ") ORDER BY " + by + " LIMIT ?",
		slices.Concat([]any{r.typ}, after.args, cond.args, []any{limit}),
	})
}

// walkValues goes through a parameter's values in order. A resource counts at
// its smallest value (or largest, descending), so it comes once.
func (r *pager) walkValues(limit int) clause {
	word, op, _ := r.order.direction()
	before := map[string]string{">": "<", "<": ">"}[op]
	after := clause{sql: "1"}
	if r.after != nil {
		k := r.after.bind(r.order)
		after = clause{"e.value " + op + "= ? AND (e.value " + op + " ? OR h.id > ?)", []any{k, k, r.after.id}}
	}
	cond := r.where.condition()
	return fetch("", clause{
		"SELECT h.vid AS vid, h.id AS id, e.value AS k FROM entry e CROSS JOIN head h ON h.rid = e.rid WHERE e.pid = ? AND " + after.sql +
			" AND NOT EXISTS (SELECT 1 FROM entry o INDEXED BY entry_of WHERE o.rid = e.rid AND o.pid = e.pid AND o.value " + before + " e.value)" +
			" AND (" + cond.sql + ") ORDER BY e.value " + word + ", h.id LIMIT ?",
		slices.Concat([]any{r.order.pid}, after.args, cond.args, []any{limit}),
	})
}

// walkWithout goes through the resources that do not have the parameter; they
// come last, by id.
func (r *pager) walkWithout(limit int) clause {
	from := ""
	if r.after != nil && r.after.null {
		from = r.after.id
	}
	cond := r.where.condition()
	return fetch("", clause{
		"SELECT h.vid AS vid, h.id AS id, NULL AS k FROM head h INDEXED BY head_key WHERE h.type = ? AND h.deleted = 0 AND h.id > ?" +
			" AND NOT EXISTS (SELECT 1 FROM entry INDEXED BY entry_of WHERE rid = h.rid AND pid = ?) AND (" + cond.sql + ") ORDER BY h.id LIMIT ?",
		slices.Concat([]any{r.typ, from, r.order.pid}, cond.args, []any{limit}),
	})
}
