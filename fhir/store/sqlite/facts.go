package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

const factColumns = `key, value, version, expires, sum`

func factSum(key, value []byte, version, expires int64) int64 {
	return store.Checksum(fmt.Sprintf("fact/%d/%d", version, expires), key, value)
}

// scanFact reads a row of factColumns.
func (db *DB) scanFact(scan func(...any) error) (store.Fact, error) {
	var (
		key, value   []byte
		expires, sum int64
		f            store.Fact
	)
	if err := scan(&key, &value, &f.Version, &expires, &sum); err != nil {
		return f, err
	}
	if sum != factSum(key, value, f.Version, expires) {
		return f, db.damaged(fmt.Sprintf("fact %q", key))
	}
	f.Key, f.Value, f.Expires = string(key), value, store.FromNanos(expires)
	return f, nil
}

// fact reads one fact that has not expired. Its checksum is looked at before its expiry,
// which may be what is damaged.
func (db *DB) fact(ctx context.Context, s *session, key string) (f store.Fact, found bool, err error) {
	now := db.now()
	err = s.each(ctx, `SELECT `+factColumns+` FROM fact WHERE key = ?`,
		[]any{blob(key)}, func(scan func(...any) error) (err error) {
			f, err = db.scanFact(scan)
			found = alive(f, now)
			return err
		})
	return f, found, err
}

func alive(f store.Fact, now time.Time) bool { return f.Expires.IsZero() || f.Expires.After(now) }

// Get returns a fact.
func (db *DB) Get(ctx context.Context, key string) (store.Fact, error) {
	var f store.Fact
	err := db.read(ctx, func(s *session) (err error) {
		var found bool
		if f, found, err = db.fact(ctx, s, key); err == nil && !found {
			err = fmt.Errorf("fact %q: %w", key, store.ErrNotFound)
		}
		return err
	})
	return f, err
}

// gathered is the most keys that one statement of Gather asks for.
const gathered = 8

// gatherFacts are the statements of Gather, by number of keys less one. They look
// each key up by itself: an IN would be planned anew for each set of values.
var gatherFacts = func() (out [gathered]string) {
	for i := range out {
		out[i] = strings.Join(slices.Repeat([]string{`SELECT ` + factColumns + ` FROM fact WHERE key = ?`}, i+1), ` UNION ALL `)
	}
	return out
}()

