package ingest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A RejectState is where a rejected record is.
type RejectState string

// The states of a rejected record.
const (
	Open     RejectState = "open"     // it waits for somebody
	Replayed RejectState = "replayed" // a replay stored it, or found it known
	Expunged RejectState = "expunged" // its text was destroyed
)

// A Queued is a rejected record with what was done about it.
type Queued struct {
	Kept
	State   RejectState
	Code    string // of the last try
	Field   string
	Message string // never quotes a value
	Edited  bool
	Tries   int
	Tried   time.Time
	Outcome string // of the last replay: "created", "updated", "duplicate", "superseded", "rejected"
}

// A rejectMark is what is kept of a reject beside its text, as a fact, once
// something was done about it.
type rejectMark struct {
	State   RejectState `json:"s"`
	Code    string      `json:"c,omitempty"`
	Field   string      `json:"f,omitempty"`
	Message string      `json:"m,omitempty"`
	Tries   int         `json:"n,omitempty"`
	Tried   time.Time   `json:"t,omitzero"`
	Outcome string      `json:"o,omitempty"`
	Edit    uint64      `json:"e,omitempty"` // the newest edited copy, in EditStream
}

// EditStream names the log stream of edited copies of a system's rejects. Each
// stands under the key of its original, so that an expunge reaches it.
func EditStream(system string) string { return "ingest/" + system + "/edits" }

// A Queue is the reject queue of one system. Any process may use it.
type Queue struct {
	Log    store.Log
	Facts  store.Facts
	System string
	Clock  func() time.Time // nil: time.Now
}

func (q *Queue) now() time.Time {
	if q.Clock != nil {
		return q.Clock().UTC()
	}
	return time.Now().UTC()
}

func (q *Queue) markKey(seq uint64) string {
	return fmt.Sprintf("ingest/%s/rjs/%020d", q.System, seq)
}

// List returns rejects from a number on, oldest first, at most limit; next is the
// number to go on from, 0 at the end.
func (q *Queue) List(ctx context.Context, from uint64, limit int) (out []Queued, next uint64, err error) {
	kept, err := Read(ctx, q.Log, q.Facts, q.System, RejectStream(q.System), max(from, 1), limit)
	if err != nil {
		return nil, 0, err
	}
	for _, k := range kept {
		if k.Lost {
			continue // the text follows again
		}
		one, err := q.of(ctx, k)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, one)
	}
	if len(kept) == limit {
		next = kept[limit-1].Seq + 1
	}
	return out, next, nil
}

// Get returns one reject; store.ErrNotFound if there is none of this number.
func (q *Queue) Get(ctx context.Context, seq uint64) (Queued, error) {
	if seq > 0 {
		list, _, err := q.List(ctx, seq, 1)
		if err != nil {
			return Queued{}, err
		}
		if len(list) == 1 && list[0].Seq == seq {
			return list[0], nil
		}
	}
	return Queued{}, fmt.Errorf("reject %d of %s: %w", seq, q.System, store.ErrNotFound)
}

func (q *Queue) of(ctx context.Context, k Kept) (Queued, error) {
	out := Queued{Kept: k, State: Open}
	if k.Reject != nil {
		out.Code, out.Field, out.Message = k.Reject.Code, k.Reject.Field, k.Reject.Message
	}
	m, _, err := q.mark(ctx, k.Seq)
	if err != nil {
		return out, err
	}
	if m.State != "" {
		out.State, out.Tries, out.Tried, out.Outcome, out.Edited = m.State, m.Tries, m.Tried, m.Outcome, m.Edit > 0
		if m.Code != "" {
			out.Code, out.Field, out.Message = m.Code, m.Field, m.Message
		}
	}
	if k.Expunged {
		out.State = Expunged
	}
	return out, nil
}

func (q *Queue) mark(ctx context.Context, seq uint64) (rejectMark, store.Fact, error) {
	var m rejectMark
	fact, err := q.Facts.Get(ctx, q.markKey(seq))
	if errors.Is(err, store.ErrNotFound) {
		return m, fact, nil
	}
	if err == nil {
		if err = json.Unmarshal(fact.Value, &m); err != nil {
			err = fmt.Errorf("%w: the state of reject %d of %s: %w", store.ErrDamaged, seq, q.System, err)
		}
	}
	return m, fact, err
}

