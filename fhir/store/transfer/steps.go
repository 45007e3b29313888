package transfer

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// resources copies every resource, a piece at a time.
func (c *copier) resources(ctx context.Context) error {
	read := func(ctx context.Context, emit func(*store.Archived) error) error {
		return named(c.from, eachArchived(ctx, c.from, store.Key{Type: c.state.Type, ID: c.state.ID}, emit))
	}
	write := func(ctx context.Context, as []*store.Archived) error {
		if err := named(c.to, c.to.Restore(ctx, as)); err != nil {
			return err
		}
		var n, bytes int64
		for _, a := range as {
			c.counts.Versions += int64(len(a.Versions))
			bytes += int64(archivedSize(a))
			if a.Complete {
				n++
				c.state.Type, c.state.ID = a.Key.Type, a.Key.ID
			}
		}
		c.counts.Resources += n
		c.progress(n, bytes)
		return c.save(ctx)
	}
	return pipe(ctx, archivedSize, read, write)
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

// facts copies facts, and then has the destination's versions begin above all that
// the source has given.
func (c *copier) facts(ctx context.Context) error {
	read := func(ctx context.Context, emit func(store.Fact) error) error {
		return named(c.from, eachFact(ctx, c.from, string(c.state.Key), emit))
	}
	write := func(ctx context.Context, fs []store.Fact) error {
		if err := named(c.to, c.to.RestoreFacts(ctx, fs)); err != nil {
			return err
		}
		var bytes int64
		for _, f := range fs {
			bytes += int64(factSize(f))
			c.state.Key = []byte(f.Key)
		}
		c.counts.Facts += int64(len(fs))
		c.progress(int64(len(fs)), bytes)
		return c.save(ctx)
	}
	if err := pipe(ctx, factSize, read, write); err != nil {
		return err
	}
	v, err := c.from.FactVersion(ctx)
	if err != nil {
		return named(c.from, err)
	}
	return named(c.to, c.to.RaiseFactVersion(ctx, v))
}

func factSize(f store.Fact) int { return len(f.Key) + len(f.Value) }

// streams copies streams with their positions.
func (c *copier) streams(ctx context.Context) error {
	return eachStream(ctx, c.from, string(c.state.Ended), func(s store.Stream) error {
		from := uint64(1)
		if string(c.state.Stream) == s.Name { // it was under way
			from = c.state.Seq + 1
		}
		if err := c.stream(ctx, s, from); err != nil {
			return err
		}
		c.counts.Streams++
		c.state.Ended, c.state.Stream, c.state.Seq = []byte(s.Name), nil, 0
		return c.save(ctx)
	})
}

func (c *copier) stream(ctx context.Context, s store.Stream, from uint64) error {
	read := func(ctx context.Context, emit func(store.Entry) error) error {
		return named(c.from, eachEntry(ctx, c.from, s, from, emit))
	}
	write := func(ctx context.Context, es []store.Entry) error {
		if err := named(c.to, c.to.RestoreEntries(ctx, s.Name, es)); err != nil {
			return err
		}
		var bytes int64
		for _, e := range es {
			bytes += int64(entrySize(e))
		}
		c.counts.Entries += int64(len(es))
		c.progress(int64(len(es)), bytes)
		c.state.Stream, c.state.Seq = []byte(s.Name), es[len(es)-1].Seq
		return c.save(ctx)
	}
	if err := pipe(ctx, entrySize, read, write); err != nil {
		return err
	}
	return named(c.to, c.to.RestorePositions(ctx, s))
}

func entrySize(e store.Entry) int { return len(e.Data) + 16 }

func named(side Side, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", side.Name, err)
}

// keysAtOnce is how many resources one Archive is asked for.
const keysAtOnce = 200

// eachArchived goes through the resources after a key.
func eachArchived(ctx context.Context, s store.Transferer, after store.Key, do func(*store.Archived) error) error {
	for {
		keys, err := s.Keys(ctx, after, keysAtOnce)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.Archive(ctx, keys, do); err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}

// eachFact goes through the facts after a key, but for those that are about one
// store.
func eachFact(ctx context.Context, s store.Facts, after string, do func(store.Fact) error) error {
	const atOnce = 200
	for {
		fs, err := s.Scan(ctx, "", after, atOnce)
		if err != nil || len(fs) == 0 {
			return err
		}
		for _, f := range fs {
			if private(f.Key) {
				continue
			}
			if err := do(f); err != nil {
				return err
			}
		}
		after = fs[len(fs)-1].Key
	}
}

func eachStream(ctx context.Context, s store.Transferer, after string, do func(store.Stream) error) error {
	const atOnce = 100
	for {
		ss, err := s.Streams(ctx, after, atOnce)
		if err != nil || len(ss) == 0 {
			return err
		}
		for _, x := range ss {
			if err := do(x); err != nil {
				return err
			}
		}
		after = ss[len(ss)-1].Name
	}
}

// eachEntry goes through the entries of a stream from a number on, in pages that are
// as large as the entries seen allow.
func eachEntry(ctx context.Context, l store.Log, s store.Stream, from uint64, do func(store.Entry) error) error {
	const first, most = 16, 1000
	for limit := first; from <= s.Last; {
		es, err := l.ReadFrom(ctx, s.Name, from, limit)
		if err != nil {
			return err
		}
		if len(es) == 0 || es[0].Seq != from {
			return fmt.Errorf("%w: stream %q lacks entry %d", store.ErrDamaged, s.Name, from)
		}
		largest := 1
		for _, e := range es {
			if err := do(e); err != nil {
				return err
			}
			largest = max(largest, len(e.Data))
		}
		from += uint64(len(es))
		limit = max(1, min(pieceBytes/largest, 2*limit, most))
	}
	return nil
}