// Gather implements store.Gatherer.
func (db *DB) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	var out []store.Fact
	now := db.now()
	err := db.read(ctx, func(s *session) error {
		for some := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(keys))), gathered) {
			args := make([]any, len(some))
			for i, key := range some {
				args[i] = blob(key)
			}
			err := s.each(ctx, gatherFacts[len(some)-1], args, func(scan func(...any) error) error {
				f, err := db.scanFact(scan)
				if err == nil && alive(f, now) {
					out = append(out, f)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (db *DB) checkFact(key string, expires time.Time) error {
	if key == "" {
		return invalid("a fact without a key")
	}
	if expires.Year() > 2261 { // nanoseconds since 1970 end in 2262
		return invalid("fact %q would expire in %d; give the zero time for never", key, expires.Year())
	}
	if !expires.IsZero() && !expires.After(db.now()) {
		return invalid("fact %q would have expired at %s", key, expires.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// PutIfAbsent makes a fact that is not there or has expired.
func (db *DB) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := db.checkFact(key, expires); err != nil {
		return store.Fact{}, err
	}
	var f store.Fact
	err := db.submit(ctx, func(t *txn) error {
		_, found, err := db.fact(t.ctx, t.session, key)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("fact %q: %w", key, store.ErrExists)
		}
		f, err = t.putFact(key, value, expires)
		return err
	})
	return f, err
}

// CompareAndSet replaces a fact that still has this version.
func (db *DB) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := db.checkFact(key, expires); err != nil {
		return store.Fact{}, err
	}
	var f store.Fact
	err := db.submit(ctx, func(t *txn) error {
		old, found, err := db.fact(t.ctx, t.session, key)
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("fact %q is not there, expected version %d: %w", key, version, store.ErrConflict)
		case old.Version != version:
			return fmt.Errorf("fact %q is at version %d, not %d: %w", key, old.Version, version, store.ErrConflict)
		}
		f, err = t.putFact(key, value, expires)
		return err
	})
	return f, err
}

// putFact writes a fact under a version that was never given before.
func (t *txn) putFact(key string, value []byte, expires time.Time) (store.Fact, error) {
	f := store.Fact{Key: key, Value: value, Expires: store.FromNanos(store.Nanos(expires))}
	found, err := t.one(t.ctx, `UPDATE counter SET last = last + 1 WHERE name = 'fact' RETURNING last`, nil, &f.Version)
	if err == nil && !found {
		err = t.db.lacksCounter()
	}
	if err != nil {
		return store.Fact{}, err
	}
	err = t.exec(t.ctx, `INSERT INTO fact (`+factColumns+`) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires, sum = excluded.sum`,
		blob(key), blob(value), f.Version, store.Nanos(expires), factSum([]byte(key), value, f.Version, store.Nanos(expires)))
	if err != nil {
		return store.Fact{}, err
	}
	return f, nil
}

// Delete removes a fact if it is there.
func (db *DB) Delete(ctx context.Context, key string) error {
	return db.submit(ctx, func(t *txn) error {
		return t.exec(t.ctx, `DELETE FROM fact WHERE key = ?`, blob(key))
	})
}

// errEnough ends a list whose rows are filtered after they are read.
var errEnough = errors.New("enough")

// Scan returns facts by key. As of one fact, it reads the checksum first.
func (db *DB) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	cond, args := condition(plan.Prefix(prefix), "key")
	args = append(args, blob(after))
	now := db.now()
	var out []store.Fact
	err := db.read(ctx, func(s *session) error {
		if prefix == "" && after == "" {
			if err := db.keyed(ctx, s); err != nil {
				return err
			}
		}
		return s.each(ctx, `SELECT `+factColumns+` FROM fact WHERE `+cond+` AND key > ? ORDER BY key`, args, func(scan func(...any) error) error {
			f, err := db.scanFact(scan)
			if err != nil || !alive(f, now) {
				return err
			}
			if out = append(out, f); len(out) == limit {
				return errEnough
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return out, nil
}

// sweepSlice bounds how long one Sweep keeps the writer from others.
const sweepSlice = 1000

// Sweep removes expired facts. One that is damaged stays: its expiry may be what is.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	var expires int64
	var key []byte
	for total := 0; ; {
		seen, removed := 0, 0
		err := db.submit(ctx, func(t *txn) (err error) {
			expires, key, seen, removed, err = t.sweep(expires, blob(key))
			return err
		})
		total += removed
		if err != nil || seen < sweepSlice {
			return total, err
		}
	}
}

// sweep removes a slice of the expired facts after one, and says how far it came.
func (t *txn) sweep(expires int64, after []byte) (to int64, last []byte, seen, removed int, err error) {
	to, last = expires, after
	var keys [][]byte
	err = t.each(t.ctx, `SELECT `+factColumns+` FROM fact WHERE expires > 0 AND expires <= ? AND (expires, key) > (?, ?)`+readable("fact")+` ORDER BY expires, key LIMIT ?`,
		[]any{t.db.now().UnixNano(), expires, after, sweepSlice}, func(scan func(...any) error) error {
			var key, value []byte
			var version, sum int64
			err := scan(&key, &value, &version, &to, &sum)
			if last, seen = key, seen+1; sum == factSum(key, value, version, to) {
				keys = append(keys, key)
			}
			return err
		})
	for _, key := range keys {
		if err == nil {
			err = t.exec(t.ctx, `DELETE FROM fact WHERE key = ?`, key)
		}
	}
	return to, last, seen, len(keys), err
}

func (db *DB) sweepEvery(d time.Duration) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-db.closing:
			return
		case <-tick.C:
			// An expired fact is absent whether swept or not; the next round
			// tries again.
			_, _ = db.Sweep(context.Background())
			// What anybody has removed since stands in the log no longer than that.
			_ = db.eraseOwed(context.Background())
		}
	}
}
