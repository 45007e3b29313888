package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/handoff-health/handoff/fhir/store"
)

// versionColumns are what a versionRow scans, of a row v of version.
const versionColumns = `v.version, v.updated, v.deleted, v.origin, v.labels, v.labelset, v.raw, v.sum`

type versionRow struct {
	version        int64
	updated        string
	deleted        bool
	origin, labels []byte
	labelSet       string
	raw            []byte
	sum            int64
}

func (r *versionRow) fields() []any {
	return []any{&r.version, &r.updated, &r.deleted, &r.origin, &r.labels, &r.labelSet, &r.raw, &r.sum}
}

// record checks the row against its checksum and makes a record of it.
func (db *DB) record(k store.Key, r *versionRow) (*store.Record, error) {
	what := fmt.Sprintf("%s version %d", k, r.version)
	if r.sum != versionSum(k, r.version, r.updated, r.deleted, r.origin, r.labels, r.labelSet, r.raw) {
		return nil, db.damaged(what)
	}
	rec := &store.Record{Key: k, Version: r.version, Deleted: r.deleted, LabelSet: r.labelSet}
	var err error
	if rec.LastUpdated, err = parseInstant(r.updated); err != nil {
		return nil, fmt.Errorf("%s: %w: %s: %w", db.path, store.ErrDamaged, what, err)
	}
	if err := json.Unmarshal(r.origin, &rec.Origin); err != nil {
		return nil, fmt.Errorf("%s: %w: origin of %s: %w", db.path, store.ErrDamaged, what, err)
	}
	if err := json.Unmarshal(r.labels, &rec.Labels); err != nil {
		return nil, fmt.Errorf("%s: %w: labels of %s: %w", db.path, store.ErrDamaged, what, err)
	}
	if len(rec.Labels) == 0 {
		rec.Labels = nil
	}
	if !r.deleted {
		rec.Raw = r.raw
	}
	return rec, nil
}

// Read returns the newest version with its index entries.
func (db *DB) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	var rec *store.Record
	err := db.snapshot(ctx, func(s *session) error {
		var (
			row versionRow
			rid int64
		)
		found, err := s.one(ctx, `SELECT h.rid, `+versionColumns+` FROM head h CROSS JOIN version v ON v.vid = h.vid WHERE h.type = ? AND h.id = ?`,
			[]any{k.Type, k.ID}, append([]any{&rid}, row.fields()...)...)
		if err != nil {
			return err
		}
		if !found {
			return db.missing(ctx, s, k)
		}
		if rec, err = db.record(k, &row); err != nil {
			return err
		}
		rec.Index, err = entriesOf(ctx, s, rid)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// missing tells a resource that never was from a head that has lost its
// version, which is damage.
func (db *DB) missing(ctx context.Context, s *session, k store.Key) error {
	found, err := s.one(ctx, `SELECT 1 FROM head WHERE type = ? AND id = ?`, []any{k.Type, k.ID}, new(int))
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%s: %w: %s has lost its newest version", db.path, store.ErrDamaged, k)
	}
	return fmt.Errorf("%s: %w", k, store.ErrNotFound)
}

func entriesOf(ctx context.Context, s *session, rid int64) ([]string, error) {
	var out []string
	err := s.each(ctx, `SELECT p.name, e.value FROM entry e INDEXED BY entry_of CROSS JOIN param p ON p.pid = e.pid WHERE e.rid = ? ORDER BY p.name, e.value`,
		[]any{rid}, func(scan func(...any) error) error {
			var name, value []byte
			if err := scan(&name, &value); err != nil {
				return err
			}
			out = append(out, string(name)+"|"+string(value))
			return nil
		})
	return out, err
}

// ReadVersion returns one version.
func (db *DB) ReadVersion(ctx context.Context, k store.Key, version int64) (*store.Record, error) {
	if version < 1 || version == math.MaxInt64 { // none has such a number
		return nil, fmt.Errorf("%s version %d: %w", k, version, store.ErrNotFound)
	}
	recs, err := db.History(ctx, k, version+1, 1)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 || recs[0].Version != version {
		return nil, fmt.Errorf("%s version %d: %w", k, version, store.ErrNotFound)
	}
	return recs[0], nil
}

// History returns the versions that the head reaches, newest first.
func (db *DB) History(ctx context.Context, k store.Key, before int64, limit int) ([]*store.Record, error) {
	if limit < 1 || before < 0 {
		return nil, invalid("history of %s before %d, limit %d", k, before, limit)
	}
	var recs []*store.Record
	err := db.snapshot(ctx, func(s *session) error {
		if before == 0 {
			before = 1<<63 - 1
		}
		err := s.each(ctx, `SELECT `+versionColumns+` FROM head h CROSS JOIN version v ON v.rid = h.rid AND v.version <= h.version AND v.version < ?
			WHERE h.type = ? AND h.id = ? ORDER BY v.version DESC LIMIT ?`,
			[]any{before, k.Type, k.ID, limit}, func(scan func(...any) error) error {
				var row versionRow
				if err := scan(row.fields()...); err != nil {
					return err
				}
				rec, err := db.record(k, &row)
				recs = append(recs, rec)
				return err
			})
		if err != nil || len(recs) > 0 {
			return err
		}
		if found, err := s.one(ctx, `SELECT 1 FROM head WHERE type = ? AND id = ?`, []any{k.Type, k.ID}, new(int)); err != nil || found {
			return err
		}
		return fmt.Errorf("%s: %w", k, store.ErrNotFound)
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}
