package sqlite

import (
	"database/sql"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// A logStream is a row of stream.
type logStream struct {
	sid, last int64
	name      string
}

// streams looks at every entry of every stream.
func (c *checker) streams() error {
	var all []logStream
	err := c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, `SELECT sid, name, last FROM stream WHERE true`+readable("stream")+` ORDER BY name`, nil, func(scan func(...any) error) error {
			var x logStream
			var name []byte
			err := scan(&x.sid, &name, &x.last)
			x.name = string(name)
			all = append(all, x)
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, x := range all {
		if err := c.stream(x); err != nil {
			return err
		}
	}
	var n int64
	err = c.read(c.ctx, func(s *session) error {
		_, err := s.one(c.ctx, `SELECT count(*) FROM log WHERE sid NOT IN (SELECT sid FROM stream)`, nil, &n)
		return err
	})
	if err != nil {
		return err
	}
	if n > 0 { // their name is lost; they were acknowledged and stay
		c.found(store.Finding{Kind: store.FoundOrphan, What: "entries of streams", Detail: fmt.Sprintf("%d of no stream", n)})
	}
	return c.positions()
}

// endOfStream is where a row s of stream ends; NULL if there is none.
const endOfStream = `max(s.last, coalesce((SELECT max(l.seq) FROM log l WHERE l.sid = s.sid), 0))`

// positions looks for readers that stand beyond their stream's end, or before its
// beginning: they would not be given what is appended next. One is set back to the end,
// so that it is; of a stream that is not there nobody can tell what it was, nor where
// one stood that stands before the beginning. Where an end is behind its entries it is
// the last of these that counts.
func (c *checker) positions() error {
	type beyond struct {
		stream, reader []byte
		seq            int64
		last           sql.NullInt64
	}
	var all []beyond
	err := c.read(c.ctx, func(s *session) error {
		return s.each(c.ctx, `SELECT p.stream, p.reader, p.seq, `+endOfStream+` FROM position p LEFT JOIN stream s ON s.name = p.stream
			WHERE (p.seq > coalesce(`+endOfStream+`, 0) OR p.seq < 0)`+readable("position")+` ORDER BY p.stream, p.reader`, nil, func(scan func(...any) error) error {
			var b beyond
			err := scan(&b.stream, &b.reader, &b.seq, &b.last)
			all = append(all, b)
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, b := range all {
		f := store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("position %q", string(b.stream)+"/"+string(b.reader)),
			Detail: fmt.Sprintf("it stands at %d, its stream ends at %d", b.seq, b.last.Int64)}
		setBack := func(t *txn) (bool, error) {
			return true, t.exec(t.ctx, `UPDATE position SET seq = min(seq, (SELECT `+endOfStream+` FROM stream s WHERE s.name = ?1)) WHERE stream = ?1 AND reader = ?2`, b.stream, b.reader)
		}
		if !b.last.Valid || b.seq < 0 {
			setBack = nil
		}
		if err := c.mend(f, setBack); err != nil {
			return err
		}
	}
	return nil
}

// stream reads a stream a piece at a time, as far as it reached when it was listed
// and beyond.
func (c *checker) stream(x logStream) error {
	what := fmt.Sprintf("stream %q", x.name)
	next := int64(1)
	gap := func(until int64) {
		if next < until {
			c.found(store.Finding{Kind: store.FoundGap, What: what, Detail: fmt.Sprintf("it lacks the entries %d to %d", next, until-1)})
		}
	}
	for {
		n := 0
		err := c.read(c.ctx, func(s *session) error {
			return s.each(c.ctx, `SELECT seq, at, data, sum FROM log WHERE sid = ? AND seq >= ?`+readable("log")+` ORDER BY seq LIMIT ?`, []any{x.sid, next, checkedAtOnce}, func(scan func(...any) error) error {
				var seq, at, sum int64
				var data []byte
				if err := scan(&seq, &at, &data, &sum); err != nil {
					return err
				}
				gap(seq)
				next, n = seq+1, n+1
				if sum != entrySum(uint64(seq), at, x.name, data) {
					c.found(store.Finding{Kind: store.FoundDamaged, What: what, Detail: fmt.Sprintf("the checksum of entry %d does not fit", seq)})
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		if c.looked(n); n < checkedAtOnce {
			break
		}
	}
	gap(x.last + 1)
	return c.streamEnd(x, what, next-1)
}

// streamEnd compares a stream's end with its last entry. A writer moves both in one
// step; an end that is behind would be in the way of the next entry.
func (c *checker) streamEnd(x logStream, what string, reached int64) error {
	if reached <= x.last {
		return nil
	}
	var last int64
	err := c.read(c.ctx, func(s *session) error {
		_, err := s.one(c.ctx, `SELECT last FROM stream WHERE sid = ?`, []any{x.sid}, &last)
		return err
	})
	if err != nil || reached <= last {
		return err // appended meanwhile
	}
	return c.mend(store.Finding{Kind: store.FoundCounter, What: what, Detail: fmt.Sprintf("it has %d entries, its end says %d", reached, last)},
		func(t *txn) (bool, error) {
			return true, t.exec(t.ctx, `UPDATE stream SET last = (SELECT max(seq) FROM log WHERE sid = ?) WHERE sid = ?`, x.sid, x.sid)
		})
}
