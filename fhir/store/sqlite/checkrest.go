package sqlite

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// strays looks for versions of which there is no head at all.
func (c *checker) strays() error {
	var rids []int64
	err := c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, `SELECT DISTINCT rid FROM version WHERE rid NOT IN (SELECT rid FROM head) ORDER BY rid`, nil, func(scan func(...any) error) error {
			var rid int64
			err := scan(&rid)
			rids = append(rids, rid)
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, rid := range rids {
		f := store.Finding{Kind: store.FoundOrphan, What: fmt.Sprintf("versions of row %d", rid), Detail: "no head reaches them"}
		var key store.Key
		other := false
		err := c.read(c.ctx, func(s *session) (err error) {
			if key, err = c.owner(s, rid); err == nil {
				other, err = s.one(c.ctx, `SELECT 1 FROM head WHERE type = ? AND id = ?`, []any{key.Type, key.ID}, new(int))
			}
			return err
		})
		if err != nil {
			return err
		}
		if key != (store.Key{}) {
			f.What = key.String()
			f.Detail = "its versions have no head"
			if !other {
				f.Kind = store.FoundLostHead
			}
		}
		if err := c.mend(f, func(t *txn) (bool, error) { return t.adopt(rid, key, c.o) }); err != nil {
			return err
		}
	}
	return nil
}

// owner tells whose versions stand under a number that no head has: the key that
// their content names, if a checksum, which covers the key, agrees.
func (c *checker) owner(s *session, rid int64) (key store.Key, err error) {
	if c.o.Name == nil {
		return key, nil
	}
	err = s.each(c.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ?`+readable("version"), []any{rid}, func(scan func(...any) error) error {
		var row versionRow
		if err := scan(row.fields()...); err != nil || row.deleted || key != (store.Key{}) {
			return err
		}
		k, err := c.o.Name(row.raw)
		if err != nil {
			return nil //nolint:nilerr // this one does not tell
		}
		if _, bad := c.record(k, &row); bad == nil {
			key = k
		}
		return nil
	})
	return key, err
}

// adopt makes the head that versions have lost. Versions that fit no resource were
// never acknowledged, or could not be read by anybody since: they go. So do those
// that their resource has under its own number.
func (t *txn) adopt(rid int64, key store.Key, o store.CheckOptions) (bool, error) {
	if found, err := t.one(t.ctx, `SELECT 1 FROM head WHERE rid = ?`, []any{rid}, new(int)); found || err != nil {
		return found, err
	}
	if key == (store.Key{}) {
		return true, t.exec(t.ctx, `DELETE FROM version WHERE rid = ?`, rid)
	}
	var other, version int64
	found, err := t.one(t.ctx, `SELECT rid, version FROM head WHERE type = ? AND id = ?`, []any{key.Type, key.ID}, &other, &version)
	if err != nil {
		return false, err
	}
	if found {
		n := 0
		more, err := t.one(t.ctx, `SELECT 1 FROM version a WHERE a.rid = ? AND NOT EXISTS
			(SELECT 1 FROM version b WHERE b.rid = ? AND b.version = a.version AND b.version <= ? AND b.sum = a.sum AND b.raw = a.raw) LIMIT 1`, []any{rid, other, version}, &n)
		if err != nil || more {
			return false, err // two histories: nobody can tell which is right
		}
		return true, t.exec(t.ctx, `DELETE FROM version WHERE rid = ?`, rid)
	}
	last, err := t.whole(rid, key)
	if err != nil || last == 0 {
		return false, err
	}
	if err := t.exec(t.ctx, `INSERT INTO head (`+headColumns+`) VALUES (?, ?, ?, 0, 0, '', 1, '')`, rid, key.Type, key.ID); err != nil {
		return false, err
	}
	return t.moveHead(rid, key, 0, last, o.Entries)
}

// whole gives the last of the versions that follow one another from the first.
func (t *txn) whole(rid int64, key store.Key) (last int64, err error) {
	err = t.each(t.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ?`+readable("version")+` ORDER BY v.version`, []any{rid}, func(scan func(...any) error) error {
		var row versionRow
		if err := scan(row.fields()...); err != nil {
			return err
		}
		if _, bad := t.db.record(key, &row); bad == nil && row.version == last+1 {
			last++
		}
		return nil
	})
	return last, err
}

// ownerless looks for entries and claims of no live resource.
func (c *checker) ownerless() error {
	for _, x := range []struct{ kind, table, noun string }{
		{store.FoundStaleEntry, "entry", "entries"},
		{store.FoundStaleClaim, "claim", "claims"},
	} {
		// A head that does not say whether it is deleted may be live.
		const dead = ` WHERE rid NOT IN (SELECT rid FROM head WHERE deleted IS NOT 1)`
		type lot struct {
			row string
			n   int64
		}
		var lots []lot
		err := c.read(c.ctx, func(s *session) error {
			return s.each(c.ctx, `SELECT CAST(rid AS TEXT), count(*) FROM `+x.table+dead+` GROUP BY rid ORDER BY rid`, nil, func(scan func(...any) error) error {
				var l lot
				err := scan(&l.row, &l.n)
				lots = append(lots, l)
				return err
			})
		})
		if err != nil {
			return err
		}
		for _, l := range lots {
			f := store.Finding{Kind: x.kind, What: fmt.Sprintf("%s of row %s", x.noun, l.row), Detail: fmt.Sprintf("%d of no live resource", l.n)}
			err := c.mend(f, func(t *txn) (bool, error) {
				return true, t.exec(t.ctx, `DELETE FROM `+x.table+dead+` AND CAST(rid AS TEXT) = ?`, l.row)
			})
			if err != nil {
				return err
			}
		}
	}
	return c.nameless()
}

// nameless looks for entries whose parameter has no name any more. What they would
// say is in their resource's content, whose entries are compared with it.
func (c *checker) nameless() error {
	var n int64
	const lost = ` FROM entry WHERE pid NOT IN (SELECT pid FROM param)`
	err := c.read(c.ctx, func(s *session) error {
		_, err := s.one(c.ctx, `SELECT count(*)`+lost, nil, &n)
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	return c.mend(store.Finding{Kind: store.FoundStaleEntry, What: "entries", Detail: fmt.Sprintf("%d of no parameter", n)},
		func(t *txn) (bool, error) { return true, t.exec(t.ctx, `DELETE`+lost) })
}

func counterText(highest, last int64) string {
	if last < 0 {
		return "the counter is gone"
	}
	return fmt.Sprintf("a fact has version %d, the counter stands at %d", highest, last)
}

// facts looks at each fact's checksum, and at the counter that gives versions.
func (c *checker) facts() error {
	after, more, highest := []byte{}, true, int64(0)
	for more {
		n := 0
		var bad [][]byte
		err := c.read(c.ctx, func(s *session) error {
			return s.each(c.ctx, `SELECT `+factColumns+` FROM fact WHERE key > ?`+readable("fact")+` ORDER BY key LIMIT ?`, []any{after, checkedAtOnce}, func(scan func(...any) error) error {
				var key, value []byte
				var version, expires, sum int64
				if err := scan(&key, &value, &version, &expires, &sum); err != nil {
					return err
				}
				after, n = bytes.Clone(key), n+1
				if sum != factSum(key, value, version, expires) {
					bad = append(bad, after)
					return nil
				}
				highest = max(highest, version)
				return nil
			})
		})
		if err != nil {
			return err
		}
		for _, key := range bad {
			c.found(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("fact %q", key), Detail: "its checksum does not fit"})
		}
		c.looked(n)
		more = n == checkedAtOnce
	}
	last, err := c.FactVersion(c.ctx)
	if errors.Is(err, store.ErrDamaged) { // it is gone
		last, err = -1, nil
	}
	if err != nil || highest <= last {
		return err
	}
	return c.mend(store.Finding{Kind: store.FoundCounter, What: "versions of facts", Detail: counterText(highest, last)},
		func(t *txn) (bool, error) {
			if err := t.exec(t.ctx, `INSERT INTO counter (name, last) VALUES ('fact', 0) ON CONFLICT DO NOTHING`); err != nil {
				return false, err
			}
			return true, t.raiseFactVersion(highest)
		})
}
