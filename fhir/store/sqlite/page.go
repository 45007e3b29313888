package sqlite

import (
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// An order is what a search's result is sorted by.
type order struct {
	column     string // of head; "" for a parameter
	pid        int64  // of the parameter; 0: no resource has it
	descending bool
}

// orders are the keys of a plan, at least one.
func (p *planner) orders(sp store.Plan) ([]order, error) {
	if len(sp.Sort) == 0 {
		return []order{{column: "updated", descending: true}}, nil
	}
	var out []order
	for _, key := range sp.Sort {
		o, err := p.order(key)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (p *planner) order(key store.SortKey) (order, error) {
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

// value is the sort value of the resource that rid names, a column of h: NULL where
// it has none.
func (o order) value(rid string) clause {
	switch {
	case o.column != "":
		return clause{sql: "h." + o.column}
	case o.pid == 0:
		return clause{sql: "NULL"}
	}
	_, _, extreme := o.direction()
	return clause{"(SELECT " + extreme + "(value) FROM entry INDEXED BY entry_of WHERE rid = " + rid + " AND pid = ?)", []any{o.pid}}
}

// sortValue is a value of a cursor as the order's column compares it.
func sortValue(v plan.Value, o order) any {
	if o.column != "" {
		return string(v.Bytes)
	}
	return blob(v.Bytes)
}

// A pager reads one page.
type pager struct {
	*planner
	plan   store.Plan
	where  *plan.Node
	orders []order
	after  *plan.Cursor
}

// order is the first key: the only one where the records are walked in order.
func (r *pager) order() order { return r.orders[0] }

// page reads one record more than asked for, to know whether there is a next
// page.
func (r *pager) page(d *driver) (store.Page, error) {
	var (
		queries []func(limit int) clause
		page    store.Page
	)
	switch {
	case d != nil || len(r.orders) > 1:
		queries = append(queries, func(limit int) clause { return r.sorted(d, limit) })
	case r.order().column != "":
		queries = append(queries, r.walkHeads)
	default:
		if r.order().pid != 0 && (r.after == nil || !r.after.Keys[0].None) {
			queries = append(queries, r.walkValues)
		}
		queries = append(queries, r.walkWithout)
	}
	var last plan.Cursor
	for _, q := range queries {
		limit := r.plan.Limit + 1 - len(page.Records)
		if limit <= 0 || page.Next != "" {
			break
		}
		c := q(limit)
		err := r.s.each(r.ctx, c.sql, c.args, func(scan func(...any) error) error {
			var (
				row versionRow
				cur = plan.Cursor{Keys: make([]plan.Value, len(r.orders))}
				to  = []any{&cur.ID}
			)
			for i := range cur.Keys {
				to = append(to, &cur.Keys[i].Bytes, &cur.Keys[i].None)
			}
			if err := scan(append(to, row.fields()...)...); err != nil {
				return err
			}
			if len(page.Records) == r.plan.Limit {
				page.Next = last.Encode(r.plan)
				return nil
			}
			rec, err := r.db.record(store.Key{Type: r.typ, ID: cur.ID}, &row)
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

// fetch adds the newest versions to a query for (vid, id, k0, k1 …) in order.
// SQLite keeps the order of the outer loop; sorting again would carry every body
// through the sorter.
func fetch(with string, keys int, inner clause) clause {
	columns := "q.id"
	for i := range keys {
		columns += fmt.Sprintf(", q.k%d, q.k%d IS NULL", i, i)
	}
	return clause{
		with + "SELECT " + columns + ", " + versionColumns + " FROM (" + inner.sql + ") q CROSS JOIN version v ON v.vid = q.vid",
		inner.args,
	}
}

// sorted takes the driver's candidates, or all of the type, and sorts what
// satisfies the plan.
func (r *pager) sorted(d *driver, limit int) clause {
	if d == nil {
		return r.ranked(clause{}, "head h INDEXED BY head_key", satisfies(r.where), limit)
	}
	table, left := d.table(r.where)
	if left.Kind == plan.All && r.order().column == "" && r.order().pid != 0 {
		return r.narrowed(table, limit)
	}
	return r.ranked(table, "d CROSS JOIN head h ON h.rid = d.rid", satisfies(left), limit)
}

// ranked sorts the heads of a table that satisfy a condition.
func (r *pager) ranked(table clause, from string, cond clause, limit int) clause {
	args := slices.Clone(table.args)
	values := ""
	for i, o := range r.orders {
		v := o.value("h.rid")
		values += fmt.Sprintf(", %s AS k%d", v.sql, i)
		args = append(args, v.args...)
	}
	inner := r.inOrder("SELECT h.vid AS vid, h.id AS id"+values+" FROM "+from+" WHERE h.type = ? AND h.deleted = 0 AND ("+cond.sql+")",
		slices.Concat(args, []any{r.typ}, cond.args), limit)
	return fetch(table.sql, len(r.orders), inner)
}

// inOrder sorts what a query for (vid, id, k0, k1 …) gives, from the cursor on.
func (r *pager) inOrder(sql string, args []any, limit int) clause {
	after := r.beyond()
	names, by := "", ""
	for i, o := range r.orders {
		word, _, _ := o.direction()
		names += fmt.Sprintf(", k%d", i)
		by += fmt.Sprintf("k%d IS NULL, k%d %s, ", i, i, word)
	}
	return clause{
		"SELECT vid, id" + names + " FROM (" + sql + ") WHERE " + after.sql + " ORDER BY " + by + "id LIMIT ?",
		slices.Concat(args, after.args, []any{limit}),
	}
}

// narrowed sorts a table d that is all that was found, by a parameter. Sort values
// are read from entries, and heads only of those whose value is not beyond that of the
// last one that the page can have.
func (r *pager) narrowed(table clause, limit int) clause {
	o := r.order()
	word, op, _ := o.direction()
	from := clause{sql: "k0 IS NOT NULL"}
	switch {
	case r.after == nil:
	case r.after.Keys[0].None: // all values have been
		from = clause{sql: "0"}
	default: // of equal ones some come before the cursor
		from = clause{"k0 " + op + " ?", []any{sortValue(r.after.Keys[0], o)}}
	}
	v := o.value("d.rid")
	with := table.sql + ", s (rid, k0) AS MATERIALIZED (SELECT d.rid, " + v.sql + " FROM d)" +
		", t (last) AS MATERIALIZED (SELECT (SELECT k0 FROM s WHERE " + from.sql + " ORDER BY k0 " + word + " LIMIT 1 OFFSET ?)) "
	args := slices.Concat(table.args, v.args, from.args, []any{limit - 1})
	values := ", s.k0 AS k0"
	for i, o := range r.orders[1:] {
		v := o.value("h.rid")
		values += fmt.Sprintf(", %s AS k%d", v.sql, i+1)
		args = append(args, v.args...)
	}
	within := map[string]string{">": "<=", "<": ">="}[op]
	inner := r.inOrder("SELECT h.vid AS vid, h.id AS id"+values+" FROM t CROSS JOIN s CROSS JOIN head h ON h.rid = s.rid"+
		" WHERE h.type = ? AND h.deleted = 0 AND coalesce(s.k0 "+within+" t.last, t.last IS NULL)", append(args, r.typ), limit)
	return fetch(with, len(r.orders), inner)
}

// beyond is the condition of coming after the cursor: beyond its first value, or
// equal to it and beyond the next, in the end beyond its id.
func (r *pager) beyond() clause {
	if r.after == nil {
		return clause{sql: "1"}
	}
	out := clause{"id > ?", []any{r.after.ID}}
	for i := len(r.orders) - 1; i >= 0; i-- {
		o, at := r.orders[i], r.after.Keys[i]
		k := fmt.Sprintf("k%d", i)
		if at.None {
			out = clause{k + " IS NULL AND " + out.sql, out.args}
			continue
		}
		_, op, _ := o.direction()
		v := sortValue(at, o)
		out = clause{"(" + k + " " + op + " ? OR " + k + " IS NULL OR (" + k + " = ? AND " + out.sql + "))", append([]any{v, v}, out.args...)}
	}
	return out
}

// walkHeads goes through the type in the order of a column's index.
func (r *pager) walkHeads(limit int) clause {
	o := r.order()
	col, index := "h."+o.column, "head_newest"
	if o.column == "id" {
		index = "head_key"
	}
	word, op, _ := o.direction()
	after := clause{sql: "1"}
	if r.after != nil {
		k := sortValue(r.after.Keys[0], r.order())
		after = clause{col + " " + op + "= ? AND (" + col + " " + op + " ? OR h.id > ?)", []any{k, k, r.after.ID}}
		if o.column == "id" {
			after = clause{col + " " + op + " ?", []any{r.after.ID}}
		}
	}
	cond := satisfies(r.where)
	by := col + " " + word
	if o.column != "id" {
		by += ", h.id"
	}
	return fetch("", 1, clause{
		"SELECT h.vid AS vid, h.id AS id, " + col + " AS k0 FROM head h INDEXED BY " + index + " WHERE h.type = ? AND h.deleted = 0 AND " + after.sql +
			" AND (" + cond.sql + ") ORDER BY " + by + " LIMIT ?",
		slices.Concat([]any{r.typ}, after.args, cond.args, []any{limit}),
	})
}

// walkValues goes through a parameter's values in order. A resource counts at
// its smallest value (or largest, descending), so it comes once.
func (r *pager) walkValues(limit int) clause {
	word, op, _ := r.order().direction()
	before := map[string]string{">": "<", "<": ">"}[op]
	after := clause{sql: "1"}
	if r.after != nil {
		k := sortValue(r.after.Keys[0], r.order())
		after = clause{"e.value " + op + "= ? AND (e.value " + op + " ? OR h.id > ?)", []any{k, k, r.after.ID}}
	}
	cond := satisfies(r.where)
	return fetch("", 1, clause{
		"SELECT h.vid AS vid, h.id AS id, e.value AS k0 FROM entry e CROSS JOIN head h ON h.rid = e.rid WHERE e.pid = ? AND " + after.sql +
			" AND NOT EXISTS (SELECT 1 FROM entry o INDEXED BY entry_of WHERE o.rid = e.rid AND o.pid = e.pid AND o.value " + before + " e.value)" +
			" AND (" + cond.sql + ") ORDER BY e.value " + word + ", h.id LIMIT ?",
		slices.Concat([]any{r.order().pid}, after.args, cond.args, []any{limit}),
	})
}

// walkWithout goes through the resources that do not have the parameter; they
// come last, by id.
func (r *pager) walkWithout(limit int) clause {
	from := ""
	if r.after != nil && r.after.Keys[0].None {
		from = r.after.ID
	}
	cond := satisfies(r.where)
	return fetch("", 1, clause{
		"SELECT h.vid AS vid, h.id AS id, NULL AS k0 FROM head h INDEXED BY head_key WHERE h.type = ? AND h.deleted = 0 AND h.id > ?" +
			" AND NOT EXISTS (SELECT 1 FROM entry INDEXED BY entry_of WHERE rid = h.rid AND pid = ?) AND (" + cond.sql + ") ORDER BY h.id LIMIT ?",
		slices.Concat([]any{r.typ, from, r.order().pid}, cond.args, []any{limit}),
	})
}
