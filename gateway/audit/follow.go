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
	fo := &follower{dir: dir, next: max(from, 1), f: f}
	for {
		if err := fo.catchUp(ctx); err != nil {
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

// A follower knows how far it has come, so that it reads nothing twice.
type follower struct {
	dir    string
	next   uint64 // sequence number wanted next
	name   string // segment it stands in
	offset int64
	f      func(Record) error
}

// catchUp reads what is there.
func (fo *follower) catchUp(ctx context.Context) error {
	segs, err := segments(fo.dir)
	if err != nil {
		return err
	}
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].first <= fo.next {
			continue
		}
		if s.name != fo.name {
			fo.name, fo.offset = s.name, 0
		}
		if err := fo.read(ctx); err != nil && !errors.Is(err, errCaughtUp) {
			return err
		}
	}
	return nil
}

func (fo *follower) read(ctx context.Context) error {
	file, err := os.Open(filepath.Join(fo.dir, fo.name))
	if err != nil {
		return fmt.Errorf("read the audit trail: %w", err)
	}
	defer file.Close() // only read
	start := fo.offset
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return fmt.Errorf("read the audit trail: %w", err)
	}
	return eachLine(file, func(l line) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !l.whole {
			return errCaughtUp
		}
		r, err := ParseRecord(l.bytes)
		if err != nil {
			return fmt.Errorf("%s, byte %d: %w", fo.name, start+l.offset, err)
		}
		fo.offset = start + l.offset + int64(len(l.bytes)) + 1
		if r.Seq < fo.next {
			return nil
		}
		fo.next = r.Seq + 1
		return fo.f(r)
	})
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
	defer f.Close() // only read
	err = eachLine(io.Reader(f), func(l line) error {
		if l.whole {
			n++
		}
		return nil
	})
	return n, err
}

// LastEpoch returns the consent epoch by which the last event of the last segment that
// has one was answered, and when; 0 if none has one, or a store was accepted since
// (StoreAccept). Like Follow it checks nothing.
func LastEpoch(ctx context.Context, dir string) (epoch int64, at time.Time, err error) {
	segs, err := segments(dir)
	if err != nil || len(segs) == 0 {
		return 0, at, err
	}
	err = Follow(ctx, dir, segs[len(segs)-1].first, 0, func(r Record) error {
		switch {
		case r.Event.Interaction == StoreAccept:
			epoch, at = 0, time.Time{}
		case r.Event.ConsentEpoch > 0:
			epoch, at = r.Event.ConsentEpoch, r.Event.At
		}
		return nil
	})
	return epoch, at, err
}
