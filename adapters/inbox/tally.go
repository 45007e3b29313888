package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Tally counts the records of one system, of all its runs and receivers: what
// became of them, and what of them no mapping knew. It is safe for concurrent
// use, and several processes may save theirs into one.
type Tally struct {
	mu    sync.Mutex
	delta tallyData
}

type tallyData struct {
	Records  flow.Report      `json:"records"`
	Unmapped map[string]First `json:"unmapped,omitempty"`
}

// A First is how often something without a mapping came, and where first.
type First struct {
	Count int       `json:"count"`
	Place string    `json:"first"`
	At    time.Time `json:"at,omitzero"`
}

// maxUnmapped bounds what is told apart: input decides on it.
const maxUnmapped = 2000

func (d *tallyData) unmapped(key string, f First) {
	if d.Unmapped == nil {
		d.Unmapped = map[string]First{}
	}
	if _, known := d.Unmapped[key]; !known && len(d.Unmapped) >= maxUnmapped {
		key = "(other)"
	}
	have, known := d.Unmapped[key]
	if !known {
		have = First{Place: f.Place, At: f.At}
	}
	have.Count += f.Count
	d.Unmapped[key] = have
}

// Add counts an item whose outcome is durable.
func (t *Tally) Add(m *flow.Mapped, o flow.Outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delta.Records.Count(m, o)
	if m.Result == nil {
		return
	}
	for i := range m.Result.Unmapped {
		u := &m.Result.Unmapped[i]
		pos := u.Pos
		if pos.Source == "" {
			pos = m.Item.Pos
		}
		t.delta.unmapped(flow.UnmappedKey(u), First{Count: 1, Place: pos.String(), At: now.UTC()})
	}
}

// add takes another tally's counts into d.
func (d *tallyData) add(o *tallyData) {
	d.Records.Add(&o.Records)
	for k, f := range o.Unmapped {
		d.unmapped(k, f)
	}
	d.Records.Unmapped = nil // they stand in Unmapped
}

func tallyKey(system string) string { return "feeds/" + system + "/tally" }

// Save adds what was counted since the last Save to what is kept.
func (t *Tally) Save(ctx context.Context, facts store.Facts, system string) error {
	t.mu.Lock()
	delta := t.delta
	t.delta = tallyData{}
	t.mu.Unlock()
	if delta.Records.Records == 0 {
		return nil
	}
	err := change(ctx, facts, tallyKey(system), func(kept *tallyData) { kept.add(&delta) })
	if err != nil { // it is still to be counted
		t.mu.Lock()
		delta.add(&t.delta)
		t.delta = delta
		t.mu.Unlock()
		return fmt.Errorf("keeping the counts of %s: %w", system, err)
	}
	return nil
}

// change edits a fact that holds JSON, again if another process was faster.
func change[T any](ctx context.Context, facts store.Facts, key string, edit func(*T)) error {
	for {
		var value T
		fact, err := facts.Get(ctx, key)
		switch {
		case err == nil:
			if err := json.Unmarshal(fact.Value, &value); err != nil {
				return fmt.Errorf("%w: %s: %w", store.ErrDamaged, key, err)
			}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		edit(&value)
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if fact.Key == "" {
			_, err = facts.PutIfAbsent(ctx, key, raw, time.Time{})
		} else if bytes.Equal(raw, fact.Value) {
			return nil
		} else {
			_, err = facts.CompareAndSet(ctx, key, fact.Version, raw, time.Time{})
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
