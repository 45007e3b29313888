package transfer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// A factChange is a step by which the destination's facts become those of the source.
type factChange struct {
	fact store.Fact
	drop bool  // it is to go; else to be put
	same int64 // neither: so many are the same on both sides
}

func (x factChange) size() int {
	if x.same > 0 {
		return pieceBytes * int(x.same) / (8 * marksAtOnce)
	}
	return factSize(x.fact)
}

// facts has the destination hold the facts of the source, and its versions begin above
// all that the source has given.
func (c *copier) facts(ctx context.Context) error {
	if err := pipe(ctx, factChange.size, c.findFacts, c.writeFacts); err != nil {
		return err
	}
	v, err := c.from.FactVersion(ctx)
	if err != nil {
		return named(c.from, err)
	}
	return named(c.to, c.to.RaiseFactVersion(ctx, v+ownVersions))
}

// ownVersions is how many versions of facts copies may use up on the source, from one
// on, by saying that they are there. The destination begins above those too, so that a
// comparison at a later time does not take them for somebody's.
const ownVersions = 1 << 24

func (c *copier) findFacts(ctx context.Context, emit func(factChange) error) error {
	reading := func(side Side) reader[store.Fact] {
		return func(ctx context.Context, emit func(store.Fact) error) error {
			return named(side, eachFact(ctx, side, emit))
		}
	}
	var same int64
	place := func(x, y *store.Fact) int { return strings.Compare(x.Key, y.Key) }
	err := merge(ctx, reading(c.from), reading(c.to), place, func(x, y *store.Fact) error {
		switch {
		case x == nil:
			return emit(factChange{fact: store.Fact{Key: y.Key}, drop: true})
		case y == nil || x.Version != y.Version || !x.Expires.Equal(y.Expires) || !bytes.Equal(x.Value, y.Value):
			return emit(factChange{fact: *x})
		}
		if same++; same < marksAtOnce {
			return nil
		}
		same = 0
		return emit(factChange{same: marksAtOnce})
	})
	if err == nil && same > 0 {
		err = emit(factChange{same: same})
	}
	return err
}

func (c *copier) writeFacts(ctx context.Context, piece []factChange) error {
	var puts []store.Fact
	var drops []string
	var done, size int64
	for _, x := range piece {
		switch {
		case x.same > 0:
			done += x.same
		case x.drop:
			drops = append(drops, x.fact.Key)
		default:
			puts = append(puts, x.fact)
			size += int64(factSize(x.fact))
		}
	}
	if len(puts)+len(drops) > 0 {
		if err := c.save(ctx); err != nil {
			return err
		}
	}
	if len(puts) > 0 {
		if err := c.to.RestoreFacts(ctx, puts); err != nil {
			return named(c.to, err)
		}
	}
	if len(drops) > 0 {
		if err := c.to.DropFacts(ctx, drops); err != nil {
			return named(c.to, err)
		}
	}
	c.counts.Facts += int64(len(puts))
	c.counts.FactsRemoved += int64(len(drops))
	c.progress(done+int64(len(puts)), size)
	return nil
}

// streams has the destination hold the streams of the source with their positions.
func (c *copier) streams(ctx context.Context) error {
	reading := func(side Side) reader[store.Stream] {
		return func(ctx context.Context, emit func(store.Stream) error) error {
			return named(side, eachStream(ctx, side, emit))
		}
	}
	place := func(x, y *store.Stream) int { return strings.Compare(x.Name, y.Name) }
	return merge(ctx, reading(c.from), reading(c.to), place, func(x, y *store.Stream) error {
		if x == nil {
			return c.setBack(y.Name, "is only in the destination")
		}
		if y == nil {
			y = &store.Stream{Name: x.Name}
		}
		return c.stream(ctx, x, y)
	})
}

// setBack is of a stream that is not what it was: streams only grow.
func (c *copier) setBack(stream, how string) error {
	return fmt.Errorf("%s is not what it was when the copy was begun: the stream %q %s; if it was restored from a backup, copy to an empty destination: %w",
		c.from.Name, stream, how, store.ErrConflict)
}

// stream appends what a stream has got since.
func (c *copier) stream(ctx context.Context, src, dst *store.Stream) error {
	switch {
	case dst.Last > src.Last:
		return c.setBack(src.Name, fmt.Sprintf("ends at entry %d, and at %d in the destination", src.Last, dst.Last))
	case dst.Last > 0:
		if err := c.sameEnd(ctx, src.Name, dst.Last); err != nil {
			return err
		}
		c.progress(int64(dst.Last), 0)
	}
	if dst.Last == src.Last && maps.Equal(src.Positions, dst.Positions) {
		return nil
	}
	c.counts.Streams++
	if dst.Last < src.Last {
		if err := c.entries(ctx, src, dst.Last+1); err != nil {
			return err
		}
	}
	if err := c.save(ctx); err != nil {
		return err
	}
	return named(c.to, c.to.RestorePositions(ctx, *src))
}

// sameEnd compares an entry of both sides. Entries never change.
func (c *copier) sameEnd(ctx context.Context, stream string, seq uint64) error {
	var ends [2]store.Entry
	for i, side := range []Side{c.from, c.to} {
		es, err := side.ReadFrom(ctx, stream, seq, 1)
		if err != nil {
			return named(side, err)
		}
		if len(es) == 0 || es[0].Seq != seq {
			return named(side, fmt.Errorf("%w: stream %q lacks entry %d", store.ErrDamaged, stream, seq))
		}
		ends[i] = es[0]
	}
	if !ends[0].At.Equal(ends[1].At) || !bytes.Equal(ends[0].Data, ends[1].Data) {
		return c.setBack(stream, fmt.Sprintf("has another entry %d", seq))
	}
	return nil
}

func (c *copier) entries(ctx context.Context, s *store.Stream, from uint64) error {
	read := func(ctx context.Context, emit func(store.Entry) error) error {
		return named(c.from, eachEntry(ctx, c.from, *s, from, emit))
	}
	write := func(ctx context.Context, es []store.Entry) error {
		if err := c.save(ctx); err != nil {
			return err
		}
		if err := c.to.RestoreEntries(ctx, s.Name, es); err != nil {
			return named(c.to, err)
		}
		var size int64
		for _, e := range es {
			size += int64(entrySize(e))
		}
		c.counts.Entries += int64(len(es))
		c.progress(int64(len(es)), size)
		return nil
	}
	return pipe(ctx, entrySize, read, write)
}
