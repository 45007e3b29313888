package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// A bench is a folder with a watcher whose looks and clock the test makes.
type bench struct {
	t      *testing.T
	dir    string
	facts  store.Facts
	o      Options
	w      *Watcher
	now    time.Time
	read   []string // "name=content" of what was ingested
	ingest func(ctx context.Context, in adapters.Input, text string) (*flow.Report, error)
	counts map[string]int
}

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	b := &bench{t: t, dir: t.TempDir(), facts: db, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), counts: map[string]int{}}
	b.o = Options{Path: b.dir, System: "rms", SiteKey: []byte("a key of this test alone"), Facts: db, Polls: 1, Temporary: []string{"*.tmp", "*.part"},
		Now: func() time.Time { return b.now }, Observe: func(what string) { b.counts[what]++ },
		Ingest: func(ctx context.Context, in adapters.Input) (*flow.Report, error) {
			raw, err := io.ReadAll(in.Reader)
			if err != nil {
				return nil, err
			}
			name, _ := filepath.Rel(b.dir, in.Name)
			b.read = append(b.read, name+"="+string(raw))
			if b.ingest != nil {
				return b.ingest(ctx, in, string(raw))
			}
			return &flow.Report{Source: in.Name, Records: 1, Created: 1}, nil
		}}
	if change != nil {
		change(&b.o)
	}
	b.restart()
	return b
}

// restart is another process over the same folder and state.
func (b *bench) restart() {
	b.t.Helper()
	if b.w != nil {
		_ = b.w.root.Close()
	}
	w, err := New(b.o)
	if err == nil {
		err = w.open(context.Background())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.w = w
	b.t.Cleanup(func() { _ = w.root.Close() })
}

func (b *bench) put(name, text string) {
	b.t.Helper()
	p := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// look looks n times and gives what was read meanwhile.
func (b *bench) look(n int) []string {
	b.t.Helper()
	b.read = nil
	for range n {
		b.now = b.now.Add(b.o.Every + 5*time.Second)
		if err := b.w.look(context.Background()); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.read
}

func (b *bench) want(what string, got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: read %q, want %q", what, got, want)
	}
}

// files are the names below the folder, without those that are given.
func (b *bench) files() []string {
	b.t.Helper()
	var out []string
	err := filepath.WalkDir(b.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(b.dir, p)
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) report(name string) Result {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, name+".report.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	var r Result
	if err := json.Unmarshal(raw, &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestAFileIsReadOnceAndArchivedWithItsReport(t *testing.T) {
	b := newBench(t, nil)
	b.put("b.csv", "two")
	b.put("a.csv", "one")
	b.want("at first", b.look(1))
	b.want("when nothing has changed", b.look(1), "a.csv=one", "b.csv=two")
	b.want("afterwards", b.look(3))
	if got := b.files(); !slices.Equal(got, []string{"archive/a.csv", "archive/a.csv.report.json", "archive/b.csv", "archive/b.csv.report.json"}) {
		t.Errorf("files: %q", got)
	}
	if r := b.report("archive/a.csv"); r.Status != Read || r.File != "a.csv" || r.Bytes != 3 || r.Records == nil || r.Records.Created != 1 || len(r.SHA256) != 64 || r.Resumed {
		t.Errorf("report: %+v", r)
	}
	if facts, err := b.facts.Scan(context.Background(), "folder/rms/f/", "", 10); err != nil || len(facts) != 0 {
		t.Errorf("state of files that have gone: %v %v", facts, err)
	}
}

func TestPartialFilesWait(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Polls = 2 })
	b.put("a.csv", "")
	b.want("empty", b.look(4))
	b.put("a.csv", "on")
	b.want("begun", b.look(2))
	b.put("a.csv", "one")
	b.want("going on", b.look(2))
	b.want("done", b.look(1), "a.csv=one")
	b.put("c.csv.part", "par")
	b.put("d.TMP", "x")
	b.put(".e.csv", "hidden")
	b.want("temporary and hidden names", b.look(5))
	if err := os.Rename(filepath.Join(b.dir, "c.csv.part"), filepath.Join(b.dir, "c.csv")); err != nil {
		t.Fatal(err)
	}
	b.want("renamed", b.look(3), "c.csv=par")
}

func TestAnEmptyFileIsRejectedInTheEnd(t *testing.T) {
	b := newBench(t, nil)
	b.put("a.csv", "")
	b.look(12)
	if r := b.report("rejected/a.csv"); r.Status != Rejected || r.Code != "empty" {
		t.Errorf("report: %+v", r)
	}
}

func TestMarkersAndRenamesSayThatAFileIsComplete(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Complete, o.Marker = Marked, ".done" })
	for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
		b.put(name, name)
	}
	b.want("no marker", b.look(5))
	b.put("a.csv.done", "")
	b.put("b.done", "")
	b.want("markers", b.look(1), "a.csv=a.csv", "b.csv=b.csv")
	if got := b.files(); slices.Contains(got, "a.csv.done") || slices.Contains(got, "b.done") || !slices.Contains(got, "c.csv") {
		t.Errorf("files: %q", got)
	}
	r := newBench(t, func(o *Options) { o.Complete = Renamed })
	r.put("a.csv.tmp", "a")
	r.want("temporary", r.look(3))
	_ = os.Rename(filepath.Join(r.dir, "a.csv.tmp"), filepath.Join(r.dir, "a.csv"))
	r.want("renamed", r.look(1), "a.csv=a")
}

