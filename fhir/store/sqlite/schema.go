package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// applicationID marks the file as a Handoff store: "Hoff".
const applicationID = 0x486f6666

// schemaVersion is the newest layout this program knows.
const schemaVersion = 2

// migrations[n] takes a file from layout n to n+1. A landed one never changes.
var migrations = [schemaVersion]string{`
-- One row a resource. vid is its newest version; updated and deleted repeat
-- that version's, for the indexes.
CREATE TABLE head (
	rid     INTEGER PRIMARY KEY,
	type    TEXT    NOT NULL,
	id      TEXT    NOT NULL,
	version INTEGER NOT NULL,
	vid     INTEGER NOT NULL,
	updated TEXT    NOT NULL,
	deleted INTEGER NOT NULL
);
CREATE UNIQUE INDEX head_key ON head (type, id);
CREATE INDEX head_newest ON head (type, updated DESC, id) WHERE deleted = 0;

-- Every version ever accepted; append-only but for Expunge.
CREATE TABLE version (
	vid      INTEGER PRIMARY KEY,
	rid      INTEGER NOT NULL,
	version  INTEGER NOT NULL,
	updated  TEXT    NOT NULL,
	deleted  INTEGER NOT NULL,
	origin   BLOB    NOT NULL,
	labels   BLOB    NOT NULL,
	labelset TEXT    NOT NULL,
	raw      BLOB    NOT NULL,
	sum      INTEGER NOT NULL
);
CREATE UNIQUE INDEX version_key ON version (rid, version);

-- Search parameters, numbered per resource type.
CREATE TABLE param (
	pid  INTEGER PRIMARY KEY,
	type TEXT NOT NULL,
	name BLOB NOT NULL
);
CREATE UNIQUE INDEX param_key ON param (type, name);

-- Search entries of live heads: from a value to resources, and back.
CREATE TABLE entry (
	pid   INTEGER NOT NULL,
	value BLOB    NOT NULL,
	rid   INTEGER NOT NULL,
	PRIMARY KEY (pid, value, rid)
) WITHOUT ROWID;
CREATE INDEX entry_of ON entry (rid, pid, value);

CREATE TABLE claim (
	claim BLOB    NOT NULL PRIMARY KEY,
	rid   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claim_of ON claim (rid);

CREATE TABLE fact (
	key     BLOB    NOT NULL PRIMARY KEY,
	value   BLOB    NOT NULL,
	version INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	sum     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX fact_expires ON fact (expires) WHERE expires > 0;

-- The last number given to a fact's version: none is given twice.
CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('fact', 0);

CREATE TABLE stream (
	sid  INTEGER PRIMARY KEY,
	name BLOB    NOT NULL UNIQUE,
	last INTEGER NOT NULL
);
CREATE TABLE log (
	sid  INTEGER NOT NULL,
	seq  INTEGER NOT NULL,
	at   INTEGER NOT NULL,
	data BLOB    NOT NULL,
	sum  INTEGER NOT NULL,
	PRIMARY KEY (sid, seq)
) WITHOUT ROWID;
CREATE TABLE position (
	stream BLOB    NOT NULL,
	reader BLOB    NOT NULL,
	seq    INTEGER NOT NULL,
	PRIMARY KEY (stream, reader)
) WITHOUT ROWID;
`, `
-- What a resource claims, said once more by its head, so that a claim that is lost is
-- missed: in hex, sorted, apart by spaces.
ALTER TABLE head ADD COLUMN claims TEXT NOT NULL DEFAULT '';
UPDATE head SET claims = (SELECT group_concat(hex(claim), ' ' ORDER BY claim) FROM claim WHERE claim.rid = head.rid)
	WHERE rid IN (SELECT rid FROM claim);
`}

var errNoWAL = errors.New("the file system does not support a write-ahead log")

// migrate brings the file to this program's layout, in one transaction, or says
// why it cannot. A file of something else is not touched.
func (db *DB) migrate(ctx context.Context, s *session) (err error) {
	app, version, tables, err := inspect(ctx, s)
	switch {
	case err != nil:
		return db.explain(err)
	case app != applicationID && (app != 0 || version != 0 || tables > 0):
		return fmt.Errorf("%s is an SQLite database of something else (application id %#x, %d tables), not a Handoff store", db.path, uint32(app), tables)
	case version < 0 || version == 0 && tables > 0:
		return fmt.Errorf("%s: %w: it says that its layout is %d (user_version), which no store with tables has; restore it from a backup", db.path, store.ErrDamaged, version)
	case version > schemaVersion:
		return fmt.Errorf("%s: %w: its layout is %d, this program knows up to %d", db.path, store.ErrNewer, version, schemaVersion)
	}
	// Only now is it known to be ours: the mode is kept in the file.
	var mode string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return db.explain(fmt.Errorf("switch to a write-ahead log: %w", err))
	}
	if mode != "wal" {
		return fmt.Errorf("%s: %w", db.path, errNoWAL)
	}
	if app == applicationID && version == schemaVersion {
		return nil
	}
	if err := s.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return db.explain(err)
	}
	defer func() {
		if err != nil {
			_ = s.exec(ctx, "ROLLBACK")
		}
	}()
	// Another process may have been faster while this one waited for the lock.
	if _, version, _, err = inspect(ctx, s); err != nil {
		return db.explain(err)
	}
	for n := version; n < schemaVersion; n++ {
		if _, err := s.conn.ExecContext(ctx, migrations[n]); err != nil {
			return fmt.Errorf("%s: bring layout %d to %d: %w", db.path, n, n+1, db.explain(err))
		}
	}
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", schemaVersion),
		"COMMIT",
	} {
		if _, err := s.conn.ExecContext(ctx, pragma); err != nil {
			return db.explain(err)
		}
	}
	return nil
}

func inspect(ctx context.Context, s *session) (app, version, tables int64, err error) {
	for query, dest := range map[string]*int64{
		"PRAGMA application_id":              &app,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := s.conn.QueryRowContext(ctx, query).Scan(dest); err != nil {
			return 0, 0, 0, err
		}
	}
	return app, version, tables, nil
}
