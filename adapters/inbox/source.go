package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A source reads the messages of a box one after the other, without an end. Its
// cursor names message and item, "17.2", and says with "!" that the item is the
// message's last.
type source struct {
	f      *Feed
	cur    *reading
	cursor adapters.Cursor
	pages  []store.Entry // read ahead
}

// Cursor implements adapters.Source.
func (s *source) Cursor() adapters.Cursor { return s.cursor }

// Close implements adapters.Source.
func (s *source) Close() error {
	if s.cur != nil {
		s.cur.close()
	}
	return nil
}

// place reads a cursor.
func place(c adapters.Cursor) (seq uint64, last bool, err error) {
	text, last := strings.CutSuffix(string(c), "!")
	text, _, _ = strings.Cut(text, ".")
	seq, err = strconv.ParseUint(text, 10, 64)
	return seq, last, err
}

// Next implements adapters.Source: it waits for a message if there is none.
func (s *source) Next(ctx context.Context) (adapters.Item, error) {
	for s.cur == nil {
		if err := ctx.Err(); err != nil {
			return adapters.Item{}, err
		}
		w, body, err := s.take(ctx)
		if err != nil {
			return adapters.Item{}, err
		}
		if w == nil {
			continue
		}
		s.cur = s.f.read(ctx, w, body)
	}
	it, last, err := s.cur.next(ctx)
	if err != nil {
		return adapters.Item{}, err
	}
	s.cursor = adapters.Cursor(fmt.Sprintf("%d.%d", s.cur.w.seq, s.cur.items))
	if last {
		s.cursor += "!"
		s.cur.close()
		s.cur = nil
	}
	return it, nil
}

// take waits for the next message; nil if the one that came needs no reading.
func (s *source) take(ctx context.Context) (*work, []byte, error) {
	if err := s.f.whilePaused(ctx); err != nil {
		return nil, nil, err
	}
	seq, sl, again, err := s.f.Box.await(ctx, s.f.dueIn())
	switch {
	case err != nil:
		return nil, nil, err
	case again: // a deferred one may be due, or the feed paused
		return s.takeDeferred(ctx)
	}
	entry, err := s.entry(ctx, seq)
	if err != nil {
		return nil, nil, err
	}
	return s.f.begin(ctx, entry, sl)
}

func (s *source) takeDeferred(ctx context.Context) (*work, []byte, error) {
	seq, due := s.f.due()
	if !due {
		return nil, nil, nil
	}
	entries, err := s.f.Box.o.Log.ReadFrom(ctx, s.f.Box.stream, seq, 1)
	if err != nil || len(entries) == 0 || entries[0].Seq != seq {
		return nil, nil, errors.Join(err, fmt.Errorf("%w: %s lacks entry %d", store.ErrDamaged, s.f.Box.stream, seq))
	}
	return s.f.begin(ctx, entries[0], nil)
}

// aheadBytes bounds what is read ahead of the log.
const aheadBytes = 1 << 20

// entry reads one entry, and some after it, so that many small messages do not
// take a read each.
func (s *source) entry(ctx context.Context, seq uint64) (store.Entry, error) {
	for len(s.pages) > 0 && s.pages[0].Seq < seq {
		s.pages = s.pages[1:]
	}
	if len(s.pages) == 0 || s.pages[0].Seq != seq {
		var err error
		if s.pages, err = s.f.Box.o.Log.ReadFrom(ctx, s.f.Box.stream, seq, s.f.Box.ahead(seq, aheadBytes)); err != nil {
			return store.Entry{}, err
		}
		if len(s.pages) == 0 || s.pages[0].Seq != seq {
			return store.Entry{}, fmt.Errorf("%w: %s lacks entry %d", store.ErrDamaged, s.f.Box.stream, seq)
		}
	}
	e := s.pages[0]
	s.pages = s.pages[1:]
	return e, nil
}

// await waits until the outcome of the next message is known, and takes it. again
// says that the time is over, and something else is to be looked at.
func (b *Box) await(ctx context.Context, most time.Duration) (seq uint64, s *slot, again bool, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		b.mu.Lock()
		s, changed := b.waiting[b.next], b.changed
		if s != nil && s.decided {
			seq = b.next
			b.next++
			b.mu.Unlock()
			return seq, s, false, nil
		}
		b.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return 0, nil, true, nil
		case <-ctx.Done():
			return 0, nil, false, ctx.Err()
		}
	}
}

