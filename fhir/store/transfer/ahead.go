package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/handoff-health/handoff/fhir/store"
)

// A prover compares the resources of two sides, and reads only those whole that a ledger
// does not prove: of which either side has other versions, rows or documents, entries or
// claims than when they were last read whole and found the same.
type prover struct {
	from, to Side
	known    *feed[proven]
	at       *proven // of known: the one that is due
	live     bool    // others may write to the source: what differs is left out
	// found is told of each resource in order, with what it is on each side: the same
	// where it is proven.
	found  func(k store.Key, src, dst *whole) error
	page   []due
	spared int64 // resources that were not read
}

// A due resource is one of a page.
type due struct {
	key    store.Key
	of     [2]bool // which sides have it
	proven *proven
}

// A whole is what was read of a resource on one side.
type whole struct {
	print    store.Print
	sums     [][sha256.Size]byte // as in proven
	complete bool
	proven   *proven // nothing was read: this says it all
}

func (p *prover) run(ctx context.Context, ledger reader[proven]) error {
	reading, stop := context.WithCancel(ctx)
	p.known = feeding(reading, ledger)
	defer func() {
		stop()
		for range p.known.ch { // let the reader end
		}
	}()
	var err error
	if p.at, err = p.known.next(); err != nil {
		return err
	}
	place := func(x, y *store.Print) int { return placeOf(x.Key, y.Key) }
	err = merge(ctx, printsOf(p.from), printsOf(p.to), place, func(x, y *store.Print) error { return p.judge(ctx, x, y) })
	if err == nil {
		err = p.flush(ctx)
	}
	return err
}

func printsOf(s Side) reader[store.Print] {
	return func(ctx context.Context, emit func(store.Print) error) error {
		var after store.Key
		for {
			ps, err := s.Prints(ctx, after, marksAtOnce)
			if err != nil || len(ps) == 0 {
				return named(s, err)
			}
			for _, p := range ps {
				if err := emit(p); err != nil {
					return err
				}
			}
			after = ps[len(ps)-1].Key
		}
	}
}

func (p *prover) judge(ctx context.Context, x, y *store.Print) error {
	d := due{of: [2]bool{x != nil, y != nil}}
	if x != nil {
		d.key = x.Key
	} else {
		d.key = y.Key
	}
	for p.at != nil && placeOf(p.at.key, d.key) < 0 {
		var err error
		if p.at, err = p.known.next(); err != nil {
			return err
		}
	}
	if x != nil && y != nil && p.at != nil && p.at.key == d.key && p.at.prints == pairSum(x, y) {
		d.proven = p.at
		p.spared++
	}
	if p.page = append(p.page, d); len(p.page) < keysAtOnce {
		return nil
	}
	return p.flush(ctx)
}

// flush reads what is to be read of a page, both sides at once, and tells what was found.
func (p *prover) flush(ctx context.Context) error {
	sides := [2]Side{p.from, p.to}
	var read [2]map[store.Key]*whole
	var errs [2]error
	var both sync.WaitGroup
	for i, side := range sides {
		var wants []store.Since
		for _, d := range p.page {
			if d.of[i] && d.proven == nil {
				wants = append(wants, store.Since{Key: d.key})
			}
		}
		both.Go(func() { read[i], errs[i] = p.read(ctx, side, wants) })
	}
	both.Wait()
	for i, err := range errs {
		if err != nil {
			return named(sides[i], err)
		}
	}
	for _, d := range p.page {
		src, dst := read[0][d.key], read[1][d.key]
		if d.proven != nil {
			src = &whole{sums: d.proven.sums, complete: true, proven: d.proven}
			dst = src
		}
		if err := p.found(d.key, src, dst); err != nil {
			return err
		}
	}
	p.page = p.page[:0]
	return nil
}

func (p *prover) read(ctx context.Context, side Side, wants []store.Since) (map[store.Key]*whole, error) {
	out := make(map[store.Key]*whole, len(wants))
	if len(wants) == 0 {
		return out, nil
	}
	take := func(a *store.Archived) error {
		w := out[a.Key]
		if w == nil || a.Versions[0].Version == 1 { // or it is read again
			w = &whole{}
			out[a.Key] = w
		}
		w.add(a)
		return nil
	}
	err := side.Archive(ctx, wants, take)
	if !p.live || !moved(err) {
		return out, err
	}
	clear(out)
	for _, want := range wants {
		if err := archiveMoving(ctx, side, want, take); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// add takes a stretch, of which it keeps no content.
func (w *whole) add(a *store.Archived) {
	for _, rec := range a.Versions {
		w.sums = append(w.sums, versionHash(rec))
	}
	if !a.Complete {
		return
	}
	last := a.Versions[len(a.Versions)-1]
	w.sums = append(w.sums, headHash(a))
	w.print = store.Print{Mark: store.Mark{
		Key: a.Key, Version: last.Version, LastUpdated: last.LastUpdated, Deleted: last.Deleted, Beside: store.BesideSum(last.Index, a.Claims),
	}, Chain: a.Chain}
	w.complete = true
}

// items are what a comparison takes of a resource.
func (w *whole) items(k store.Key) []*item {
	if w == nil {
		return nil
	}
	var out []*item
	for i, sum := range w.sums {
		x := &item{stage: 1, a: k.Type, b: k.ID, n: uint64(i) + 1, kind: KindVersions, sum: sum}
		if w.complete && i == len(w.sums)-1 {
			x.n, x.kind = math.MaxUint64, KindResources
		}
		out = append(out, x)
	}
	return out
}

// same gives the proof that a resource is the same on both sides, nil if it is not.
func same(src, dst *whole) *proven {
	if src == nil || dst == nil || !src.complete || !dst.complete || !slices.Equal(src.sums, dst.sums) {
		return nil
	}
	if src.proven != nil {
		return src.proven
	}
	return &proven{key: src.print.Key, prints: pairSum(&src.print, &dst.print), sums: src.sums}
}

// proveAhead reads what an earlier run has not proven and makes a ledger of what is the
// same on both sides, for the run that finishes the copy.
func (c *copier) proveAhead(ctx context.Context) (proven, spared int64, err error) {
	names := []string{c.state.Ledger, ""}
	for _, name := range names {
		if proven, spared, err = c.proveBy(ctx, name); !errors.Is(err, errLedger) {
			break
		}
	}
	return proven, spared, err
}

func (c *copier) proveBy(ctx context.Context, name string) (proven, spared int64, err error) {
	w := c.newLedger()
	done := Progress{Verifying: true, Total: c.done.Total}
	p := &prover{from: c.from, to: c.to, live: true}
	p.found = func(_ store.Key, src, dst *whole) error {
		done.Done++
		done.Total = max(done.Total, done.Done)
		c.tick(done)
		x := same(src, dst)
		if x == nil {
			return nil
		}
		proven++
		return w.add(ctx, x)
	}
	if err = p.run(ctx, ledgerOf(c.to, name)); err == nil {
		err = w.end(ctx)
	}
	return proven, p.spared, err
}
