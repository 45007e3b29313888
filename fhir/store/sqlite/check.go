package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

var _ store.Checker = (*DB)(nil)

// A checker is one run of CheckStore. It reads in pieces, each of one state, and
// mends in the writer, where what was found is looked at again: so others may use
// the store meanwhile.
type checker struct {
	*DB
	ctx         context.Context
	o           store.CheckOptions
	found       func(store.Finding)
	done, total int64
	astray      map[int64]bool        // numbers of heads whose versions stand under another number
	back        map[store.Key][]int64 // versions that belong to a resource and stand elsewhere
}

// CheckStore implements store.Checker.
func (db *DB) CheckStore(ctx context.Context, o store.CheckOptions, found func(store.Finding)) error {
	c := &checker{DB: db, ctx: ctx, o: o, found: found, astray: map[int64]bool{}, back: map[store.Key][]int64{}}
	if whole, err := c.tables(); err != nil || !whole {
		return err
	}
	z, err := db.Sizes(ctx)
	if err != nil && !errors.Is(err, store.ErrDamaged) { // the bar alone needs it
		return err
	}
	c.total = z.Resources + z.Facts + z.Entries
	for _, part := range []func() error{c.file, c.schema, c.triggers, c.values, c.strays, c.heads, c.ownerless, c.facts, c.streams} {
		switch err := part(); {
		case errors.Is(err, store.ErrDamaged): // so damaged that this part cannot be looked at
			c.found(store.Finding{Kind: store.FoundDamaged, What: "the file", Detail: err.Error()})
		case err != nil:
			return err
		}
	}
	return nil
}

// looked tells of progress.
func (c *checker) looked(n int) {
	if c.done += int64(n); c.o.Progress != nil {
		c.o.Progress(c.done, max(c.done, c.total))
	}
}

// mend runs do in the writer if things are to be mended, and reports what was found
// with its outcome. do says whether it has put things right; what it cannot it
// leaves.
func (c *checker) mend(f store.Finding, do func(*txn) (bool, error)) error {
	if c.o.Repair && do != nil {
		err := c.submit(c.ctx, func(t *txn) (err error) {
			f.Mended, err = do(t)
			return err
		})
		if err != nil {
			return fmt.Errorf("mend %s (%s): %w", f.What, f.Kind, err)
		}
	}
	c.found(f)
	return nil
}

// file asks SQLite itself. Indexes are made anew from their tables; nothing else can
// be.
func (c *checker) file() error {
	problems, err := c.integrity()
	if err != nil || len(problems) == 0 {
		return err
	}
	mended := false
	if c.o.Repair {
		err := c.submit(c.ctx, func(t *txn) error { return t.exec(t.ctx, "REINDEX") })
		left, again := c.integrity()
		if again != nil {
			return again
		}
		if mended = err == nil && len(left) == 0; !mended {
			problems = left
		}
	}
	for _, p := range problems {
		c.found(store.Finding{Kind: store.FoundDamaged, What: "the file", Detail: p, Mended: mended})
	}
	return nil
}

func (c *checker) integrity() (problems []string, err error) {
	err = c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, "PRAGMA integrity_check(100)", nil, func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			if line != "ok" {
				problems = append(problems, line)
			}
			return err
		})
	})
	if errors.Is(err, store.ErrDamaged) { // so damaged that the check ends
		return []string{err.Error()}, nil
	}
	return problems, err
}

// schema compares the file's indexes with those of the layout.
func (c *checker) schema() error {
	want, err := inLayout(c.ctx, indexQuery)
	if err != nil {
		return err
	}
	have := map[string]string{}
	if err := c.read(c.ctx, func(s *session) (err error) { have, err = named(c.ctx, s, indexQuery); return err }); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f := store.Finding{Kind: store.FoundMissingIndex, What: name}
		switch have[name] {
		case want[name]:
			continue
		case "":
			f.Detail = "it is not there"
		default:
			f.Detail = "its definition is another"
		}
		if err := c.mend(f, func(t *txn) (bool, error) { return t.makeIndex(name, want[name]) }); err != nil {
			return err
		}
	}
	return nil
}

// makeIndex makes an index. Where rows are in the way of a unique one it cannot be
// made, and the one that was there stays.
func (t *txn) makeIndex(name, text string) (bool, error) {
	if err := t.exec(t.ctx, "SAVEPOINT make_index"); err != nil {
		return false, err
	}
	_, err := t.conn.ExecContext(t.ctx, `DROP INDEX IF EXISTS "`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	if err == nil {
		_, err = t.conn.ExecContext(t.ctx, text)
	}
	made := err == nil
	if !made {
		if err := t.exec(t.ctx, "ROLLBACK TO make_index"); err != nil {
			return false, err
		}
	}
	return made, t.exec(t.ctx, "RELEASE make_index")
}

const indexQuery = `SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`

// inLayout answers a query for names in the newest layout, of an empty database that is
// made for it.
func inLayout(ctx context.Context, query string) (_ map[string]string, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, m := range migrations {
		if _, err := conn.ExecContext(ctx, m); err != nil {
			return nil, err
		}
	}
	return named(ctx, newSession(conn), query)
}
