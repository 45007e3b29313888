package mongo

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// The epoch, and the fact that is to be removed, are read so that a primary which was
// deposed cannot answer; only where there are members, because others know nothing of
// that or refuse it; and with a limit, because such a primary would wait for ever.
func TestWhatMustBeTheLatestIsReadLinearizable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hello bson.D
		level string
		most  int64 // milliseconds
	}{
		{"a member of a replica set", replica(is("isWritablePrimary")), "linearizable", proofFor.Milliseconds()},
		{"a router of a sharded cluster", standalone(is("isWritablePrimary"), bson.E{Key: "msg", Value: "isdbgrid"}), "linearizable", proofFor.Milliseconds()},
		{"a standalone, or a compatible server", standalone(is("isWritablePrimary")), "majority", readFor.Milliseconds()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var finds []bson.D
			s := &wireServer{hello: tt.hello}
			s.answer = func(command string, m bson.D) any {
				mu.Lock()
				defer mu.Unlock()
				switch command {
				case "find":
					finds = append(finds, m)
					if lookup(m, "find") == numbers.name {
						return found(numberDoc{ID: epochs.name, Last: 41})
					}
					return found()
				case "findAndModify":
					return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: numberDoc{ID: epochs.name, Last: 42}}}
				}
				return failed(59, "CommandNotFound", "no such command: "+command)
			}
			db := onPaper(t, s)
			if n, err := db.Epoch(t.Context()); err != nil || n != 41 {
				t.Fatalf("epoch %d, %v", n, err)
			}
			if err := db.Delete(t.Context(), "nothing"); err != nil {
				t.Fatal(err)
			}
			if len(finds) != 2 {
				t.Fatalf("%d reads: %v", len(finds), finds)
			}
			for i, want := range []struct{ of, id string }{{numbers.name, epochs.name}, {facts.name, "nothing"}} {
				m := finds[i]
				level, _ := lookup(m, "readConcern").(bson.D)
				filter, _ := lookup(m, "filter").(bson.D)
				limit, _ := lookup(m, "maxTimeMS").(int64)
				if lookup(m, "find") != want.of || len(filter) != 1 || lookup(filter, "_id") != want.id || lookup(level, "level") != tt.level {
					t.Errorf("it reads %v", m)
				}
				if limit < 1 || limit > tt.most {
					t.Errorf("it gives %d ms, at most %d are right", limit, tt.most)
				}
			}
			finds = nil
			if err := db.Ping(t.Context()); err == nil {
				t.Error("an empty database is no store")
			}
			if level, _ := lookup(finds[0], "readConcern").(bson.D); lookup(level, "level") != tt.level {
				t.Errorf("Ping reads %v", finds[0])
			}
			finds = nil
			if _, err := db.Get(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
			if level, _ := lookup(finds[0], "readConcern").(bson.D); lookup(level, "level") != "majority" {
				t.Errorf("another read: %v", finds[0])
			}
		})
	}
}

// A member that cannot prove that it is the primary is no store: the request fails as
// with one that is away, and in time. A successor that is found meanwhile answers.
func TestAPrimaryThatCannotProveItIsAway(t *testing.T) {
	const never = -1
	for _, tt := range []struct {
		name   string
		answer func() any // nil: it does not answer
		until  int        // so many tries
		want   error
	}{
		{"it runs out of time", func() any { return failed(50, "MaxTimeMSExpired", "operation exceeded time limit") }, never, store.ErrAway},
		{"it cannot confirm", func() any {
			return failed(187, "LinearizableReadConcernError", "Failed to confirm that read was linearizable.")
		}, never, store.ErrAway},
		{"it steps down", func() any { return failed(11602, "InterruptedDueToReplStateChange", "operation was interrupted") }, never, store.ErrAway},
		{"it says nothing", nil, never, store.ErrAway},
		{"its successor answers the next try", nil, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			tries := 0
			done := make(chan struct{})
			s := &wireServer{hello: replica(is("isWritablePrimary"))}
			s.answer = func(string, bson.D) any {
				mu.Lock()
				tries++
				now := tries
				mu.Unlock()
				switch {
				case tt.until != never && now > tt.until:
					return found(numberDoc{ID: epochs.name, Last: 41})
				case tt.answer != nil:
					return tt.answer()
				}
				<-done
				return nil
			}
			db := onPaper(t, s)
			t.Cleanup(func() { close(done) })
			db.trying, db.proving = 300*time.Millisecond, 100*time.Millisecond
			if tt.want == nil {
				db.trying = readFor // a busy machine comes to the next try late
			}
			begun := time.Now()
			n, err := db.Epoch(context.Background())
			if took := time.Since(begun); took > readFor-time.Second {
				t.Errorf("it took %v", took)
			}
			switch {
			case tt.want == nil && (err != nil || n != 41):
				t.Errorf("epoch %d, %v", n, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %d, %v", n, err)
			}
			t.Log(err)
			if db.sighted.Load() != nil && err != nil {
				t.Error("what was not proved is remembered")
			}
		})
	}
}

// A server that knows nothing of members is told so by nobody: its refusal of the read
// concern is no absence that passes.
func TestAMemberThatHasLeftItsSetIsToldSo(t *testing.T) {
	s := &wireServer{hello: replica(is("isWritablePrimary"))}
	s.answer = func(string, bson.D) any {
		return failed(123, "NotAReplicaSet", "node needs to be a replica set member to use read concern")
	}
	db := onPaper(t, s)
	if _, err := db.Epoch(t.Context()); err == nil || errors.Is(err, store.ErrAway) || len(s.commands()) != 1 {
		t.Errorf("got %v after %v", err, s.commands())
	}
}
