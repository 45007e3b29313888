package sqlite

import (
	"context"
	"errors"
	"fmt"

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
	var se *moderncsqlite.Error
	if !errors.As(err, &se) {
		return err
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
