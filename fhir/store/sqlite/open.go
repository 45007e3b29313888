package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/handoff-health/handoff/fhir/store"
)

// Memory as a path gives a store for tests, in a temporary folder that Close
// removes.
const Memory = ":memory:"

// Options of a store. The zero value is usable.
type Options struct {
	Now         func() time.Time // clock of LastUpdated and expiry; time.Now if nil
	Readers     int              // concurrent readers; 4 if 0
	BusyTimeout time.Duration    // how long another process's lock is waited for; 10 s if 0
	SweepEvery  time.Duration    // how often expired facts are removed; 1 min if 0, never if negative
}

// A DB is an open store. It is a [store.Store], [store.Facts], [store.Log] and
// [store.Sweeper], safe for concurrent use.
type DB struct {
	path      string // as the caller gave it, for messages
	now       func() time.Time
	sql       *sql.DB
	readers   *pool
	watching  sync.Mutex
	watch     *session // reads data_version alone
	jobs      chan *job
	params    sync.Map // paramKey to number
	sizes     sync.Map // resource type to *typeSize
	writes    writeCount
	searching time.Duration // how long a search may take
	busy      time.Duration // how long another process's lock is waited for
	erasing   erasing

	gate      sync.RWMutex // held for reading while a job is queued
	closed    bool
	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	running   sync.WaitGroup // writer and sweeper
	temporary string         // folder to remove on Close
}

var (
	_ store.Store   = (*DB)(nil)
	_ store.Facts   = (*DB)(nil)
	_ store.Log     = (*DB)(nil)
	_ store.Sweeper = (*DB)(nil)
	_ store.Epocher = (*DB)(nil)
	_ store.Eraser  = (*DB)(nil)
)

// Open opens the store at path or makes a new one (mode 0600). Its error names
// the path and the reason; a file that cannot be used is left as it is.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Minute
	}
	db := &DB{path: path, now: o.Now, busy: o.BusyTimeout, searching: searchFor, jobs: make(chan *job, maxBatch), closing: make(chan struct{}), erasing: newErasing()}
	if path == Memory {
		dir, err := os.MkdirTemp("", "handoff-store-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for a temporary store: %w", err)
		}
		db.temporary, path = dir, filepath.Join(dir, "handoff.db")
	}
	if err := db.open(ctx, path, o); err != nil {
		_ = db.discard()
		return nil, err
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string, o Options) error {
	if err := prepareFile(path); err != nil {
		return err
	}
	if err := db.connect(path, o); err != nil {
		return err
	}
	w, err := db.session(ctx, false)
	if err != nil {
		return err
	}
	if err := db.migrate(ctx, w); err != nil {
		_ = w.close()
		return err
	}
	db.readers = newPool(o.Readers)
	for range o.Readers {
		r, err := db.session(ctx, true)
		if err != nil {
			_ = w.close()
			return err
		}
		db.readers.give(r)
	}
	if db.watch, err = db.session(ctx, true); err != nil {
		_ = w.close()
		return err
	}
	db.running.Go(func() { db.write(w) })
	if o.SweepEvery > 0 {
		db.running.Go(func() { db.sweepEvery(o.SweepEvery) })
	}
	return nil
}

// connect names the file in a form in which no character of its path is read
// as an option.
func (db *DB) connect(path string, o Options) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s: %w", db.path, err)
	}
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds()),
		"synchronous(FULL)", // a commit is on the disk before it is acknowledged
		"temp_store(MEMORY)",
		"secure_delete(ON)", // what is expunged is overwritten, not only unlinked
		"cell_size_check(ON)",
		"cache_size(-4096)", // KiB, per connection
		// 16 MiB of log between checkpoints: bulk ingest rewrites the same index
		// pages again and again, and each checkpoint writes them once.
		"wal_autocheckpoint(4000)",
	}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	if db.sql, err = sql.Open("sqlite", u.String()); err != nil {
		return fmt.Errorf("%s: %w", db.path, err)
	}
	db.sql.SetMaxOpenConns(o.Readers + 3) // the writer, the watcher, who looks for rests
	db.sql.SetMaxIdleConns(o.Readers + 2)
	return nil
}

