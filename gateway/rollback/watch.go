package rollback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Options of a Watch. Facts, Dir and Now are required.
type Options struct {
	Facts  store.Facts // the store's own, not a cache of it
	Store  string      // its name, for messages; without secrets
	Dir    string      // of the audit trail, which is there
	Others []string    // folders of other gateways' trails that can be read here
	Now    func() time.Time
	Logger *slog.Logger
	// Changed is a number that moves when the gateway has done something, such as how
	// long its trail is; nil: it does something all the time.
	Changed func() uint64
	// Epoch is how far the trail says that the epoch of the store was, and how far it
	// is; nil where the store does not keep it, or was copied.
	Epoch func(context.Context) (EpochSeen, error)
	// Look is how often the store is looked at; 5 s if 0. Idle is after how long it is
	// marked although nothing was done; 1 min if 0.
	Look, Idle time.Duration
}

// An EpochSeen compares the epoch by which a trail says that something was answered with
// the store's.
type EpochSeen struct {
	Trail int64
	At    time.Time // when that was answered
	Store int64
}

// A Watch is one gateway's look at the age of its store. Its methods are called one
// after the other.
type Watch struct {
	o      Options
	seen   Seen
	done   uint64 // Changed at the last mark
	marked time.Time
	failed bool // the last look
}

// Begin compares the store with what was noted of it, beside this gateway's trail and
// the others'. store.ErrOlder is certain. Nothing is written.
func Begin(ctx context.Context, o Options) (*Watch, error) {
	if o.Look <= 0 {
		o.Look = 5 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	have, _, err := inStore(ctx, o.Facts)
	if err != nil {
		return nil, err
	}
	w := &Watch{o: o, seen: have}
	mine := false
	for i, dir := range append([]string{o.Dir}, o.Others...) {
		s, err := noted(dir)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil { // another gateway's, which may be about to be written
			o.Logger.Warn("what another gateway noted of the store cannot be read", "trail", dir, "error", err)
			continue
		}
		if len(s.Lines) == 0 {
			continue
		}
		if !s.is(have) {
			o.Logger.Warn("what was noted beside an audit trail is of another store, or this store was put back to before it was marked: "+
				"if a backup was restored, what was revoked, ended and expunged since is not in it; see 'Backup and restore' in docs/store.md",
				"store", o.Store, "trail", dir, "noted", s.last().At, "same gateway", i == 0)
			continue
		}
		if err := o.older(s, have, dir); err != nil {
			return nil, err
		}
		mine = mine || i == 0
	}
	return w, o.epochFell(ctx, mine)
}

// older says what a store lacks that was seen further.
func (o *Options) older(s, have Seen, dir string) error {
	lost := s.lacks(have)
	if lost == nil {
		return nil
	}
	from := have.last().At
	if l := have.line(lost.Name); l != nil {
		from = l.At
	}
	return fmt.Errorf("%w: %s was last marked at %s, but %s/%s notes a mark of %s (%d, the store has %d). What was revoked, ended and expunged between the two is not in it. %s",
		store.ErrOlder, o.Store, stamp(from), dir, fileName, stamp(lost.At), lost.Marks, marksOf(have.line(lost.Name)), whatToDo)
}

const whatToDo = "A backup was restored, or the deployment went back. Put the newer store in its place; or do again what has been done since " +
	"('Backup and restore' in docs/store.md), then 'handoff gateways accept-store' for this gateway"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func marksOf(l *Line) int64 {
	if l == nil {
		return 0
	}
	return l.Marks
}

// epochFell compares the epoch of the last answer with the store's. It is finer than
// marks; whether it is of this store only a note can tell.
func (o *Options) epochFell(ctx context.Context, mine bool) error {
	if o.Epoch == nil {
		return nil
	}
	e, err := o.Epoch(ctx)
	if err != nil || e.Store >= e.Trail {
		return err
	}
	if mine {
		return fmt.Errorf("%w: the trail in %s has answered by epoch %d of %s, at %s; the store is at epoch %d. What was revoked, ended and expunged since then is not in it. %s",
			store.ErrOlder, o.Dir, e.Trail, o.Store, stamp(e.At), e.Store, whatToDo)
	}
	o.Logger.Warn("the audit trail has answered by a later epoch than the store's: this is another store, or an older one; "+
		"if a backup was restored, what was revoked, ended and expunged since is not in it; see 'Backup and restore' in docs/store.md",
		"store", o.Store, "trail", o.Dir, "epoch of the trail", e.Trail, "at", e.At, "epoch of the store", e.Store)
	return nil
}

// Mark raises the number in the store, and notes it. store.ErrOlder if the store has less than
// was seen of it.
func (w *Watch) Mark(ctx context.Context) error {
	for range tries {
		have, fact, err := w.look(ctx)
		if err != nil {
			return err
		}
		next := have.marked(w.o.Now().UTC().Truncate(time.Second))
		err = intoStore(ctx, w.o.Facts, fact, next)
		if err == nil {
			w.marked = time.Now()
			return w.note(next)
		}
		if !faster(err) {
			return fmt.Errorf("mark the store: %w", err)
		}
	}
	return nil // others mark it all the time
}

const tries = 16

// faster says that somebody else has written meanwhile.
func faster(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
}

// look compares the store with what this process has seen of it.
func (w *Watch) look(ctx context.Context) (Seen, store.Fact, error) {
	have, fact, err := inStore(ctx, w.o.Facts)
	switch {
	case err != nil || len(w.seen.Lines) == 0:
	case !w.seen.is(have):
		err = fmt.Errorf("%w: %s is not the store that it was at %s: another was put in its place while the gateway ran. %s", store.ErrOlder, w.o.Store, stamp(w.seen.last().At), whatToDo)
	default:
		err = w.o.older(w.seen, have, w.o.Dir)
	}
	return have, fact, err
}

func (w *Watch) note(s Seen) error {
	if err := note(w.o.Dir, s); err != nil {
		return err
	}
	w.seen = s
	return nil
}

// step looks at the store, notes how far others have marked it, and marks it if this
// gateway has done something.
func (w *Watch) step(ctx context.Context) error {
	done := w.done + 1
	if w.o.Changed != nil {
		done = w.o.Changed()
	}
	if done != w.done || time.Since(w.marked) >= w.o.Idle {
		err := w.Mark(ctx)
		if err == nil {
			w.done = done
		}
		return err
	}
	have, _, err := w.look(ctx)
	if err == nil && !have.equal(w.seen) {
		err = w.note(have)
	}
	return err
}

// Run looks until the context ends, or until the store is found to be older: that it
// returns. A store that cannot be reached is looked at again.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.o.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := w.step(ctx)
		switch {
		case errors.Is(err, store.ErrOlder):
			w.failed = true
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil && !w.failed:
			w.o.Logger.Warn("how far the store has come cannot be noted at the moment: if it is put back, that may not be seen", "error", err)
		}
		w.failed = err != nil
	}
}

