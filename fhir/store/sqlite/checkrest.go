package sqlite

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// strays looks for versions of which there is no head at all.
func (c *checker) strays() error {
	type stray struct{ rid, top int64 }
	var all []stray
	err := c.read(c.ctx, func(s *session) error {
		// Of one resource the rows with its newest version come first: they get the head.
		return s.each(c.ctx, `SELECT rid, max(iif(typeof(version) = 'integer', version, 0)) AS top FROM version WHERE rid NOT IN (SELECT rid FROM head) GROUP BY rid ORDER BY top DESC, rid`, nil, func(scan func(...any) error) error {
			var x stray
			err := scan(&x.rid, &x.top)
			all = append(all, x)
			return err
		})
	})
	if err != nil {
		return err
	}
	left := map[store.Key]bool{} // who got no head
	for _, x := range all {
		rid := x.rid
		f := store.Finding{Kind: store.FoundOrphan, What: fmt.Sprintf("versions of row %d", rid), Detail: "no head reaches them"}
		key, h, err := c.headOf(rid)
		if err != nil {
			return err
		}
		switch {
		case h.found && h.bare:
			f.Kind, f.What, f.Detail = store.FoundHeadDrift, key.String(), "its head stands under another row than its versions"
			c.astray[h.rid] = true
		case h.found:
			f.What, f.Detail = key.String(), "versions of it stand under another row than its head"
			c.back[key] = append(c.back[key], numbersOf(h.lacks)...)
		case key != (store.Key{}):
			f.Kind, f.What, f.Detail = store.FoundLostHead, key.String(), "its versions have no head"
		}
		err = c.mend(f, func(t *txn) (done bool, err error) {
			if left[key] {
				return false, nil
			}
			done, err = t.adopt(rid, key, c.o)
			left[key] = !done && !h.found && key != (store.Key{})
			return done, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A headPlace is where the head of a resource stands; bare: nothing else stands there.
type headPlace struct {
	rid         int64
	found, bare bool
	lacks       []numbered // versions that are whole, and not there
}

// headOf tells whose versions stand under a number that no head has, the zero Key if nobody
// can tell, and where that resource's head is.
func (c *checker) headOf(rid int64) (key store.Key, h headPlace, err error) {
	err = c.read(c.ctx, func(s *session) (err error) {
		if key, err = c.owner(s, rid); err == nil {
			h.found, err = s.one(c.ctx, `SELECT rid, `+bareHead+` FROM head WHERE type = ? AND id = ?`, []any{key.Type, key.ID}, &h.rid, &h.bare)
		}
		if err == nil && h.found {
			h.lacks, err = c.lackedBy(c.ctx, s, rid, key)
		}
		return err
	})
	return key, h, err
}

// bareHead is of a head under whose number nothing else stands.
const bareHead = `NOT EXISTS (SELECT 1 FROM version v WHERE v.rid = head.rid) AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.rid = head.rid)`

// owner tells whose versions stand under a number that no head has: the key that their
// content names, or else the head that has one as its newest, if a checksum, which covers
// the key, agrees.
func (c *checker) owner(s *session, rid int64) (key store.Key, err error) {
	err = s.each(c.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ?`+readable("version"), []any{rid}, func(scan func(...any) error) error {
		var row versionRow
		if err := scan(row.fields()...); err != nil || key != (store.Key{}) {
			return err
		}
		key = c.namedBy(&row)
		return nil
	})
	if err != nil || key != (store.Key{}) {
		return key, err
	}
	var k store.Key
	var vid int64
	found, err := s.one(c.ctx, `SELECT type, id, vid FROM head WHERE vid IN (SELECT vid FROM version WHERE rid = ?)`+readable("head"), []any{rid}, &k.Type, &k.ID, &vid)
	if err != nil || !found {
		return key, err
	}
	var row versionRow
	if found, err = s.one(c.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.vid = ?`+readable("version"), []any{vid}, row.fields()...); err != nil || !found {
		return key, err
	}
	if _, bad := c.record(k, &row); bad == nil {
		key = k
	}
	return key, nil
}

// namedBy is whose a version is by its content, if its checksum agrees; otherwise the zero Key.
func (c *checker) namedBy(row *versionRow) (none store.Key) {
	if c.o.Name == nil || row.deleted {
		return none
	}
	k, err := c.o.Name(row.raw)
	if err != nil { // this one does not tell
		return none
	}
	if _, bad := c.record(k, row); bad != nil {
		return none
	}
	return k
}

// adopt makes the head that versions have lost. Versions that fit no resource were
// never acknowledged, or could not be read by anybody since: they go. A head that stands
// elsewhere, over nothing, comes back to its versions; versions that it lacks there come
// to it, and what it has already goes.
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
		if n, err := t.change(t.ctx, `UPDATE head SET rid = ? WHERE rid = ? AND `+bareHead, rid, other); n == 1 || err != nil {
			return n == 1, err
		}
		lacks, err := t.db.lackedBy(t.ctx, t.session, rid, key)
		for _, v := range lacks {
			if err == nil {
				_, err = t.place(v.vid, key, v.version)
			}
		}
		if err != nil {
			return false, err
		}
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

// whole gives the newest version, 0 if it is not whole: what came before it is not what
// the resource is. That some in between are lost is told once it has a head.
func (t *txn) whole(rid int64, key store.Key) (last int64, err error) {
	err = t.each(t.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ? ORDER BY v.version DESC LIMIT 1`, []any{rid}, func(scan func(...any) error) error {
		var row versionRow
		if err := scan(row.fields()...); err != nil {
			return err
		}
		if _, bad := t.db.record(key, &row); bad == nil {
			last = row.version
		}
		return nil
	})
	if errors.Is(err, store.ErrDamaged) { // a row that values has reported
		return 0, nil
	}
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
		// Of versions that stay for their head, which could not be made again, these stay too.
		const headless = ` AND (rid IN (SELECT rid FROM head) OR rid NOT IN (SELECT rid FROM version))`
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
				n, err := t.change(t.ctx, `DELETE FROM `+x.table+dead+headless+` AND CAST(rid AS TEXT) = ?`, l.row)
				return n > 0, err
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
	// The empty key, which no fact has, is looked at as well: a query for what is after
	// nothing would pass over it.
	after, from, more, highest := []byte{}, ">=", true, int64(0)
	for more {
		n := 0
		var bad [][]byte
		err := c.read(c.ctx, func(s *session) error {
			return s.each(c.ctx, `SELECT `+factColumns+` FROM fact WHERE key `+from+` ?`+readable("fact")+` ORDER BY key LIMIT ?`, []any{after, checkedAtOnce}, func(scan func(...any) error) error {
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
		more, from = n == checkedAtOnce, ">"
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
			// What is no number may be above all numbers.
			if err := t.exec(t.ctx, `UPDATE counter SET last = 0 WHERE name = 'fact' AND typeof(last) <> 'integer'`); err != nil {
				return false, err
			}
			if err := t.exec(t.ctx, `INSERT INTO counter (name, last) VALUES ('fact', 0) ON CONFLICT DO NOTHING`); err != nil {
				return false, err
			}
			return true, t.raiseFactVersion(highest)
		})
}
