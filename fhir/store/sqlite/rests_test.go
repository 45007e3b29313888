package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
)

// A town is a store whose rows come, change and go, each with a word of its own.
type town struct {
	t      testing.TB
	db     *sqlite.DB
	r      *rand.Rand
	live   []store.Write   // with the word that stands in each now
	words  map[string]bool // every word ever written; true: it must be gone
	common string          // begins each word, and nothing else
}

func newTown(t testing.TB, db *sqlite.DB, seed uint64, common string) *town {
	return &town{t: t, db: db, r: rand.New(rand.NewPCG(seed, 7)), words: map[string]bool{}, common: common}
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) word() string {
	word := fmt.Sprintf("%s%08x", w.common, w.r.Uint32())
	if _, again := w.words[word]; again {
		return w.word()
	}
	w.words[word] = false
	return word
}

// of is a write with a word in its content, its entries and its claim: short ones and
// ones that fill pages.
func (w *town) of(id string) store.Write {
	word := w.word()
	long := 1 + w.r.IntN(6)
	if w.r.IntN(12) == 0 {
		long = w.r.IntN(900)
	}
	p := patient(id, 0, "family|"+word, "name|"+strings.Repeat(word+"-", 1+w.r.IntN(30)), "identifier|urn:x|"+word)
	p.Raw = fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":%q}]}`, id, strings.Repeat(word, long))
	p.Claims = []string{"claim|" + word}
	return p
}

func wordOf(w store.Write) string { return strings.TrimPrefix(w.Claims[0], "claim|") }

func (w *town) settle(n int) {
	for range n / 50 {
		unit := make([]store.Write, 50)
		for i := range unit {
			unit[i] = w.of(fmt.Sprintf("p%08x", w.r.Uint32()))
		}
		_, err := w.db.Apply(context.Background(), unit)
		w.must(err)
		w.live = append(w.live, unit...)
		w.each(unit, func(p store.Write) error {
			_, err := w.db.PutIfAbsent(context.Background(), "fact/"+wordOf(p), p.Raw, time.Time{})
			return err
		})
	}
}

// each does something with many resources at once, so that they share commits.
func (w *town) each(ps []store.Write, f func(store.Write) error) {
	w.t.Helper()
	var g errgroup.Group
	g.SetLimit(64)
	for _, p := range ps {
		g.Go(func() error { return f(p) })
	}
	w.must(g.Wait())
}

// leave takes some resources and their facts out of the store.
func (w *town) leave(n int) {
	w.r.Shuffle(len(w.live), func(i, j int) { w.live[i], w.live[j] = w.live[j], w.live[i] })
	gone := w.live[len(w.live)-n:]
	w.live = w.live[:len(w.live)-n]
	w.each(gone, func(p store.Write) error {
		return errors.Join(w.db.Delete(context.Background(), "fact/"+wordOf(p)), w.db.Expunge(context.Background(), p.Key))
	})
	for _, p := range gone {
		w.words[wordOf(p)] = true
	}
}

// change replaces the facts of some resources, whose words stay in the resources.
func (w *town) change(n int) {
	w.each(w.live[:n], func(p store.Write) error {
		key := "fact/" + wordOf(p)
		f, err := w.db.Get(context.Background(), key)
		if err == nil {
			_, err = w.db.CompareAndSet(context.Background(), key, f.Version, bytes.Repeat([]byte("y"), len(p.Raw)%2000), time.Time{})
		}
		return err
	})
}

// year lets rows come, go and change.
func (w *town) year() {
	w.settle(200)
	w.leave(80)
	w.change(min(60, len(w.live)))
	w.settle(100)
	w.leave(50)
}

// left counts the words in a file that must be gone.
func (w *town) left(path string) (left int) {
	w.t.Helper()
	seen := map[string]bool{}
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(path + suffix)
		if err != nil && !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
		size := len(w.common) + 8
		for {
			i := bytes.Index(raw, []byte(w.common))
			if i < 0 || i+size > len(raw) {
				break
			}
			if word := string(raw[i : i+size]); w.words[word] && !seen[word] {
				seen[word] = true
				left++
			}
			raw = raw[i+len(w.common):]
		}
	}
	return left
}

// sound checks the file and that all that should be there is.
func (w *town) sound() {
	w.t.Helper()
	w.must(w.db.Check(context.Background()))
	for _, p := range w.live {
		rec, err := w.db.Read(context.Background(), p.Key)
		if err != nil || !bytes.Equal(rec.Raw, p.Raw) {
			w.t.Fatalf("%s: %v", p.Key, err)
		}
	}
}