// ahead says how many entries from seq on are about size bytes: at least one.
func (b *Box) ahead(seq uint64, size int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for ; n < page; n++ {
		s := b.waiting[seq+uint64(n)]
		if s == nil || n > 0 && size < s.size {
			break
		}
		size -= s.size
	}
	return max(n, 1)
}

// finish forgets messages that are settled.
func (b *Box) finish(seqs []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, seq := range seqs {
		s := b.waiting[seq]
		if s == nil {
			continue
		}
		delete(b.waiting, seq)
		if b.ids[s.id] == seq {
			delete(b.ids, s.id)
		}
		b.count--
		b.bytes -= s.size
	}
	b.wake()
}

// A reading decodes one message, one item ahead, so that the last is known.
type reading struct {
	w     *work
	body  []byte
	src   adapters.Source
	items int // that were handed on
	held  *adapters.Item
	ended bool
}

// read opens a message's body with the feed's format. A body that cannot be
// opened is one reject.
func (f *Feed) read(ctx context.Context, w *work, body []byte) *reading {
	r := &reading{w: w, body: body}
	if w.collision {
		r.reject("key-collision", "another message came under the same key with another text; this one was not applied")
		return r
	}
	if len(bytes.TrimSpace(body)) == 0 {
		r.reject("empty", "the message is empty")
		return r
	}
	err := guarded(func() (err error) {
		now := f.setup.Load()
		r.src, err = now.Format.Open(ctx, adapters.Input{Name: w.name, Reader: bytes.NewReader(body)}, now.Options)
		return err
	})
	if err != nil {
		r.failed(err)
	}
	return r
}

// guarded turns a panic into an error that does not quote its value.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder broke off with a %T", p)
		}
	}()
	return do()
}

// reject hands the whole message on as a reject.
func (r *reading) reject(code, message string) {
	pos := tree.Position{Source: r.w.name, Line: 1}
	r.held, r.ended = &adapters.Item{Kind: adapters.Rejected, Raw: r.body, Pos: pos,
		Issues: []mappings.Issue{{Severity: mappings.Error, Code: code, Message: message, Pos: pos}}}, true
}

// failed makes a reject of a decoder's error.
func (r *reading) failed(err error) {
	code := "undecodable"
	var fe *adapters.FileError
	if errors.As(err, &fe) && fe.Code != "" {
		code = fe.Code
	}
	r.reject(code, err.Error())
	if fe != nil && fe.Line > 0 {
		r.held.Pos.Line, r.held.Issues[0].Pos.Line = fe.Line, fe.Line
	}
}

// next returns an item, and whether it is the last.
func (r *reading) next(ctx context.Context) (adapters.Item, bool, error) {
	if r.held == nil {
		if err := r.fetch(ctx); err != nil {
			return adapters.Item{}, false, err
		}
		if r.held == nil {
			r.reject("empty", "no record was found in the message")
		}
	}
	it := *r.held
	r.held = nil
	r.items++
	if !r.ended {
		if err := r.fetch(ctx); err != nil {
			return adapters.Item{}, false, err
		}
	}
	return it, r.ended && r.held == nil, nil
}

// fetch reads one item ahead. An error of the decoder is a reject of the rest:
// the message itself is whole.
func (r *reading) fetch(ctx context.Context) error {
	var it adapters.Item
	err := guarded(func() (err error) {
		it, err = r.src.Next(ctx)
		return err
	})
	switch {
	case err == nil:
		r.held = &it
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		r.ended = true
	default:
		r.failed(err)
	}
	return nil
}

func (r *reading) close() {
	if r.src != nil {
		_ = guarded(r.src.Close) // it reads from memory
	}
}

// decode reads a log entry.
func decode(stream string, entry store.Entry) (*wireEntry, error) {
	e := new(wireEntry)
	if err := json.Unmarshal(entry.Data, e); err != nil {
		return nil, fmt.Errorf("%w: %s entry %d: %w", store.ErrDamaged, stream, entry.Seq, err)
	}
	return e, nil
}