func TestTheSameContentIsReadOnceAndTheSameNameAgain(t *testing.T) {
	b := newBench(t, nil)
	b.put("a.csv", "one")
	b.look(2)
	b.put("b.csv", "one")
	b.put("a.csv", "another")
	b.want("same content, same name", b.look(2), "a.csv=another")
	if r := b.report("archive/b.csv"); r.Status != Duplicate || r.DuplicateOf != "a.csv" || r.Records != nil {
		t.Errorf("report: %+v", r)
	}
	b.put("a.csv", "one")
	b.want("the first once more", b.look(2))
	archived := 0
	for _, name := range b.files() {
		if strings.HasPrefix(name, "archive/a") && strings.HasSuffix(name, ".csv") {
			archived++
		}
	}
	if archived != 3 || b.counts["file-duplicate"] != 2 || b.counts["file-read"] != 2 {
		t.Errorf("%d archived, %v: %q", archived, b.counts, b.files())
	}
	// Another system knows nothing of it: its records are its own.
	other := newBench(t, func(o *Options) { o.Facts, o.System = b.facts, "county-rms" })
	other.put("a.csv", "one")
	other.want("another agency", other.look(2), "a.csv=one")
}

func TestWhatCannotBeReadHoldsUpNothing(t *testing.T) {
	b := newBench(t, nil)
	b.ingest = func(_ context.Context, in adapters.Input, text string) (*flow.Report, error) {
		switch text {
		case "binary":
			return &flow.Report{}, &adapters.FileError{Source: in.Name, Line: 3, Code: "binary", Reason: "this is binary data"}
		case "store":
			return &flow.Report{}, errors.New("the store is down")
		}
		return &flow.Report{Records: 1, Created: 1}, nil
	}
	b.put("1.csv", "binary")
	b.put("2.csv", "store")
	b.put("3.csv", "three")
	b.want("all are tried", b.look(2), "1.csv=binary", "2.csv=store", "3.csv=three")
	if r := b.report("rejected/1.csv"); r.Status != Rejected || r.Code != "binary" || r.Line != 3 {
		t.Errorf("report: %+v", r)
	}
	if got := b.look(20); len(got) < 2 || len(got) > 6 || got[0] != "2.csv=store" {
		t.Errorf("tried again: %q", got)
	}
	// A file that was rejected may come again: the profile may be another by now.
	b.ingest = nil
	b.now = b.now.Add(time.Hour)
	b.put("1.csv", "binary")
	b.want("again", b.look(2), "2.csv=store", "1.csv=binary")
}

