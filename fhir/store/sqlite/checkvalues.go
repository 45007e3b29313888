package sqlite

import (
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// SQLite keeps in a column what it is given, of whatever kind. A row whose value is not
// of its column's kind cannot be read, and one whose key is not is found by nobody.

// A column is one that must hold a kind of value.
type column struct{ name, kind string }

// valued are the columns of each table that the check reads, and the row's place.
var valued = []struct {
	table, place string
	columns      []column
}{
	{"head", "rid", integers("version", "vid", "deleted")},
	{"version", "vid", integers("rid", "version", "deleted", "sum")},
	{"fact", "key", append(integers("version", "expires", "sum"), column{"key", "blob"})},
	{"stream", "sid", append(integers("last"), column{"name", "blob"})},
	{"log", "sid || '/' || seq", integers("sid", "seq", "at", "sum")},
	{"position", "stream || '/' || reader", append(integers("seq"), column{"stream", "blob"}, column{"reader", "blob"})},
}

func integers(names ...string) (out []column) {
	for _, name := range names {
		out = append(out, column{name, "integer"})
	}
	return out
}

// readable is the condition, after another, that leaves out rows that values reports.
func readable(table string) string {
	var b strings.Builder
	for _, x := range valued {
		if x.table == table {
			for _, col := range x.columns {
				fmt.Fprintf(&b, " AND typeof(%s) = '%s'", col.name, col.kind)
			}
		}
	}
	return b.String()
}

// values looks for rows that cannot be read. What they said nobody can tell.
func (c *checker) values() error {
	for _, x := range valued {
		for _, col := range x.columns {
			err := c.read(c.ctx, func(s *session) error {
				return s.each(c.ctx, fmt.Sprintf(`SELECT CAST(%s AS BLOB), typeof(%s) FROM %s WHERE typeof(%[2]s) <> '%[4]s'`, x.place, col.name, x.table, col.kind), nil,
					func(scan func(...any) error) error {
						var place []byte
						var kind string
						err := scan(&place, &kind)
						if err == nil {
							c.found(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("row %q of %s", place, x.table), Detail: fmt.Sprintf("its %s is %s, not %s", col.name, kind, col.kind)})
						}
						return err
					})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
