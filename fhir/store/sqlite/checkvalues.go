package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// SQLite keeps in a column what it is given, of whatever kind. A row whose value is not
// of its column's kind cannot be read, and one whose key is not is found by nobody.

// A column is one that must hold a kind of value. A flag is 0 or 1.
type column struct {
	name, kind string
	flag       bool
}

// is is the condition that a row's value is one of the column.
func (c column) is() string {
	if c.flag {
		return c.name + " IN (0, 1)"
	}
	return fmt.Sprintf("typeof(%s) = '%s'", c.name, c.kind)
}

// valued are the columns of each table that are read or looked for, and the row's place.
// Entries, and whose a claim is, are looked at with their resources.
var valued = []struct {
	table, place string
	columns      []column
}{
	{"head", "rid", append(columns("integer", "version", "vid"), append(columns("text", "type", "id", "updated", "claims"), flag("deleted"))...)},
	{"version", "vid", append(columns("integer", "rid", "version", "sum"), flag("deleted"))},
	{"param", "pid", append(columns("text", "type"), columns("blob", "name")...)},
	{"claim", "claim", columns("blob", "claim")},
	{"fact", "key", append(columns("integer", "version", "expires", "sum"), columns("blob", "key")...)},
	{"stream", "sid", append(columns("integer", "last"), columns("blob", "name")...)},
	{"log", "sid || '/' || seq", columns("integer", "sid", "seq", "at", "sum")},
	{"position", "stream || '/' || reader", append(columns("integer", "seq"), columns("blob", "stream", "reader")...)},
}

func columns(kind string, names ...string) (out []column) {
	for _, name := range names {
		out = append(out, column{name: name, kind: kind})
	}
	return out
}

func flag(name string) column { return column{name: name, kind: "integer", flag: true} }

// readable is the condition, after another, that leaves out rows that values reports.
func readable(table string) string {
	var b strings.Builder
	for _, x := range valued {
		if x.table == table {
			for _, col := range x.columns {
				b.WriteString(" AND " + col.is())
			}
		}
	}
	return b.String()
}

// values looks for rows that cannot be read, or not found. Text that stands where bytes
// should, and bytes where text should, say what they said: they are given their kind.
// What else there is nobody can tell.
func (c *checker) values() error {
	for _, x := range valued {
		for _, col := range x.columns {
			bad, err := c.misfits(x.table, x.place, col)
			if err != nil {
				return err
			}
			left := bad
			if c.o.Repair && len(bad) > 0 && col.kind != "integer" {
				err := c.submit(c.ctx, func(t *txn) error {
					return t.exec(t.ctx, fmt.Sprintf(`UPDATE OR IGNORE %s SET %s = CAST(%[2]s AS %[3]s) WHERE typeof(%[2]s) IN ('text', 'blob') AND typeof(%[2]s) <> '%[3]s'`, x.table, col.name, col.kind))
				})
				if err != nil {
					return fmt.Errorf("mend the column %s of %s: %w", col.name, x.table, err)
				}
				if left, err = c.misfits(x.table, x.place, col); err != nil {
					return err
				}
			}
			for _, f := range bad {
				f.Mended = c.o.Repair && !slices.Contains(left, f)
				c.found(f)
			}
		}
	}
	return nil
}

// misfits are the rows of a table that hold in a column what is none of its values.
func (c *checker) misfits(table, place string, col column) (out []store.Finding, err error) {
	err = c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, fmt.Sprintf(`SELECT CAST(%s AS BLOB), typeof(%s) FROM %s WHERE NOT (%s)`, place, col.name, table, col.is()), nil,
			func(scan func(...any) error) error {
				var place []byte
				var kind string
				err := scan(&place, &kind)
				f := store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("row %q of %s", place, table), Detail: fmt.Sprintf("its %s is %s, not %s", col.name, kind, col.kind)}
				if kind == col.kind {
					f.Detail = fmt.Sprintf("its %s is neither 0 nor 1", col.name)
				}
				if err == nil {
					out = append(out, f)
				}
				return err
			})
	})
	return out, err
}
