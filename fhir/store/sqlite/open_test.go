package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
)

func patient(id string, n int, index ...string) store.Write {
	raw := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"n":%d,"pad":%q}`, id, n, strings.Repeat("x", 1000))
	return store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: raw, Index: index}, Expect: store.AnyVersion}
}

// filled makes a store with some resources, closed.
func filled(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handoff.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := db.Write(t.Context(), patient(fmt.Sprintf("p%d", i), i, "family|smith")); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenSaysWhatIsWrongAndLeavesTheFile(t *testing.T) {
	write := func(content string) func(*testing.T) string {
		return func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file.db")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	edit := func(query string) func(*testing.T) string {
		return func(t *testing.T) string {
			path := filled(t, 1)
			execute(t, path, query)
			return path
		}
	}
	for _, tt := range []struct {
		name string
		make func(*testing.T) string
		says string
		is   error
	}{
		{"a directory", func(t *testing.T) string { return t.TempDir() }, "is a directory", nil},
		{"a folder that is not there", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none", "x.db") }, "no such file", nil},
		{"a folder that is a file", func(t *testing.T) string { return filepath.Join(write("x")(t), "x.db") }, "not a directory", nil},
		{"text", write("id,name\n1,Smith\n" + strings.Repeat("x", 5000)), "not an SQLite database", store.ErrDamaged},
		{"a few bytes", write("SQLite format 3\x00abc"), "ends after 19 bytes", store.ErrDamaged},
		{"a header and nothing sensible", write("SQLite format 3\x00" + strings.Repeat("\xa5", 5000)), "", store.ErrDamaged},
		{"another program's database", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "other.db")
			execute(t, path, "CREATE TABLE orders (id INTEGER)")
			return path
		}, "something else", nil},
		{"a layout below none", edit("PRAGMA user_version = -3"), "its layout is -3 (user_version)", store.ErrDamaged},
		{"tables of no layout", edit("PRAGMA user_version = 0"), "its layout is 0 (user_version)", store.ErrDamaged},
		{"another application id", edit("PRAGMA application_id = 4660"), "something else (application id 0x1234", nil},
		{"an older layout of which a table is gone", edit("PRAGMA user_version = 1; DROP TABLE head"), "it has no table head", store.ErrDamaged},
		{"a newer layout", edit("PRAGMA user_version = 99"), "layout is 99", store.ErrNewer},
		{"a file that was cut off", func(t *testing.T) string {
			path := filled(t, 50)
			if err := os.Truncate(path, 40960); err != nil {
				t.Fatal(err)
			}
			return path
		}, "cut off", store.ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.make(t)
			before, _ := os.ReadFile(path)
			db, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
			if err == nil {
				_ = db.Close()
				t.Fatal("it opens")
			}
			t.Log(err)
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not name the path and say %q", err, tt.says)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked by what follows
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// A file of the first layout is brought to this one: its heads then list what they claim,
// and nothing that was there looks wrong.
func TestTheFirstLayoutIsBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	open := func() *sqlite.DB {
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	for id, claims := range map[string][]string{"a": {"c/\xff", "b"}, "b": nil, "gone": {"z"}} {
		w := patient(id, 1, "family|smith")
		w.Claims = claims
		if _, err := db.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "gone"}, Deleted: true}, Expect: 1}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "ALTER TABLE head DROP COLUMN claims; PRAGMA user_version = 1")
	db = open()
	err := db.CheckStore(t.Context(), store.CheckOptions{Young: -1}, func(f store.Finding) { t.Errorf("found %+v", f) })
	if err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close() // it only looks
	for id, want := range map[string]string{"a": "62 632FFF", "b": "", "gone": ""} {
		var got string
		if err := raw.QueryRow("SELECT claims FROM head WHERE id = ?", id).Scan(&got); err != nil || got != want {
			t.Errorf("%s lists %q, %v, want %q", id, got, err, want)
		}
	}
}

func TestUnwritablePathsAreNamed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere: permissions were not tried")
	}
	path := filled(t, 1)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("got %v", err)
	}
}

func TestOpenMakesFilesForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20 d.db") // nothing of a path is an option
	for _, mode := range []os.FileMode{0, 0o644} {
		if mode != 0 {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write(t.Context(), patient("a", 1)); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v, want mode 0600", suffix, info, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("files left: %v", files)
	}
}

func TestALockedStoreSaysSoAndLosesNothing(t *testing.T) {
	path := filled(t, 1)
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() // only a lock
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write(t.Context(), patient("q", 1)); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want a locked store", err)
	}
	if _, err := db.Read(t.Context(), store.Key{Type: "Patient", ID: "p0"}); err != nil {
		t.Errorf("reading while another process writes: %v", err)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write(t.Context(), patient("q", 1)); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestAnExclusivelyLockedFileDoesNotOpen(t *testing.T) {
	path := filled(t, 1)
	other, err := sql.Open("sqlite", path+"?_pragma=locking_mode(EXCLUSIVE)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() // only a lock
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path, sqlite.Options{BusyTimeout: 50 * time.Millisecond})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want a locked store", err)
	}
}

// Damage inside a file that opens: a flipped byte must never come out as data.
func TestAFlippedByteIsNeverServed(t *testing.T) {
	path := filled(t, 40)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for at := 100; at < len(good); at += 997 {
		bad := bytes.Clone(good)
		bad[at] ^= 0x41
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		found += readDamaged(t, path, at)
	}
	if found == 0 {
		t.Error("no damage was found at all")
	}
	t.Logf("%d damaged reads refused", found)
}

func readDamaged(t *testing.T, path string, at int) (refused int) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return 1
	}
	defer db.Close() // damaged on purpose
	for i := range 40 {
		want := patient(fmt.Sprintf("p%d", i), i)
		switch rec, err := db.Read(context.Background(), want.Key); {
		case errors.Is(err, store.ErrDamaged):
			refused++
		case errors.Is(err, store.ErrNotFound): // a damaged key hides, as if it were not there
		case err != nil:
			t.Errorf("byte %d: %v is not damage", at, err)
		case !bytes.Equal(rec.Raw, want.Raw):
			t.Fatalf("byte %d: changed bytes were served", at)
		}
	}
	return refused
}

func TestCheckFindsDamage(t *testing.T) {
	path := filled(t, 5)
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("a sound store: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'head_key') WHERE name = 'head_newest'")
	db, err = sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		defer db.Close() // damaged on purpose
		err = db.Check(t.Context())
	}
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v, want damage", err)
	}
}

func TestMemoryLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	db, err := sqlite.Open(t.Context(), sqlite.Memory, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write(t.Context(), patient("a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestExpungedBytesAreGoneFromTheFiles(t *testing.T) {
	path := filled(t, 3)
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	w := patient("secret", 1, "family|unmistakable-family")
	w.Raw = []byte(strings.Replace(string(w.Raw), "xxxx", "unmistakable-body", 1))
	w.Claims = []string{"unmistakable-claim"}
	for range 3 {
		if _, err := db.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	has := func() (found []string) {
		for _, suffix := range []string{"", "-wal"} {
			if raw, err := os.ReadFile(path + suffix); err == nil && bytes.Contains(raw, []byte("unmistakable")) {
				found = append(found, path+suffix)
			}
		}
		return found
	}
	if len(has()) == 0 {
		t.Fatal("what is written is not in the files: the test looks in the wrong place")
	}
	if err := db.Expunge(t.Context(), w.Key); err != nil {
		t.Fatal(err)
	}
	if left := has(); len(left) > 0 {
		t.Errorf("still in %v", left)
	}
}

func TestTheSweeperRuns(t *testing.T) {
	now := time.Now()
	db, err := sqlite.Open(t.Context(), sqlite.Memory, sqlite.Options{SweepEvery: 5 * time.Millisecond, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	if _, err := db.PutIfAbsent(t.Context(), "k", nil, now.Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if n, err := db.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("%d facts swept, %v: they had not expired", n, err)
	}
}

// A table that is gone is told by whatever needs it, in words.
func TestATableThatIsGoneIsDamage(t *testing.T) {
	path := filled(t, 1)
	execute(t, path, "DROP TABLE fact")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // only read
	if _, err := db.Get(t.Context(), "k"); !errors.Is(err, store.ErrDamaged) || !strings.HasSuffix(err.Error(), "it has no table fact; restore it from a backup") {
		t.Error(err)
	}
}
