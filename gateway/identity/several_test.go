package identity_test

import (
	"context"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/identity"
)

// A request that began before a link was undone elsewhere, and whose memory has the
// link but not the count of changes, leaves nothing old for those that come after it.
func TestAnUndoneLinkDoesNotJoinByWhatAnotherRequestKept(t *testing.T) {
	db := backendtest.Open(t, backend.Options{})
	cache := epoch.New(db, 0, nil)
	here := identity.NewLinks(cache, newMap(t, cache, key, slugs), time.Now)
	there := identity.NewLinks(db, newMap(t, db, key, slugs), time.Now)
	link := identity.Link{Patient: "Patient/a", System: "ccbh", RemoteID: "x9", State: identity.Confirmed, Method: "roster"}
	if _, err := there.Propose(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	pin := func() context.Context {
		ctx, err := cache.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	began := pin()
	if all, err := here.List(began, "Patient/a"); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := there.Undo(t.Context(), "Patient/a", "ccbh", "x9", "rev"); err != nil {
		t.Fatal(err)
	}
	if _, err := here.For(began, "Patient/a"); err != nil {
		t.Fatal(err)
	}
	if c, err := here.For(pin(), "Patient/a"); err != nil || len(c.Targets) != 0 {
		t.Errorf("an undone link joins %v, %v", c.Targets, err)
	}
}

// backwards gives facts other versions, as another process's block of them may be.
type backwards struct {
	store.Facts
	scans int
}

func (b *backwards) Get(ctx context.Context, key string) (store.Fact, error) {
	f, err := b.Facts.Get(ctx, key)
	f.Version = 1_000_000 - f.Version
	return f, err
}

func (b *backwards) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	return b.Facts.CompareAndSet(ctx, key, 1_000_000-version, value, expires)
}

func (b *backwards) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	b.scans++
	return b.Facts.Scan(ctx, prefix, after, limit)
}

func TestAClassIsRememberedWhicheverProcessChangedALinkLast(t *testing.T) {
	facts := &backwards{Facts: backendtest.Open(t, backend.Options{})}
	l := identity.NewLinks(facts, newMap(t, facts, key, slugs), time.Now)
	for _, id := range []string{"x1", "x2", "x3"} {
		if _, err := l.Propose(t.Context(), identity.Link{Patient: "Patient/a", System: "ccbh", RemoteID: id, State: identity.Confirmed, Method: "roster"}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.For(t.Context(), "Patient/a"); err != nil {
			t.Fatal(err)
		}
		before := facts.scans
		if _, err := l.For(t.Context(), "Patient/a"); err != nil || facts.scans != before {
			t.Errorf("%s: %v, %d scans for a class that was found just now", id, err, facts.scans-before)
		}
	}
}
