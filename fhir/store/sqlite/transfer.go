package sqlite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/handoff-health/handoff/fhir/store"
)

var _ store.Transferer = (*DB)(nil)

// stretchBytes is the content of one stretch of versions, about.
const stretchBytes = 4 << 20

// Identity implements store.Transferer: a random number beside the counters.
func (db *DB) Identity(ctx context.Context) (string, error) {
	var n int64
	look := func(s *session) (found bool, err error) {
		return s.one(ctx, `SELECT last FROM counter WHERE name = 'identity'`, nil, &n)
	}
	var found bool
	err := db.read(ctx, func(s *session) (err error) {
		found, err = look(s)
		return err
	})
	if err == nil && !found {
		err = db.submit(ctx, func(t *txn) error {
			var random [8]byte
			if _, err := rand.Read(random[:]); err != nil {
				return err
			}
			fresh := int64(binary.BigEndian.Uint64(random[:]) >> 1)
			if err := t.exec(t.ctx, `INSERT INTO counter (name, last) VALUES ('identity', ?) ON CONFLICT DO NOTHING`, fresh); err != nil {
				return err
			}
			_, err := look(t.session)
			return err
		})
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%016x", n), nil
}

// Sizes implements store.Transferer.
func (db *DB) Sizes(ctx context.Context) (store.Sizes, error) {
	var z store.Sizes
	err := db.read(ctx, func(s *session) error {
		_, err := s.one(ctx, `SELECT (SELECT count(*) FROM head), (SELECT count(*) FROM fact), (SELECT coalesce(sum(last), 0) FROM stream)`,
			nil, &z.Resources, &z.Facts, &z.Entries)
		return err
	})
	return z, err
}

// Keys implements store.Transferer.
func (db *DB) Keys(ctx context.Context, after store.Key, limit int) ([]store.Key, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	var out []store.Key
	err := db.read(ctx, func(s *session) error {
		return s.each(ctx, `SELECT type, id FROM head WHERE (type, id) > (?, ?) ORDER BY type, id LIMIT ?`,
			[]any{after.Type, after.ID, limit}, func(scan func(...any) error) error {
				var k store.Key
				err := scan(&k.Type, &k.ID)
				out = append(out, k)
				return err
			})
	})
	return out, err
}

// Marks implements store.Transferer.
func (db *DB) Marks(ctx context.Context, after store.Key, limit int) (out []store.Mark, err error) {
	err = db.snapshot(ctx, func(s *session) error {
		out, _, err = db.marks(ctx, s, after, limit)
		return err
	})
	return out, err
}

// Prints implements store.Transferer.
func (db *DB) Prints(ctx context.Context, after store.Key, limit int) (out []store.Print, err error) {
	err = db.snapshot(ctx, func(s *session) error {
		ms, rids, err := db.marks(ctx, s, after, limit)
		for i, m := range ms {
			if err != nil {
				break
			}
			p := store.Print{Mark: m}
			if p.Chain, err = chainOf(ctx, s, rids[i], m.Version); err == nil {
				out = append(out, p)
			}
		}
		return err
	})
	return out, err
}

// A chainSum is over what names versions of a resource, oldest first, and what guards
// their content.
type chainSum struct{ hash.Hash }

func newChainSum() chainSum { return chainSum{sha256.New()} }

func (c chainSum) add(version int64, updated string, deleted bool, sum int64) {
	fmt.Fprintf(c, "%d %s %t %d\n", version, updated, deleted, sum)
}

func (c chainSum) sum() (out [sha256.Size]byte) {
	c.Sum(out[:0])
	return out
}

func chainOf(ctx context.Context, s *session, rid, newest int64) ([sha256.Size]byte, error) {
	c := newChainSum()
	err := s.each(ctx, `SELECT version, updated, deleted, sum FROM version WHERE rid = ? AND version <= ? ORDER BY version`, []any{rid, newest}, func(scan func(...any) error) error {
		var version, sum int64
		var updated string
		var deleted bool
		err := scan(&version, &updated, &deleted, &sum)
		c.add(version, updated, deleted, sum)
		return err
	})
	return c.sum(), err
}

// marks gives marks with the rows of their heads.
func (db *DB) marks(ctx context.Context, s *session, after store.Key, limit int) (out []store.Mark, rids []int64, err error) {
	if limit < 1 {
		return nil, nil, invalid("limit %d", limit)
	}
	err = s.each(ctx, `SELECT rid, type, id, version, updated, deleted FROM head WHERE (type, id) > (?, ?) ORDER BY type, id LIMIT ?`,
		[]any{after.Type, after.ID, limit}, func(scan func(...any) error) error {
			var (
				m       store.Mark
				rid     int64
				updated string
			)
			err := scan(&rid, &m.Type, &m.ID, &m.Version, &updated, &m.Deleted)
			if err == nil {
				// One that cannot be read is no version's: it is another than any.
				m.LastUpdated, _ = parseInstant(updated)
			}
			out, rids = append(out, m), append(rids, rid)
			return err
		})
	for i, rid := range rids {
		if err != nil {
			break
		}
		out[i].Beside, err = besideOf(ctx, s, rid)
	}
	return out, rids, err
}

func besideOf(ctx context.Context, s *session, rid int64) (sum [sha256.Size]byte, err error) {
	index, err := entriesOf(ctx, s, rid)
	if err != nil {
		return sum, err
	}
	claims, err := claimsOf(ctx, s, rid)
	return store.BesideSum(index, claims), err
}

// Archive implements store.Transferer. All of a call sees one state.
func (db *DB) Archive(ctx context.Context, wants []store.Since, each func(*store.Archived) error) error {
	return db.snapshot(ctx, func(s *session) error {
		for _, w := range wants {
			if err := db.archive(ctx, s, w.Key, max(w.Version, 1), each); err != nil {
				return err
			}
		}
		return nil
	})
}

// archive gives the versions of a resource from one on.
func (db *DB) archive(ctx context.Context, s *session, k store.Key, first int64, each func(*store.Archived) error) error {
	var rid, newest int64
	found, err := s.one(ctx, `SELECT rid, version FROM head WHERE type = ? AND id = ?`, []any{k.Type, k.ID}, &rid, &newest)
	if err != nil {
		return err
	}
	switch {
	case found && newest < 1:
		return db.lacks(k, 1)
	case !found || newest < first:
		return fmt.Errorf("%s: %w", k, store.ErrNotFound)
	}
	a, size, have, sum := &store.Archived{Key: k}, 0, first-1, newChainSum()
	err = s.each(ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ? AND v.version >= ? AND v.version <= ? ORDER BY v.version`,
		[]any{rid, first, newest}, func(scan func(...any) error) error {
			var row versionRow
			if err := scan(row.fields()...); err != nil {
				return err
			}
			if row.version != have+1 {
				return db.lacks(k, have+1)
			}
			if size > stretchBytes {
				if err := each(a); err != nil {
					return err
				}
				a, size = &store.Archived{Key: k}, 0
			}
			rec, err := db.record(k, &row)
			sum.add(row.version, row.updated, row.deleted, row.sum)
			a.Versions, size, have = append(a.Versions, rec), size+len(row.raw), row.version
			return err
		})
	if err != nil {
		return err
	}
	if have != newest {
		return db.lacks(k, have+1)
	}
	a.Complete, a.Chain = true, sum.sum()
	if a.Versions[len(a.Versions)-1].Index, err = entriesOf(ctx, s, rid); err != nil {
		return err
	}
	if a.Claims, err = claimsOf(ctx, s, rid); err != nil {
		return err
	}
	return each(a)
}

func (db *DB) lacks(k store.Key, version int64) error {
	return fmt.Errorf("%s: %w: %s has lost its version %d", db.path, store.ErrDamaged, k, version)
}

func claimsOf(ctx context.Context, s *session, rid int64) ([]string, error) {
	var out []string
	err := s.each(ctx, `SELECT claim FROM claim WHERE rid = ? ORDER BY claim`, []any{rid}, func(scan func(...any) error) error {
		var c []byte
		err := scan(&c)
		out = append(out, string(c))
		return err
	})
	return out, err
}

// Streams implements store.Transferer.
func (db *DB) Streams(ctx context.Context, after string, limit int) ([]store.Stream, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	var out []store.Stream
	err := db.snapshot(ctx, func(s *session) error {
		if err := db.streamed(ctx, s, after); err != nil {
			return err
		}
		err := s.each(ctx, `SELECT name, max(last) FROM (SELECT name, last FROM stream UNION ALL SELECT stream, 0 FROM position)
			WHERE name > ? GROUP BY name ORDER BY name LIMIT ?`, []any{blob(after), limit}, func(scan func(...any) error) error {
			var name []byte
			var last int64
			err := scan(&name, &last)
			out = append(out, store.Stream{Name: string(name), Last: uint64(last), Positions: map[string]uint64{}})
			return err
		})
		if err != nil {
			return err
		}
		for _, x := range out {
			if err := positionsOf(ctx, s, x); err != nil {
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

func positionsOf(ctx context.Context, s *session, x store.Stream) error {
	return s.each(ctx, `SELECT reader, seq FROM position WHERE stream = ?`, []any{blob(x.Name)}, func(scan func(...any) error) error {
		var reader []byte
		var seq uint64
		err := scan(&reader, &seq)
		x.Positions[string(reader)] = seq
		return err
	})
}
