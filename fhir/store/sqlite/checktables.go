package sqlite

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// tables compares the file's tables and their columns with those of the layout. Without
// one of them nothing else can be looked at, and nobody can tell what stood there.
func (c *checker) tables() (whole bool, err error) {
	want, err := inLayout(c.ctx, columnQuery)
	if err != nil {
		return false, err
	}
	have := map[string]string{}
	if err := c.read(c.ctx, func(s *session) (err error) { have, err = named(c.ctx, s, columnQuery); return err }); err != nil {
		return false, err
	}
	whole = true
	for _, table := range slices.Sorted(maps.Keys(want)) {
		f := store.Finding{Kind: store.FoundDamaged, What: "the table " + table}
		has := strings.Fields(have[table])
		lacks := slices.DeleteFunc(strings.Fields(want[table]), func(col string) bool { return slices.Contains(has, col) })
		switch {
		case len(lacks) == 0:
			continue
		case len(has) == 0:
			f.Detail = "it is not there; nothing else was looked at"
		default:
			f.Detail = fmt.Sprintf("it lacks the column %s; nothing else was looked at", strings.Join(lacks, ", "))
		}
		whole = false
		c.found(f)
	}
	return whole, nil
}

const columnQuery = `SELECT m.name, group_concat(p.name, ' ') FROM sqlite_schema m, pragma_table_info(m.name) p WHERE m.type = 'table' GROUP BY m.name`

// triggers looks for what changes rows behind the store's back: it has none.
func (c *checker) triggers() error {
	return c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, `SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name`, nil, func(scan func(...any) error) error {
			var name, table string
			err := scan(&name, &table)
			if err == nil {
				c.found(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("the trigger %q", name), Detail: "it changes what is written to " + table + ", and is none of the store's; drop it"})
			}
			return err
		})
	})
}

// named reads names with what is said of each.
func named(ctx context.Context, s *session, query string) (map[string]string, error) {
	out := map[string]string{}
	err := s.each(ctx, query, nil, func(scan func(...any) error) error {
		var name, text string
		err := scan(&name, &text)
		out[name] = text
		return err
	})
	return out, err
}
