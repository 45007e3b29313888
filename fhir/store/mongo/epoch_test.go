package mongo

import (
	"context"
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A database that is put back under a process has a lower epoch than the process has
// seen. What it keeps in memory under a number would count for another state, so nobody
// is given that number.
func TestAnEpochThatFellIsAnError(t *testing.T) {
	db := fresh(t)
	set := func(n int64) {
		t.Helper()
		_, err := db.coll(numbers).UpdateOne(t.Context(), bson.M{"_id": epochs.name}, bson.M{"$set": bson.M{"n": n}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		n     int64
		older bool
	}{{40, false}, {40, false}, {39, true}, {39, true}, {41, false}} {
		set(step.n)
		if n, err := db.Epoch(t.Context()); errors.Is(err, store.ErrOlder) != step.older || !step.older && (err != nil || n != step.n) {
			t.Errorf("at %d: %d, %v", step.n, n, err)
		}
	}
}

// A caller whose time is over before the epoch is read learns that the store could not
// answer; one who has gone, that he has gone.
func TestAnEpochThatIsNotReadInTime(t *testing.T) {
	db := fresh(t)
	late, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	<-late.Done()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, ask := range map[string]func(context.Context) (int64, error){"read": db.Epoch, "raise": db.bumpEpoch} {
		if _, err := ask(late); !errors.Is(err, store.ErrAway) {
			t.Errorf("%s: too late: %v", name, err)
		}
		if _, err := ask(gone); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrAway) {
			t.Errorf("%s: gone: %v", name, err)
		}
	}
}
