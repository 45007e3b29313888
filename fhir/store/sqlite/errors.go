package sqlite

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum guards stored bytes and the name they stand under, so that bytes of
// one row never pass for another's.
func checksum(name string, parts ...[]byte) int64 {
	sum := crc32.Update(0, castagnoli, []byte(name))
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, []byte{0})
		sum = crc32.Update(sum, castagnoli, p)
	}
	return int64(sum)
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

// Times of facts and log entries are kept as nanoseconds, 0 for never.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
