package sqlite

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// What a copy lists it lists by heads and by streams. What neither reaches would be left
// out, and the comparison, which lists the same way, would not miss it. A writer makes
// versions with their head and entries with their stream, so there is nothing of the
// kind but by damage: it is refused then.

// Unlisted implements store.Transferer. It reads one index of versions.
func (db *DB) Unlisted(ctx context.Context) error {
	return db.read(ctx, func(s *session) error {
		var rid, version, head int64
		found, err := s.one(ctx, `SELECT v.rid, v.version, coalesce(h.version, -1) FROM version v LEFT JOIN head h ON h.rid = v.rid
			WHERE h.rid IS NULL OR v.version > h.version LIMIT 1`, nil, &rid, &version, &head)
		switch {
		case err != nil || !found:
			return err
		case head < 0:
			return db.unreached(fmt.Sprintf("version %d of row %d has no head", version, rid))
		}
		return db.unreached(fmt.Sprintf("version %d of row %d is beyond its head, which stands at %d", version, rid, head))
	})
}

// streamed is asked by lists of streams. It goes from each stream's first entry to the
// next stream's.
func (db *DB) streamed(ctx context.Context, s *session, after string) error {
	if after != "" {
		return nil
	}
	var sid int64
	found, err := s.one(ctx, `WITH RECURSIVE kept (sid) AS (
			SELECT min(sid) FROM log UNION ALL SELECT (SELECT min(sid) FROM log WHERE sid > kept.sid) FROM kept WHERE kept.sid IS NOT NULL)
		SELECT sid FROM kept WHERE sid IS NOT NULL AND sid NOT IN (SELECT sid FROM stream) LIMIT 1`, nil, &sid)
	if err != nil || !found {
		return err
	}
	return db.unreached(fmt.Sprintf("entries of the log in row %d have no stream", sid))
}

// keyed is asked by lists of all facts. A key of another kind than bytes stands before
// all that are.
func (db *DB) keyed(ctx context.Context, s *session) error {
	var key []byte
	found, err := s.one(ctx, `SELECT key FROM fact WHERE key < x'' LIMIT 1`, nil, &key)
	if err != nil || !found {
		return err
	}
	return db.unreached(fmt.Sprintf("the key of fact %q is text, nobody finds it by it", key))
}

func (db *DB) unreached(what string) error {
	return fmt.Errorf("%s: %w: %s; 'handoff store check' lists all of it, and with --repair mends what can be", db.path, store.ErrDamaged, what)
}