func TestUnreadableFilesWait(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads every file: permissions were not tried")
	}
	b := newBench(t, nil)
	b.put("1.csv", "one")
	b.put("2.csv", "two")
	if err := os.Chmod(filepath.Join(b.dir, "1.csv"), 0); err != nil {
		t.Fatal(err)
	}
	b.want("no permission", b.look(2), "2.csv=two")
	if b.counts["file-unreadable"] != 1 {
		t.Errorf("%v", b.counts)
	}
	_ = os.Chmod(filepath.Join(b.dir, "1.csv"), 0o644)
	b.want("permission", b.look(6), "1.csv=one")
}

func TestLinksAndDevicesAreRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *Options) { o.Subfolders = true })
	b.put("sub/real.csv", "real")
	for name, to := range map[string]string{"a.csv": outside, "b.csv": "sub/real.csv", "dir": filepath.Dir(outside), "c": "."} {
		if err := os.Symlink(to, filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(b.dir, "pipe.csv"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.want("links", b.look(3), "sub/real.csv=real")
	if b.counts["file-refused"] != 5 {
		t.Errorf("%v", b.counts)
	}
	// A link that takes the file's place after it was looked at.
	b.put("d.csv", "mine")
	b.look(1)
	p := filepath.Join(b.dir, "d.csv")
	info, err := os.Lstat(p)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(p)
	if err := os.Symlink(outside, p); err != nil {
		t.Fatal(err)
	}
	if f, _, err := b.w.take(candidate{"d.csv", info}); err == nil {
		_ = f.Close()
		t.Error("the link was followed")
	}
}

func TestSubfoldersOnlyIfAskedFor(t *testing.T) {
	b := newBench(t, nil)
	b.put("a.csv", "a")
	b.put("in/b.csv", "b")
	b.want("not asked for", b.look(2), "a.csv=a")
	b = newBench(t, func(o *Options) { o.Subfolders = true })
	b.put("a.csv", "a")
	b.put("in/deep/b.csv", "b")
	b.put(".git/c.csv", "c")
	b.want("asked for", b.look(4), "a.csv=a", "in/deep/b.csv=b")
	if got := b.files(); !slices.Contains(got, "archive/in/deep/b.csv") {
		t.Errorf("files: %q", got)
	}
}

func TestPatternsAndOrder(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Patterns, o.ByTime = []string{"*.csv", "*.psv"}, true })
	for i, name := range []string{"c.csv", "a.PSV", "b.csv", "notes.txt"} {
		b.put(name, name)
		at := b.now.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(b.dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	b.want("by time", b.look(2), "c.csv=c.csv", "a.PSV=a.PSV", "b.csv=b.csv")
}

func TestFilesThatStayAreKnown(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Leave = true })
	b.put("a.csv", "one")
	b.put("b.csv", "one")
	b.want("at first", b.look(3), "a.csv=one")
	b.restart()
	b.want("in another process", b.look(4))
	at := b.now.Add(-time.Hour)
	_ = os.Chtimes(filepath.Join(b.dir, "a.csv"), at, at)
	b.want("touched", b.look(4))
	b.put("a.csv", "two")
	_ = os.Chtimes(filepath.Join(b.dir, "a.csv"), at, at) // with its old size and time
	b.want("another content", b.look(3), "a.csv=two")
	_ = os.Remove(filepath.Join(b.dir, "a.csv"))
	b.look(1)
	if facts, err := b.facts.Scan(context.Background(), "folder/rms/f/", "", 10); err != nil || len(facts) != 1 {
		t.Errorf("state: %d files, %v", len(facts), err)
	}
	if got := b.files(); !slices.Equal(got, []string{"b.csv"}) {
		t.Errorf("files: %q", got)
	}
}

func TestAFolderThatCannotBeWrittenTo(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes into every folder: permissions were not tried")
	}
	b := newBench(t, nil)
	b.put("a.csv", "one")
	_ = os.Chmod(b.dir, 0o555)
	t.Cleanup(func() { _ = os.Chmod(b.dir, 0o755) })
	b.want("at first", b.look(3), "a.csv=one")
	b.restart()
	b.want("in another process", b.look(4))
}

