package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
)

const system = "clinic-adt"

var siteKey = []byte("a key of this test alone, 32 byte")

// admit is an admission of a person; n names message and person.
func admit(n int) inbox.Arrival {
	text := fmt.Sprintf("MSH|^~\\&|ADT1|CLINIC|HANDOFF|HANDOFF|20250501100000||ADT^A01^ADT_A01|M%06d|P|2.5.1\r"+
		"EVN|A01|20250501100000\rPID|1||P%06d^^^CLINIC^MR||EXAMPLE^PAT||19800314|F\rPV1|1|E|ER||||||||||||||||V%06d|||||||||||||||||||||||||20250501100000\r", n, n, n)
	return inbox.Arrival{Source: "mllp 127.0.0.1", Key: fmt.Sprintf("ADT1|CLINIC|M%06d", n), Body: []byte(text)}
}

func openDB(t testing.TB, path string) backend.Backend {
	t.Helper()
	db := backendtest.At(t, path, backend.Options{})
	return db
}

func openBox(t testing.TB, log store.Log, facts store.Facts, change func(*inbox.Options)) *inbox.Box {
	t.Helper()
	o := inbox.Options{Log: log, Facts: facts, System: system, SiteKey: siteKey}
	if change != nil {
		change(&o)
	}
	b, err := inbox.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func setup(t testing.TB) *inbox.Setup {
	t.Helper()
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &inbox.Setup{Format: f, Mapper: m, Options: adapters.Options{Profile: m.Profile(), Kinds: m.Kinds()}}
}

func newFeed(t testing.TB, b *inbox.Box, s store.Store, facts store.Facts, log store.Log) *inbox.Feed {
	t.Helper()
	f := &inbox.Feed{Box: b, Ping: s.Ping, Pipeline: func() *ingest.Pipeline {
		return &ingest.Pipeline{Store: s, Facts: facts, Log: log, SiteKey: siteKey,
			Origin:    resource.Origin{System: system, Custodian: "Organization/clinic"},
			Validator: ingest.R4{}, Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{}}
	}}
	f.Use(setup(t))
	return f
}

// run runs a feed until until says so.
func run(t testing.TB, f *inbox.Feed, until func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	deadline := time.Now().Add(2 * time.Minute) // under the race detector on a busy machine
	for !until() {
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("not done in time: %+v", f.Box.Counts())
		}
		time.Sleep(2 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, b *inbox.Box, a inbox.Arrival) inbox.Receipt {
	t.Helper()
	r, err := b.Receive(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func patients(t testing.TB, db backend.Backend) int {
	t.Helper()
	n, err := db.Count(context.Background(), store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMessagesAreKeptOnceAndStored(t *testing.T) {
	path := backendtest.Address(t)
	db := openDB(t, path)
	b := openBox(t, db, db, nil)
	for n := range 5 {
		if r := receive(t, b, admit(n)); r.Duplicate || r.Seq != uint64(n+1) {
			t.Fatalf("message %d: %+v", n, r)
		}
	}
	if r := receive(t, b, admit(3)); !r.Duplicate || r.Seq != 4 {
		t.Errorf("a copy that waits: %+v", r)
	}
	other := admit(3)
	other.Body = admit(4).Body
	for range 2 {
		r, err := b.Receive(context.Background(), other)
		if !errors.Is(err, inbox.ErrCollision) || r.Seq != 6 {
			t.Errorf("another body under the key: %+v %v", r, err)
		}
	}
	f := newFeed(t, b, db, db, db)
	run(t, f, func() bool { return b.Counts().Seq == 6 })
	got := b.Counts()
	if got.Stored != 5 || got.Rejected != 1 || got.Codes["key-collision"] != 1 || got.Duplicates != 1 || got.Collisions != 2 || got.Parsed != 5 || got.Mapped != 5 {
		t.Errorf("counts %+v", got)
	}
	if n := patients(t, db); n != 5 {
		t.Errorf("%d patients", n)
	}
	if r := receive(t, b, admit(3)); !r.Duplicate || r.Seq != 4 {
		t.Errorf("a copy of a stored message: %+v", r)
	}
	if c := b.Counts(); c.Waiting != 0 || c.WaitingBytes != 0 {
		t.Errorf("%+v", c)
	}
	// Another process knows all of it.
	b = openBox(t, db, db, nil)
	if again := b.Counts(); again.Stored != 5 || again.Rejected != 1 {
		t.Errorf("after opening it again: %+v", again)
	}
	if r := receive(t, b, admit(2)); !r.Duplicate || r.Seq != 3 {
		t.Errorf("a copy after opening it again: %+v", r)
	}
}

func TestManyConnectionsShareTheDisk(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	const connections = 50
	each := 20
	if testing.Short() {
		each = 6
	}
	var wg sync.WaitGroup
	start := time.Now()
	for c := range connections {
		wg.Go(func() {
			for n := range each {
				if _, err := b.Receive(context.Background(), admit(c*1000+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%.0f messages a second were acknowledged", float64(connections*each)/time.Since(start).Seconds())
	f := newFeed(t, b, db, db, db)
	start = time.Now()
	run(t, f, func() bool { return b.Counts().Seq == uint64(connections*each) })
	t.Logf("%.0f messages a second were stored", float64(connections*each)/time.Since(start).Seconds())
	if n := patients(t, db); n != connections*each || b.Counts().Stored != int64(n) {
		t.Errorf("%d patients, %+v", n, b.Counts())
	}
}
