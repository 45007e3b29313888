package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Status is what is known of one message.
type Status struct {
	Seq      uint64    `json:"seq"`
	Source   string    `json:"source"`
	State    State     `json:"state"`
	Code     string    `json:"code,omitempty"` // of the first reject, or why it is deferred
	Received time.Time `json:"received"`
	Parsed   time.Time `json:"parsed,omitzero"`
	Mapped   time.Time `json:"mapped,omitzero"`
	Done     time.Time `json:"done,omitzero"` // stored or rejected
	Next     time.Time `json:"next,omitzero"` // of a deferred one: the next try
	Records  Counts    `json:"records,omitzero"`
	// Forgotten says that the message was settled longer ago than is remembered,
	// or that it was never acknowledged: State is empty.
	Forgotten bool `json:"forgotten,omitempty"`
}

// Statuses returns what is known of the messages of a system from a number on.
// It may be asked by any process.
func Statuses(ctx context.Context, log store.Log, facts store.Facts, system string, from uint64, limit int) ([]Status, error) {
	b := &Box{o: Options{Log: log, Facts: facts, System: system}, stream: Stream(system), prefix: Stream(system) + "/"}
	entries, err := log.ReadFrom(ctx, b.stream, from, limit)
	if err != nil {
		return nil, fmt.Errorf("inbox %s: %w", system, err)
	}
	out := make([]Status, 0, len(entries))
	for _, entry := range entries {
		e, err := decode(b.stream, entry)
		if err != nil {
			return out, err
		}
		m, err := b.mark(ctx, e.ID)
		if err != nil {
			return out, err
		}
		out = append(out, statusOf(entry.Seq, e, m))
	}
	return out, nil
}

func statusOf(seq uint64, e *wireEntry, m *mark) Status {
	s := Status{Seq: seq, Source: e.Source, Received: e.At}
	if m == nil || m.Gone || m.Seq > 0 && m.Seq != seq {
		s.Forgotten = true
		return s
	}
	s.State, s.Code, s.Parsed, s.Mapped, s.Done, s.Next, s.Records = m.State, m.Code, m.Parsed, m.Mapped, m.Done, m.Next, m.Counts
	if s.State == "" {
		s.State = Received
	}
	return s
}

// Await waits until a message is stored, rejected or deferred, or the context
// ends, and says which.
func (b *Box) Await(ctx context.Context, seq uint64) (Status, error) {
	for {
		b.mu.Lock()
		_, waits := b.waiting[seq]
		changed := b.changed
		b.mu.Unlock()
		if !waits {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Status{Seq: seq, State: Received}, ctx.Err()
		}
	}
	list, err := Statuses(ctx, b.o.Log, b.o.Facts, b.o.System, seq, 1)
	switch {
	case err != nil:
		return Status{}, err
	case len(list) == 0 || list[0].Seq != seq:
		return Status{}, fmt.Errorf("inbox %s: message %d: %w", b.o.System, seq, store.ErrNotFound)
	}
	return list[0], nil
}