// A process may end at any moment: what follows reads the rest and nothing twice.
func TestAKillLosesNothing(t *testing.T) {
	b := newBench(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	b.ingest = func(context.Context, adapters.Input, string) (*flow.Report, error) {
		stop()
		return &flow.Report{Records: 1, Created: 1}, ctx.Err()
	}
	b.put("a.csv", "one")
	b.look(1)
	if err := b.w.look(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.ingest = nil
	b.restart()
	b.want("killed while it was read", b.look(2), "a.csv=one")
	if r := b.report("archive/a.csv"); !r.Resumed || r.Status != Read {
		t.Errorf("report: %+v", r)
	}
	// Killed after it was read and before it was moved.
	b.put("b.csv", "two")
	b.look(1)
	f, sha, err := b.w.take(candidate{"b.csv", must(os.Lstat(filepath.Join(b.dir, "b.csv")))})
	if err != nil {
		t.Fatal(err)
	}
	st := &fileState{Mark: b.w.seen["b.csv"].mark, Result: Result{File: "b.csv", SHA256: sha, Status: Read, Records: &flow.Report{Created: 7}}}
	for key, value := range map[string]any{b.w.fileKey("b.csv"): st, b.w.contentKey(sha): content{File: "b.csv"}} {
		if err := b.w.keep(context.Background(), key, value, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	_ = f.Close()
	b.restart()
	b.want("killed before it was moved", b.look(3))
	if r := b.report("archive/b.csv"); r.Records.Created != 7 || r.Status != Read {
		t.Errorf("report: %+v", r)
	}
	// Killed after it was moved and before its report.
	st.Result.File, st.Dest = "c.csv", "archive/c.csv"
	b.put("archive/c.csv", "three")
	if err := b.w.keep(context.Background(), b.w.fileKey("c.csv"), st, time.Time{}); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.want("killed before its report", b.look(1))
	if r := b.report("archive/c.csv"); r.File != "c.csv" {
		t.Errorf("report: %+v", r)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAFileThatChangesWhileItIsRead(t *testing.T) {
	b := newBench(t, nil)
	b.ingest = func(_ context.Context, _ adapters.Input, text string) (*flow.Report, error) {
		switch text {
		case "one":
			b.put("a.csv", "one and more")
		case "renamed":
			_ = os.Rename(filepath.Join(b.dir, "b.csv"), filepath.Join(b.dir, "c.csv"))
		case "replaced":
			b.put("new", "the next one")
			_ = os.Rename(filepath.Join(b.dir, "new"), filepath.Join(b.dir, "d.csv"))
		}
		return &flow.Report{Records: 1, Created: 1}, nil
	}
	b.put("a.csv", "one")
	b.want("written to", b.look(5), "a.csv=one", "a.csv=one and more")
	b.put("b.csv", "renamed")
	b.want("renamed", b.look(5), "b.csv=renamed")
	if r := b.report("archive/c.csv"); r.Status != Duplicate || r.DuplicateOf != "b.csv" {
		t.Errorf("report: %+v", r)
	}
	b.put("d.csv", "replaced")
	b.want("replaced", b.look(6), "d.csv=replaced", "d.csv=the next one")
}

func TestRunEndsWithItsContextAndTellsOfAFolderThatIsNotThere(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Every = 10 * time.Millisecond })
	b.put("a.csv", "one")
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	b.ingest = func(_ context.Context, in adapters.Input, _ string) (*flow.Report, error) {
		time.AfterFunc(100*time.Millisecond, stop) // some looks later
		return &flow.Report{Source: in.Name, Records: 1, Created: 1}, nil
	}
	w, err := New(b.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(ctx); err != nil || len(b.read) != 1 {
		t.Errorf("%v, read %q", err, b.read)
	}
	b.o.Path = filepath.Join(b.dir, "nothing")
	if w, err = New(b.o); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for name, o := range map[string]Options{"nothing": {}, "a pattern": func() Options { o := b.o; o.Patterns = []string{"["}; return o }(), "a marker": func() Options { o := b.o; o.Complete = Marked; return o }()} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: a watcher was made", name)
		}
	}
}

func TestManyFilesInOneLook(t *testing.T) {
	b := newBench(t, nil)
	for i := range 200 {
		b.put(fmt.Sprintf("%04d.csv", i), fmt.Sprint(i))
	}
	if got := b.look(2); len(got) != 200 || got[199] != "0199.csv=199" {
		t.Errorf("read %d", len(got))
	}
}
