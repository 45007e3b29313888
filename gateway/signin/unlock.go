package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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

// Unlock lets a user sign in again. It leaves a note first, which the gateway records
// as an audit event (RecordNotes): the trail has one writer, and this may be another
// process.
func Unlock(ctx context.Context, facts store.Facts, u Unlocking) error {
	all, err := LockedUsers(ctx, facts)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Provider != u.Provider || l.Name != folded(u.Name) {
			continue
		}
		u.Name, u.At = l.Name, u.At.UTC()
		note, err := json.Marshal(u)
		if err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if _, err := facts.PutIfAbsent(ctx, noteKey+HashHandle(NewHandle()), note, time.Time{}); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		raw, err := json.Marshal(failures{Provider: l.Provider, Name: l.Name})
		if err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if _, err := facts.CompareAndSet(ctx, l.fact.Key, l.fact.Version, raw, u.At.Add(MaxWindow)); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		return nil
	}
	return fmt.Errorf("%s at %s: %w", u.Name, u.Provider, ErrNotLocked)
}

// An Unlocking says who is let in again, and what is recorded of it.
type Unlocking struct {
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	By       string    `json:"by"` // who answers for it
	Reason   string    `json:"reason,omitempty"`
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
		var n Unlocking
		if err := json.Unmarshal(fact.Value, &n); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
		about := url.Values{"provider": {n.Provider}, "user": {n.Name}}
		if n.Reason != "" {
			about.Set("reason", n.Reason)
		}
		e := &audit.Event{ID: newID(), At: n.At, Interaction: audit.Unlock, User: n.By, Operation: "handoff", Path: "users unlock", Query: about.Encode()}
		if err := trail.Record(ctx, e); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
		if err := facts.Delete(ctx, fact.Key); err != nil {
			return fmt.Errorf("unlockings: %w", err)
		}
	}
	return nil
}
