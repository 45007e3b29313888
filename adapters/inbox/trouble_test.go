package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A sickStore fails to write, wholly or what has a word in it.
type sickStore struct {
	store.Store
	word atomic.Pointer[string] // nil: it is well; "": it takes nothing
}

var errSick = errors.New("the disk is full")

func (s *sickStore) sick(ws ...store.Write) error {
	word := s.word.Load()
	if word == nil {
		return nil
	}
	for _, w := range ws {
		if strings.Contains(string(w.Raw), *word) {
			return errSick
		}
	}
	return nil
}

func (s *sickStore) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	if err := s.sick(w); err != nil {
		return nil, err
	}
	return s.Store.Write(ctx, w)
}

func (s *sickStore) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if err := s.sick(ws...); err != nil {
		return nil, err
	}
	return s.Store.Apply(ctx, ws)
}

func (s *sickStore) Ping(ctx context.Context) error {
	if word := s.word.Load(); word != nil && *word == "" {
		return errSick
	}
	return s.Store.Ping(ctx)
}

// A clock that tests move.
type clock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += by
}

func states(t *testing.T, b *inbox.Box, n int) string {
	t.Helper()
	var out []string
	for seq := 1; seq <= n; seq++ {
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		s, err := b.Await(ctx, uint64(seq))
		stop()
		if err != nil {
			t.Fatal(seq, err)
		}
		state := string(s.State)
		if s.Code != "" {
			state += " " + s.Code
		}
		out = append(out, state)
	}
	return strings.Join(out, ", ")
}

