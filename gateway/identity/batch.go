package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Batch maps the ids of one answer and stores all new ways back at once: a
// store commits many writes together much faster than one after another. It is
// for one goroutine.
type Batch struct {
	m       *IDMap
	system  string
	slug    string
	pending map[remote]string
}

// Batch starts mapping ids of one system.
func (m *IDMap) Batch(system string) *Batch {
	return &Batch{m: m, system: system, slug: m.slugs[system], pending: map[remote]string{}}
}

// Forward returns the opaque id. It must not leave the gateway before Save has
// returned without an error. ok is false when there can be none.
func (b *Batch) Forward(typ, id string) (opaque string, ok bool) {
	if b.slug == "" || !resource.ValidType(typ) || !resource.ValidID(id) {
		return "", false
	}
	r := remote{b.system, typ, id}
	if opaque, ok := b.m.known.forward(r); ok {
		return opaque, true
	}
	if opaque, ok := b.pending[r]; ok {
		return opaque, true
	}
	opaque = b.slug + "-" + b.m.hash(r)
	b.pending[r] = opaque
	return opaque, true
}

// Pending says how many ways back are not stored yet.
func (b *Batch) Pending() int { return len(b.pending) }

// Take moves what is not stored yet into a Batch of its own.
func (b *Batch) Take() *Batch {
	t := &Batch{b.m, b.system, b.slug, b.pending}
	b.pending = map[remote]string{}
	return t
}

// Merge adds what another Batch of the same system has not stored yet.
func (b *Batch) Merge(other *Batch) {
	for r, opaque := range other.pending {
		b.pending[r] = opaque
	}
}

// Save stores the ways back that are new.
func (b *Batch) Save(ctx context.Context) error {
	if len(b.pending) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64) // side by side, so that the store may group them into one commit
	for r, opaque := range b.pending {
		g.Go(func() error { return b.m.save(ctx, r, opaque) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for r, opaque := range b.pending {
		b.m.known.add(r, opaque)
	}
	clear(b.pending)
	return nil
}

func (m *IDMap) save(ctx context.Context, r remote, opaque string) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	key := factKey(r.Type, opaque)
	f, err := m.facts.Get(ctx, key) // usually there after a restart, and much cheaper than a write
	if errors.Is(err, store.ErrNotFound) {
		if _, err = m.facts.PutIfAbsent(ctx, key, value, time.Time{}); err == nil {
			return nil
		}
		if errors.Is(err, store.ErrExists) {
			f, err = m.facts.Get(ctx, key)
		}
	}
	if err != nil {
		return fmt.Errorf("identity: store an id: %w", err)
	}
	var there remote
	if json.Unmarshal(f.Value, &there) != nil || there != r {
		return fmt.Errorf("identity: an id of system %s is mapped otherwise already: %w", r.System, store.ErrDamaged)
	}
	return nil
}
