package transfer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A change is a step by which the destination's resources become those of the source:
// one of its fields.
type change struct {
	put  *store.Archived // a stretch to be put, of which the destination has since
	drop store.Key       // a resource that is to go, because the source has it no more
	anew store.Key       // one that is to go because its history is another; it is put after
	same int64           // so many are the same on both sides

	since int64 // the destination's newest version of what is put
}

func changeSize(x change) int {
	if x.put != nil {
		return archivedSize(x.put)
	}
	return pieceBytes * int(x.same) / (8 * marksAtOnce) // so that progress is told of them
}

func archivedSize(a *store.Archived) int {
	n := 0
	for _, rec := range a.Versions {
		n += len(rec.Raw) + 64
		for _, e := range rec.Index {
			n += len(e)
		}
	}
	return n
}

// resources has the destination hold what the source holds. What is the same by its
// mark is not read.
func (c *copier) resources(ctx context.Context) error {
	if len(c.state.Putting) > 0 { // by a run that ended in the middle of them
		if err := c.to.Forget(ctx, c.state.Putting); err != nil {
			return named(c.to, err)
		}
	}
	if err := pipe(ctx, changeSize, c.findChanges, c.writeChanges); err != nil {
		return err
	}
	c.state.Putting = nil
	return nil
}

// changes is one walk over the marks of both sides.
type changes struct {
	from  Side
	emit  func(change) error
	wants []store.Since // what is still to be read of the source
	same  int64
}

func (c *copier) findChanges(ctx context.Context, emit func(change) error) error {
	w := &changes{from: c.from, emit: emit}
	var end atomic.Pointer[store.Key] // the destination's last resource, once it is known
	source := func(ctx context.Context, emit func(store.Mark) error) error {
		bare := func(after store.Key) bool { last := end.Load(); return last != nil && placeOf(after, *last) >= 0 }
		return named(c.from, eachMark(ctx, c.from, bare, emit))
	}
	destination := func(ctx context.Context, emit func(store.Mark) error) error {
		var last store.Key
		err := eachMark(ctx, c.to, func(store.Key) bool { return false }, func(m store.Mark) error {
			last = m.Key
			return emit(m)
		})
		if err == nil {
			end.Store(&last)
		}
		return named(c.to, err)
	}
	place := func(x, y *store.Mark) int { return placeOf(x.Key, y.Key) }
	err := merge(ctx, source, destination, place, func(x, y *store.Mark) error { return w.judge(ctx, x, y) })
	if err == nil {
		err = w.fetch(ctx)
	}
	if err == nil && w.same > 0 {
		err = emit(change{same: w.same})
	}
	return err
}

// judge says what is to be done about a resource by its marks.
func (w *changes) judge(ctx context.Context, src, dst *store.Mark) error {
	if src != nil && src.Expunging {
		src = nil
	}
	var since int64
	switch {
	case src == nil && dst == nil:
		return nil
	case src == nil:
		return w.emit(change{drop: dst.Key})
	case dst == nil:
	case *src == *dst:
		if w.same++; w.same == marksAtOnce {
			w.same = 0
			return w.emit(change{same: marksAtOnce})
		}
		return nil
	case dst.Version < src.Version, dst.Version == src.Version && dst.LastUpdated.Equal(src.LastUpdated) && dst.Deleted == src.Deleted:
		// From the newest that is there on, so that a history that is another shows.
		since = dst.Version
	default: // expunged and made again, or the source was set back
		if err := w.emit(change{anew: dst.Key}); err != nil {
			return err
		}
	}
	if w.wants = append(w.wants, store.Since{Key: src.Key, Version: since}); len(w.wants) < keysAtOnce {
		return nil
	}
	return w.fetch(ctx)
}

