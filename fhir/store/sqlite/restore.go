package sqlite

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// Restore implements store.Transferer, in one transaction a call.
func (db *DB) Restore(ctx context.Context, rs []*store.Archived) error {
	return db.submit(ctx, func(t *txn) error {
		for _, a := range rs {
			if err := t.restore(a); err != nil {
				return fmt.Errorf("restore %s: %w", a.Key, err)
			}
		}
		return nil
	})
}

// Forget implements store.Transferer: nothing is ever left.
func (db *DB) Forget(ctx context.Context, _ []store.Key) error { return ctx.Err() }

func (t *txn) restore(a *store.Archived) error {
	if len(a.Versions) == 0 {
		return invalid("no versions")
	}
	last := a.Versions[len(a.Versions)-1]
	w := &store.Write{Record: *last, Claims: a.Claims}
	w.Key = a.Key
	if err := w.Check(); err != nil {
		return err
	}
	p := pending{write: w}
	if _, err := t.one(t.ctx, `SELECT rid, version FROM head WHERE type = ? AND id = ?`, []any{a.Key.Type, a.Key.ID}, &p.rid, &p.was); err != nil {
		return err
	}
	if a.Complete && p.was > last.Version {
		return fmt.Errorf("%w: version %d is there, beyond the newest one, %d", store.ErrConflict, p.was, last.Version)
	}
	for _, rec := range a.Versions {
		if err := t.restoreVersion(&p, a.Key, rec); err != nil {
			return err
		}
	}
	if !a.Complete {
		return nil
	}
	if _, err := t.index(&p); err != nil {
		return err
	}
	if err := t.exec(t.ctx, `UPDATE head SET claims = ? WHERE rid = ?`, claimList(w), p.rid); err != nil {
		return err
	}
	if err := t.releaseClaims(&p); err != nil {
		return err
	}
	return t.moveClaims(&p)
}

