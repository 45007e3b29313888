package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/handoff-health/handoff/fhir/store/presence"
)

// command is how a copy is known to others that use its stores.
const command = "store copy"

// A watch tells whether anybody but this run has written to a side, by its epoch, which
// this run's own word moves too.
type watch struct {
	side  Side
	mu    sync.Mutex
	on    bool
	epoch int64
	err   error // of the epoch, or ErrChanged
}

// begin watches from now on.
func (w *watch) begin(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = true
	w.epoch, w.err = w.side.Epoch(ctx)
	return named(w.side, w.err)
}

// own does a write of this run's own. What somebody else writes within the same moment
// is not told from it.
func (w *watch) own(ctx context.Context, write func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.look(ctx); !w.on || w.err != nil {
		write()
		return
	}
	write()
	w.epoch, w.err = w.side.Epoch(ctx)
}

// unchanged gives ErrChanged if somebody else has written.
func (w *watch) unchanged(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(ctx)
	if errors.Is(w.err, ErrChanged) {
		return fmt.Errorf("%s was %w: stop what uses it, and copy again", w.side.Name, ErrChanged)
	}
	return named(w.side, w.err)
}

func (w *watch) look(ctx context.Context) {
	if !w.on || w.err != nil {
		return
	}
	now, err := w.side.Epoch(ctx)
	if w.err = err; err == nil && now != w.epoch {
		w.err = ErrChanged
	}
}

// announce makes this run known on both sides, until leave: nobody else writes to the
// destination, and to the source nobody unless it is copied live. Whoever announces
// himself looks for others afterwards, so that of two at least one sees the other.
func (c *copier) announce(ctx context.Context, live bool) (leave func(), err error) {
	var leases []*presence.Lease
	end := func() {
		for _, l := range leases {
			_ = l.End() // one that stays ends by itself
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	announced := func(side Side, use presence.Use, around func(func())) error {
		l, err := presence.AnnounceUse(ctx, side, side.Now, command, use, around)
		if err == nil {
			leases = append(leases, l)
		}
		return named(side, err)
	}
	if err := c.alone(ctx, live, presenceOf(c.from), presenceOf(c.to)); err != nil {
		return nil, err // and leave no word
	}
	around := func(renew func()) { c.watch.own(context.WithoutCancel(ctx), renew) }
	if err := announced(c.from, presence.Use{Reads: true, Alone: !live}, around); err != nil {
		return nil, err
	}
	if err := announced(c.to, presence.Use{Alone: true}, func(renew func()) { renew() }); err != nil {
		return nil, err
	}
	return end, c.alone(ctx, live, leases[0].Others, leases[1].Others)
}

// A list tells who uses a store.
type list func(context.Context) ([]presence.Holder, error)

func presenceOf(s Side) list {
	return func(ctx context.Context) ([]presence.Holder, error) { return presence.Present(ctx, s) }
}

// alone refuses a destination that anybody uses, and a source too, if only for a copy
// that has it for itself if this one is live: even another copy's word is a write.
func (c *copier) alone(ctx context.Context, live bool, ofSource, ofDestination list) error {
	if err := unused(ctx, c.from, live, ofSource); err != nil {
		return err
	}
	hs, err := ofDestination(ctx)
	if err != nil {
		return named(c.to, err)
	}
	if len(hs) > 0 {
		return inUse(c.to, hs)
	}
	return nil
}

// CheckSource refuses a source that cannot be copied: an unfinished copy, one that is in
// use, or one that holds what no list leads to. Run does so too; whoever would make a
// destination for it asks before.
func CheckSource(ctx context.Context, from Side, live bool) error {
	if err := Ready(ctx, from); err != nil {
		return named(from, err)
	}
	if err := unused(ctx, from, live, presenceOf(from)); err != nil {
		return err
	}
	return named(from, from.Unlisted(ctx))
}

func unused(ctx context.Context, from Side, live bool, by list) error {
	hs, err := by(ctx)
	if err != nil {
		return named(from, err)
	}
	if live {
		hs = presence.Alone(hs)
	}
	if len(hs) > 0 {
		return inUse(from, hs)
	}
	return nil
}

func inUse(side Side, hs []presence.Holder) error {
	return fmt.Errorf("%s is %w by %s: stop it first; a process that was killed counts for a minute more", side.Name, ErrInUse, presence.Names(hs))
}
