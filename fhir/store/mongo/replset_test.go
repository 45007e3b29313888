//go:build unix

package mongo

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/mongo/replset"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// startSet starts members of mongod for one test, which may break them. Such tests wait
// most of their time, for elections and time-outs: they run side by side.
func startSet(t *testing.T, c replset.Config) *replset.Set {
	t.Helper()
	c.Mongod = os.Getenv("HANDOFF_TEST_MONGOD")
	if c.Mongod == "" {
		t.Skip("HANDOFF_TEST_MONGOD is not set: THE STORE WAS NOT TRIED ON MEMBERS OF MONGOD THAT FAIL; .ci/mongo/mongod.sh gives the path of one")
	}
	if testing.Short() {
		t.Skip("no members of mongod are started in short mode")
	}
	s, err := replset.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// county names a database in a URI, and adds options to it.
func county(t *testing.T, uri, more string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.RawQuery = "/county", u.RawQuery+more
	return u.String()
}

// primary waits for a primary that is not the member but.
func primary(t *testing.T, s *replset.Set, but int) int {
	t.Helper()
	p, err := s.Primary(t.Context(), but)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// elect has one of some members become primary, whichever the others vote for: one that
// is behind another is refused.
func elect(t *testing.T, s *replset.Set, members ...int) {
	t.Helper()
	var err error
	for range 10 {
		for _, i := range members {
			if err = s.StepUp(t.Context(), i); err == nil {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal(err)
}

// meets waits until the driver of a store has heard which member is primary now: what
// it sends to the one before waits there until that one gives up.
func meets(t *testing.T, db *DB, uri string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		raw, err := db.client.Database("admin").RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Raw()
		if me, _ := raw.Lookup("me").StringValueOK(); err == nil && strings.Contains(uri, me) {
			return
		}
	}
	t.Fatal("the new primary is not met")
}

// The primary changes in the middle of acknowledged writes, in each way that one does:
// it gives way, it is killed, it stands still and wakes as one that was deposed, it is
// cut off from the others while clients still reach it.
func TestThePrimaryChangesUnderWriters(t *testing.T) {
	t.Parallel()
	s := startSet(t, replset.Config{Breakable: true})
	uri := county(t, s.URI(), "&maxPoolSize=8")
	depose := []func(ctx context.Context, p int) error{
		s.StepDown,
		func(_ context.Context, p int) error { return s.Kill(p) },
		func(_ context.Context, p int) error { return s.Pause(p) },
		func(_ context.Context, p int) error { s.Isolate(p, true); return nil },
	}
	restore := []func(ctx context.Context, p int) error{
		func(context.Context, int) error { return nil },
		s.Restart,
		func(_ context.Context, p int) error { return s.Resume(p) },
		func(_ context.Context, p int) error { s.Isolate(p, false); return nil },
	}
	storetest.Disturbance{
		Open: openBackend, Through: uri, Straight: uri, Breaks: len(depose), Acks: 1000,
		Break: func(ctx context.Context, n int) error {
			p, err := s.Primary(ctx, -1)
			if err != nil {
				return err
			}
			if err := depose[n%len(depose)](ctx, p); err != nil {
				return err
			}
			next, err := s.Primary(ctx, p)
			if err != nil {
				return err
			}
			t.Logf("break %d: member %d after member %d", n, next, p)
			if err := restore[n%len(restore)](ctx, p); err != nil {
				return err
			}
			return s.Settle(ctx)
		},
	}.Run(t)
}

// A primary that the others have deposed, and that does not know it, answers reads of
// majority for as long as ten seconds, and says there what was revoked meanwhile is
// not. Nobody who reaches it alone takes that for the truth: the epoch, a fact that is
// to be removed and Ping are not answered, and no write is acknowledged.
func TestADeposedPrimaryHidesNothing(t *testing.T) {
	t.Parallel()
	s := startSet(t, replset.Config{Breakable: true, ElectAfter: time.Minute}) // as long as a busy machine may take for all of it
	old := primary(t, s, -1)
	ahead := openAt(t, county(t, s.URI(), ""), Options{SweepEvery: -1})
	behind := openAt(t, county(t, s.Direct(old), "&timeoutMS=2000"), Options{SweepEvery: -1})
	behind.trying, behind.proving = 2*time.Second, time.Second
	launch, err := ahead.PutIfAbsent(t.Context(), "launch", []byte("open"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := behind.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	s.Isolate(old, true)
	defer s.Isolate(old, false)
	elect(t, s, (old+1)%3, (old+2)%3)
	meets(t, ahead, s.Direct(primary(t, s, old)))
	after, err := ahead.bumpEpoch(t.Context())
	if err != nil || after <= before {
		t.Fatalf("epoch %d after %d, %v", after, before, err)
	}
	if _, err := ahead.CompareAndSet(t.Context(), "launch", launch.Version, []byte("used"), time.Time{}); err != nil {
		t.Fatal(err)
	}

	var doc numberDoc
	if err := behind.coll(numbers).FindOne(t.Context(), bson.D{{Key: "_id", Value: epochs.name}}).Decode(&doc); err != nil || doc.Last != before {
		t.Errorf("a read of majority gives the epoch %d, %v: there were not two primaries, and nothing was tried", doc.Last, err)
	}
	calls := map[string]func(context.Context) error{
		"Epoch":  func(ctx context.Context) error { _, err := behind.Epoch(ctx); return err },
		"Ping":   behind.Ping,
		"Delete": func(ctx context.Context) error { return behind.Delete(ctx, "launch") },
		"Write": func(ctx context.Context) error {
			_, err := behind.Write(ctx, store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "a"}, Raw: []byte("{}")}, Expect: store.Absent})
			return err
		},
	}
	errs := make(chan error, len(calls))
	for name, call := range calls {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			err := call(ctx)
			if err == nil {
				err = errors.New(name + " is done at a primary that was deposed")
			} else if err = nil; !s.IsPrimary(context.Background(), old) {
				err = errors.New(name + ": the old primary knew it before the call had ended")
			}
			errs <- err
		}()
	}
	for range calls {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}

	s.Isolate(old, false)
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := ahead.Epoch(t.Context()); err != nil || n < after {
		t.Errorf("epoch %d, %v; it was %d", n, err, after)
	}
	if f, err := ahead.Get(t.Context(), "launch"); err != nil || string(f.Value) != "used" {
		t.Errorf("the fact is %q, %v", f.Value, err)
	}
	if _, err := ahead.Read(t.Context(), store.Key{Type: "Patient", ID: "a"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was written at the old primary is there: %v", err)
	}
	if err := behind.Ping(t.Context()); err == nil {
		t.Error("a secondary is taken for one that can serve")
	}
}

// With one member that lags all goes on. With a majority of them that lag no write is
// acknowledged, nobody reads what could still be lost, and the epoch is not answered;
// what was read before still is. When they follow again, a write that was given up is
// done once or never, and others get on.
func TestMembersThatLag(t *testing.T) {
	t.Parallel()
	s := startSet(t, replset.Config{Breakable: true})
	p := primary(t, s, -1)
	first, second := (p+1)%3, (p+2)%3
	db := openAt(t, county(t, s.URI(), "&timeoutMS=2000"), Options{SweepEvery: -1})
	other := openAt(t, county(t, s.URI(), ""), Options{SweepEvery: -1})
	key := func(id string) store.Key { return store.Key{Type: "Patient", ID: id} }
	write := func(db *DB, id string) error {
		_, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: key(id), Raw: []byte(`"` + id + `"`), Index: []string{"family|" + id}}, Expect: store.Absent})
		return err
	}
	lag := func(i int, on bool) {
		if err := s.Lag(t.Context(), i, on); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(db, "before"); err != nil {
		t.Fatal(err)
	}
	lag(first, true)
	if err := write(db, "one-lags"); err != nil {
		t.Errorf("with one member that lags: %v", err)
	}

	lag(second, true)
	db.trying, db.proving = 2*time.Second, time.Second
	begun := time.Now()
	err := write(db, "given-up")
	if !errors.Is(err, store.ErrAway) {
		t.Errorf("a write that one member has gives %v", err)
	}
	t.Logf("write: %v after %v", err, time.Since(begun).Round(time.Millisecond))
	if took := time.Since(begun); took > retryFor { // which is what others wait
		t.Errorf("it took %v to say so", took)
	}
	if _, err := other.Read(t.Context(), key("given-up")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what only one member has can be read: %v", err)
	}
	plan := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 10}
	if _, err := other.Read(t.Context(), key("one-lags")); err != nil {
		t.Errorf("read: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if n, err := db.Epoch(ctx); err == nil {
		t.Errorf("the epoch %d is answered without a majority", n)
	}

	held := make(chan error, 1)
	go func() { held <- write(other, "held") }()
	time.Sleep(time.Second)
	select {
	case err := <-held:
		t.Errorf("a write that nothing confirms ended: %v", err)
	default:
	}
	lag(first, false)
	lag(second, false)
	if err := <-held; err != nil {
		t.Errorf("a write that waited for its confirmation: %v", err)
	}
	db.trying = 0
	if err := write(db, "given-up"); err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
		t.Errorf("the same again: %v", err)
	}
	page, err := other.Search(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range page.Records {
		ids = append(ids, r.ID)
		if vs, err := other.History(t.Context(), r.Key, 0, 10); err != nil || len(vs) != 1 {
			t.Errorf("%s has %d versions, %v", r.ID, len(vs), err)
		}
	}
	if len(ids) != 4 {
		t.Errorf("there are %v", ids)
	}
}

// What reading the epoch costs, linearizable and as a read of majority. It changes
// nothing, so that a set of members must write something of its own to prove itself.
func BenchmarkEpoch(b *testing.B) {
	db := fresh(b)
	if _, err := db.bumpEpoch(b.Context()); err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]*driver.Collection{"linearizable": db.latest(numbers), "majority": db.coll(numbers)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := c.FindOne(b.Context(), bson.D{{Key: "_id", Value: epochs.name}}).Err(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
