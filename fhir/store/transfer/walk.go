package transfer

import (
	"context"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// keysAtOnce is how many resources one Archive is asked for, and marksAtOnce of how
// many the marks are read together.
const (
	keysAtOnce  = 200
	marksAtOnce = 500
)

// eachArchived goes through all resources.
func eachArchived(ctx context.Context, s store.Transferer, do func(*store.Archived) error) error {
	var after store.Key
	for {
		keys, err := s.Keys(ctx, after, keysAtOnce)
		if err != nil || len(keys) == 0 {
			return err
		}
		wants := make([]store.Since, len(keys))
		for i, k := range keys {
			wants[i] = store.Since{Key: k}
		}
		if err := s.Archive(ctx, wants, do); err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}

// eachMark goes through the marks of all resources. Where bare says so of a place, what
// comes after it is given by key alone, which costs less.
func eachMark(ctx context.Context, s store.Transferer, bare func(after store.Key) bool, do func(store.Mark) error) error {
	var after store.Key
	for {
		var marks []store.Mark
		var err error
		if bare(after) {
			var keys []store.Key
			keys, err = s.Keys(ctx, after, marksAtOnce)
			for _, k := range keys {
				marks = append(marks, store.Mark{Key: k})
			}
		} else {
			marks, err = s.Marks(ctx, after, marksAtOnce)
		}
		if err != nil || len(marks) == 0 {
			return err
		}
		for _, m := range marks {
			if err := do(m); err != nil {
				return err
			}
		}
		after = marks[len(marks)-1].Key
	}
}

// placeOf is in which order stores list resources.
func placeOf(a, b store.Key) int {
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// eachFact goes through the facts, but for those that are about one store, in pages
// that are as large as the facts seen allow.
func eachFact(ctx context.Context, s store.Facts, do func(store.Fact) error) error {
	const first, most = 16, 500
	after := ""
	for limit := first; ; {
		fs, err := s.Scan(ctx, "", after, limit)
		if err != nil || len(fs) == 0 {
			return err
		}
		largest := 1
		for _, f := range fs {
			largest = max(largest, factSize(f))
			if private(f.Key) {
				continue
			}
			if err := do(f); err != nil {
				return err
			}
		}
		after = fs[len(fs)-1].Key
		limit = max(1, min(pieceBytes/largest, 2*limit, most))
	}
}

func factSize(f store.Fact) int { return len(f.Key) + len(f.Value) }

func eachStream(ctx context.Context, s store.Transferer, do func(store.Stream) error) error {
	const atOnce = 100
	for after := ""; ; {
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
			if e.Seq > s.Last { // of after the stream was listed
				return nil
			}
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

func entrySize(e store.Entry) int { return len(e.Data) + 16 }

// named says in which store an error came up, unless it does so itself.
func named(side Side, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), side.Name+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", side.Name, err)
}
