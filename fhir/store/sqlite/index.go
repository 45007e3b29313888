package sqlite

import (
	"context"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// An indexEntry is a row of entry.
type indexEntry struct {
	pid   int64
	value string
}

// index makes the resource's entries those of its new version and returns them
// sorted. Only what differs is written: an update seldom changes an entry.
func (t *txn) index(p *pending) ([]string, error) {
	sorted := p.write.Entries()
	want := map[indexEntry]bool{}
	for _, e := range sorted {
		param, value, _ := store.SplitEntry(e)
		pid, err := t.param(p.write.Type, param)
		if err != nil {
			return nil, err
		}
		want[indexEntry{pid, value}] = true
	}
	if p.was > 0 {
		if err := t.dropEntries(p.rid, want); err != nil {
			return nil, err
		}
	}
	for e := range want {
		if err := t.exec(t.ctx, `INSERT INTO entry (pid, value, rid) VALUES (?, ?, ?)`, e.pid, blob(e.value), p.rid); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// dropEntries deletes the entries that are not wanted and takes those that are
// there already out of want.
func (t *txn) dropEntries(rid int64, want map[indexEntry]bool) error {
	var drop []indexEntry
	odd := false // there are rows of other kinds: no search finds them, nor does the loop below
	err := t.each(t.ctx, `SELECT CAST(pid AS INTEGER), value, typeof(value) = 'blob' AND typeof(pid) = 'integer' FROM entry INDEXED BY entry_of WHERE rid = ?`, []any{rid}, func(scan func(...any) error) error {
		var (
			e     indexEntry
			value []byte
			sound bool
		)
		if err := scan(&e.pid, &value, &sound); err != nil {
			return err
		}
		if !sound {
			odd = true
			return nil
		}
		e.value = string(value)
		if want[e] {
			delete(want, e)
		} else {
			drop = append(drop, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if odd {
		if err := t.exec(t.ctx, `DELETE FROM entry WHERE rid = ? AND (typeof(value) <> 'blob' OR typeof(pid) <> 'integer')`, rid); err != nil {
			return err
		}
	}
	for _, e := range drop {
		if err := t.exec(t.ctx, `DELETE FROM entry WHERE pid = ? AND value = ? AND rid = ?`, e.pid, blob(e.value), rid); err != nil {
			return err
		}
	}
	return nil
}

// param returns the number of a search parameter, giving it one if it is new.
func (t *txn) param(typ, name string) (int64, error) {
	key := typ + "\x00" + name
	if pid, ok := t.params[key]; ok {
		return pid, nil
	}
	pid, found, err := findParam(t.ctx, t.session, typ, name)
	if err != nil {
		return 0, err
	}
	if !found {
		if pid, err = t.insert(t.ctx, `INSERT INTO param (type, name) VALUES (?, ?)`, typ, blob(name)); err != nil {
			return 0, err
		}
	}
	t.params[key] = pid
	return pid, nil
}

func findParam(ctx context.Context, s *session, typ, name string) (pid int64, found bool, err error) {
	found, err = s.one(ctx, `SELECT pid FROM param WHERE type = ? AND name = ?`, []any{typ, blob(name)}, &pid)
	return pid, found, err
}

// releaseClaims gives up the claims that the new version does not make.
func (t *txn) releaseClaims(p *pending) error {
	if p.was == 0 {
		return nil
	}
	keep := map[string]bool{}
	if !p.write.Deleted {
		for _, c := range p.write.Claims {
			keep[c] = true
		}
	}
	var drop [][]byte
	err := t.each(t.ctx, `SELECT claim FROM claim WHERE rid = ?`, []any{p.rid}, func(scan func(...any) error) error {
		var c []byte
		if err := scan(&c); err != nil {
			return err
		}
		if !keep[string(c)] {
			drop = append(drop, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range drop {
		if err := t.exec(t.ctx, `DELETE FROM claim WHERE claim = ?`, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) takeClaims(p *pending) error {
	if p.write.Deleted {
		return nil
	}
	for _, c := range slices.Sorted(slices.Values(p.write.Claims)) { // of several that are held the error names the first
		n, err := t.change(t.ctx, `INSERT INTO claim (claim, rid) VALUES (?, ?) ON CONFLICT DO NOTHING`, blob(c), p.rid)
		if err != nil {
			return err
		}
		if n == 1 {
			continue
		}
		var (
			holder int64
			key    store.Key
		)
		_, err = t.one(t.ctx, `SELECT h.rid, h.type, h.id FROM claim c JOIN head h ON h.rid = c.rid WHERE c.claim = ?`,
			[]any{blob(c)}, &holder, &key.Type, &key.ID)
		if err != nil {
			return err
		}
		if holder != p.rid {
			return &store.ClaimError{Claim: c, Holder: key}
		}
	}
	return nil
}
