package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

var errCaughtUp = errors.New("caught up")

// Follow calls f for each record from sequence number from on, oldest first. At
// the end of the log it looks again after every poll until ctx ends; with poll 0
// it returns. It checks nothing: that is Verify's work.
func Follow(ctx context.Context, dir string, from uint64, poll time.Duration, f func(Record) error) error {
	next := max(from, 1)
	for {
		err := followOnce(ctx, dir, &next, f)
		if err != nil {
			return err
		}
		if poll <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// followOnce reads what is there, from next on.
func followOnce(ctx context.Context, dir string, next *uint64, f func(Record) error) error {
	segs, err := segments(dir)
	if err != nil {
		return err
	}
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].first <= *next {
			continue
		}
		err := readSegment(dir, s.name, func(l line) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !l.whole {
				return errCaughtUp
			}
			r, err := ParseRecord(l.bytes)
			if err != nil {
				return fmt.Errorf("%s, byte %d: %w", s.name, l.offset, err)
			}
			if r.Seq < *next {
				return nil
			}
			*next = r.Seq + 1
			return f(r)
		})
		if err != nil && !errors.Is(err, errCaughtUp) {
			return err
		}
	}
	return nil
}

// LastSeq returns the sequence number of the last whole record, 0 if there is
// none. It reads the last segment only.
func LastSeq(dir string) (uint64, error) {
	segs, err := segments(dir)
	if err != nil || len(segs) == 0 {
		return 0, err
	}
	last := segs[len(segs)-1]
	n := last.first - 1
	f, err := os.Open(filepath.Join(dir, last.name))
	if err != nil {
		return 0, fmt.Errorf("read the audit trail: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	err = eachLine(io.Reader(f), func(l line) error {
		if l.whole {
			n++
		}
		return nil
	})
	return n, err
}
