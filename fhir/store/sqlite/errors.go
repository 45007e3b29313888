package sqlite

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	moderncsqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/handoff-health/handoff/fhir/store"
)

// explain wraps an error of the SQL layer with the store's own: damage, a lock
// or a full disk can be told apart by errors.Is. Errors of this package pass.
func (db *DB) explain(err error) error {
	if err == nil {
		return nil
	}
	var value *valueError
	if errors.As(err, &value) {
		return fmt.Errorf("%s: %w: %w", db.path, store.ErrDamaged, err)
	}
	var se *moderncsqlite.Error
	if !errors.As(err, &se) || strings.HasPrefix(err.Error(), db.path+": ") { // said already
		return err
	}
	if _, table, lacks := strings.Cut(se.Error(), "no such table: "); lacks { // SQLite has no code of its own for it
		table, _, _ = strings.Cut(table, " ")
		return fmt.Errorf("%s: %w: it has no table %s; restore it from a backup", db.path, store.ErrDamaged, table)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %w: %w", db.path, store.ErrDamaged, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: %w: %w", db.path, store.ErrLocked, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w: %w", db.path, store.ErrFull, err)
	case sqlite3.SQLITE_INTERRUPT:
		return fmt.Errorf("%s: %w", db.path, context.Canceled)
	}
	return fmt.Errorf("%s: %w", db.path, err)
}

// A valueError is of a row that holds a value of another kind than its column is of.
type valueError struct {
	query string
	err   error
}

var tablesOf = regexp.MustCompile(`(?:FROM|JOIN) ([a-z]+)`)

func (e *valueError) Error() string {
	var tables []string
	for _, m := range tablesOf.FindAllStringSubmatch(e.query, -1) {
		tables = append(tables, m[1])
	}
	_, column, _ := strings.Cut(e.err.Error(), "name ")
	column, _, _ = strings.Cut(column, ": ") // what follows shows the value
	return fmt.Sprintf("a row of %s has a value of another kind in its column %s", strings.Join(tables, ", "), column)
}

func (e *valueError) Unwrap() error { return e.err }

// scanned marks what database/sql says, in words alone, of a value that does not fit.
func scanned(query string, err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), "sql: Scan error") {
		return err
	}
	return &valueError{query, err}
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

func (db *DB) damaged(what string) error {
	return fmt.Errorf("%s: %w: the checksum of %s does not fit", db.path, store.ErrDamaged, what)
}

// blob gives SQLite an empty value rather than NULL for empty bytes.
func blob[T ~string | ~[]byte](v T) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	return []byte(v)
}