// moveClaims takes the claims that a restored resource makes, whoever holds them.
func (t *txn) moveClaims(p *pending) error {
	if p.write.Deleted {
		return nil
	}
	for _, c := range p.write.Claims {
		err := t.exec(t.ctx, `INSERT INTO claim (claim, rid) VALUES (?, ?) ON CONFLICT (claim) DO UPDATE SET rid = excluded.rid`, blob(c), p.rid)
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreVersion puts the version that follows the head, or compares one that is
// there already.
func (t *txn) restoreVersion(p *pending, k store.Key, rec *store.Record) error {
	updated := resource.FormatInstant(rec.LastUpdated)
	if rec.Version <= p.was {
		origin, labels, err := encodeBeside(rec)
		if err != nil {
			return err
		}
		want := versionSum(k, rec.Version, updated, rec.Deleted, origin, labels, rec.LabelSet, rec.Raw)
		n := 0
		found, err := t.one(t.ctx, `SELECT 1 FROM version WHERE rid = ? AND version = ? AND sum = ? AND raw = ?`,
			[]any{p.rid, rec.Version, want, blob(rec.Raw)}, &n)
		if err == nil && !found {
			err = fmt.Errorf("%w: its version %d is another here", store.ErrConflict, rec.Version)
		}
		return err
	}
	if rec.Version != p.was+1 {
		return invalid("version %d cannot follow version %d", rec.Version, p.was)
	}
	if p.was == 0 {
		rid, err := t.insert(t.ctx, `INSERT INTO head (type, id, version, vid, updated, deleted) VALUES (?, ?, 0, 0, ?, 1)`, k.Type, k.ID, updated)
		if err != nil {
			return err
		}
		p.rid = rid
	}
	vid, err := t.insertVersion(p.rid, k, rec.Version, updated, rec)
	if err != nil {
		return err
	}
	p.was = rec.Version
	return t.exec(t.ctx, `UPDATE head SET version = ?, vid = ?, updated = ?, deleted = ? WHERE rid = ?`,
		rec.Version, vid, updated, rec.Deleted, p.rid)
}

// RestoreFacts implements store.Transferer.
func (db *DB) RestoreFacts(ctx context.Context, fs []store.Fact) error {
	return db.submit(ctx, func(t *txn) error {
		var highest int64
		for _, f := range fs {
			if err := t.restoreFact(f); err != nil {
				return err
			}
			highest = max(highest, f.Version)
		}
		return t.raiseFactVersion(highest)
	})
}

func (t *txn) restoreFact(f store.Fact) error {
	if f.Key == "" || f.Version < 1 {
		return invalid("fact %q of version %d", f.Key, f.Version)
	}
	if !f.Expires.IsZero() && !f.Expires.After(t.db.now()) {
		return t.exec(t.ctx, `DELETE FROM fact WHERE key = ?`, blob(f.Key))
	}
	expires := store.Nanos(f.Expires)
	return t.exec(t.ctx, `INSERT OR REPLACE INTO fact (`+factColumns+`) VALUES (?, ?, ?, ?, ?)`,
		blob(f.Key), blob(f.Value), f.Version, expires, factSum([]byte(f.Key), f.Value, f.Version, expires))
}

// DropFacts implements store.Transferer.
func (db *DB) DropFacts(ctx context.Context, keys []string) error {
	return db.submit(ctx, func(t *txn) error {
		for _, key := range keys {
			if err := t.exec(t.ctx, `DELETE FROM fact WHERE key = ?`, blob(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// FactVersion implements store.Transferer.
func (db *DB) FactVersion(ctx context.Context) (int64, error) {
	var v int64
	err := db.read(ctx, func(s *session) error {
		found, err := s.one(ctx, `SELECT last FROM counter WHERE name = 'fact'`, nil, &v)
		if err == nil && !found {
			err = db.lacksCounter()
		}
		return err
	})
	return v, err
}

// lacksCounter is of a file without the counter of facts' versions: it is made with the
// file, and one that began again would give versions twice.
func (db *DB) lacksCounter() error {
	return fmt.Errorf("%s: %w: the counter of facts' versions is gone", db.path, store.ErrDamaged)
}

// RaiseFactVersion implements store.Transferer.
func (db *DB) RaiseFactVersion(ctx context.Context, v int64) error {
	return db.submit(ctx, func(t *txn) error { return t.raiseFactVersion(v) })
}

func (t *txn) raiseFactVersion(v int64) error {
	return t.exec(t.ctx, `UPDATE counter SET last = max(last, ?) WHERE name = 'fact'`, v)
}

// RestoreEntries implements store.Transferer.
func (db *DB) RestoreEntries(ctx context.Context, stream string, es []store.Entry) error {
	if stream == "" {
		return invalid("a stream without a name")
	}
	return db.submit(ctx, func(t *txn) error {
		if err := t.exec(t.ctx, `INSERT INTO stream (name, last) VALUES (?, 0) ON CONFLICT DO NOTHING`, blob(stream)); err != nil {
			return err
		}
		var sid int64
		var last uint64
		if _, err := t.one(t.ctx, `SELECT sid, last FROM stream WHERE name = ?`, []any{blob(stream)}, &sid, &last); err != nil {
			return err
		}
		for _, e := range es {
			if err := t.restoreEntry(sid, last, stream, e); err != nil {
				return fmt.Errorf("restore entry %d of stream %q: %w", e.Seq, stream, err)
			}
			last = max(last, e.Seq)
		}
		return t.exec(t.ctx, `UPDATE stream SET last = ? WHERE sid = ?`, int64(last), sid)
	})
}

func (t *txn) restoreEntry(sid int64, last uint64, stream string, e store.Entry) error {
	at := store.Nanos(e.At)
	sum := entrySum(e.Seq, at, stream, e.Data)
	switch {
	case e.Seq == 0 || e.Seq > last+1:
		return invalid("it cannot follow entry %d", last)
	case e.Seq == last+1:
		return t.exec(t.ctx, `INSERT INTO log (sid, seq, at, data, sum) VALUES (?, ?, ?, ?, ?)`, sid, int64(e.Seq), at, blob(e.Data), sum)
	}
	n := 0
	found, err := t.one(t.ctx, `SELECT 1 FROM log WHERE sid = ? AND seq = ? AND sum = ? AND data = ?`,
		[]any{sid, int64(e.Seq), sum, blob(e.Data)}, &n)
	if err == nil && !found {
		err = fmt.Errorf("%w: it is another here", store.ErrConflict)
	}
	return err
}

// RestorePositions implements store.Transferer.
func (db *DB) RestorePositions(ctx context.Context, s store.Stream) error {
	return db.submit(ctx, func(t *txn) error {
		for reader, seq := range s.Positions {
			var have uint64
			if _, err := t.one(t.ctx, `SELECT seq FROM position WHERE stream = ? AND reader = ?`, []any{blob(s.Name), blob(reader)}, &have); err != nil {
				return err
			}
			if have > seq {
				return fmt.Errorf("restore the position of %q in stream %q: %w: it is further here, at %d", reader, s.Name, store.ErrConflict, have)
			}
			err := t.exec(t.ctx, `INSERT INTO position (stream, reader, seq) VALUES (?, ?, ?) ON CONFLICT (stream, reader) DO UPDATE SET seq = excluded.seq`,
				blob(s.Name), blob(reader), int64(seq))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
