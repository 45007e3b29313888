package inbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/lease"
)

func yes() bool { return true }

// process opens the inbox as one of several processes, which wait for each other's
// marks for as long as a busy machine may stand still.
func process(t *testing.T, log store.Log, facts store.Facts) *inbox.Box {
	t.Helper()
	return processOf(t, log, facts, time.Minute)
}

func processOf(t *testing.T, log store.Log, facts store.Facts, patience time.Duration) *inbox.Box {
	t.Helper()
	b := openBox(t, log, facts, func(o *inbox.Options) { o.Several, o.Patience = yes, patience })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Follow(ctx, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() { stop(); <-done })
	return b
}

// start runs a feed until stop is called.
func start(t *testing.T, f *inbox.Feed) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

func term(n int64) func() int64 { return func() int64 { return n } }

// kept is the progress that any process would read.
func kept(t *testing.T, facts store.Facts) inbox.Messages {
	t.Helper()
	r, err := inbox.ReadReport(context.Background(), facts, system, "ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	return r.Messages
}

func TestSeveralTakeAndOneProcesses(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	a, b := process(t, db, db), process(t, db, db)
	f := newFeed(t, a, db, db, db)
	f.Term = term(1)
	stop := start(t, f)
	const each = 30
	var wg sync.WaitGroup
	for i, box := range []*inbox.Box{a, b} {
		wg.Go(func() {
			for n := range each {
				receive(t, box, admit(i*1000+n))
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for seq := range uint64(2 * each) { // who took a message can say what became of it
		if s, err := b.Await(ctx, seq+1); err != nil || s.State != inbox.Stored {
			t.Fatalf("message %d: %+v, %v", seq+1, s, err)
		}
	}
	if r := receive(t, b, admit(3)); !r.Duplicate { // it came at a
		t.Errorf("a copy at another process: %+v", r)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// b goes on where a was.
	receive(t, a, admit(5000))
	g := newFeed(t, b, db, db, db)
	g.Term = term(2)
	defer start(t, g)()
	receive(t, a, admit(5001))
	wait(t, "the new holder has done all", func() bool { return kept(t, db).Stored == 2*each+2 })
	for _, box := range []*inbox.Box{a, b} {
		wait(t, "nothing waits", func() bool { c := box.Counts(); return c.Waiting == 0 && c.WaitingBytes == 0 })
		if err := box.KeepReceipts(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if m := kept(t, db); m.Rejected != 0 || m.Duplicates != 1 || patients(t, db) != 2*each+2 {
		t.Errorf("%+v, %d Patients", m, patients(t, db))
	}
}

// What a process took just before it left is processed, although who processes counts
// itself alone by the time it looks.
func TestWhatOneTookThatHasLeftIsProcessed(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	var several atomic.Bool
	several.Store(true)
	a := openBox(t, db, db, func(o *inbox.Options) { o.Several, o.Patience = several.Load, time.Minute })
	following, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Follow(following, func(err error) { t.Error(err) })
	}()
	defer func() { stop(); <-done }()
	f := newFeed(t, a, db, db, db)
	f.Term = term(1)
	defer start(t, f)()
	b := openBox(t, db, db, nil)
	receive(t, b, admit(0))
	wait(t, "it is found while there are two", func() bool { return kept(t, db).Stored == 1 })
	receive(t, b, admit(1))
	several.Store(false)
	wait(t, "the last one is found", func() bool { return kept(t, db).Stored == 2 })
}

// The same message at two processes at the same time is one message, and both may
// tell the sender that it was taken.
func TestTheSameMessageAtTwoProcessesIsOne(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	a, b := process(t, db, db), process(t, db, db)
	f := newFeed(t, a, db, db, db)
	f.Term = term(1)
	defer start(t, f)()
	const n = 60
	for i := range n {
		var wg sync.WaitGroup
		for _, box := range []*inbox.Box{a, b} {
			wg.Go(func() { receive(t, box, admit(i)) })
		}
		wg.Wait()
	}
	wait(t, "all are stored", func() bool { return kept(t, db).Stored == n })
	time.Sleep(300 * time.Millisecond) // second entries of a message are passed over
	if m := kept(t, db); m.Stored != n || m.Rejected != 0 || patients(t, db) != n {
		t.Errorf("%+v, %d Patients", m, patients(t, db))
	}
	wait(t, "nothing waits", func() bool { return a.Counts().Waiting == 0 })
}

// Different messages that come at several processes at the same time under one key are
// one message and collisions, whoever was first in the log.
func TestDifferentMessagesUnderOneKeyAtSeveralProcessesAreOneAndCollisions(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	boxes := []*inbox.Box{process(t, db, db), process(t, db, db), process(t, db, db)}
	f := newFeed(t, boxes[0], db, db, db)
	f.Term = term(1)
	defer start(t, f)()
	const n = 15
	var taken, collided atomic.Int64
	for i := range n {
		var wg sync.WaitGroup
		for k, box := range boxes {
			m := admit(i)
			m.Body = bytes.ReplaceAll(m.Body, []byte("EXAMPLE^PAT"), fmt.Appendf(nil, "EXAMPLE^PAT%d", k))
			wg.Go(func() {
				switch _, err := box.Receive(context.Background(), m); {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, inbox.ErrCollision):
					collided.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	wait(t, "all are settled", func() bool { m := kept(t, db); return m.Stored+m.Rejected == 3*n })
	if m := kept(t, db); taken.Load() != n || collided.Load() != 2*n || m.Stored != n || m.RejectedBy["key-collision"] != 2*n || patients(t, db) != n {
		t.Errorf("%d taken, %d collided, %+v, %d Patients", taken.Load(), collided.Load(), m, patients(t, db))
	}
}

// slow keeps marks back, or loses them.
type slow struct {
	store.Facts
	wait atomic.Int64
	fail atomic.Bool
	deaf atomic.Bool // it is done, and the answer is lost
}

func (s *slow) PutIfAbsent(ctx context.Context, key string, v []byte, e time.Time) (store.Fact, error) {
	if strings.Contains(key, "/m/") {
		if s.fail.Load() {
			return store.Fact{}, errSick
		}
		time.Sleep(time.Duration(s.wait.Load()))
		if s.deaf.Load() {
			_, err := s.Facts.PutIfAbsent(ctx, key, v, e)
			return store.Fact{}, errors.Join(err, errSick)
		}
	}
	return s.Facts.PutIfAbsent(ctx, key, v, e)
}

// What another process has appended is not passed over while its mark is on its way.
func TestAMessageWhoseMarkIsOnItsWayIsWaitedFor(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	facts := &slow{Facts: db}
	a, b := process(t, db, facts), process(t, db, db)
	f := newFeed(t, b, db, db, db)
	f.Term = term(1)
	defer start(t, f)()
	facts.wait.Store(int64(100 * time.Millisecond))
	for n := range 10 {
		if r := receive(t, a, admit(n)); r.Seq != uint64(n+1) {
			t.Fatalf("%+v", r)
		}
	}
	wait(t, "all are stored", func() bool { return kept(t, db).Stored == 10 })
	if m := kept(t, db); m.Stored != 10 || m.Rejected != 0 || patients(t, db) != 10 {
		t.Errorf("%+v, %d Patients", m, patients(t, db))
	}
}

// insist sends a message until it is taken, as senders do: a busy machine may be slower
// than a short patience, again and again.
func insist(t *testing.T, b *inbox.Box, a inbox.Arrival) inbox.Receipt {
	t.Helper()
	for tries := 0; ; tries++ {
		switch r, err := b.Receive(context.Background(), a); {
		case err == nil:
			return r
		case tries > 100:
			t.Fatal(err)
		}
	}
}

// What never gets a mark, or gets it too late, keeps nobody waiting for ever.
func TestAMessageWhoseMarkDoesNotComeIsGone(t *testing.T) {
	const patience = 200 * time.Millisecond
	db := openDB(t, backendtest.Address(t))
	facts := &slow{Facts: db}
	a, b := processOf(t, db, facts, patience), processOf(t, db, db, patience)
	f := newFeed(t, b, db, db, db)
	f.Term = term(1)
	defer start(t, f)()
	facts.fail.Store(true)
	if _, err := a.Receive(context.Background(), admit(0)); err == nil {
		t.Fatal("taken without a mark")
	}
	facts.fail.Store(false)
	insist(t, b, admit(1))
	wait(t, "the next is stored", func() bool { return kept(t, db).Stored == 1 })
	// Slower than patience: the sender is not told that it was taken, or it is stored.
	facts.wait.Store(int64(2 * patience))
	r, err := a.Receive(context.Background(), admit(0))
	facts.wait.Store(0)
	if err != nil {
		r = insist(t, a, admit(0))
	}
	wait(t, "what was taken is stored", func() bool {
		s, err := inbox.Statuses(context.Background(), db, db, system, r.Seq, 1)
		return err == nil && len(s) == 1 && (s[0].State == inbox.Stored || s[0].Forgotten) && patients(t, db) == 2
	})
	// Counts are kept after what they count.
	wait(t, "what was taken is counted", func() bool { return kept(t, db).Stored >= 2 })
	if m := kept(t, db); m.Stored != 2 || m.Rejected != 0 {
		t.Errorf("%+v", m)
	}
}

// A message whose mark came to be although its process was told otherwise is taken at
// another one, and not passed over by the first.
func TestAMessageWhoseMarkSeemedToFailIsProcessed(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	facts := &slow{Facts: db}
	a, b := process(t, db, facts), process(t, db, db)
	var still atomic.Bool
	still.Store(true)
	f := newFeed(t, a, db, db, db)
	f.Term, f.Paused = term(1), still.Load
	defer start(t, f)()
	facts.deaf.Store(true)
	if _, err := a.Receive(context.Background(), admit(0)); err == nil {
		t.Fatal("taken without knowing of a mark")
	}
	facts.deaf.Store(false)
	if r := receive(t, b, admit(0)); !r.Duplicate {
		t.Errorf("%+v", r)
	}
	still.Store(false)
	receive(t, b, admit(1))
	wait(t, "both are settled", func() bool { m := kept(t, db); return m.Received == 2 && m.Waiting == 0 })
	if m := kept(t, db); m.Stored != 2 || patients(t, db) != 2 {
		t.Errorf("%+v, %d Patients", m, patients(t, db))
	}
}

// A holder that stood still and believes that it holds on moves neither place nor
// counts after another has taken over.
func TestAnEarlierHolderCannotSettle(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	a, b := process(t, db, db), process(t, db, db)
	const n = 20
	for i := range n {
		receive(t, a, admit(i))
	}
	old := newFeed(t, a, db, db, db)
	old.Term = term(1)
	var still atomic.Bool
	still.Store(true)
	old.Paused = still.Load
	defer start(t, old)()
	time.Sleep(50 * time.Millisecond) // it has the place
	next := newFeed(t, b, db, db, db)
	next.Term = term(2)
	defer start(t, next)()
	wait(t, "half is stored", func() bool { return kept(t, db).Stored >= n/2 })
	still.Store(false)
	wait(t, "all is stored", func() bool { return kept(t, db).Stored == n })
	for i := range n {
		receive(t, a, admit(100+i))
	}
	wait(t, "what came since is stored", func() bool { return kept(t, db).Stored == 2*n })
	if m := kept(t, db); m.Stored != 2*n || m.Rejected != 0 || patients(t, db) != 2*n {
		t.Errorf("%+v, %d Patients", m, patients(t, db))
	}
}

// With the fence around the store it writes nothing at all.
func TestAFencedHolderWritesNothing(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	receive(t, b, admit(0))
	var lost atomic.Bool
	check := func() error {
		if lost.Load() {
			return lease.ErrLost
		}
		return nil
	}
	s, facts, log := lease.Fence{Store: db, Facts: db, Log: db, Check: check}.Fenced()
	f := newFeed(t, b, s, facts, log)
	f.Term, f.Held = term(1), check
	make := f.Pipeline
	f.Pipeline = func() *ingest.Pipeline { // it is stopped when the message is already under way
		lost.Store(true)
		return make()
	}
	if err := f.Run(context.Background()); !errors.Is(err, lease.ErrLost) {
		t.Fatal(err)
	}
	if n := patients(t, db); n != 0 {
		t.Errorf("%d Patients", n)
	}
	if _, err := s.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "x"}, Raw: []byte("{}")}}); !errors.Is(err, lease.ErrLost) {
		t.Error(err)
	}
	if _, err := s.Apply(t.Context(), nil); !errors.Is(err, lease.ErrLost) {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"delete": facts.Delete(t.Context(), "x"), "checkpoint": log.Checkpoint(t.Context(), "x", "y", 1),
		"put":    second(facts.PutIfAbsent(t.Context(), "x", nil, time.Time{})),
		"set":    second(facts.CompareAndSet(t.Context(), "x", 1, nil, time.Time{})),
		"append": second(log.Append(t.Context(), "x", nil)),
	} {
		if !errors.Is(err, lease.ErrLost) {
			t.Error(what, err)
		}
	}
	if _, err := facts.Get(t.Context(), "x"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTheReportNamesTheHolder(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	l, err := lease.New(lease.Options{Facts: db, Key: inbox.HolderKey(system), Holder: "b", Name: "host b", Renew: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	tell := sync.OnceFunc(func() { close(told) }) // it may be lost and taken again
	go l.Run(ctx, func(ctx context.Context) { tell(); <-ctx.Done() })
	<-told
	at := time.Now()
	for i, id := range []string{"a", "b", "c"} {
		if err := inbox.SaveRunning(t.Context(), db, system, inbox.Running{ID: id, Gateway: "host " + id, At: at.Add(time.Duration(-i) * time.Second), Received: int64(10 * i)}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := inbox.ReadReport(t.Context(), db, system, "ehr/hl7v2")
	if err != nil || r.Holder != "host b" || r.Running == nil || r.Running.ID != "b" || len(r.Gateways) != 3 || r.Messages.Received != 10 {
		t.Errorf("%+v, %v", r, err)
	}
	if fmt.Sprint(r.Gateways[0].Holds, r.Gateways[1].Holds) != "false true" {
		t.Error(r.Gateways)
	}
}
