package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// checkedAtOnce is how many rows are looked at in one state of the store.
const checkedAtOnce = 200

// A headRow is a row of head.
type headRow struct {
	rid, version, vid int64
	key               store.Key
	updated           string
	deleted           bool
	claims            string // see claimList
}

// reach is the version up to which the head says that there are some.
func (h *headRow) reach() int64 { return max(0, h.version) }

const headColumns = `rid, type, id, version, vid, updated, deleted, claims`

func (h *headRow) fields() []any {
	return []any{&h.rid, &h.key.Type, &h.key.ID, &h.version, &h.vid, &h.updated, &h.deleted, &h.claims}
}

// A verdict is what is found about one head, to be reported when the reader is given
// back.
type verdict struct {
	finding store.Finding
	mend    func(*txn) (bool, error)
}

// heads looks at each resource: its chain of versions, its entries, its claims. Those that
// lack versions come last: their versions may stand under others.
func (c *checker) heads() error {
	var lacking []int64
	for last := int64(math.MinInt64); ; {
		var page []headRow
		err := c.judge(&page, `rid > ? ORDER BY rid LIMIT ?`, []any{last, checkedAtOnce}, func(s *session, h headRow) ([]verdict, error) {
			if last = h.rid; c.astray[h.rid] {
				return nil, nil // its versions stand under another number, which was told
			}
			chain, err := c.chain(s, h)
			if err == nil && len(chain.lost) > 0 {
				lacking = append(lacking, h.rid)
				return chain.moved, nil
			}
			return c.head(s, h, chain, err)
		})
		if err != nil {
			return err
		}
		if c.looked(len(page)); len(page) < checkedAtOnce {
			break
		}
	}
	for _, rid := range lacking {
		err := c.judge(new([]headRow), `rid = ?`, []any{rid}, func(s *session, h headRow) ([]verdict, error) {
			chain, err := c.chain(s, h)
			chain.moved = nil // told
			return c.head(s, h, chain, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge looks at a page of heads in one state of the store, then reports what was found.
func (c *checker) judge(page *[]headRow, which string, args []any, look func(*session, headRow) ([]verdict, error)) error {
	var verdicts []verdict
	err := c.snapshot(c.ctx, func(s *session) error {
		err := s.each(c.ctx, `SELECT `+headColumns+` FROM head WHERE true`+readable("head")+` AND `+which, args,
			func(scan func(...any) error) error {
				var h headRow
				err := scan(h.fields()...)
				*page = append(*page, h)
				return err
			})
		for _, h := range *page {
			if err != nil {
				break
			}
			var vs []verdict
			vs, err = look(s, h)
			verdicts = append(verdicts, vs...)
		}
		return err
	})
	for _, v := range verdicts {
		if err == nil {
			err = c.mend(v.finding, v.mend)
		}
	}
	return err
}

func (c *checker) head(s *session, h headRow, x chain, err error) ([]verdict, error) {
	if err != nil {
		return nil, err
	}
	out := slices.Concat(x.moved, x.faults)
	for _, gap := range x.lost {
		out = append(out, verdict{finding: store.Finding{Kind: store.FoundLostVersion, What: h.key.String(), Detail: "it has no " + versionsText(gap[0], gap[1])}})
	}
	if v := c.drift(h, x); v != nil {
		out = append(out, *v)
	}
	if n := len(x.beyond); n > 0 {
		return append(out, c.beyond(h, x)), nil // its entries are those of the head to be
	}
	if h.version < 1 {
		return append(out, c.hollow(h)), nil
	}
	if x.newest == nil {
		return out, nil
	}
	v, err := c.entries(s, h, x.newest)
	if v != nil {
		out = append(out, *v)
	}
	if err != nil {
		return nil, err
	}
	held, err := c.claims(s, h, x.newest)
	return append(out, held...), err
}

// A chain is what the versions of a head are like.
type chain struct {
	newest  *store.Record // nil if it is lost or damaged
	vid     int64         // of the newest
	updated string
	beyond  []int64 // numbers of versions beyond the head
	fit     int     // of these how many follow one another and are whole
	lost    [][2]int64
	moved   []verdict // of versions of which each belongs elsewhere
	faults  []verdict
}

// chain reads all versions of a resource.
func (c *checker) chain(s *session, h headRow) (x chain, err error) {
	var rows []numbered
	err = s.each(c.ctx, `SELECT v.vid, `+versionColumns+` FROM version v WHERE v.rid = ?`+readable("version")+` ORDER BY v.version`, []any{h.rid}, func(scan func(...any) error) error {
		var row versionRow
		var vid int64
		if err := scan(append([]any{&vid}, row.fields()...)...); err != nil {
			return err
		}
		rec, bad := c.record(h.key, &row)
		if bad == nil && row.version == h.version {
			x.newest, x.vid, x.updated = rec, vid, row.updated
		}
		rows = append(rows, numbered{vid: vid, version: row.version, whole: bad == nil})
		return nil
	})
	if err != nil {
		return x, err
	}
	rows, x.moved, err = c.misplaced(s, h, rows)
	if err != nil {
		return x, err
	}
	x.lost = gapsIn(slices.Concat(c.back[h.key], numbersOf(rows)), h.version)
	for _, row := range rows {
		switch {
		case row.version > h.version:
			if row.whole && x.fit == len(x.beyond) && row.version == h.reach()+int64(x.fit)+1 {
				x.fit++
			}
			x.beyond = append(x.beyond, row.version)
		case !row.whole:
			x.faults = append(x.faults, verdict{finding: store.Finding{Kind: store.FoundDamaged, What: h.key.String(), Detail: fmt.Sprintf("the checksum of its version %d does not fit", row.version)}})
		}
	}
	return x, nil
}

func versionsText(from, to int64) string {
	if from == to {
		return fmt.Sprintf("version %d", from)
	}
	return fmt.Sprintf("versions %d to %d", from, to)
}

// drift compares the head with its newest version, which has a checksum.
func (c *checker) drift(h headRow, x chain) *verdict {
	if x.newest == nil || h.vid == x.vid && h.updated == x.updated && h.deleted == x.newest.Deleted {
		return nil
	}
	return &verdict{
		store.Finding{Kind: store.FoundHeadDrift, What: h.key.String(), Detail: "its head does not say what its newest version says"},
		func(t *txn) (bool, error) {
			n, err := t.change(t.ctx, `UPDATE head SET vid = ?, updated = ?, deleted = ? WHERE rid = ? AND version = ?`, x.vid, x.updated, x.newest.Deleted, h.rid, h.version)
			return n == 1, err
		},
	}
}

// hollow is of a head without any version. A writer makes both in one step.
func (c *checker) hollow(h headRow) verdict {
	f := store.Finding{Kind: store.FoundOrphan, What: h.key.String(), Detail: "a head without a version"}
	return verdict{f, func(t *txn) (bool, error) {
		n, err := t.change(t.ctx, `DELETE FROM head WHERE rid = ? AND version = ? AND rid NOT IN (SELECT rid FROM version)`, h.rid, h.version)
		return n == 1, err
	}}
}

// beyond judges versions after the head's. The writer makes version and head in one
// step, so that a whole version that follows was acknowledged, and the head is what
// is wrong; what is not whole nobody ever could read, and it would be in the way of
// the next write.
func (c *checker) beyond(h headRow, x chain) verdict {
	f := store.Finding{Kind: store.FoundOrphan, What: h.key.String(), Detail: fmt.Sprintf("%s is beyond its head, %d", versionsText(x.beyond[0], x.beyond[len(x.beyond)-1]), h.version)}
	return verdict{f, func(t *txn) (bool, error) {
		for _, version := range x.beyond[x.fit:] {
			var row versionRow
			found, err := t.one(t.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.rid = ? AND v.version = ?`, []any{h.rid, version}, row.fields()...)
			if err != nil {
				return false, err
			}
			if _, bad := t.db.record(h.key, &row); found && bad == nil {
				return false, nil // whole, but what came before it is lost
			}
			if err := t.exec(t.ctx, `DELETE FROM version WHERE rid = ? AND version = ?`, h.rid, version); err != nil {
				return false, err
			}
		}
		if x.fit == 0 {
			return true, nil
		}
		return t.moveHead(h.rid, h.key, h.version, h.reach()+int64(x.fit), c.o.Entries)
	}}
}

// moveHead has a head that stands at was reach a version that is there.
func (t *txn) moveHead(rid int64, k store.Key, was, to int64, entries func(*store.Record) ([]string, error)) (bool, error) {
	var row versionRow
	var vid int64
	found, err := t.one(t.ctx, `SELECT v.vid, `+versionColumns+` FROM version v WHERE v.rid = ? AND v.version = ?`, []any{rid, to}, append([]any{&vid}, row.fields()...)...)
	if err != nil || !found {
		return false, err
	}
	rec, err := t.db.record(k, &row)
	if err != nil {
		return false, err
	}
	n, err := t.change(t.ctx, `UPDATE head SET version = ?, vid = ?, updated = ?, deleted = ?, claims = CASE WHEN ? THEN '' ELSE `+heldClaims+` END
		WHERE rid = ? AND version = ?`, to, vid, row.updated, row.deleted, row.deleted, rid, was)
	if err != nil || n != 1 {
		return false, err
	}
	if rec.Index, _, err = keptEntries(t.ctx, t.session, rid, k.Type); err != nil {
		return false, err
	}
	return true, t.putEntries(rid, rec, entries)
}

// putEntries gives a resource the entries of its content, where they can be computed.
func (t *txn) putEntries(rid int64, rec *store.Record, entries func(*store.Record) ([]string, error)) error {
	w := &store.Write{Record: *rec}
	if !rec.Deleted {
		if entries == nil {
			return nil
		}
		want, err := entries(rec)
		if err != nil { // found as drift, which cannot be mended
			return nil //nolint:nilerr // see above
		}
		w.Index = want
	}
	_, err := t.index(&pending{write: w, rid: rid, was: rec.Version})
	return err
}

// entries compares a resource's entries with its content.
func (c *checker) entries(s *session, h headRow, rec *store.Record) (*verdict, error) {
	if rec.Deleted || c.o.Entries == nil { // those of a deleted one: see ownerless
		return nil, nil
	}
	have, foreign, err := keptEntries(c.ctx, s, h.rid, h.key.Type)
	if err != nil {
		return nil, err
	}
	f := store.Finding{Kind: store.FoundIndexDrift, What: h.key.String()}
	rec.Index = have
	want, err := c.o.Entries(rec)
	if err != nil {
		f.Detail = "its content cannot be read"
		return &verdict{f, nil}, nil
	}
	if f.Detail = store.IndexDrift(have, want, foreign); f.Detail == "" {
		return nil, nil
	}
	return &verdict{f, func(t *txn) (bool, error) {
		found, err := t.one(t.ctx, `SELECT 1 FROM head WHERE rid = ? AND version = ?`, []any{h.rid, h.version}, new(int))
		if err != nil || !found {
			return found, err // written meanwhile: with the entries of that write
		}
		return true, t.putEntries(h.rid, rec, c.o.Entries)
	}}, nil
}

// keptEntries is entriesOf without the index that it relies on. foreign is how many of
// a resource's entries stand under parameters of another type: no search finds it by
// them as it should. So it is with values that are not bytes.
func keptEntries(ctx context.Context, s *session, rid int64, typ string) (out []string, foreign int, err error) {
	err = s.each(ctx, `SELECT CASE typeof(e.value) WHEN 'blob' THEN p.type ELSE '' END, p.name, e.value FROM entry e JOIN param p ON p.pid = e.pid WHERE e.rid = ?`, []any{rid}, func(scan func(...any) error) error {
		var of string
		var name, value []byte
		err := scan(&of, &name, &value)
		if of != typ {
			foreign++
			return err
		}
		out = append(out, string(name)+"|"+string(value))
		return err
	})
	return out, foreign, err
}
