package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/epoch"
)

// A Batch maps the ids of one answer and stores all new ways back at once: a
// store commits many writes together much faster than one after another. It is
// for one goroutine.
type Batch struct {
	m       *IDMap
	system  string
	slug    string
	since   int64  // as of which count of expunges the memory was looked at
	of      string // opaque id of the Patient whose answer it is; "" for nobody's
	pending map[remote]string
}

// Batch starts mapping ids of one system.
func (m *IDMap) Batch(system string) *Batch {
	return &Batch{m: m, system: system, slug: m.slugs[system], since: m.known.asOf(), pending: map[remote]string{}}
}

// About says whose answer it is, by the Patient's id at the system. What is mapped
// is then found again when that Patient is to be forgotten. It is called before
// Forward.
func (b *Batch) About(patient string) {
	b.of, _ = b.m.Opaque(b.system, "Patient", patient)
}

// Forward returns the opaque id. It must not leave the gateway before Save has
// returned without an error. ok is false when there can be none.
func (b *Batch) Forward(typ, id string) (opaque string, ok bool) {
	if b.slug == "" || !resource.ValidType(typ) || !resource.ValidID(id) {
		return "", false
	}
	r := remote{b.system, typ, id}
	if opaque, ok := b.m.known.forward(noted{r, b.of}); ok {
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
	t := &Batch{b.m, b.system, b.slug, b.since, b.of, b.pending}
	b.pending = map[remote]string{}
	return t
}

// Merge adds what another Batch of the same system and Patient has not stored yet.
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
	var put written
	g, side := errgroup.WithContext(ctx)
	g.SetLimit(64) // side by side, so that the store may group them into one commit
	for r, opaque := range b.pending {
		g.Go(func() error { return b.m.save(side, noted{r, b.of}, opaque, &put) })
	}
	if err := g.Wait(); err != nil {
		return errors.Join(err, b.undo(ctx, put.keys))
	}
	for r, opaque := range b.pending {
		b.m.known.add(b.since, noted{r, b.of}, opaque)
	}
	clear(b.pending)
	return nil
}

// save stores whose answer the id was in first, so that nothing is kept that an
// expunge would not find.
func (m *IDMap) save(ctx context.Context, n noted, opaque string, put *written) error {
	value, err := json.Marshal(n.remote)
	if err != nil {
		return err
	}
	key, of := factKey(n.Type, opaque), ""
	keys := []string{key}
	if n.of != "" {
		of = ofKey(n.of, n.Type, opaque)
		keys = append(keys, of)
	}
	fs, err := store.Gather(ctx, m.facts, keys) // usually there after a restart, and much cheaper than a write
	if err != nil {
		return fmt.Errorf("identity: store an id: %w", err)
	}
	there := map[string]bool{}
	for _, f := range fs {
		there[f.Key] = true
		var r remote
		if f.Key == key && (json.Unmarshal(f.Value, &r) != nil || r != n.remote) {
			return fmt.Errorf("identity: an id of system %s is mapped otherwise already: %w", n.System, store.ErrDamaged)
		}
	}
	if of != "" && !there[of] {
		if err := m.putOnce(ctx, of, nil, put); err != nil {
			return err
		}
	}
	if there[key] {
		return nil
	}
	return m.putOnce(ctx, key, value, put)
}

// written lists the facts that a Save has tried to put.
type written struct {
	mu   sync.Mutex
	keys []string
}

// undo takes out what a Save that failed has put, if somebody was expunged since the
// Batch was made: nobody looks whether it is still wanted.
func (b *Batch) undo(ctx context.Context, keys []string) error {
	ctx = epoch.Unpinned(context.WithoutCancel(ctx))
	count, err := b.m.Forgotten(ctx)
	if err != nil || count == b.since {
		return err
	}
	for _, key := range keys {
		err = errors.Join(err, b.m.drop(ctx, key))
	}
	return err
}

// putOnce puts a fact that depends on its key alone, whoever puts it.
func (m *IDMap) putOnce(ctx context.Context, key string, value []byte, put *written) error {
	put.mu.Lock()
	put.keys = append(put.keys, key)
	put.mu.Unlock()
	if _, err := m.facts.PutIfAbsent(ctx, key, value, time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("identity: store an id: %w", err)
	}
	return nil
}
