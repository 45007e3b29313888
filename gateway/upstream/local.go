package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Finder searches the gateway's own store: it turns checked parameters into a
// plan and yields live records that match them, until yield returns false.
type Finder interface {
	Find(ctx context.Context, typ string, params url.Values, yield func(*store.Record) bool) error
}

// A Reader is the part of store.Store that Local reads from.
type Reader interface {
	Read(ctx context.Context, k store.Key) (*store.Record, error)
}

// Local is the gateway's own store as an Upstream. Ids are its own and origins
// stand at each record.
type Local struct {
	name   string
	reader Reader
	finder Finder
}

// NewLocal makes an Upstream of the own store under a name.
func NewLocal(name string, r Reader, f Finder) *Local { return &Local{name, r, f} }

// Name implements [Upstream].
func (l *Local) Name() string { return l.name }

// Bases implements [Upstream]: there are none.
func (l *Local) Bases() []string { return nil }

// Read implements [Upstream]. A deleted resource is not found.
func (l *Local) Read(ctx context.Context, typ, id string) (Item, error) {
	rec, err := l.reader.Read(ctx, store.Key{Type: typ, ID: id})
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && rec.Deleted:
		return Item{}, fmt.Errorf("system %s: read %s: %w", l.name, typ, ErrNotFound)
	case err != nil:
		return Item{}, fmt.Errorf("system %s: read %s: %w: %w", l.name, typ, ErrFailed, err)
	}
	return l.item(rec)
}

// Search implements [Upstream].
func (l *Local) Search(ctx context.Context, typ string, params url.Values, yield func(Item) bool) error {
	var bad error
	err := l.finder.Find(ctx, typ, params, func(rec *store.Record) bool {
		if rec.Deleted {
			return true
		}
		it, err := l.item(rec)
		if err != nil {
			bad = err
			return true
		}
		return yield(it)
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("system %s: search %s: %w: %w", l.name, typ, ErrFailed, ctx.Err())
	case err != nil:
		return fmt.Errorf("system %s: search %s: %w: %w", l.name, typ, ErrFailed, err)
	case bad != nil:
		return fmt.Errorf("system %s: search %s: %w: %w", l.name, typ, ErrIncomplete, bad)
	}
	return nil
}

func (l *Local) item(rec *store.Record) (Item, error) {
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return Item{}, fmt.Errorf("system %s: a stored %s is not readable: %w", l.name, rec.Type, ErrFailed)
	}
	if r.Type() != rec.Type || r.ID() != rec.ID {
		return Item{}, fmt.Errorf("system %s: a stored %s is another resource than its key says: %w", l.name, rec.Type, ErrFailed)
	}
	return Item{Resource: r, Origin: rec.Origin, Labels: rec.Labels, LabelSet: rec.LabelSet}, nil
}
