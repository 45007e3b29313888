package mongo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// restoredUnit stands on claims that came with their resource: no unit took them.
const restoredUnit = "~restored"

// Restore implements store.Transferer: versions first, then claims, then heads, so
// that what a call that was cut off has left is found and used by the next.
func (db *DB) Restore(ctx context.Context, rs []*store.Archived) error {
	var keys []string
	for _, a := range rs {
		keys = append(keys, keyOf(a.Key))
	}
	slices.Sort(keys)
	hs, err := db.settled(ctx, slices.Compact(keys))
	if err != nil {
		return err
	}
	r := &restoring{db: db, heads: map[string]*restoredHead{}}
	for _, a := range rs {
		if err := r.add(ctx, a, hs[keyOf(a.Key)]); err != nil {
			return fmt.Errorf("restore %s: %w", a.Key, err)
		}
	}
	for _, do := range []func(context.Context) error{r.versions, r.claims, r.swing, r.release, db.announce} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// restoring is one call of Restore.
type restoring struct {
	db    *DB
	docs  []*versionDoc
	heads map[string]*restoredHead
	order []string
}

// A restoredHead is a head as it was and as it is to be.
type restoredHead struct {
	key      store.Key
	there    bool
	was      state
	next     state
	complete bool
}

func (h *restoredHead) changed() bool {
	return h.next.Version != h.was.Version || h.complete && !(slices.Equal(h.next.Index, h.was.Index) && slices.Equal(h.next.Claims, h.was.Claims))
}

// add takes one stretch.
func (r *restoring) add(ctx context.Context, a *store.Archived, old *headDoc) error {
	if len(a.Versions) == 0 {
		return invalid("no versions")
	}
	key, last := keyOf(a.Key), a.Versions[len(a.Versions)-1]
	w := &store.Write{Record: *last, Claims: a.Claims}
	w.Key = a.Key
	if err := w.Check(); err != nil {
		return err
	}
	h := r.heads[key]
	if h == nil {
		h = &restoredHead{key: a.Key, was: nothing(), next: nothing()}
		if old != nil {
			h.there, h.was = true, old.State
			if old.State.Version > 0 {
				h.next = old.State
			}
		}
		r.heads[key], r.order = h, append(r.order, key)
	}
	if a.Complete && h.next.Version > last.Version {
		return fmt.Errorf("%w: version %d is there, beyond the newest one, %d", store.ErrConflict, h.next.Version, last.Version)
	}
	for _, rec := range a.Versions {
		if err := r.version(ctx, h, rec); err != nil {
			return err
		}
	}
	if a.Complete {
		was := state{Version: h.next.Version - 1, Updated: h.next.Updated}
		full := r.db.stateAfter(&was, w, h.next.Nonce)
		h.next.Index, h.next.Claims, h.complete = full.Index, full.Claims, true
	}
	return nil
}

// version takes the version that follows, or compares one that is there.
func (r *restoring) version(ctx context.Context, h *restoredHead, rec *store.Record) error {
	switch {
	case rec.Version <= h.was.Version:
		there, err := r.db.chain(ctx, h.key, &h.was, rec.Version, rec.Version)
		if err != nil {
			return err
		}
		if !sameVersion(there[0], rec) {
			return fmt.Errorf("%w: its version %d is another here", store.ErrConflict, rec.Version)
		}
		return nil
	case rec.Version != h.next.Version+1:
		return invalid("version %d cannot follow version %d", rec.Version, h.next.Version)
	}
	w := &store.Write{Record: *rec}
	w.Key = h.key
	s := state{Version: rec.Version, Updated: resource.FormatInstant(rec.LastUpdated), Deleted: rec.Deleted, Index: []string{}}
	doc, err := newVersion(w, &s, h.next.Nonce)
	if err != nil {
		return err
	}
	// Its name is made of its content, so that what a call that was cut off has left
	// is this very version, or bears another name.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n%s\n%t\n%s", doc.Key, doc.Previous, doc.Updated, doc.Origin, doc.Labels, doc.LabelSet, doc.Deleted, doc.Raw))
	s.Nonce = base32.StdEncoding.EncodeToString(sum[:])[:20]
	if doc, err = newVersion(w, &s, h.next.Nonce); err != nil {
		return err
	}
	if doc.Version == 1 {
		// Its head follows. In a copy that is finished it has, and one that is not is no
		// store: a check of it judges nothing that has no head.
		doc.Stood = stood
	}
	r.docs, h.next = append(r.docs, doc), s
	return nil
}

func sameVersion(a, b *store.Record) bool {
	x, errX := json.Marshal(a.Origin)
	y, errY := json.Marshal(b.Origin)
	return a.Version == b.Version && a.Deleted == b.Deleted && a.LabelSet == b.LabelSet &&
		resource.FormatInstant(a.LastUpdated) == resource.FormatInstant(b.LastUpdated) &&
		bytes.Equal(a.Raw, b.Raw) && slices.Equal(a.Labels, b.Labels) && errX == nil && errY == nil && bytes.Equal(x, y)
}

func (r *restoring) versions(ctx context.Context) error {
	if len(r.docs) == 0 {
		return nil
	}
	return r.db.putVersions(ctx, r.docs)
}

// swing puts the heads.
func (r *restoring) swing(ctx context.Context) error {
	var models []driver.WriteModel
	var keys []string
	for _, key := range r.order {
		h := r.heads[key]
		if !h.changed() {
			continue
		}
		keys = append(keys, key)
		doc := newHead(h.key, h.next)
		if h.there {
			models = append(models, driver.NewReplaceOneModel().SetFilter(h.was.at(key)).SetReplacement(doc))
		} else {
			models = append(models, driver.NewInsertOneModel().SetDocument(doc))
		}
	}
	if len(models) == 0 {
		return nil
	}
	_, err := r.db.persist(ctx, "write heads", func(ctx context.Context) error {
		_, err := r.db.coll(heads).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		var many driver.BulkWriteException
		if errors.As(err, &many) && many.WriteConcernError == nil && !slices.ContainsFunc(many.WriteErrors, func(we driver.BulkWriteError) bool { return !isDuplicate(we.WriteError) }) {
			err = nil // of a try whose answer was lost, or of somebody else: see below
		}
		return err
	})
	if err != nil {
		return err
	}
	now, err := r.db.headsOf(ctx, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if h := now[key]; h == nil || h.Intent != nil || h.State.Version != r.heads[key].next.Version || h.State.Nonce != r.heads[key].next.Nonce {
			return fmt.Errorf("restore %s: %w: somebody else writes to it", key, store.ErrConflict)
		}
	}
	return nil
}