func townsStore(t testing.TB, path string, o sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // what it has done was checked
	return db
}

// Among many others, whose rows move from page to page, nothing of what was removed
// stays in any page.
func TestErasedBytesAreInNoPage(t *testing.T) {
	if testing.Short() {
		t.Skip("writes for seconds")
	}
	before := 0
	for seed := range uint64(4) {
		path := filepath.Join(t.TempDir(), "handoff.db")
		w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), seed, "unmistakable")
		w.year()
		w.year()
		before += w.left(path)
		w.must(w.db.Erase(t.Context()))
		if left := w.left(path); left > 0 {
			t.Errorf("seed %d: %d words are still in the file", seed, left)
		}
		w.sound()
		w.settle(50) // the pages that were overwritten take rows as before
		w.leave(20)
		w.sound()
	}
	if before == 0 {
		t.Error("nothing was left before: the test is too small to see anything")
	}
}

// Erasing goes on beside writers of this connection and another, neither of which
// waits for the whole of it, and of what was removed before nothing is left.
func TestErasingBesideWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 11, "unmistakable")
	w.year()
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	towns := []*town{
		newTown(t, w.db, 12, "elsewhere"),
		newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1, BusyTimeout: time.Minute}), 13, "otherwise"),
	}
	for _, other := range towns {
		writers.Go(func() {
			for ctx.Err() == nil {
				p := other.of(fmt.Sprintf("%s%08x", other.common, other.r.Uint32()))
				if _, err := other.db.Write(context.Background(), p); err != nil {
					t.Error(err)
					return
				}
				other.live = append(other.live, p)
			}
		})
	}
	for range 8 {
		if err := w.db.Erase(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	writers.Wait()
	w.must(w.db.Erase(t.Context()))
	if left := w.left(path); left > 0 {
		t.Errorf("%d words are still in the file", left)
	}
	w.sound()
	for _, other := range towns {
		other.sound()
	}
}

// Many that ask at once share scans of the file.
func TestErasingIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 21, "unmistakable")
	w.year()
	var g errgroup.Group
	for range 40 {
		g.Go(func() error { return w.db.Erase(t.Context()) })
	}
	w.must(g.Wait())
	if left := w.left(path); left > 0 {
		t.Errorf("%d words are still in the file", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.db.Erase(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("of a caller who has gone: %v", err)
	}
	w.must(w.db.Close())
	if err := w.db.Erase(t.Context()); err == nil {
		t.Error("erased in a store that is closed")
	}
}

// What was to be erased when a process ended is erased by the sweeper of the next.
func TestTheSweeperMakesUpForAnErasingThatWasInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 31, "unmistakable")
	for w.left(path) == 0 {
		w.year()
	}
	w.must(w.db.Close())
	w.db = townsStore(t, path, sqlite.Options{SweepEvery: 5 * time.Millisecond})
	for start := time.Now(); w.left(path) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("%d words are still in the file", w.left(path))
		}
	}
	w.sound()
}

// childVar names a store to a process that erases in it until it is killed.
const childVar = "HANDOFF_TEST_ERASE"

// Killed at any moment, erasing leaves a sound file, and is made up for.
func TestErasingThatIsKilledLeavesASoundFile(t *testing.T) {
	if path := os.Getenv(childVar); path != "" {
		w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), uint64(os.Getpid()), "elsewhere")
		fmt.Println("begun")
		for {
			w.year()
			w.must(w.db.Erase(context.Background()))
		}
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 41, "unmistakable")
	w.year()
	w.must(w.db.Close())
	r := rand.New(rand.NewPCG(5, 5))
	for range 6 {
		child := exec.Command(os.Args[0], "-test.run=^TestErasingThatIsKilledLeavesASoundFile$")
		child.Env = append(os.Environ(), childVar+"="+path)
		out, err := child.StdoutPipe()
		w.must(err)
		w.must(child.Start())
		_, err = out.Read(make([]byte, 64))
		w.must(err)
		time.Sleep(time.Duration(r.IntN(600)) * time.Millisecond)
		w.must(child.Process.Kill())
		_ = child.Wait() // it was killed
		w.db = townsStore(t, path, sqlite.Options{SweepEvery: -1})
		w.sound()
		w.must(w.db.Close())
	}
	w.db = townsStore(t, path, sqlite.Options{SweepEvery: -1})
	w.must(w.db.Erase(t.Context()))
	if left := w.left(path); left > 0 {
		t.Errorf("%d words are still in the file", left)
	}
	w.sound()
}
