package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// The checksum of a version covers its resource's name and its number. So one that stands
// under another row, or under another number, tells where it belongs; it is put back if
// nothing stands there.

// A numbered is a version as its row numbers it. It is whole if its checksum fits its
// resource and that number.
type numbered struct {
	vid, version int64
	whole        bool
}

func numbersOf(rows []numbered) (out []int64) {
	for _, r := range rows {
		out = append(out, r.version)
	}
	return out
}

// gapsIn are the stretches, first and last, of which nothing is among the numbers from 1
// to an end.
func gapsIn(numbers []int64, end int64) (out [][2]int64) {
	slices.Sort(numbers)
	next := int64(1)
	for _, n := range numbers {
		if n < 1 || n > end {
			continue
		}
		if n > next {
			out = append(out, [2]int64{next, n - 1})
		}
		next = n + 1
	}
	if next <= end {
		out = append(out, [2]int64{next, end})
	}
	return out
}

// mostTried is how many numbers are tried for a version that does not fit its own.
const mostTried = 100

// misplaced takes from a head's versions those that belong elsewhere, and notes to which
// numbers they come back.
func (c *checker) misplaced(s *session, h headRow, rows []numbered) (left []numbered, moved []verdict, err error) {
	var free []int64
	for _, gap := range gapsIn(numbersOf(rows), h.version) {
		for n := gap[0]; n <= gap[1] && len(free) < mostTried; n++ {
			free = append(free, n)
		}
	}
	for _, r := range rows {
		if r.whole {
			left = append(left, r)
			continue
		}
		var row versionRow
		if _, err := s.one(c.ctx, `SELECT `+versionColumns+` FROM version v WHERE v.vid = ?`, []any{r.vid}, row.fields()...); err != nil {
			return nil, nil, err
		}
		n := c.numberOf(h.key, row, free)
		key := h.key
		if n == 0 {
			n = r.version
			if key, err = c.ownerOf(s, r.vid, &row); err != nil {
				return nil, nil, err
			}
		}
		if key == (store.Key{}) {
			left = append(left, r)
			continue
		}
		free = slices.DeleteFunc(free, func(m int64) bool { return key == h.key && m == n })
		c.back[key] = append(c.back[key], n)
		moved = append(moved, putBack(r.vid, h.key, key, r.version, n))
	}
	return left, moved, nil
}

// numberOf is which of some numbers a version's checksum fits, 0 if none.
func (c *checker) numberOf(k store.Key, row versionRow, free []int64) int64 {
	for _, n := range free {
		row.version = n
		if _, bad := c.record(k, &row); bad == nil {
			return n
		}
	}
	return 0
}

// ownerOf is the resource that a version's content names, or whose head has it as its
// newest, if the checksum agrees and that resource's head reaches such a version, which is
// not there; otherwise the zero Key.
func (c *checker) ownerOf(s *session, vid int64, row *versionRow) (none store.Key, err error) {
	k := c.namedBy(row)
	if k == none {
		found, err := s.one(c.ctx, `SELECT type, id FROM head WHERE vid = ?`+readable("head"), []any{vid}, &k.Type, &k.ID)
		if err != nil || !found {
			return none, err
		}
		if _, bad := c.record(k, row); bad != nil {
			return none, nil //nolint:nilerr // it is not of that one
		}
	}
	lacks, err := s.one(c.ctx, `SELECT 1 FROM head WHERE `+lacksVersion, []any{k.Type, k.ID, row.version, row.version}, new(int))
	if err != nil || !lacks {
		return none, err
	}
	return k, nil
}

// lacksVersion is of the head of a resource (type, id) that reaches a version which is not
// there (its number, twice).
const lacksVersion = `head.type = ? AND head.id = ? AND head.version >= ? AND NOT EXISTS (SELECT 1 FROM version o WHERE o.rid = head.rid AND o.version = ?)`

// putBack is of a version of k that stands under another number, or another resource.
func putBack(vid int64, under, k store.Key, at, n int64) verdict {
	f := store.Finding{Kind: store.FoundDamaged, What: k.String(), Detail: fmt.Sprintf("its version %d stands under the number %d", n, at)}
	if under != k {
		f.Detail = fmt.Sprintf("its version %d stands under %s", n, under)
	}
	return verdict{f, func(t *txn) (bool, error) { return t.place(vid, k, n) }}
}

// place puts a version where it belongs, if nothing is there.
func (t *txn) place(vid int64, k store.Key, n int64) (bool, error) {
	moved, err := t.change(t.ctx, `UPDATE version SET rid = head.rid, version = ? FROM head WHERE version.vid = ? AND `+lacksVersion, n, vid, k.Type, k.ID, n, n)
	return moved == 1, err
}

// lackedBy are the versions of k that stand under a row of nobody, as far as they are
// whole and its head lacks them.
func (db *DB) lackedBy(ctx context.Context, s *session, rid int64, k store.Key) (out []numbered, err error) {
	err = s.each(ctx, `SELECT v.vid, `+versionColumns+` FROM version v WHERE v.rid = ?`+readable("version"), []any{rid}, func(scan func(...any) error) error {
		var row versionRow
		var vid int64
		err := scan(append([]any{&vid}, row.fields()...)...)
		if err != nil {
			return err
		}
		if _, bad := db.record(k, &row); bad == nil {
			out = append(out, numbered{vid: vid, version: row.version})
		}
		return nil
	})
	for i := 0; i < len(out) && err == nil; i++ {
		var lacks bool
		if lacks, err = s.one(ctx, `SELECT 1 FROM head WHERE `+lacksVersion, []any{k.Type, k.ID, out[i].version, out[i].version}, new(int)); !lacks {
			out = slices.Delete(out, i, i+1)
			i--
		}
	}
	return out, err
}
