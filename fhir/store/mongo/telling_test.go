package mongo

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// A lockedLog is a log that may be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Whoever waits for a process that was killed while it made indexes says at once for
// whom, and how long at most; then that the wait is over.
func TestAWaitForADeadHolderIsTold(t *testing.T) {
	uri := freshURI(t)
	if err := openAt(t, uri, Options{SweepEvery: -1}).Close(); err != nil {
		t.Fatal(err)
	}
	base := raw(t, uri)
	if err := base.Collection(heads.name).Indexes().DropOne(t.Context(), "newest"); err != nil {
		t.Fatal(err)
	}
	_, err := base.Collection(meta.name).UpdateOne(t.Context(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "holder", Value: "x"}, {Key: "who", Value: "process 7 on elsewhere"}}}})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedLog{}
	opened := make(chan error, 1)
	go func() {
		p := thisLayout
		p.lease = leaseTimes{beat: quick.beat, patience: 3 * time.Second, poll: quick.poll}
		db, err := open(context.Background(), uri, Options{SweepEvery: -1, Logger: slog.New(slog.NewTextHandler(log, nil))}, p)
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "another process makes indexes"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was told within a minute:\n%s", log)
		}
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`who="process 7 on elsewhere"`, "atMost=3s", "the wait is over", "died=true"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not told:\n%s", want, log)
		}
	}
	if doc := layoutAt(t, uri); doc.Holder != "" || doc.Who != whoAmI() {
		t.Errorf("%+v", doc)
	}
}

// Work that takes longer than a moment is told when it is under way and when it is done.
func TestLongWorkOnTheLayoutIsTold(t *testing.T) {
	const begun, ended, failed = `msg="store: under way; on a large collection it takes minutes" what="make it"`, `msg="store: done" what="make it"`, `msg="store: ended without being done" what="make it"`
	for _, c := range []struct {
		name  string
		after time.Duration
		err   error
		want  []string
	}{
		{"short", time.Hour, nil, nil},
		{"long", time.Millisecond, nil, []string{begun, ended}},
		{"in vain", time.Millisecond, errors.New("no"), []string{begun, failed}},
	} {
		log := &lockedLog{}
		db := &DB{log: slog.New(slog.NewTextHandler(log, nil))}
		db.tellAfter = c.after
		err := db.telling("make it", func() error { time.Sleep(100 * time.Millisecond); return c.err })
		if lines := strings.Count(log.String(), "\n"); !errors.Is(err, c.err) || lines != len(c.want) {
			t.Errorf("%s: %v, %d lines", c.name, err, lines)
		}
		for _, want := range c.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: %q is not in %s", c.name, want, log)
			}
		}
	}
}

// When a server is away the log says once that calls are still tried, however many are.
func TestCallsThatDoNotGetThroughAreTold(t *testing.T) {
	log := &lockedLog{}
	db, err := dial("mongodb://ann:s3cr3t@127.0.0.1:1/county", Options{Logger: slog.New(slog.NewTextHandler(log, nil)), SweepEvery: -1}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // nothing was done
	db.tellAfter = 30 * time.Millisecond
	away := driver.CommandError{Labels: []string{"NetworkError"}, Message: "cut"}
	var calls sync.WaitGroup
	var late atomic.Int64 // tries after which one might have told it
	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	for range 8 {
		begun := time.Now()
		calls.Go(func() {
			_ = db.retry(ctx, "put a fact", func(context.Context) error {
				if time.Since(begun) > 2*db.tellAfter && late.Add(1) > 24 {
					giveUp()
				}
				return away
			})
		})
	}
	calls.Wait()
	if text := log.String(); strings.Count(text, "still trying") != 1 || !strings.Contains(text, `what="put a fact"`) || strings.Contains(text, "s3cr3t") {
		t.Errorf("told: %s", text)
	}
}
