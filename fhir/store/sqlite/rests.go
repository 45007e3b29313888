package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite/btree"
)

const (
	// scanPages is how many pages one statement reads: no snapshot is held longer.
	scanPages = 256
	// clearedPages is how many pages one job of the writer overwrites: no other write
	// waits for more.
	clearedPages = 64
	// maxPages is where the number of a page takes four bytes. From there on the first
	// byte of a page that continues a value, or is free, can be that of a b-tree page.
	maxPages = 1 << 24
)

// clearPages overwrites what nothing refers to in the b-tree pages of the file: when
// SQLite moves cells to another page, copies of them stay in the gap before the cells
// of the page that they left, secure_delete or not. Pages are found by a reader, slice
// by slice, and each is read again where it is overwritten.
//
// One scan will do: a page that is made or changed behind it gets copies of cells that
// are there then, never of a gap.
func (db *DB) clearPages(ctx context.Context) (err error) {
	s, err := db.session(ctx, true)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // it has only read
	layout, pages, err := db.layout(ctx, s)
	if err != nil {
		return err
	}
	var first error // of a page that is not what it should be; the others are cleared
	for from := int64(1); from <= pages; from += scanPages {
		select {
		case <-db.closing:
			return db.isClosed()
		default:
		}
		dirty, unsound, err := db.dirtyPages(ctx, s, layout, from, min(from+scanPages-1, pages))
		if err != nil {
			return db.explain(err)
		}
		if first == nil {
			first = unsound
		}
		for some := range slices.Chunk(dirty, clearedPages) {
			if err := db.submit(ctx, func(t *txn) error { return t.clear(layout, some) }); err != nil {
				return err
			}
		}
	}
	return first
}

// layout reads the file's header as SQLite sees it, and refuses a file in which b-tree
// pages cannot be told from others.
func (db *DB) layout(ctx context.Context, s *session) (l btree.Layout, pages int64, err error) {
	var head []byte
	found, err := s.one(ctx, `SELECT data FROM sqlite_dbpage WHERE pgno = 1`, nil, &head)
	if err == nil {
		_, err = s.one(ctx, `PRAGMA page_count`, nil, &pages)
	}
	switch {
	case err != nil:
		return l, 0, db.explain(err)
	case !found || len(head) < btree.FileHeader:
		return l, 0, fmt.Errorf("%s: %w: no first page", db.path, store.ErrDamaged)
	case pages >= maxPages:
		return l, 0, fmt.Errorf("%s has %d pages: above %d it cannot be told which of them hold rests; copy it with \"handoff store copy\", a new store holds none", db.path, pages, maxPages)
	case binary.BigEndian.Uint32(head[52:]) != 0:
		return l, 0, fmt.Errorf("%s has auto_vacuum on, which Handoff never sets: it cannot be told which pages hold rests; copy it with \"handoff store copy\"", db.path)
	}
	return btree.Layout{PageSize: len(head), Reserved: int(head[20])}, pages, nil
}

// dirtyPages lists the pages of a slice that hold rests. unsound is of the first page
// that cannot be read with certainty.
func (db *DB) dirtyPages(ctx context.Context, s *session, l btree.Layout, from, to int64) (dirty []int64, unsound, err error) {
	err = s.each(ctx, `WITH RECURSIVE n (p) AS (VALUES (?) UNION ALL SELECT p + 1 FROM n WHERE p < ?) SELECT p, data FROM n CROSS JOIN sqlite_dbpage WHERE pgno = p`,
		[]any{from, to}, func(scan func(...any) error) error {
			var page int64
			var data sql.RawBytes
			if err := scan(&page, &data); err != nil {
				return err
			}
			is, err := l.Dirty(data, page)
			if err != nil && unsound == nil {
				unsound = db.unsound(page, err)
			}
			if is {
				dirty = append(dirty, page)
			}
			return nil
		})
	return dirty, unsound, err
}

func (db *DB) unsound(page int64, err error) error {
	return fmt.Errorf("%s: %w: page %d: %w", db.path, store.ErrDamaged, page, err)
}

// clear overwrites what nothing refers to in some pages, as they are now.
func (t *txn) clear(l btree.Layout, pages []int64) error {
	for _, page := range pages {
		var data []byte
		found, err := t.one(t.ctx, `SELECT data FROM sqlite_dbpage WHERE pgno = ?`, []any{page}, &data)
		if err != nil {
			return err
		}
		if !found {
			continue // the file has become shorter
		}
		cleared, err := l.Clear(data, page)
		if err != nil {
			return t.db.unsound(page, err)
		}
		if cleared == 0 {
			continue
		}
		if err := t.exec(t.ctx, `UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?`, data, page); err != nil {
			return err
		}
	}
	return nil
}