// note changes a reject's mark.
func (q *Queue) note(ctx context.Context, seq uint64, change func(*rejectMark)) error {
	for {
		m, fact, err := q.mark(ctx, seq)
		if err != nil {
			return err
		}
		if m.State == "" {
			m.State = Open
		}
		change(&m)
		raw, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if fact.Key == "" {
			_, err = q.Facts.PutIfAbsent(ctx, q.markKey(seq), raw, time.Time{})
		} else {
			_, err = q.Facts.CompareAndSet(ctx, fact.Key, fact.Version, raw, time.Time{})
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Text returns what a replay of a reject would read: its newest edited copy, or
// its own text, behind its header if it has one.
func (q *Queue) Text(ctx context.Context, k *Queued) (head, raw []byte, err error) {
	head, raw = k.Head, k.Raw
	if k.alone {
		head = nil
	}
	m, _, err := q.mark(ctx, k.Seq)
	if err != nil || m.Edit == 0 {
		return head, raw, err
	}
	edits, err := Read(ctx, q.Log, q.Facts, q.System, EditStream(q.System), m.Edit, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(edits) != 1 || edits[0].Raw == nil {
		return nil, nil, fmt.Errorf("the edited copy of reject %d of %s: %w", k.Seq, q.System, store.ErrNotFound)
	}
	return head, edits[0].Raw, nil
}

// Edit keeps an edited copy of a reject, which a replay reads from then on. The
// original stays. It opens a reject that was replayed again.
func (q *Queue) Edit(ctx context.Context, seq uint64, text []byte, by string) error {
	k, err := q.Get(ctx, seq)
	if err != nil {
		return err
	}
	if k.State == Expunged {
		return fmt.Errorf("reject %d of %s: its text was destroyed", seq, q.System)
	}
	if err := q.Audit(ctx, k.Event("edit", by)); err != nil {
		return err
	}
	copied, err := q.seal(ctx, &k, text)
	if err != nil {
		return err
	}
	return q.note(ctx, seq, func(m *rejectMark) { m.Edit, m.State = copied, Open })
}

// seal appends an edited copy under the original's key.
func (q *Queue) seal(ctx context.Context, k *Queued, text []byte) (uint64, error) {
	fact, err := q.Facts.Get(ctx, "ingest/"+q.System+"/rec/"+k.record)
	if err != nil {
		return 0, err
	}
	var st recordState
	if err := json.Unmarshal(fact.Value, &st); err != nil {
		return 0, fmt.Errorf("%w: the state of a record: %w", store.ErrDamaged, err)
	}
	gcm, err := aead(st.DataKey)
	if err != nil {
		return 0, err
	}
	plain, err := json.Marshal(boxed{Raw: text, Source: k.Source, Line: k.Line})
	if err != nil {
		return 0, err
	}
	e := sealedEntry{Record: k.record, At: q.now(), Nonce: make([]byte, gcm.NonceSize())}
	if _, err := rand.Read(e.Nonce); err != nil {
		return 0, fmt.Errorf("making a nonce: %w", err)
	}
	e.Box = gcm.Seal(nil, e.Nonce, plain, []byte(EditStream(q.System)+"|"+k.record))
	raw, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	return q.Log.Append(ctx, EditStream(q.System), raw)
}

// Event is what somebody did with a reject, for Audit.
func (k *Queued) Event(kind, by string) Event {
	return Event{Kind: kind, Source: k.Source, Record: k.record, Reject: k.Seq, By: by}
}

// Audit notes what somebody did with a reject, in the system's event stream.
func (q *Queue) Audit(ctx context.Context, e Event) error {
	e.System, e.At = q.System, q.now()
	raw, err := json.Marshal(e)
	if err == nil {
		_, err = q.Log.Append(ctx, EventStream(q.System), raw)
	}
	if err != nil {
		return fmt.Errorf("auditing: %w", err)
	}
	return nil
}