func (db *DB) session(ctx context.Context, reader bool) (*session, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, db.explain(fmt.Errorf("open: %w", err))
	}
	if reader {
		if _, err := conn.ExecContext(ctx, "PRAGMA query_only = ON"); err != nil {
			_ = conn.Close()
			return nil, db.explain(fmt.Errorf("open: %w", err))
		}
	}
	return newSession(conn), nil
}

const header = "SQLite format 3\x00"

// prepareFile makes a new file readable by its owner only, or checks that an
// existing one can be a store, before SQLite sees it.
func prepareFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path)
	case err != nil:
		return fmt.Errorf("open the store: %w", err)
	case info.IsDir():
		return fmt.Errorf("open the store: %s is a directory; name a file in it", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("open the store: %s is not a regular file (%s)", path, info.Mode().Type())
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	defer f.Close() // nothing was written
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return fmt.Errorf("open the store: others may read %s, and that cannot be changed: %w", path, err)
		}
	}
	return checkHeader(f, path, info.Size())
}

// checkHeader refuses what is no database and what is shorter than it says.
func checkHeader(f io.Reader, path string, size int64) error {
	if size == 0 {
		return nil // SQLite makes a database of an empty file
	}
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("open the store: %w", err)
	}
	if !bytes.HasPrefix(head[:n], []byte(header)) {
		return fmt.Errorf("open the store: %s is not an SQLite database, or its first page is damaged: %w", path, store.ErrDamaged)
	}
	if n < len(head) {
		return fmt.Errorf("open the store: %s ends after %d bytes: %w", path, size, store.ErrDamaged)
	}
	pageSize := int64(head[16])<<8 | int64(head[17])
	if pageSize == 1 {
		pageSize = 65536
	}
	pages := int64(head[28])<<24 | int64(head[29])<<16 | int64(head[30])<<8 | int64(head[31])
	countHolds := bytes.Equal(head[24:28], head[92:96]) // else the count is not kept up
	if _, err := os.Stat(path + "-wal"); err == nil {
		countHolds = false // the missing pages may stand in the log beside it
	}
	if countHolds && size < pages*pageSize {
		return fmt.Errorf("open the store: %s has %d bytes, but its first page says %d: it is cut off: %w", path, size, pages*pageSize, store.ErrDamaged)
	}
	return nil
}

func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	defer dir.Close() // opened for Sync only
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("make the store: %s: %w", dir.Name(), err)
	}
	return nil
}

// Ping reads from the file.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, func(s *session) error {
		_, err := s.one(ctx, "SELECT 1 FROM head LIMIT 1", nil, new(int))
		return err
	})
}

// Check reads the whole file and compares what it holds with itself; it takes
// seconds per gigabyte. Damage gives store.ErrDamaged.
func (db *DB) Check(ctx context.Context) error {
	return db.read(ctx, func(s *session) error {
		var verdict string
		if _, err := s.one(ctx, "PRAGMA integrity_check(1)", nil, &verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("%s: %w: %s", db.path, store.ErrDamaged, verdict)
		}
		return nil
	})
}

// Close waits for writes under way and closes the file. Later calls of any
// method fail; a second Close does nothing.
func (db *DB) Close() error {
	db.closeOnce.Do(func() {
		close(db.closing)
		db.gate.Lock()
		db.closed = true
		close(db.jobs)
		db.gate.Unlock()
		db.running.Wait()
		db.readers.close()
		db.watching.Lock()
		_ = db.watch.close()
		db.watch = nil
		db.watching.Unlock()
		db.closeErr = db.discard()
	})
	return db.closeErr
}

func (db *DB) discard() error {
	var err error
	if db.sql != nil {
		err = db.explain(db.sql.Close())
	}
	if db.temporary != "" {
		err = errors.Join(err, os.RemoveAll(db.temporary))
	}
	return err
}
