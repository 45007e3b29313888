package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
)

// A Locked is a user who cannot sign in until an administrator lets them.
type Locked struct {
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	Since    time.Time `json:"since"`

	fact store.Fact
}

// LockedUsers lists the users who are locked, in order of their keys.
func LockedUsers(ctx context.Context, facts store.Facts) ([]Locked, error) {
	var out []Locked
	err := store.EachFact(ctx, facts, userKey, func(fact store.Fact) error {
		var f failures
		if err := json.Unmarshal(fact.Value, &f); err != nil {
			return err
		}
		if !f.Locked.IsZero() && f.Name != "" {
			out = append(out, Locked{Provider: f.Provider, Name: f.Name, Since: f.Locked, fact: fact})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("locked users: %w", err)
	}
	return out, nil
}

// ErrNotLocked says that there is no such locked user.
var ErrNotLocked = errors.New("no such user is locked")

// noteKey is where an unlocking by another process waits to be recorded.
const noteKey = "signin/note/"

// Unlock lets a user sign in again. by is who answers for it. It leaves a note
// first, which the gateway records as an audit event (RecordNotes): the trail has
// one writer, and this may be another process.
func Unlock(ctx context.Context, facts store.Facts, provider, name, by string, now time.Time) error {
	all, err := LockedUsers(ctx, facts)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Provider != provider || l.Name != folded(name) {
			continue
		}
		note, err := json.Marshal(unlocked{Provider: provider, Name: l.Name, By: by, At: now.UTC()})
		if err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if _, err := facts.PutIfAbsent(ctx, noteKey+HashHandle(NewHandle()), note, time.Time{}); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		raw, err := json.Marshal(failures{Provider: provider, Name: l.Name})
		if err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if _, err := facts.CompareAndSet(ctx, l.fact.Key, l.fact.Version, raw, now.Add(MaxWindow)); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		return nil
	}
	return fmt.Errorf("%s at %s: %w", name, provider, ErrNotLocked)
}

// An unlocked is the note of an unlocking.
type unlocked struct {
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// RecordNotes records the unlockings that wait. It is called at the start and now
// and then; an event may be recorded twice, never not at all.
func RecordNotes(ctx context.Context, facts store.Facts, trail audit.Recorder, newID func() string) error {
	list, err := facts.Scan(ctx, noteKey, "", 100)
	if err != nil {
		return fmt.Errorf("unlockings: %w", err)
	}
	for _, fact := range list {
		var n unlocked
		if err := json.Unmarshal(fact.Value, &n); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
		e := &audit.Event{
			ID: newID(), At: n.At, Interaction: audit.Unlock, User: n.By, Operation: "handoff", Path: "users unlock",
			Query: "provider=" + n.Provider + "&user=" + n.Name,
		}
		if err := trail.Record(ctx, e); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
		if err := facts.Delete(ctx, fact.Key); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
	}
	return nil
}