// End marks the store once more, when Run has returned. A store that could not be
// reached the last time is not waited for.
func (w *Watch) End(ctx context.Context) error {
	if w.failed {
		return nil
	}
	return w.Mark(ctx)
}

// Accept makes a store count although it is older: how far it is replaces what was noted
// beside the trail. Another line of the store begins, so that what other gateways have
// noted of the lost stretch stays told from what comes. It returns what was lost, in
// words; "" if the marks lack nothing.
func Accept(ctx context.Context, o Options) (lost string, err error) {
	s, err := noted(o.Dir)
	if err != nil {
		return "", err
	}
	for range tries {
		have, fact, err := inStore(ctx, o.Facts)
		if err != nil {
			return "", err
		}
		next, l := have, s.lacks(have)
		switch {
		case len(s.Lines) > 0 && !s.is(have):
			lost = fmt.Sprintf("what was noted is of another store, last marked at %s", stamp(s.last().At))
		case l != nil:
			lost = fmt.Sprintf("marks up to %d, of %s; the store has %d", l.Marks, stamp(l.At), marksOf(have.line(l.Name)))
			if h := have.line(l.Name); h == nil || h == have.last() {
				next = have.begun(o.Now().UTC().Truncate(time.Second))
			}
		}
		if len(next.Lines) == 0 {
			next = next.marked(o.Now().UTC().Truncate(time.Second))
		}
		if next.equal(have) {
			return lost, note(o.Dir, next)
		}
		if err = intoStore(ctx, o.Facts, fact, next); err == nil {
			return lost, note(o.Dir, next)
		}
		if !faster(err) {
			return "", fmt.Errorf("mark the store: %w", err)
		}
	}
	return "", errors.New("marks of the store: others change them all the time")
}