func TestAMessageThatCannotBeStoredIsDeferredAndOthersGoOn(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	c := &clock{}
	b := openBox(t, db, db, func(o *inbox.Options) { o.Clock = c.now })
	sick := &sickStore{Store: db}
	word := "P000001"
	sick.word.Store(&word)
	for n := range 4 {
		receive(t, b, admit(n))
	}
	f := newFeed(t, b, sick, db, db)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	if got, want := states(t, b, 4), "stored, deferred store-failed, stored, stored"; got != want {
		t.Fatalf("states %s, want %s", got, want)
	}
	if n := patients(t, db); n != 3 || b.Counts().Deferred != 1 {
		t.Errorf("%d Patients, %+v", n, b.Counts())
	}
	if r := receive(t, b, admit(1)); !r.Duplicate {
		t.Error("a copy of a deferred message was taken as a new one")
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Another process knows that it is deferred, and does it when it is time.
	b = openBox(t, db, db, func(o *inbox.Options) { o.Clock = c.now })
	f = newFeed(t, b, sick, db, db)
	sick.word.Store(nil)
	ctx, stop = context.WithCancel(context.Background())
	go func() { done <- f.Run(ctx) }()
	receive(t, b, admit(4))
	if got, want := states(t, b, 5), "stored, deferred store-failed, stored, stored, stored"; got != want {
		t.Errorf("before its time: %s, want %s", got, want)
	}
	c.move(time.Minute)
	wait(t, "a deferred message is stored", func() bool { return b.Counts().Stored == 5 })
	if got, want := states(t, b, 5), "stored, stored, stored, stored, stored"; got != want {
		t.Errorf("after its time: %s, want %s", got, want)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := patients(t, db); n != 5 || b.Counts().Deferred != 0 {
		t.Errorf("%d Patients, %+v", n, b.Counts())
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 { // a minute
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never happened: %s", what)
}

func TestWhenTheStoreFailsNothingIsDeferredAndAllIsStoredAfterwards(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	sick := &sickStore{Store: db}
	everything := ""
	sick.word.Store(&everything)
	f := newFeed(t, b, sick, db, db)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for n := range 20 {
		receive(t, b, admit(n))
	}
	wait(t, "it is told that the store fails", func() bool { return f.Retrying().Tries >= 4 })
	if r := f.Retrying(); r.Code != "store-failed" || r.Since.IsZero() || b.Counts().Deferred != 0 || b.Counts().Seq != 0 {
		t.Errorf("retry %+v, %+v", r, b.Counts())
	}
	sick.word.Store(nil)
	wait(t, "all is stored", func() bool { return b.Counts().Stored == 20 })
	wait(t, "no retry is told any more", func() bool { return f.Retrying().Tries == 0 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := patients(t, db); n != 20 || b.Counts().Rejected != 0 {
		t.Errorf("%d Patients, %+v", n, b.Counts())
	}
}

// poison makes decoder or mapping panic for messages with a word in them.
func poison(s *inbox.Setup, decoder, mapper string) *inbox.Setup {
	out := *s
	open := s.Format.Open
	out.Format.Open = func(ctx context.Context, in adapters.Input, o adapters.Options) (adapters.Source, error) {
		src, err := open(ctx, in, o)
		return &poisonedSource{src, decoder}, err
	}
	out.Mapper = poisonedMapper{s.Mapper, mapper}
	return &out
}

type poisonedSource struct {
	adapters.Source
	word string
}

func (s *poisonedSource) Next(ctx context.Context) (adapters.Item, error) {
	it, err := s.Source.Next(ctx)
	if strings.Contains(string(it.Raw), s.word) {
		panic("EXAMPLE^PAT: a value that must not be told")
	}
	return it, err
}

type poisonedMapper struct {
	flow.Mapper
	word string
}

func (m poisonedMapper) Apply(rec *tree.Record, o mappings.Options) (*mappings.Result, error) {
	if strings.HasSuffix(rec.Pos.Source, m.word) {
		panic("EXAMPLE^PAT: a value that must not be told")
	}
	return m.Mapper.Apply(rec, o)
}

func TestPoisonIsRejectedAndOthersGoOn(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	f := newFeed(t, b, db, db, db)
	f.Use(poison(setup(t), "M000001", "message 4"))
	for n := range 5 {
		receive(t, b, admit(n))
	}
	receive(t, b, inbox.Arrival{Source: "mllp 127.0.0.1", Key: "nothing", Body: []byte(" \r\n")})
	receive(t, b, inbox.Arrival{Source: "mllp 127.0.0.1", Key: "noise", Body: []byte("\x00\xff\xfe{]")})
	receive(t, b, admit(7))
	run(t, f, func() bool { return b.Counts().Seq == 8 })
	got := states(t, b, 8)
	for i, s := range strings.Split(got, ", ") {
		rejected := map[int]bool{1: true, 3: true, 5: true, 6: true}[i]
		if rejected != strings.HasPrefix(s, "rejected ") {
			t.Errorf("message %d is %s", i+1, s)
		}
	}
	if n := patients(t, db); n != 4 {
		t.Errorf("%d Patients", n)
	}
	entries, err := db.ReadFrom(context.Background(), "rejects/"+system, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Data), "must not be told") {
			t.Errorf("the value of a panic is kept: %s", e.Data)
		}
	}
	// Not poison any more: the queue has the texts, so that a replay can store them.
	if c := b.Counts(); c.Rejected != 4 || c.Stored != 4 {
		t.Errorf("%+v", c)
	}
}

func TestAFullInboxAsksToTryAgainAndMemoryStaysFlat(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	const most = 50
	b := openBox(t, db, db, func(o *inbox.Options) { o.MaxWaiting = most })
	var paused atomic.Bool
	paused.Store(true)
	f := newFeed(t, b, db, db, db)
	f.Paused = paused.Load
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for n := range most {
		receive(t, b, admit(n))
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	big := strings.Repeat("NTE|1||"+strings.Repeat("x", 1000)+"\r", 100)
	before := heap()
	for n := range 500 { // 50 MB
		a := admit(most + n)
		a.Body = append(a.Body, big...)
		if _, err := b.Receive(context.Background(), a); !errors.Is(err, inbox.ErrBusy) {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	// A copy of what waits is still known, and taken.
	if r, err := b.Receive(context.Background(), admit(3)); err != nil || !r.Duplicate {
		t.Errorf("a copy: %+v, %v", r, err)
	}
	if c := b.Counts(); c.Waiting != most || c.Seq != 0 {
		t.Errorf("%+v", c)
	}
	paused.Store(false)
	wait(t, "there is room again", func() bool {
		_, err := b.Receive(context.Background(), admit(most))
		return err == nil
	})
	wait(t, "all is stored", func() bool { return b.Counts().Stored == most+1 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := patients(t, db); n != most+1 {
		t.Errorf("%d Patients", n)
	}
}

func TestTheInboxIsBoundedInBytesToo(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, func(o *inbox.Options) { o.MaxWaitingBytes = 4000 })
	large := admit(0)
	large.Body = append(large.Body, strings.Repeat("x", 10_000)...)
	receive(t, b, large) // alone, however long: else it could never come
	if _, err := b.Receive(context.Background(), admit(1)); !errors.Is(err, inbox.ErrBusy) {
		t.Errorf("beyond the bound: %v", err)
	}
	f := newFeed(t, b, db, db, db)
	run(t, f, func() bool { return b.Counts().Seq == 1 })
	for n := 1; ; n++ {
		if _, err := b.Receive(context.Background(), admit(n)); err != nil {
			if c := b.Counts(); !errors.Is(err, inbox.ErrBusy) || n < 2 || c.WaitingBytes > 4000 {
				t.Errorf("message %d: %v, %d bytes wait", n, err, c.WaitingBytes)
			}
			break
		}
		if n > 100 {
			t.Fatal(fmt.Sprint("no bound after ", n))
		}
	}
}
