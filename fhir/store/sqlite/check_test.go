package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// A row of the furnished store, by the id of its resource.
const (
	full = `(SELECT rid FROM head WHERE id = 'full')`
	gone = `(SELECT rid FROM head WHERE id = 'gone')`
)

func statements(queries ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		for _, q := range queries {
			execute(t, path, q)
		}
	}
}

const copyVersion = `INSERT INTO version (rid, version, updated, deleted, origin, labels, labelset, raw, sum) SELECT `

func TestCheckFindsAndMends(t *testing.T) {
	storetest.RunCheck(t, target, []storetest.Damage{
		{Name: "a version of nobody", Do: statements(copyVersion + `4711, 1, updated, 0, origin, labels, labelset, '{}', 7 FROM version WHERE rid = ` + full + ` AND version = 1`),
			Want: []string{"orphan versions of row 4711"}},
		{Name: "a copy of a version under another number", Do: statements(copyVersion + `4711, 1, updated, 0, origin, labels, labelset, raw, sum FROM version WHERE rid = ` + full + ` AND version = 1`),
			Want: []string{"orphan Patient/full"}},
		{Name: "another history under another number", Do: statements(
			copyVersion+`4711, 9, updated, 0, origin, labels, labelset, raw, sum FROM version WHERE rid = `+full+` AND version = 1`,
			copyVersion+`4711, 1, updated, 0, origin, labels, labelset, raw, sum FROM version WHERE rid = `+full+` AND version = 1`,
		), Want: []string{"orphan Patient/full"}, Left: []string{"orphan Patient/full"}},
		{Name: "a head is lost", Do: statements(`DELETE FROM head WHERE id = 'full'`),
			Want: []string{"lost-head Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"}, Uncopied: true},
		{Name: "a head of a single version is lost", Do: statements(`DELETE FROM head WHERE id = 'A-1.b'`),
			Want: []string{"lost-head Consent/A-1.b", "stale-claim claims of row 4", "stale-entry entries of row 4"}, Uncopied: true},
		{Name: "a head and a version in the middle are lost", Do: statements(`DELETE FROM version WHERE version = 3 AND rid = `+full, `DELETE FROM head WHERE id = 'full'`),
			Want: []string{"lost-head Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"}, Left: []string{"lost-version Patient/full"}, Uncopied: true},
		{Name: "a head is lost, and one of its versions stands under no row", Do: statements(`UPDATE version SET rid = -4711 WHERE version = 3 AND rid = `+full, `DELETE FROM head WHERE id = 'full'`),
			Want: []string{"lost-head Patient/full", "lost-head Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"}, Uncopied: true},
		{Name: "a head is lost, and the newest version was altered", Do: statements(`UPDATE version SET raw = CAST('x' AS BLOB) WHERE version = 8 AND rid = `+full, `DELETE FROM head WHERE id = 'full'`),
			Want: []string{"lost-head Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"},
			Left: []string{"lost-head Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"}, Uncopied: true},
		{Name: "heads stand under other rows than their versions", Do: statements(`UPDATE head SET rid = 4711 WHERE id = 'full'`, `UPDATE head SET rid = 0 WHERE id = 'again'`, `UPDATE head SET rid = -7 WHERE id = 'gone'`),
			Want: []string{"head-drift Patient/full", "head-drift Patient/again", "head-drift Patient/gone", "stale-claim claims of row 1", "stale-entry entries of row 1", "stale-entry entries of row 3"}, Uncopied: true},
		{Name: "versions stand under other numbers", Do: statements(`UPDATE version SET version = 9 WHERE version = 8 AND rid = `+full, `UPDATE version SET version = -4 WHERE version = 2 AND rid = `+full, `UPDATE version SET version = 7 WHERE version = 1 AND rid = `+gone),
			Want: []string{"damaged Patient/full", "damaged Patient/full", "damaged Patient/gone"}, Uncopied: true},
		{Name: "versions stand under other resources, and under none", Do: statements(`UPDATE version SET rid = (SELECT rid FROM head WHERE id = 'o03') WHERE version = 8 AND rid = `+full,
			`UPDATE version SET rid = (SELECT rid FROM head WHERE id = 'o03') WHERE version = 2 AND rid = `+gone, `UPDATE version SET rid = 4711 WHERE version IN (3, 5) AND rid = `+full,
			`UPDATE version SET rid = 4712 WHERE version = 1 AND rid = (SELECT rid FROM head WHERE id = 'o05')`, `DELETE FROM claim WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{"damaged Patient/full", "damaged Patient/gone", "orphan Patient/full", "orphan Observation/o05"}, Uncopied: true},
		{Name: "a head is behind", Do: statements(`UPDATE head SET version = 5 WHERE id = 'full'`),
			Want: []string{"head-drift Patient/full", "orphan Patient/full"}, Uncopied: true},
		{Name: "a broken version beyond the head", Do: statements(copyVersion + `rid, 9, updated, 0, origin, labels, labelset, raw, sum FROM version WHERE rid = ` + full + ` AND version = 8`),
			Want: []string{"orphan Patient/full"}},
		{Name: "the newest version is lost", Do: statements(`DELETE FROM version WHERE rid = ` + full + ` AND version = 8`),
			Want: []string{"lost-version Patient/full"}, Left: []string{"lost-version Patient/full"}},
		{Name: "versions in the middle are lost", Do: statements(`DELETE FROM version WHERE rid = ` + full + ` AND version IN (1, 3, 4)`),
			Want: []string{"lost-version Patient/full", "lost-version Patient/full"}, Left: []string{"lost-version Patient/full", "lost-version Patient/full"}},
		{Name: "content was altered", Do: statements(`UPDATE version SET raw = raw || ' ' WHERE rid = ` + full + ` AND version = 3`),
			Want: []string{"damaged Patient/full"}, Left: []string{"damaged Patient/full"}},
		{Name: "labels were altered", Do: statements(`UPDATE version SET labels = '[]' WHERE rid = ` + full + ` AND version = 8`),
			Want: []string{"damaged Patient/full"}, Left: []string{"damaged Patient/full"}},
		{Name: "a head says it is deleted", Do: statements(`UPDATE head SET deleted = 1 WHERE id = 'full'`),
			Want: []string{"head-drift Patient/full", "stale-claim claims of row 1", "stale-entry entries of row 1"}},
		{Name: "a head says it lives", Do: statements(`UPDATE head SET deleted = 0, updated = '2020-01-01T00:00:00.000Z' WHERE id = 'gone'`),
			Want: []string{"head-drift Patient/gone"}},
		{Name: "entries are missing", Do: statements(`DELETE FROM entry WHERE rid = ` + full + ` AND pid IN (SELECT pid FROM param WHERE name IN (CAST('name' AS BLOB), CAST('v' AS BLOB)))`),
			Want: []string{"index-drift Patient/full"}},
		{Name: "entries are wrong", Do: statements(`UPDATE entry SET value = CAST('jones' AS BLOB) WHERE rid = ` + full + ` AND value = CAST('smith' AS BLOB)`),
			Want: []string{"index-drift Patient/full"}},
		{Name: "single entries are missing, wrong, too many, of another type, of a reserved parameter", Do: statements(
			`DELETE FROM entry WHERE rid = (SELECT rid FROM head WHERE id = 'o01')`,
			`UPDATE entry SET value = CAST('03' AS BLOB) WHERE rid = (SELECT rid FROM head WHERE id = 'o02')`,
			`INSERT INTO entry SELECT pid, CAST('04' AS BLOB), rid FROM entry WHERE rid = (SELECT rid FROM head WHERE id = 'o03')`,
			`INSERT INTO param (type, name) VALUES ('Group', CAST('n' AS BLOB)), ('Observation', CAST('_id' AS BLOB))`,
			`UPDATE entry SET pid = (SELECT pid FROM param WHERE type = 'Group') WHERE rid = (SELECT rid FROM head WHERE id = 'o04')`,
			`INSERT INTO entry SELECT (SELECT pid FROM param WHERE name = CAST('_id' AS BLOB)), CAST('o06' AS BLOB), rid FROM head WHERE id = 'o05'`,
			`INSERT INTO entry SELECT (SELECT pid FROM param WHERE type = 'Group'), value, rid FROM entry WHERE rid = (SELECT rid FROM head WHERE id = 'o06')`,
		), Want: []string{"index-drift Observation/o01", "index-drift Observation/o02", "index-drift Observation/o03", "index-drift Observation/o04", "index-drift Observation/o05", "index-drift Observation/o06"}},
		{Name: "entries of a deleted resource", Do: statements(`INSERT INTO entry SELECT 1, CAST('x' AS BLOB), rid FROM head WHERE id = 'gone'`),
			Want: []string{"stale-entry entries of row 2"}},
		{Name: "entries of nobody", Do: statements(`INSERT INTO entry VALUES (1, CAST('x' AS BLOB), 4711)`),
			Want: []string{"stale-entry entries of row 4711"}},
		{Name: "a parameter is lost", Do: statements(`DELETE FROM param WHERE name = CAST('a-b' AS BLOB)`),
			Want: []string{"index-drift Patient/full", "stale-entry entries"}},
		{Name: "claims of nobody and of a deleted resource", Do: statements(`INSERT INTO claim VALUES (CAST('x' AS BLOB), 4711)`, `INSERT INTO claim VALUES (CAST('y' AS BLOB), `+gone+`)`),
			Want: []string{"stale-claim claims of row 2", "stale-claim claims of row 4711"}},
		{Name: "a claim is lost", Do: statements(`DELETE FROM claim WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{"lost-claim Patient/full"}},
		{Name: "a claim stands under nobody", Do: statements(`UPDATE claim SET rid = 4711 WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{"lost-claim Patient/full", "stale-claim claims of row 4711"}},
		{Name: "a claim stands under another", Do: statements(`UPDATE claim SET rid = (SELECT rid FROM head WHERE id = 'A-1.b') WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{"lost-claim Patient/full"}},
		{Name: "claims of which no content tells are lost, and stand under another", Do: statements(
			`DELETE FROM claim WHERE claim = CAST('c/2' AS BLOB)`,
			`UPDATE claim SET rid = `+full+` WHERE claim = CAST('c/3' AS BLOB)`),
			Want: []string{"lost-claim Consent/A-1.b", "lost-claim Consent/A-1.b"}},
		{Name: "two heads list a claim", Do: statements(`UPDATE head SET claims = claims || ' ' || hex('c/2') WHERE id = 'full'`),
			Want: []string{"lost-claim Patient/full"}, Left: []string{"lost-claim Patient/full"}},
		{Name: "heads do not list the claims that are held", Do: statements(`UPDATE head SET claims = '' WHERE id = 'full'`, `UPDATE head SET claims = hex('c/3') WHERE id = 'A-1.b'`),
			Want: []string{"head-drift Consent/A-1.b", "head-drift Patient/full"}},
		{Name: "what heads list cannot be read, or is of what is deleted", Do: statements(`UPDATE head SET claims = 'x' WHERE id = 'full'`, `UPDATE head SET claims = hex('c/9') WHERE id = 'gone'`),
			Want: []string{"head-drift Patient/full", "head-drift Patient/gone"}},
		{Name: "an index is missing", Do: statements(`DROP INDEX entry_of`, `DROP INDEX head_newest`),
			Want: []string{"missing-index entry_of", "missing-index head_newest"}},
		{Name: "an index is another", Do: statements(`DROP INDEX version_key`, `CREATE INDEX version_key ON version (version)`),
			Want: []string{"missing-index version_key"}},
		{Name: "an index lacks a row", Do: hideIndex, Want: []string{"damaged the file", "damaged the file"}, Changed: true},
		{Name: "a fact was altered", Do: statements(`UPDATE fact SET value = CAST('w' AS BLOB) WHERE key = CAST('forever' AS BLOB)`),
			Want: []string{`damaged fact "forever"`}, Left: []string{`damaged fact "forever"`}},
		{Name: "a fact's expiry was damaged into the past", Do: statements(`UPDATE fact SET expires = 1 WHERE key = CAST('forever' AS BLOB)`), Sweep: true, Uncopied: true,
			Want: []string{`damaged fact "forever"`}, Left: []string{`damaged fact "forever"`}},
		{Name: "the counter of facts is behind", Do: statements(`UPDATE counter SET last = 1 WHERE name = 'fact'`),
			Want: []string{"counter-behind versions of facts"}, Changed: true},
		{Name: "the counter of facts is gone", Do: statements(`DELETE FROM counter WHERE name = 'fact'`),
			Want: []string{"counter-behind versions of facts"}, Changed: true},
		{Name: "the counter of facts is no number", Do: statements(`UPDATE counter SET last = 'abc' WHERE name = 'fact'`),
			Want: []string{"counter-behind versions of facts"}, Changed: true},
		{Name: "the end of a stream is no number", Do: statements(`UPDATE stream SET last = 1.5 WHERE name = CAST('raw/a' AS BLOB)`),
			Want: []string{`damaged row "1" of stream`}, Left: []string{`damaged row "1" of stream`}},
		{Name: "a fact has the empty key", Do: statements(`UPDATE fact SET key = CAST('' AS BLOB) WHERE key = CAST('forever' AS BLOB)`),
			Want: []string{`damaged fact ""`}, Left: []string{`damaged fact ""`}},
		{Name: "a head of nothing", Do: statements(`INSERT INTO head (type, id, version, vid, updated, deleted) VALUES ('Patient', 'ghost', 0, 0, '', 1)`),
			Want: []string{"orphan Patient/ghost"}},
		{Name: "entries of a stream are lost", Do: statements(`DELETE FROM log WHERE seq = 2 AND sid = (SELECT sid FROM stream WHERE name = CAST('raw/a' AS BLOB))`),
			Want: []string{`gap stream "raw/a"`}, Left: []string{`gap stream "raw/a"`}},
		{Name: "the last entries of a stream are lost", Do: statements(`DELETE FROM log WHERE seq > 2 AND sid = (SELECT sid FROM stream WHERE name = CAST('raw/a' AS BLOB))`),
			Want: []string{`gap stream "raw/a"`}, Left: []string{`gap stream "raw/a"`}},
		{Name: "an entry was altered", Do: statements(`UPDATE log SET data = CAST('x' AS BLOB) WHERE seq = 2 AND sid = (SELECT sid FROM stream WHERE name = CAST('raw/a' AS BLOB))`),
			Want: []string{`damaged stream "raw/a"`}, Left: []string{`damaged stream "raw/a"`}},
		{Name: "the end of a stream is behind", Do: statements(`UPDATE stream SET last = 2 WHERE name = CAST('raw/a' AS BLOB)`),
			Want: []string{`counter-behind stream "raw/a"`}},
		{Name: "entries of no stream", Do: statements(`INSERT INTO log SELECT 4711, seq, at, data, sum FROM log WHERE seq = 4`),
			Want: []string{"orphan entries of streams"}, Left: []string{"orphan entries of streams"}},
		{Name: "a reader is beyond the end of its stream", Do: statements(`UPDATE position SET seq = 9 WHERE reader = CAST('r' AS BLOB) AND seq = 3`),
			Want: []string{`damaged position "raw/a/r"`}, Changed: true},
		{Name: "a reader is beyond the end of no stream", Do: statements(`UPDATE position SET seq = 9 WHERE seq = 0`),
			Want: []string{`damaged position "no entries/r"`}, Left: []string{`damaged position "no entries/r"`}},
		{Name: "entries are text", Do: statements(`INSERT INTO entry SELECT pid, 'zzz', 1 FROM param LIMIT 1`,
			`UPDATE entry SET value = CAST(value AS TEXT) WHERE rid = (SELECT rid FROM head WHERE id = 'o02')`),
			Want: []string{"index-drift Patient/full", "index-drift Observation/o02"}},
		{Name: "a version of a head is no number", Do: statements(`UPDATE head SET version = 'abc' WHERE id = 'again'`, `DELETE FROM claim WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{`damaged row "3" of head`, "lost-claim Patient/full"}, Left: []string{`damaged row "3" of head`}},
		{Name: "a version of a version is no number", Do: statements(`UPDATE version SET version = 'abc' WHERE vid = 1`),
			Want: []string{"lost-version Patient/full", `damaged row "1" of version`}, Left: []string{"lost-version Patient/full", `damaged row "1" of version`}},
		{Name: "a version of a fact is no number", Do: statements(`UPDATE fact SET version = 'abc' WHERE key = CAST('forever' AS BLOB)`),
			Want: []string{`damaged row "forever" of fact`}, Left: []string{`damaged row "forever" of fact`}},
		{Name: "an instant of an entry is no number", Do: statements(`UPDATE log SET at = 'abc' WHERE seq = 4`),
			Want: []string{`damaged row "1/4" of log`, `gap stream "raw/a"`}, Left: []string{`damaged row "1/4" of log`, `gap stream "raw/a"`}},
		{Name: "a key of a fact is text", Do: statements(`UPDATE fact SET key = CAST(key AS TEXT) WHERE key = CAST('forever' AS BLOB)`),
			Want: []string{`damaged row "forever" of fact`}},
		{Name: "text stands where bytes should, and bytes where text should", Do: statements(
			`UPDATE head SET type = CAST(type AS BLOB), updated = CAST(updated AS BLOB) WHERE id = 'full'`, `UPDATE head SET id = CAST(id AS BLOB) WHERE id = 'gone'`,
			`UPDATE param SET name = CAST(name AS TEXT) WHERE pid = 1`, `UPDATE param SET type = CAST(type AS BLOB) WHERE pid = 2`,
			`UPDATE claim SET claim = CAST(claim AS TEXT) WHERE claim = CAST('c/1' AS BLOB)`,
			`UPDATE stream SET name = CAST(name AS TEXT) WHERE name = CAST('raw/a' AS BLOB)`),
			Want: []string{`damaged row "1" of head`, `damaged row "1" of head`, `damaged row "2" of head`, `damaged row "1" of param`, `damaged row "2" of param`, `damaged row "c/1" of claim`,
				`damaged row "1" of stream`, `damaged position "raw/a/r"`, `damaged position "raw/a/r\x00\xfe"`}},
		{Name: "whether it is deleted is neither yes nor no", Do: statements(`UPDATE head SET deleted = 2 WHERE id = 'full'`, `UPDATE version SET deleted = 2 WHERE rid = `+gone+` AND version = 1`,
			`DELETE FROM entry WHERE rid = (SELECT rid FROM head WHERE id = 'o01')`),
			Want: []string{`damaged row "1" of head`, `damaged row "8" of version`, "lost-version Patient/gone", "index-drift Observation/o01"},
			Left: []string{`damaged row "1" of head`, `damaged row "8" of version`, "lost-version Patient/gone"}},
		{Name: "entries and claims of what is no number", Do: statements(
			`UPDATE entry SET rid = 'abc' WHERE rid = `+full, `UPDATE OR IGNORE entry SET pid = 'abc' WHERE rid = (SELECT rid FROM head WHERE id = 'o02')`, `UPDATE claim SET rid = 'abc' WHERE claim = CAST('c/1' AS BLOB)`),
			Want: []string{"index-drift Patient/full", "index-drift Observation/o02", "stale-entry entries of row abc", "stale-entry entries", "lost-claim Patient/full", "stale-claim claims of row abc"}},
		{Name: "a head says less than nothing", Do: statements(`UPDATE head SET version = -3 WHERE id = 'full'`), Want: []string{"orphan Patient/full"}},
		{Name: "a reader is before the beginning", Do: statements(`UPDATE position SET seq = -5 WHERE reader = CAST('r' AS BLOB) AND stream = CAST('raw/a' AS BLOB)`),
			Want: []string{`damaged position "raw/a/r"`}, Left: []string{`damaged position "raw/a/r"`}},
		{Name: "a trigger is not the store's", Do: statements(`CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE seq = 1; END`),
			Want: []string{`damaged the trigger "t"`}, Left: []string{`damaged the trigger "t"`}},
	})
}

// Where a table or a column is gone the check says so, in its own words.
func TestCheckMissesTables(t *testing.T) {
	for query, want := range map[string]string{
		`DROP TABLE claim`:                       "the table claim: it is not there",
		`DROP TABLE position`:                    "the table position: it is not there",
		`ALTER TABLE version DROP COLUMN labels`: "the table version: it lacks the column labels",
	} {
		path := filepath.Join(t.TempDir(), "a.db")
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		execute(t, path, query)
		if db, err = sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1}); err != nil {
			t.Fatal(err)
		}
		var found []string
		err = db.CheckStore(t.Context(), store.CheckOptions{Repair: true}, func(f store.Finding) { found = append(found, f.What+": "+f.Detail) })
		if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], want) {
			t.Errorf("%s: %q, %v", query, found, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// hideIndex has the claims' index miss a row, as a fault of the disk would.
func hideIndex(t *testing.T, path string) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var root int
	var text string
	if err := db.QueryRow(`SELECT rootpage, sql FROM sqlite_schema WHERE name = 'claim_of'`).Scan(&root, &text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, `PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'claim_of'`)
	execute(t, path, `INSERT INTO claim VALUES (CAST('c/9' AS BLOB), `+full+`)`)
	db, err = sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked by what follows
	if _, err := db.Exec(`PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('index', 'claim_of', 'claim', ?, ?)`, root, text); err != nil {
		t.Fatal(err)
	}
}