// fetch reads what is wanted.
func (w *changes) fetch(ctx context.Context) error {
	whole := 0
	err := w.from.Archive(ctx, w.wants, func(a *store.Archived) error {
		since := w.wants[whole].Version
		if a.Complete {
			whole++
		}
		return w.emit(change{put: a, since: since})
	})
	rest := w.wants[whole:]
	w.wants = w.wants[:0]
	if !moved(err) {
		return named(w.from, err)
	}
	for _, want := range rest {
		err := archiveMoving(ctx, w.from, want, func(a *store.Archived) error { return w.emit(change{put: a, since: want.Version}) })
		if err != nil {
			return err
		}
	}
	return nil
}

// moved says of an error that it may come from a resource that was expunged, or made
// again, between two looks at it.
func moved(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged)
}

// archiveMoving reads a resource that others may write to or expunge. One that is not
// there any more is left out: the next pass takes it away.
func archiveMoving(ctx context.Context, from Side, want store.Since, each func(*store.Archived) error) error {
	const tries, pause = 4, 50 * time.Millisecond
	for n := 1; ; n++ {
		err := from.Archive(ctx, []store.Since{want}, each)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case !errors.Is(err, store.ErrDamaged) || n == tries:
			return named(from, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeChanges does a piece of changes: first what is to go, then what is to be put.
func (c *copier) writeChanges(ctx context.Context, piece []change) error {
	var puts []*store.Archived
	var done, bytes int64
	before := c.counts.Resources
	if slices.ContainsFunc(piece, func(x change) bool { return x.same == 0 }) {
		c.state.Putting = c.state.Putting[:0]
		for _, x := range piece {
			if n := len(c.state.Putting); x.put != nil && (n == 0 || c.state.Putting[n-1] != x.put.Key) {
				c.state.Putting = append(c.state.Putting, x.put.Key)
			}
		}
		if err := c.save(ctx); err != nil {
			return err
		}
	}
	for _, x := range piece {
		done += x.same
		gone := x.drop
		switch {
		case x.put != nil:
			puts = append(puts, x.put)
			bytes += c.count(x)
			continue
		case x.same > 0:
			continue
		case x.anew != (store.Key{}):
			gone = x.anew
		default:
			c.counts.Removed++
		}
		if err := c.expunge(ctx, gone); err != nil {
			return err
		}
	}
	if len(puts) > 0 {
		if err := c.put(ctx, puts); err != nil {
			return err
		}
	}
	c.progress(done+c.counts.Resources-before, bytes)
	return nil
}

// count counts what is put, and gives its size.
func (c *copier) count(x change) (bytes int64) {
	for _, rec := range x.put.Versions {
		if rec.Version > x.since {
			c.counts.Versions++
		}
	}
	if x.put.Complete {
		c.counts.Resources++
	}
	return int64(archivedSize(x.put))
}

// put restores stretches. A resource of which the destination has another history is
// made anew.
func (c *copier) put(ctx context.Context, puts []*store.Archived) error {
	err := c.to.Restore(ctx, puts)
	if !errors.Is(err, store.ErrConflict) {
		return named(c.to, err)
	}
	for len(puts) > 0 {
		n := 1
		for n < len(puts) && puts[n].Key == puts[0].Key {
			n++
		}
		err := c.to.Restore(ctx, puts[:n])
		if errors.Is(err, store.ErrConflict) {
			err = c.putAnew(ctx, puts[0].Key)
		} else {
			err = named(c.to, err)
		}
		if err != nil {
			return err
		}
		puts = puts[n:]
	}
	return nil
}

func (c *copier) putAnew(ctx context.Context, k store.Key) error {
	if err := c.expunge(ctx, k); err != nil {
		return err
	}
	return archiveMoving(ctx, c.from, store.Since{Key: k}, func(a *store.Archived) error {
		return named(c.to, c.to.Restore(ctx, []*store.Archived{a}))
	})
}

// expunge takes a resource out of the destination, with all that it was.
func (c *copier) expunge(ctx context.Context, k store.Key) error {
	err := c.to.Expunge(ctx, k)
	if errors.Is(err, store.ErrNotFound) { // by a run before
		return nil
	}
	return named(c.to, err)
}
