package inbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// placeFacts asks before and after each writing of the place, and may fail it: before
// it is written, or as a store that has written and does not say so.
type placeFacts struct {
	store.Facts
	ask          func()
	fails, loses atomic.Int32 // how many of the next writings
}

var errPlace = errors.New("the place cannot be kept")

func (p *placeFacts) write(key string, write func() (store.Fact, error)) (store.Fact, error) {
	if !strings.HasSuffix(key, "/progress") {
		return write()
	}
	p.ask()
	if p.fails.Add(-1) >= 0 {
		return store.Fact{}, errPlace
	}
	f, err := write()
	p.ask()
	if err == nil && p.loses.Add(-1) >= 0 {
		return store.Fact{}, errPlace
	}
	return f, err
}

func (p *placeFacts) PutIfAbsent(ctx context.Context, key string, value []byte, until time.Time) (store.Fact, error) {
	return p.write(key, func() (store.Fact, error) { return p.Facts.PutIfAbsent(ctx, key, value, until) })
}

func (p *placeFacts) CompareAndSet(ctx context.Context, key string, version int64, value []byte, until time.Time) (store.Fact, error) {
	return p.write(key, func() (store.Fact, error) { return p.Facts.CompareAndSet(ctx, key, version, value, until) })
}

// watch looks at an inbox over and over while messages come and settle: each is
// counted once, and what was received never falls.
type watch struct {
	t    *testing.T
	b    atomic.Pointer[inbox.Box]
	mu   sync.Mutex
	most int64
	n    int
}

func (w *watch) ask() {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.b.Load()
	if b == nil {
		return
	}
	w.n++
	c := b.Counts()
	if c.Received < w.most || c.Received != c.Stored+c.Rejected+c.Deferred+c.Waiting || c.Waiting > 0 == c.Oldest.IsZero() {
		w.t.Errorf("look %d: %d were received before, now %+v", w.n, w.most, c)
	}
	w.most = max(w.most, c.Received)
}

func TestAMessageIsCountedOnceAtEveryMoment(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	c, w, sick := &clock{}, &watch{t: t}, &sickStore{Store: db}
	facts := &placeFacts{Facts: db, ask: w.ask}
	word := "P000003"
	sick.word.Store(&word)
	b := openBox(t, db, facts, func(o *inbox.Options) { o.Clock = c.now })
	w.b.Store(b)
	f := newFeed(t, b, sick, db, db)
	stop := start(t, f)
	asking, end := context.WithCancel(context.Background())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for asking.Err() == nil {
			w.ask()
			time.Sleep(time.Millisecond)
		}
	}()
	const n = 12
	for i := range n {
		switch i {
		case 4:
			facts.fails.Store(2)
		case 8:
			facts.loses.Store(2)
		}
		receive(t, b, admit(i))
	}
	wait(t, "one is deferred and the others are stored", func() bool { s := b.Counts(); return s.Stored == n-1 && s.Deferred == 1 })
	sick.word.Store(nil)
	facts.fails.Store(1)
	c.move(time.Hour)
	wait(t, "all are stored", func() bool { return b.Counts().Stored >= n })
	facts.loses.Store(1)
	receive(t, b, admit(n))
	wait(t, "one more is stored", func() bool { return b.Counts().Stored > n })
	end()
	<-asked
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := b.Counts(); s.Stored != n+1 || s.Received != n+1 || s.Waiting != 0 || s.WaitingBytes != 0 || s.Deferred != 0 || w.most != n+1 {
		t.Errorf("%+v", s)
	}
	if got := states(t, b, n+1); strings.Count(got, "stored") != n+1 {
		t.Errorf("states %s", got)
	}
	// What another process finds is the same.
	if s := openBox(t, db, db, nil).Counts(); s.Stored != n+1 || s.Received != n+1 {
		t.Errorf("after opening it again: %+v", s)
	}
}

// What was settled and could not be kept is not left behind in memory: it would take
// room for ever, and who asks for its outcome would wait for ever.
func TestNoRoomIsLostToAPlaceThatCouldNotBeKept(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	facts := &placeFacts{Facts: db, ask: func() {}}
	b := openBox(t, db, facts, func(o *inbox.Options) { o.MaxWaiting = 3 })
	stop := start(t, newFeed(t, b, db, db, db))
	for n := range 6 {
		facts.fails.Store(int32(1 - n%2))
		facts.loses.Store(int32(n % 2))
		receive(t, b, admit(n))
		if got := states(t, b, n+1); strings.Count(got, "stored") != n+1 {
			t.Fatalf("states %s", got)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := b.Counts(); s.Stored != 6 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}
