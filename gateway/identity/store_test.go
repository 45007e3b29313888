package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/identity"
)

// TestLinksAndIDsHoldInARealStore goes through the life of a link on a store,
// whose keys, versions and scans are not those of the store in memory.
func TestLinksAndIDsHoldInARealStore(t *testing.T) {
	ctx := context.Background()
	db := backendtest.Open(t, backend.Options{})
	ids := newMap(t, db, key, slugs)
	l := identity.NewLinks(db, ids, time.Now)
	b := ids.Batch("ccbh")
	for _, id := range []string{"x9", "a.b", "A-B"} {
		if _, ok := b.Forward("Patient", id); !ok {
			t.Fatal(id)
		}
	}
	if err := b.Save(ctx); err != nil {
		t.Fatal(err)
	}
	for _, link := range []identity.Link{
		{Patient: "Patient/a", System: "ccbh", RemoteID: "x9", State: identity.Confirmed, Method: "roster"},
		{Patient: "Patient/a.b", System: "ccbh", RemoteID: "x9", State: identity.Candidate, Method: "demographics"},
		{Patient: "Patient/ab", RemoteID: "a", State: identity.Confirmed, Method: "identifier"},
	} {
		if changed, err := l.Propose(ctx, link); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if changed, err := l.Propose(ctx, link); err != nil || changed {
			t.Fatal(changed, err)
		}
	}
	opaque, _ := ids.Opaque("ccbh", "Patient", "x9")
	c, err := identity.NewLinks(db, newMap(t, db, key, slugs), time.Now).For(ctx, "Patient/"+opaque)
	if err != nil || len(c.Own) != 2 || len(c.Targets) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := l.Undo(ctx, "Patient/a", "ccbh", "x9", "rev"); err != nil {
		t.Fatal(err)
	}
	if c, err := l.For(ctx, "Patient/a"); err != nil || len(c.Targets) != 0 || len(c.Own) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if all, err := l.List(ctx, ""); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if alone, err := l.Part(ctx, "Patient/a"); err != nil || len(alone) != 0 { // a.b may be the same person
		t.Fatal(alone, err)
	}
	if _, err := l.History(ctx, "Patient/a", "ccbh", "x9"); !errors.Is(err, identity.ErrNoLink) {
		t.Errorf("%v", err)
	}
}
