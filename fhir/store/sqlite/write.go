package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// Write does one compare-and-set.
func (db *DB) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	out, err := db.Apply(ctx, []store.Write{w})
	if err != nil {
		if we, ok := err.(*store.WriteError); ok { //nolint:errorlint // Apply returns it unwrapped
			return nil, we.Err
		}
		return nil, err
	}
	return out[0], nil
}

// Apply does several writes as one unit.
func (db *DB) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if err := store.CheckUnit(ws); err != nil {
		return nil, err
	}
	if len(ws) == 0 {
		return nil, ctx.Err()
	}
	out := make([]*store.Record, len(ws))
	err := db.submit(ctx, func(t *txn) error { return t.apply(ws, out) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A pending write is one of a unit with what its head was.
type pending struct {
	write *store.Write
	rid   int64
	was   int64 // version of the head; 0: none
	at    time.Time
}

// apply swings the heads first, then gives up and takes claims for the whole
// unit, so that writes of one unit may pass a claim on.
func (t *txn) apply(ws []store.Write, out []*store.Record) error {
	now := t.db.now().UTC().Truncate(time.Millisecond)
	ps := make([]pending, len(ws))
	fail := func(i int, err error) error {
		return &store.WriteError{Index: i, Key: ws[i].Key, Err: t.db.explain(err)}
	}
	for i := range ws {
		ps[i] = pending{write: &ws[i], at: now}
		if err := t.swing(&ps[i]); err != nil {
			return fail(i, err)
		}
		index, err := t.index(&ps[i])
		if err != nil {
			return fail(i, err)
		}
		rec := ws[i].Record
		rec.Version, rec.LastUpdated, rec.Index = ps[i].was+1, ps[i].at, index
		out[i] = &rec
	}
	for i := range ps {
		if err := t.releaseClaims(&ps[i]); err != nil {
			return fail(i, err)
		}
	}
	for i := range ps {
		if err := t.takeClaims(&ps[i]); err != nil {
			return fail(i, err)
		}
	}
	return nil
}

// swing writes the new version and moves the head to it, if the head is what
// the writer expects.
func (t *txn) swing(p *pending) error {
	w := p.write
	if err := t.expect(p); err != nil {
		return err
	}
	next, updated := p.was+1, resource.FormatInstant(p.at)
	if p.was == 0 {
		rid, err := t.insert(t.ctx, `INSERT INTO head (type, id, version, vid, updated, deleted) VALUES (?, ?, 0, 0, ?, 1)`,
			w.Type, w.ID, updated)
		if err != nil {
			return err
		}
		p.rid = rid
	}
	vid, err := t.insertVersion(p.rid, w.Key, next, updated, &w.Record)
	if err != nil {
		return err
	}
	n, err := t.change(t.ctx, `UPDATE head SET version = ?, vid = ?, updated = ?, deleted = ?, claims = ? WHERE rid = ? AND version = ?`,
		next, vid, updated, w.Deleted, claimList(w), p.rid, p.was)
	if err == nil && n != 1 {
		err = &store.VersionError{Key: w.Key, Expect: w.Expect, Have: p.was}
	}
	return err
}

// insertVersion writes one version and returns its number.
func (t *txn) insertVersion(rid int64, k store.Key, version int64, updated string, rec *store.Record) (int64, error) {
	origin, labels, err := encodeBeside(rec)
	if err != nil {
		return 0, err
	}
	return t.insert(t.ctx, `INSERT INTO version (rid, version, updated, deleted, origin, labels, labelset, raw, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		rid, version, updated, rec.Deleted, origin, labels, rec.LabelSet, blob(rec.Raw),
		versionSum(k, version, updated, rec.Deleted, origin, labels, rec.LabelSet, rec.Raw))
}

// encodeBeside encodes what is kept beside the content.
func encodeBeside(rec *store.Record) (origin, labels []byte, err error) {
	if origin, err = json.Marshal(rec.Origin); err != nil {
		return nil, nil, fmt.Errorf("encode the origin: %w", err)
	}
	labels = []byte("[]")
	if len(rec.Labels) > 0 {
		if labels, err = json.Marshal(rec.Labels); err != nil {
			return nil, nil, fmt.Errorf("encode the labels: %w", err)
		}
	}
	return origin, labels, nil
}

// expect reads the head into p and compares it with what the writer expects.
func (t *txn) expect(p *pending) error {
	w := p.write
	var (
		deleted bool
		updated string
	)
	found, err := t.one(t.ctx, `SELECT rid, version, deleted, updated FROM head WHERE type = ? AND id = ?`,
		[]any{w.Type, w.ID}, &p.rid, &p.was, &deleted, &updated)
	if err != nil {
		return err
	}
	if err := w.ExpectHead(p.was, deleted); err != nil {
		return err
	}
	// A clock that was set back must not let a newer version look older.
	if last, err := parseInstant(updated); found && err == nil && last.After(p.at) {
		p.at = last
	}
	return nil
}

// versionSum guards a row of version. It names the resource, so that rows that
// were swapped show.
func versionSum(k store.Key, version int64, updated string, deleted bool, origin, labels []byte, labelSet string, raw []byte) int64 {
	return store.Checksum(fmt.Sprintf("%s/%d/%s/%t", k, version, updated, deleted), origin, labels, []byte(labelSet), raw)
}

func parseInstant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

// Expunge removes every trace of a resource. The rows' own bytes are overwritten in the
// file and leave the write-ahead log before it returns, unless a reader holds an older
// state at that moment. Copies of them that stand where rows have once stood stay until
// Erase, which is owed from here on.
func (db *DB) Expunge(ctx context.Context, k store.Key) error {
	return db.submit(ctx, func(t *txn) error {
		var rid int64
		found, err := t.one(t.ctx, `SELECT rid FROM head WHERE type = ? AND id = ?`, []any{k.Type, k.ID}, &rid)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%s: %w", k, store.ErrNotFound)
		}
		t.wipe = true
		for _, table := range []string{"entry", "claim", "version", "head"} {
			if err := t.exec(t.ctx, "DELETE FROM "+table+" WHERE rid = ?", rid); err != nil {
				return err
			}
		}
		_, err = t.oweErase()
		return err
	})
}
