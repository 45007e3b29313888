package sqlite

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

func entrySum(seq uint64, at int64, stream string, data []byte) int64 {
	return store.Checksum(fmt.Sprintf("log/%d/%d", seq, at), []byte(stream), data)
}

// Append adds entries to the end of a stream.
func (db *DB) Append(ctx context.Context, stream string, data ...[]byte) (uint64, error) {
	if stream == "" || len(data) == 0 {
		return 0, invalid("append %d entries to stream %q", len(data), stream)
	}
	var first uint64
	err := db.submit(ctx, func(t *txn) error {
		if err := t.exec(t.ctx, `INSERT INTO stream (name, last) VALUES (?, 0) ON CONFLICT DO NOTHING`, blob(stream)); err != nil {
			return err
		}
		var sid, last int64
		_, err := t.one(t.ctx, `UPDATE stream SET last = last + ? WHERE name = ? RETURNING sid, last`,
			[]any{len(data), blob(stream)}, &sid, &last)
		if err != nil {
			return err
		}
		first = uint64(last) - uint64(len(data)) + 1
		at := db.now().UnixNano()
		for i, d := range data {
			seq := first + uint64(i)
			err := t.exec(t.ctx, `INSERT INTO log (sid, seq, at, data, sum) VALUES (?, ?, ?, ?, ?)`,
				sid, int64(seq), at, blob(d), entrySum(seq, at, stream, d))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return first, nil
}

// ReadFrom returns entries of a stream; none of one that never was.
func (db *DB) ReadFrom(ctx context.Context, stream string, from uint64, limit int) ([]store.Entry, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	if from > 1<<62 {
		return nil, nil
	}
	var out []store.Entry
	err := db.read(ctx, func(s *session) error {
		return s.each(ctx, `SELECT l.seq, l.at, l.data, l.sum FROM stream s CROSS JOIN log l ON l.sid = s.sid WHERE s.name = ? AND l.seq >= ? ORDER BY l.seq LIMIT ?`,
			[]any{blob(stream), int64(from), limit}, func(scan func(...any) error) error {
				var (
					e       store.Entry
					at, sum int64
				)
				if err := scan(&e.Seq, &at, &e.Data, &sum); err != nil {
					return err
				}
				if sum != entrySum(e.Seq, at, stream, e.Data) {
					return db.damaged(fmt.Sprintf("entry %d of stream %q", e.Seq, stream))
				}
				if len(out) > 0 && e.Seq != out[len(out)-1].Seq+1 {
					return fmt.Errorf("%s: %w: stream %q lacks entry %d", db.path, store.ErrDamaged, stream, out[len(out)-1].Seq+1)
				}
				e.At = store.FromNanos(at)
				out = append(out, e)
				return nil
			})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Checkpoint moves a reader's position forwards.
func (db *DB) Checkpoint(ctx context.Context, stream, reader string, seq uint64) error {
	if stream == "" || reader == "" || seq > 1<<62 {
		return invalid("position %d of reader %q in stream %q", seq, reader, stream)
	}
	return db.submit(ctx, func(t *txn) error {
		return t.exec(t.ctx, `INSERT INTO position (stream, reader, seq) VALUES (?, ?, ?) ON CONFLICT (stream, reader) DO UPDATE SET seq = max(seq, excluded.seq)`,
			blob(stream), blob(reader), int64(seq))
	})
}

// Position returns how far a reader has come.
func (db *DB) Position(ctx context.Context, stream, reader string) (uint64, error) {
	var seq uint64
	err := db.read(ctx, func(s *session) error {
		_, err := s.one(ctx, `SELECT seq FROM position WHERE stream = ? AND reader = ?`, []any{blob(stream), blob(reader)}, &seq)
		return err
	})
	return seq, err
}
